package cli

import (
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// processorView is what orca processors prints as JSON, one per line.
type processorView struct {
	Name      string         `json:"name"`
	Project   string         `json:"project,omitempty"`
	Queued    int64          `json:"queued"`
	Instances []instanceView `json:"instances"`
}

type instanceView struct {
	Address      string       `json:"connection_str"`
	Runtime      string       `json:"runtime"`
	State        string       `json:"state"`
	Reason       string       `json:"reason,omitempty"`
	RegisteredAt string       `json:"registered_at,omitempty"`
	LastSeen     string       `json:"last_seen,omitempty"`
	Algorithms   int32        `json:"algorithms"`
	InFlight     int32        `json:"in_flight"`
	Metrics      *metricsView `json:"metrics,omitempty"`
}

type metricsView struct {
	ActiveTasks   int32   `json:"active_tasks"`
	MemoryBytes   int64   `json:"memory_bytes"`
	CPUPercent    float32 `json:"cpu_percent"`
	UptimeSeconds int64   `json:"uptime_seconds"`
}

func (s *shell) processors() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	c := &cobra.Command{
		Use:   "processors",
		Short: "List the processors and their instances",
		Long: "Lists the processors by name, with one line for each instance. QUEUED are calls that wait for a place at any\n" +
			"instance of the processor.",
		Example: "  orca processors\n  orca processors --json",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			l := list[*pb.ListProcessorsRequest, *pb.ListProcessorsResponse, *pb.ProcessorInfo]{
				method: core.console.ListProcessors,
				page: func(size int32, token string) *pb.ListProcessorsRequest {
					return &pb.ListProcessorsRequest{PageSize: size, PageToken: token}
				},
				rows: (*pb.ListProcessorsResponse).GetProcessors,
			}
			rows := views(l.walk(c.Context(), core, 0), viewProcessor)
			n, err := printList(s.out, asJSON.json, processorTable, rows)
			s.sayNone(n, err, "no processor has registered")
			return err
		},
	}
	at.add(c)
	asJSON.add(c)
	return c
}

func viewProcessor(p *pb.ProcessorInfo) processorView {
	v := processorView{Name: p.GetName(), Project: p.GetProject(), Queued: p.GetQueued(), Instances: []instanceView{}}
	for _, i := range p.GetInstances() {
		instance := instanceView{
			Address: i.GetConnectionStr(), Runtime: i.GetRuntime(), State: word(i.GetState(), "INSTANCE_STATE_"), Reason: i.GetReason(),
			RegisteredAt: stamp(i.GetRegisteredAt()), LastSeen: stamp(i.GetLastSeen()),
			Algorithms: i.GetAlgorithms(), InFlight: i.GetInFlight(),
		}
		if m := i.GetMetrics(); m != nil {
			instance.Metrics = &metricsView{m.GetActiveTasks(), m.GetMemoryBytes(), finite(m.GetCpuPercent()), m.GetUptimeSeconds()}
		}
		v.Instances = append(v.Instances, instance)
	}
	return v
}

// finite is 0 for what JSON has no number for; a load that is not a number says nothing.
func finite(f float32) float32 {
	if f-f != 0 {
		return 0
	}
	return f
}

var processorTable = table[processorView]{
	head: []string{"PROCESSOR", "PROJECT", "ADDRESS", "RUNTIME", "STATE", "ALGORITHMS", "IN FLIGHT", "QUEUED", "LAST SEEN", "REASON"},
	lines: func(p processorView) [][]string {
		queued := strconv.FormatInt(p.Queued, 10)
		if len(p.Instances) == 0 {
			return [][]string{{p.Name, p.Project, "", "", "", "", "", queued, "", "it has no instance"}}
		}
		var lines [][]string
		for _, i := range p.Instances {
			lines = append(lines, []string{
				p.Name, p.Project, i.Address, shorten(oneLine(i.Runtime), 20), i.State,
				strconv.Itoa(int(i.Algorithms)), strconv.Itoa(int(i.InFlight)), queued, brief(i.LastSeen), shorten(oneLine(i.Reason), shownReason),
			})
		}
		return lines
	},
}

// views maps the rows of a list.
func views[T, V any](rows iter.Seq2[T, error], view func(T) V) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for row, err := range rows {
			if err != nil {
				var none V
				yield(none, err)
				return
			}
			if !yield(view(row), nil) {
				return
			}
		}
	}
}
