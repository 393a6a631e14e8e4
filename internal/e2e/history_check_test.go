package e2e

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orca"
)

// compare holds every outcome in the ledger, and all that processors were ever given, against the model. It returns how
// many inputs that were.
func (h *history) compare(runs []*pb.GetWindowResponse, boundary int64) (inputs int64) {
	m := &lookbackmodel.Model{Execute: func(w *lookbackmodel.Window, x *orca.AlgorithmExecution) lookbackmodel.Outcome {
		return outcomeOf(digest(modelText(w, x)), x.Algorithm.ResultType)
	}}
	windows := h.modelWindows()
	newest := map[string]*lookbackmodel.Run{}
	may := map[execKey]map[string]bool{} // what an algorithm may have been given for a window, in any of its runs
	for _, run := range runs {
		origin := run.GetWindow().GetWindow().GetOrigin()
		r := &lookbackmodel.Run{Window: windows[origin], Registry: h.late, Imposed: h.imposed(run)}
		if run.GetRun().GetPosition() <= boundary {
			r.Registry = h.early
		}
		if run.GetRun().GetKind() == pb.RunKind_RUN_KIND_RETRY {
			r.Base = newest[origin]
			r.Registry = r.Base.Registry
		}
		m.Accept(r)
		newest[origin] = r
		if diff := cmp.Diff(textOf(r.Outcomes), textOf(settledIn(run))); diff != "" {
			h.t.Errorf("run %d, revision %d of %s (-want +got):\n%s", run.GetRun().GetPosition(), run.GetRun().GetRevision(), origin, diff)
		}
		for id, x := range r.Given {
			key, text := execKey{origin, id}, modelText(r.Window, x)
			if may[key] == nil {
				may[key] = map[string]bool{}
			}
			may[key][text] = true
			_, imposed := r.Imposed[id]
			if !imposed && !h.given[key][text] {
				h.t.Errorf("run %d: %v was never given\n%swhat it was given for this window:\n%s", run.GetRun().GetPosition(), id, text, alternatives(h.given[key]))
			}
		}
	}
	for key, texts := range h.given {
		for text := range texts {
			if inputs++; !may[key][text] {
				h.t.Errorf("%v was given for %s\n%sand this is what it may be given:\n%s", key.algorithm, key.origin, text, alternatives(may[key]))
			}
		}
	}
	return inputs
}

func alternatives(texts map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(texts)), "or\n")
}

// modelWindows returns the windows by origin, with their stored metadata encoded.
func (h *history) modelWindows() map[string]*lookbackmodel.Window {
	windows := map[string]*lookbackmodel.Window{}
	for _, c := range slices.Concat(h.windows[:]...) {
		stored := maps.Clone(c.Fields)
		delete(stored, "line")
		c.Metadata = encodedFields(stored)
		windows[c.Origin] = c.Window
	}
	return windows
}

func encodedFields(fields map[string]any) []byte {
	s, err := structpb.NewStruct(fields)
	if err != nil {
		panic(err) // it was emitted
	}
	return encoded(s)
}

func encoded(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // it came over the wire
	}
	return b
}

var kinds = map[pb.Outcome]orca.OutcomeKind{
	pb.Outcome_OUTCOME_SUCCEEDED: orca.Succeeded, pb.Outcome_OUTCOME_HANDLED_FAILED: orca.HandledFailed,
	pb.Outcome_OUTCOME_UNHANDLED_FAILED: orca.UnhandledFailed, pb.Outcome_OUTCOME_SKIPPED: orca.Skipped,
	pb.Outcome_OUTCOME_CANCELLED: orca.Cancelled,
}

func idOf(r *pb.AlgorithmRef) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: r.GetProcessor(), Name: r.GetName(), Version: r.GetVersion()}
}

// settledIn returns the outcomes of a run.
func settledIn(run *pb.GetWindowResponse) map[orca.AlgorithmID]lookbackmodel.Outcome {
	outcomes := map[orca.AlgorithmID]lookbackmodel.Outcome{}
	for _, n := range run.GetNodes() {
		o := lookbackmodel.Outcome{Kind: kinds[n.GetOutcome()]}
		if o.Kind == orca.Succeeded {
			o.Result = encoded(n.GetResult())
		}
		outcomes[idOf(n.GetAlgorithm())] = o
	}
	return outcomes
}

func textOf(outcomes map[orca.AlgorithmID]lookbackmodel.Outcome) map[string]string {
	text := map[string]string{}
	for id, o := range outcomes {
		text[id.Full()] = fmt.Sprintf("%v %x", o.Kind, o.Result)
	}
	return text
}

// imposed returns the outcomes of a run that were not an algorithm's own.
func (h *history) imposed(run *pb.GetWindowResponse) map[orca.AlgorithmID]orca.OutcomeKind {
	imposed := map[orca.AlgorithmID]orca.OutcomeKind{}
	origin := run.GetWindow().GetWindow().GetOrigin()
	for _, n := range run.GetNodes() {
		kind, id := kinds[n.GetOutcome()], idOf(n.GetAlgorithm())
		if kind == orca.Cancelled && h.cancelled[origin] || kind == orca.UnhandledFailed && n.GetResult() == nil && h.broke[execKey{origin, id}] {
			imposed[id] = kind
		}
	}
	return imposed
}

// modelText writes down everything that an algorithm is to be given.
func modelText(w *lookbackmodel.Window, x *orca.AlgorithmExecution) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for %s %x\n", x.Algorithm.ID.Name, windowText(w.Window), encodedFields(w.Fields))
	rows := func(rows []orca.Row) {
		for _, r := range rows {
			fmt.Fprintf(&b, "  %s %x: %x\n", windowText(r.Window), r.Window.Metadata, r.Result)
		}
	}
	for _, d := range x.Dependencies {
		fmt.Fprintf(&b, " of %s\n", d.Algorithm.ID.Name)
		if d.Current != nil {
			rows([]orca.Row{{Window: w.Window, Result: d.Current}})
		}
		rows(d.Past)
	}
	b.WriteString(" of its own\n")
	rows(x.Self)
	return b.String()
}

func windowText(w orca.Window) string {
	return fmt.Sprintf("%s %v [%d, %d]", w.Origin, w.Type, w.From, w.To)
}

// wireText writes down in the same form what an algorithm was given.
func wireText(req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for %s %x\n", x.GetAlgorithm().GetName(), wireWindow(req.GetWindow()), encoded(req.GetWindow().GetMetadata()))
	rows := func(rows []*pb.AlgorithmDependencyResultRow) {
		for _, r := range rows {
			fmt.Fprintf(&b, "  %s %x: %x\n", wireWindow(r.GetWindow()), encoded(r.GetWindow().GetMetadata()), encoded(r.GetResult()))
		}
	}
	for _, d := range x.GetDependencies() {
		fmt.Fprintf(&b, " of %s\n", d.GetAlgorithm().GetName())
		rows(d.GetResult())
	}
	b.WriteString(" of its own\n")
	rows(x.GetSelfResults())
	return b.String()
}

func wireWindow(w *pb.Window) string {
	return windowText(orca.Window{
		Origin: w.GetOrigin(), Type: orca.WindowTypeID{Name: w.GetWindowTypeName(), Version: w.GetWindowTypeVersion()},
		From: orca.TimeOf(w.GetTimeFrom().AsTime()), To: orca.TimeOf(w.GetTimeTo().AsTime()),
	})
}

// digest is a number that depends on everything in a text.
func digest(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash takes all
	return h.Sum64()
}

// outcomeOf is what an algorithm makes of all that it is given.
func outcomeOf(digest uint64, t orca.ResultType) lookbackmodel.Outcome {
	r := resultOf(digest, t)
	switch r.GetStatus() {
	case pb.ResultStatus_RESULT_STATUS_SUCEEDED:
		return lookbackmodel.Outcome{Kind: orca.Succeeded, Result: encoded(r)}
	case pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED:
		return lookbackmodel.Outcome{Kind: orca.HandledFailed}
	case pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED:
	}
	return lookbackmodel.Outcome{Kind: orca.UnhandledFailed}
}

// resultOf is the result of an algorithm: at times a failure, else a value of the kind that is hard to keep.
func resultOf(digest uint64, t orca.ResultType) *pb.Result {
	r := &pb.Result{Timestamp: int64(digest)} //nolint:gosec // all bits of it
	switch digest % 13 {
	case 0:
		r.Status = pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED
		return r
	case 1:
		r.Status = pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED
		return r
	}
	r.Status = pb.ResultStatus_RESULT_STATUS_SUCEEDED
	special := []float32{float32(math.NaN()), float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, float32(math.Inf(-1)),
		math.Float32frombits(uint32(digest)), math.Float32frombits(0x7fc00000 | uint32(digest)&0xffff)} //nolint:gosec // some bits of it
	value := special[digest>>8%uint64(len(special))]
	switch t {
	case orca.ResultValue:
		r.ResultData = &pb.Result_SingleValue{SingleValue: value}
	case orca.ResultArray:
		r.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: special[:digest>>16%uint64(len(special))]}}
	case orca.ResultStruct:
		r.ResultData = &pb.Result_StructValue{StructValue: nested(digest, value)}
	case orca.ResultNone:
	}
	return r
}

func nested(digest uint64, value float32) *structpb.Struct {
	s, err := structpb.NewStruct(map[string]any{
		"digest": fmt.Sprintf("%016x", digest), "value": float64(value), "null": nil, "zero": math.Copysign(0, -1),
		"subnormal": math.SmallestNonzeroFloat64, "nested": map[string]any{"": map[string]any{}, "list": []any{[]any{}, nil, true, "\u2028"}},
	})
	if err != nil {
		panic(err) // it has these kinds of values only
	}
	return s
}
