package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

type runFunc = func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error)

func handled() *pb.Result {
	return &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED, Timestamp: 1}
}

// counted runs f and counts how often.
func counted(n *atomic.Int32, f func(n int32) *pb.Result) runFunc {
	return func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
		return f(n.Add(1)), nil
	}
}

// nodesOf writes each node as "NAME OUTCOME of RUN: REASON", by name.
func nodesOf(w *pb.GetWindowResponse) []string {
	var lines []string
	for _, n := range w.GetNodes() {
		line := n.GetAlgorithm().GetName() + " " + strings.ToLower(strings.TrimPrefix(n.GetOutcome().String(), "OUTCOME_"))
		if n.GetProducedAt() != 0 {
			line += fmt.Sprintf(" of %d", n.GetProducedAt())
		}
		if n.GetReason() != "" {
			line += ": " + n.GetReason()
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

func checkNodes(t *testing.T, w *pb.GetWindowResponse, state pb.RunState, want ...string) {
	t.Helper()
	if w.GetRun().GetState() != state {
		t.Errorf("the run is %v, want %v", w.GetRun().GetState(), state)
	}
	if diff := cmp.Diff(want, nodesOf(w)); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
}

func checkRefused(t *testing.T, what string, err error, code codes.Code, words string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), words) {
		t.Errorf("%s: %v, want %v and %q", what, err, code, words)
	}
}

// A retry keeps what succeeded and runs the rest, from a core that was restarted meanwhile too; the revision before
// stays readable, and a retry of what has succeeded is refused.
func TestRetry(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	var a, b, c atomic.Int32
	core.Processor("p",
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: counted(&a, func(int32) *pb.Result { return orcatest.Value(7) })},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "B", orcatest.On("p", "A")), Run: func(_ context.Context, _ *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
			if b.Add(1) == 1 {
				return handled(), nil
			}
			return orcatest.Value(2 * x.GetDependencies()[0].GetResult()[0].GetResult().GetSingleValue()), nil
		}},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "C", orcatest.On("p", "B")), Run: counted(&c, func(int32) *pb.Result { return orcatest.Value(1) })})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	first := core.Wait(id)
	checkNodes(t, first, pb.RunState_RUN_STATE_FAILED, "A succeeded of 1",
		"B handled_failed of 1: the algorithm reported a failure without details", "C skipped of 1: needs B 1.0.0, which failed (handled)")
	core.Restart()
	answer, err := core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	if r := answer.GetRun(); r.GetRevision() != 2 || r.GetPosition() != 2 || r.GetKind() != pb.RunKind_RUN_KIND_RETRY || r.GetNodes() != 3 {
		t.Errorf("the answer shows %v", r)
	}
	second := core.Wait(id)
	checkNodes(t, second, pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 2", "C succeeded of 2")
	for _, n := range second.GetNodes() {
		if n.GetAlgorithm().GetName() == "B" && n.GetResult().GetSingleValue() != 14 {
			t.Errorf("B gave %v, want 14 of the A that was kept", n.GetResult())
		}
	}
	if got := []int32{a.Load(), b.Load(), c.Load()}; !slices.Equal(got, []int32{1, 2, 1}) {
		t.Errorf("A, B and C ran %v times, want 1, 2 and 1", got)
	}
	old, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id, Revision: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nodesOf(first), nodesOf(old)); diff != "" || old.GetRun().GetRevision() != 1 {
		t.Errorf("revision 1 has changed (-want +got):\n%s", diff)
	}
	_, err = core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id})
	checkRefused(t, "a retry of a success", err, codes.FailedPrecondition, "nothing to retry")
	_, err = core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: "nonsense"})
	checkRefused(t, "an unknown id", err, codes.NotFound, "nonsense")
}

// A reprocess runs everything under the plan of the registry as it is now, also in a core that was restarted after it
// was accepted.
func TestReprocess(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Drain = time.Millisecond })
	var runs atomic.Int32
	begun := make(chan struct{})
	p := core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "Old")},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
			if runs.Add(1) == 2 { // until the core stops
				close(begun)
				<-ctx.Done()
			}
			return orcatest.Value(1), nil
		}})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	core.Wait(id)
	newer := core.Processor("p2", orcatest.Algorithm{Algorithm: orcatest.Define("W", "New", orcatest.On("p", "A"))})
	if _, err := core.RegisterProcessor(t.Context(), &pb.ProcessorRegistration{Name: "p", Runtime: "go-test", ConnectionStr: p.Address,
		SupportedAlgorithms: []*pb.Algorithm{orcatest.Define("W", "A")}}); err != nil {
		t.Fatal(err)
	}
	answer, err := core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: id})
	if err != nil || answer.GetStatus() != pb.WindowEmitStatus_PROCESSING_TRIGGERED || answer.GetRun().GetKind() != pb.RunKind_RUN_KIND_REPROCESS {
		t.Fatalf("%v, %v", answer, err)
	}
	<-begun
	_, err = core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: id})
	checkRefused(t, "an open run", err, codes.FailedPrecondition, "open")
	core.Restart()
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 2", "New succeeded of 2")
	if n := len(newer.Requests()); n != 1 {
		t.Errorf("New was asked %d times, want once", n)
	}
}

// noStore values have to be given again, and reach the algorithms and nothing else.
func TestRetryWithNoStoreFields(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	typed := orcatest.Define("W", "A")
	typed.WindowType.MetadataFields = []*pb.MetadataField{{Name: "car", Description: "c"}, {Name: "token", Description: "t", NoStore: true}}
	var mu sync.Mutex
	var seen []string
	core.Processor("p", orcatest.Algorithm{Algorithm: typed, Run: func(_ context.Context, req *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		fields := req.GetWindow().GetMetadata().GetFields()
		seen = append(seen, fields["car"].GetStringValue()+" "+fields["token"].GetStringValue())
		return handled(), nil
	}})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, map[string]any{"car": "7", "token": "first"}))
	core.Wait(id)
	_, err := core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id})
	checkRefused(t, "no metadata", err, codes.FailedPrecondition, `"token"`)
	_, err = core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: id})
	checkRefused(t, "no metadata", err, codes.FailedPrecondition, `"token"`)
	given, err := structpb.NewStruct(map[string]any{"token": "second"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id, Metadata: given}); err != nil {
		t.Fatal(err)
	}
	again := core.Wait(id)
	if _, there := again.GetWindow().GetWindow().GetMetadata().GetFields()["token"]; there {
		t.Error("the stored window has the noStore field")
	}
	given.Fields["car"] = structpb.NewStringValue("8")
	_, err = core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id, Metadata: given})
	checkRefused(t, "a stored field", err, codes.InvalidArgument, `"car"`)
	stream, err := core.ReprocessWindows(t.Context(), &pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", DryRun: true})
	if err == nil {
		_, err = stream.Recv()
	}
	checkRefused(t, "a range of them", err, codes.FailedPrecondition, `"token"`)
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"7 first", "7 second"}, seen); diff != "" {
		t.Errorf("the algorithm saw (-want +got):\n%s", diff)
	}
}

// A run is cancelled while it runs, while it waits for a processor and when it is idle, which is refused; what was
// cancelled stays so over a restart.
func TestCancel(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Drain = time.Millisecond })
	begun, hold := make(chan struct{}, 1), make(chan struct{})
	t.Cleanup(func() { close(hold) })
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		begun <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return orcatest.Value(1), nil
	}})
	away := core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("V", "B")})
	away.Kill()
	running, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	<-begun
	waiting, _ := core.Emit(orcatest.Window("V", "1.0.0", 0, nil))
	for id, name := range map[string]string{running: "A", waiting: "B"} {
		answer, err := core.CancelWindow(t.Context(), &pb.CancelWindowRequest{Id: id})
		if err != nil || answer.GetRun().GetState() != pb.RunState_RUN_STATE_CANCELLED || answer.GetRun().GetSettled() != 1 {
			t.Fatalf("cancel of %s: %v, %v", name, answer, err)
		}
		core.Restart()
		w := core.Wait(id)
		checkNodes(t, w, pb.RunState_RUN_STATE_CANCELLED, fmt.Sprintf("%s cancelled of %d: cancelled by request", name, w.GetRun().GetPosition()))
		_, err = core.CancelWindow(t.Context(), &pb.CancelWindowRequest{Id: id})
		checkRefused(t, "an idle run", err, codes.FailedPrecondition, "no run of the window is open")
	}
	_, err := core.CancelWindow(t.Context(), &pb.CancelWindowRequest{Id: "x-1"})
	checkRefused(t, "an unknown window", err, codes.NotFound, "x-1")
}

// Forgetting an absent processor finishes what waits for it as incomplete, while others go on; later windows have
// nothing of it until it registers again.
func TestForgetProcessor(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.MaxActiveRuns = 2 })
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "C", orcatest.On("q", "B"))})
	gone := core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "B")})
	gone.Kill()
	var ids []string
	for i := range 5 {
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", i, nil))
		ids = append(ids, id)
	}
	_, err := core.ForgetProcessor(t.Context(), &pb.ForgetProcessorRequest{Name: "nobody"})
	checkRefused(t, "an unknown processor", err, codes.NotFound, "nobody")
	answer, err := core.ForgetProcessor(t.Context(), &pb.ForgetProcessorRequest{Name: "q"})
	if err != nil || answer.GetInstances() != 1 || answer.GetAlgorithms() != 1 || answer.GetRuns() != 5 {
		t.Fatalf("%v, %v", answer, err)
	}
	core.Restart()
	for i, id := range ids {
		checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_INCOMPLETE, fmt.Sprintf("A succeeded of %d", i+1),
			fmt.Sprintf(`B skipped of %d: processor "q" was forgotten`, i+1),
			fmt.Sprintf(`C skipped of %d: needs B 1.0.0 of processor "q", which was skipped`, i+1))
	}
	back := core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "B")})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 9, nil))
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 6", "B succeeded of 6", "C succeeded of 6")
	if n := len(back.Requests()); n != 1 {
		t.Errorf("q was asked %d times after it came back, want once", n)
	}
}

// A node whose algorithm is retired for --retired-wait is skipped, also when the core was restarted in between.
func TestRetiredWait(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.RetiredWait = 300 * time.Millisecond })
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	gone := core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "B")})
	gone.Kill()
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	if _, err := core.RegisterProcessor(t.Context(), &pb.ProcessorRegistration{Name: "q", Runtime: "go-test", ConnectionStr: gone.Address}); err != nil {
		t.Fatal(err)
	}
	core.Restart()
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_INCOMPLETE, "A succeeded of 1",
		"B skipped of 1: B 1.0.0 is retired, and no processor has announced it again for 300ms")
}

// A range is reprocessed oldest first, across pages; a dry run counts it, and a window with an open run is refused while
// the others go on.
func TestReprocessWindows(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	held := make(chan struct{})
	var hold atomic.Bool
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: func(ctx context.Context, req *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		if hold.Load() && req.GetWindow().GetOrigin() == "held" {
			select {
			case <-held:
			case <-ctx.Done():
			}
		}
		return orcatest.Value(1), nil
	}})
	const many = 130
	var ids []string
	for i := range many {
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", many-i, nil)) // the last emitted is the oldest
		ids = append([]string{id}, ids...)
	}
	for _, id := range ids {
		core.Wait(id)
	}
	hold.Store(true)
	w := orcatest.Window("W", "1.0.0", many+1, nil)
	w.Origin = "held"
	last, _ := core.Emit(w)
	later, _ := core.Emit(orcatest.Window("W", "1.0.0", 2*many, nil)) // out of the range
	core.Wait(later)
	from, to := orcatest.Window("W", "1.0.0", 3, nil).GetTimeFrom(), orcatest.Window("W", "1.0.0", many+1, nil).GetTimeTo()
	request := &pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", TimeFrom: from, TimeTo: to, DryRun: true}
	want := append(slices.Clone(ids[2:]), last+" refused")
	if matched, events := reprocessAll(t, core, request); matched != int64(len(want)) || len(events) != 0 {
		t.Errorf("the dry run matched %d and told %v; want %d and nothing", matched, events, len(want))
	}
	request.DryRun = false
	matched, events := reprocessAll(t, core, request)
	if diff := cmp.Diff(want, events); diff != "" || matched != int64(len(want)) {
		t.Errorf("%d matched, want %d; windows (-want +got):\n%s", matched, len(want), diff)
	}
	close(held)
	for i, id := range ids {
		revision := int32(2)
		if i < 2 {
			revision = 1
		}
		if r := core.Wait(id).GetRun(); r.GetRevision() != revision || r.GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("window %d: %v, want revision %d", i, r, revision)
		}
	}
	for what, bad := range map[string]*pb.ReprocessWindowsRequest{
		"no version": {WindowTypeName: "W"},
		"backwards":  {WindowTypeName: "W", WindowTypeVersion: "1.0.0", TimeFrom: timestamppb.New(time.Unix(9, 0)), TimeTo: timestamppb.New(time.Unix(8, 0))},
	} {
		stream, err := core.ReprocessWindows(t.Context(), bad)
		if err == nil {
			_, err = stream.Recv()
		}
		checkRefused(t, what, err, codes.InvalidArgument, "")
	}
}

// reprocessAll returns how many windows matched, and the windows in the order of the stream.
func reprocessAll(t *testing.T, core *orcatest.Core, request *pb.ReprocessWindowsRequest) (matched int64, windows []string) {
	t.Helper()
	stream, err := core.ReprocessWindows(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return matched, windows
		}
		if err != nil {
			t.Fatal(err)
		}
		if w := event.GetWindow(); w != nil {
			if n == 0 {
				t.Fatal("the first event is not the number of windows")
			}
			text := w.GetId()
			if w.GetRefusal() != "" {
				text += " refused"
			}
			if (w.GetRefusal() == "") != (w.GetRun().GetRevision() == 2) {
				t.Errorf("%v", w)
			}
			windows = append(windows, text)
			continue
		}
		matched = event.GetMatched()
	}
}
