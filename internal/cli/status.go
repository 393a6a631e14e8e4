package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// statusView is what orca status prints as JSON.
type statusView struct {
	Core      string        `json:"core"`
	Version   string        `json:"version"`
	StartedAt string        `json:"started_at,omitempty"`
	Store     string        `json:"store"`
	Pending   int64         `json:"pending"`
	Active    int64         `json:"active"`
	Parked    int64         `json:"parked"`
	Ready     bool          `json:"ready"`
	NotReady  string        `json:"not_ready,omitempty"`
	Waiting   []waitingView `json:"waiting,omitempty"`
}

type waitingView struct {
	Processor string `json:"processor"`
	Runs      int64  `json:"runs"`
	Oldest    int64  `json:"oldest"`
}

func (s *shell) status() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show how the core is doing and what it waits for",
		Example: "  orca status\n  orca status --core 10.0.0.7:33670 --json",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			answer, err := ask(c.Context(), core, core.console.GetStatus, &pb.GetStatusRequest{})
			if err != nil {
				return err
			}
			v := viewStatus(core.address, answer)
			if asJSON.json {
				return printJSON(s.out, v)
			}
			return s.printStatus(v, s.now().Sub(answer.GetStartedAt().AsTime()))
		},
	}
	at.add(c)
	asJSON.add(c)
	return c
}

func viewStatus(address string, a *pb.GetStatusResponse) statusView {
	v := statusView{
		Core: address, Version: a.GetVersion(), StartedAt: stamp(a.GetStartedAt()), Store: a.GetStore(),
		Pending: a.GetPending(), Active: a.GetActive(), Parked: a.GetParked(),
		Ready: a.GetNotReady() == "", NotReady: a.GetNotReady(),
	}
	for _, w := range a.GetWaiting() {
		v.Waiting = append(v.Waiting, waitingView{w.GetProcessor(), w.GetRuns(), w.GetOldest()})
	}
	return v
}

func (s *shell) printStatus(v statusView, up time.Duration) error {
	lines := [][]string{
		{"core", fmt.Sprintf("%s, version %s", v.Core, v.Version)},
		{"store", v.Store},
		{"runs", fmt.Sprintf("%d pending, %d active, %d parked", v.Pending, v.Active, v.Parked)},
		{"ready", "yes"},
	}
	if v.StartedAt != "" {
		lines = append(lines, []string{"up", fmt.Sprintf("%s, since %s", up.Round(time.Second), brief(v.StartedAt))})
	}
	if !v.Ready {
		lines[3][1] = "no: " + v.NotReady
	}
	for _, w := range v.Waiting {
		text := fmt.Sprintf("%s for processor %s, the oldest at position %d", plural(w.Runs, "run"), w.Processor, w.Oldest)
		lines = append(lines, []string{"waiting", text})
	}
	return printTable(s.out, nil, lines)
}

// plural counts things: 1 run, 2 runs.
func plural[N int | int32 | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
