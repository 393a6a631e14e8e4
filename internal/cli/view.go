package cli

import (
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// The views are what --json prints. Names are those of contract/console.proto, enums are lower-case words, times are
// RFC 3339 in UTC, what is not there is left out, and numbers that JSON does not have are "NaN", "Infinity" and
// "-Infinity".

type typeView struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (v typeView) String() string { return v.Name + "@" + v.Version }

type refView struct {
	Processor string `json:"processor"`
	Name      string `json:"name"`
	Version   string `json:"version"`
}

func (v refView) String() string { return v.Name + "@" + v.Version }

func viewRef(r *pb.AlgorithmRef) refView {
	return refView{r.GetProcessor(), r.GetName(), r.GetVersion()}
}

func viewRefs(refs []*pb.AlgorithmRef) []refView {
	var views []refView
	for _, r := range refs {
		views = append(views, viewRef(r))
	}
	return views
}

type windowView struct {
	ID         string          `json:"id,omitempty"`
	WindowType typeView        `json:"window_type"`
	TimeFrom   string          `json:"time_from"`
	TimeTo     string          `json:"time_to"`
	Origin     string          `json:"origin"`
	Metadata   json.RawMessage `json:"metadata"`
	AcceptedAt string          `json:"accepted_at,omitempty"`
	Run        *runView        `json:"run,omitempty"`
}

func viewWindow(w *pb.Window) windowView {
	return windowView{
		WindowType: typeView{w.GetWindowTypeName(), w.GetWindowTypeVersion()},
		TimeFrom:   stamp(w.GetTimeFrom()),
		TimeTo:     stamp(w.GetTimeTo()),
		Origin:     w.GetOrigin(),
		Metadata:   structJSON(w.GetMetadata()),
	}
}

func viewWindowInfo(i *pb.WindowInfo) windowView {
	v := viewWindow(i.GetWindow())
	v.ID, v.AcceptedAt, v.Run = i.GetId(), stamp(i.GetAcceptedAt()), viewRun(i.GetRun())
	return v
}

type runView struct {
	Position   int64  `json:"position"`
	Revision   int32  `json:"revision"`
	Kind       string `json:"kind"`
	State      string `json:"state"`
	AcceptedAt string `json:"accepted_at,omitempty"`
	FinishedAt string `json:"finished_at,omitempty"`
	Nodes      int32  `json:"nodes"`
	Settled    int32  `json:"settled"`
}

func viewRun(r *pb.RunInfo) *runView {
	if r == nil {
		return nil
	}
	return &runView{
		Position: r.GetPosition(), Revision: r.GetRevision(), Kind: word(r.GetKind(), "RUN_KIND_"), State: word(r.GetState(), "RUN_STATE_"),
		AcceptedAt: stamp(r.GetAcceptedAt()), FinishedAt: stamp(r.GetFinishedAt()), Nodes: r.GetNodes(), Settled: r.GetSettled(),
	}
}

type nodeView struct {
	Algorithm refView `json:"algorithm"`
	Outcome   string  `json:"outcome"`
	Reason    string  `json:"reason,omitempty"`
	// Value is null when the algorithm succeeded with no value.
	Value json.RawMessage `json:"value,omitempty"`
	Error json.RawMessage `json:"error,omitempty"`
	// Timestamp is when the processor computed it, as it said: seconds since the epoch.
	Timestamp  int64     `json:"timestamp,omitempty"`
	Attempts   int32     `json:"attempts"`
	SettledAt  string    `json:"settled_at,omitempty"`
	DependsOn  []refView `json:"depends_on,omitempty"`
	ProducedAt int64     `json:"produced_at,omitempty"`
	// Freshness of what it was given of past results: current, stale or not-compared.
	Freshness string `json:"freshness,omitempty"`

	result *pb.Result
}

func viewNode(n *pb.NodeInfo) nodeView {
	v := nodeView{
		Algorithm: viewRef(n.GetAlgorithm()), Outcome: word(n.GetOutcome(), "OUTCOME_"), Reason: n.GetReason(),
		Value: valueJSON(n.GetResult()), Timestamp: n.GetResult().GetTimestamp(), Attempts: n.GetAttempts(),
		SettledAt: stamp(n.GetSettledAt()), DependsOn: viewRefs(n.GetDependsOn()), ProducedAt: n.GetProducedAt(),
		result: n.GetResult(),
	}
	if e := n.GetResult().GetError(); e != nil {
		v.Error = structJSON(e)
	}
	if f := n.GetFreshness(); f != pb.Freshness_FRESHNESS_UNSPECIFIED {
		v.Freshness = word(f, "FRESHNESS_")
	}
	return v
}

type resultView struct {
	WindowID string     `json:"window_id"`
	Window   windowView `json:"window"`
	Position int64      `json:"position"`
	Revision int32      `json:"revision"`
	nodeView
}

func viewResult(r *pb.ResultInfo) resultView {
	return resultView{r.GetWindowId(), viewWindow(r.GetWindow()), r.GetPosition(), r.GetRevision(), viewNode(r.GetNode())}
}

// word makes the name of an enum's value a word: OUTCOME_HANDLED_FAILED is handled-failed.
func word(value interface{ String() string }, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value.String(), prefix)), "_", "-")
}

// stamp writes a time with as many digits as it needs; empty when it is not set.
func stamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

// brief shortens a time of day to the millisecond, for tables: when something happened, as against the event time of a
// window, which is shown exactly.
func brief(stamp string) string {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return stamp
	}
	return t.Truncate(time.Millisecond).Format(time.RFC3339Nano)
}
