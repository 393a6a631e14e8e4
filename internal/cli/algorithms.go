package cli

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
)

// algorithmView is what orca algorithms prints as JSON, one per line.
type algorithmView struct {
	refView
	State          string           `json:"state"`
	WindowType     typeView         `json:"window_type"`
	MetadataFields []fieldView      `json:"metadata_fields,omitempty"`
	ResultType     string           `json:"result_type"`
	Description    string           `json:"description,omitempty"`
	SelfLookback   *lookbackView    `json:"self_lookback,omitempty"`
	Dependencies   []dependencyView `json:"dependencies,omitempty"`
	Awaited        []refView        `json:"awaited,omitempty"`
}

type fieldView struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	NoStore     bool   `json:"no_store,omitempty"`
	Filter      bool   `json:"filter,omitempty"`
}

type dependencyView struct {
	refView
	// WindowType is what triggers it; nil while that is not known.
	WindowType *typeView     `json:"window_type,omitempty"`
	Lookback   *lookbackView `json:"lookback,omitempty"`
}

// lookbackView is how far back: a count or a time, and what is left out nearest to the present.
type lookbackView struct {
	Count          uint32 `json:"count,omitempty"`
	Nanoseconds    uint64 `json:"nanoseconds,omitempty"`
	GapCount       uint32 `json:"gap_count,omitempty"`
	GapNanoseconds uint64 `json:"gap_nanoseconds,omitempty"`
}

func (s *shell) algorithms() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var windowType string
	var retired bool
	c := &cobra.Command{
		Use:   "algorithms",
		Short: "List the algorithms, what triggers them and what they need",
		Long: "Lists the algorithms by processor, name and version. A waiting one depends on an algorithm that nobody has\n" +
			"announced yet, and triggers nothing until then. In brackets stands what is given of past results; \"newest\" is one\n" +
			"result of another window type, however old. --json has the metadata fields of their window types too.",
		Example: "  orca algorithms\n  orca algorithms --type CpuWindow@1.0.0 --retired",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			trigger, err := parseTypeFilter(c, windowType)
			if err != nil {
				return err
			}
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			n, err := printList(s.out, asJSON.json, algorithmTable, core.algorithms(c.Context(), trigger, !retired))
			none := "no algorithm is registered"
			if !retired {
				none += "; --retired shows those that their processors announce no more"
			}
			s.sayNone(n, err, none)
			return err
		},
	}
	addTypeFilter(c, &windowType, "only those that windows of this type trigger")
	c.Flags().BoolVar(&retired, "retired", false, "also those that their processors announce no more")
	at.add(c)
	asJSON.add(c)
	return c
}

// algorithms walks all algorithms that windows of a type trigger; of any type when it is empty.
func (c *core) algorithms(ctx context.Context, of typeView, excludeRetired bool) iter.Seq2[algorithmView, error] {
	l := list[*pb.ListAlgorithmsRequest, *pb.ListAlgorithmsResponse, *pb.AlgorithmInfo]{
		method: c.console.ListAlgorithms,
		page: func(size int32, token string) *pb.ListAlgorithmsRequest {
			return &pb.ListAlgorithmsRequest{
				PageSize: size, PageToken: token,
				WindowTypeName: of.Name, WindowTypeVersion: of.Version, ExcludeRetired: excludeRetired,
			}
		},
		rows: (*pb.ListAlgorithmsResponse).GetAlgorithms,
	}
	return views(l.walk(ctx, c, 0), viewAlgorithm)
}

func addTypeFilter(c *cobra.Command, to *string, usage string) {
	c.Flags().StringVar(to, "type", "", usage+", `NAME` or NAME@VERSION")
}

func parseTypeFilter(c *cobra.Command, text string) (typeView, error) {
	if text == "" {
		return typeView{}, nil
	}
	v, err := parseRef(text, true)
	if err != nil {
		return typeView{}, wrong(c, "--type %q: %v", text, err)
	}
	return v, nil
}

func viewAlgorithm(i *pb.AlgorithmInfo) algorithmView {
	a := i.GetAlgorithm()
	v := algorithmView{
		refView:      refView{i.GetProcessor(), a.GetName(), a.GetVersion()},
		State:        word(i.GetState(), "ALGORITHM_STATE_"),
		WindowType:   typeView{a.GetWindowType().GetName(), a.GetWindowType().GetVersion()},
		ResultType:   word(a.GetResultType(), ""),
		Description:  a.GetDescription(),
		SelfLookback: viewLookback(a.GetLookbackNum(), a.GetLookbackTimeDelta(), a.GetLookbackGapNum(), a.GetLookbackGapTimeDelta()),
		Awaited:      viewRefs(i.GetAwaited()),
	}
	for _, f := range a.GetWindowType().GetMetadataFields() {
		v.MetadataFields = append(v.MetadataFields, fieldView{f.GetName(), f.GetDescription(), f.GetNoStore(), f.GetFilter()})
	}
	for n, d := range a.GetDependencies() {
		v.Dependencies = append(v.Dependencies, dependencyView{
			refView{d.GetProcessorName(), d.GetName(), d.GetVersion()}, dependencyType(i.GetDependencyWindowTypes(), n),
			viewLookback(d.GetLookbackNum(), d.GetLookbackTimeDelta(), d.GetLookbackGapNum(), d.GetLookbackGapTimeDelta()),
		})
	}
	return v
}

func dependencyType(types []*pb.WindowTypeRef, n int) *typeView {
	if n >= len(types) || types[n].GetName() == "" {
		return nil
	}
	return &typeView{types[n].GetName(), types[n].GetVersion()}
}

// viewLookback is nil when nothing is looked back at.
func viewLookback(count uint32, delta uint64, gapCount uint32, gapDelta uint64) *lookbackView {
	v := lookbackView{count, delta, gapCount, gapDelta}
	if v == (lookbackView{}) {
		return nil
	}
	return &v
}

// String is such as "last 24, gap 1h"; empty for nil.
func (v *lookbackView) String() string {
	if v == nil {
		return ""
	}
	var parts []string
	if v.Count > 0 {
		parts = append(parts, fmt.Sprintf("last %d", v.Count))
	}
	if v.Nanoseconds > 0 {
		parts = append(parts, "past "+spanText(v.Nanoseconds))
	}
	if v.GapCount > 0 {
		parts = append(parts, fmt.Sprintf("gap %d", v.GapCount))
	}
	if v.GapNanoseconds > 0 {
		parts = append(parts, "gap "+spanText(v.GapNanoseconds))
	}
	return strings.Join(parts, ", ")
}

// over is String for results of the algorithm's own or of another type of windows, of which no lookback means the newest
// one, however old.
func (v *lookbackView) over(other bool) string {
	if !other || v != nil && (v.Count > 0 || v.Nanoseconds > 0) {
		return v.String()
	}
	if v == nil {
		return "newest"
	}
	return "newest, " + v.String()
}

// lookbackText is what an algorithm of a window type asks for.
func (d dependencyView) lookbackText(own typeView) string {
	return d.Lookback.over(d.WindowType != nil && *d.WindowType != own)
}

// spanText writes nanoseconds as 24h.
func spanText(ns uint64) string {
	return config.FormatDuration(time.Duration(min(ns, math.MaxInt64)))
}

var algorithmTable = table[algorithmView]{
	head: []string{"ALGORITHM", "PROCESSOR", "WINDOW TYPE", "RESULT", "STATE", "DEPENDS ON"},
	lines: func(a algorithmView) [][]string {
		return [][]string{{a.String(), a.Processor, a.WindowType.String(), a.ResultType, a.stateText(), a.dependenciesText()}}
	},
}

func (a algorithmView) stateText() string {
	var names []string
	for _, r := range a.Awaited {
		names = append(names, fmt.Sprintf("%s of %s", r, r.Processor))
	}
	if len(names) == 0 {
		return a.State
	}
	return a.State + " for " + strings.Join(names, ", ")
}

func (a algorithmView) dependenciesText() string {
	var parts []string
	for _, d := range a.Dependencies {
		text := d.refView.String()
		if d.Processor != a.Processor {
			text += " of " + d.Processor
		}
		parts = append(parts, bracketed(text, d.lookbackText(a.WindowType)))
	}
	if a.SelfLookback != nil {
		parts = append(parts, bracketed("itself", a.SelfLookback.String()))
	}
	return strings.Join(parts, ", ")
}

func bracketed(text, lookback string) string {
	if lookback == "" {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, lookback)
}
