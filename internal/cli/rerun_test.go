package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// orders are a fake core's answers to the orders that it is given.
type orders struct {
	// rerun answers a retry or a reprocess of one window.
	rerun func(pb.RunKind) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error)
	sweep func(grpc.ServerStreamingServer[pb.ReprocessWindowsResponse]) error
	// cancelled and forgotten are nil for a window or processor that is not known.
	cancelled *pb.RunInfo
	forgotten *pb.ForgetProcessorResponse
}

func (f *fakeCore) RetryWindow(_ context.Context, r *pb.RetryWindowRequest) (*pb.RetryWindowResponse, error) {
	f.note(r)
	run, _, err := f.rerun(pb.RunKind_RUN_KIND_RETRY)
	return &pb.RetryWindowResponse{Run: run}, err
}

func (f *fakeCore) ReprocessWindow(_ context.Context, r *pb.ReprocessWindowRequest) (*pb.ReprocessWindowResponse, error) {
	f.note(r)
	run, s, err := f.rerun(pb.RunKind_RUN_KIND_REPROCESS)
	return &pb.ReprocessWindowResponse{Run: run, Status: s}, err
}

func (f *fakeCore) ReprocessWindows(r *pb.ReprocessWindowsRequest, s grpc.ServerStreamingServer[pb.ReprocessWindowsResponse]) error {
	f.note(r)
	return f.sweep(s)
}

func (f *fakeCore) CancelWindow(_ context.Context, r *pb.CancelWindowRequest) (*pb.CancelWindowResponse, error) {
	f.note(r)
	if f.cancelled == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "window %s: its newest run is finished, so there is nothing to cancel", r.GetId())
	}
	return &pb.CancelWindowResponse{Run: f.cancelled}, nil
}

func (f *fakeCore) ForgetProcessor(_ context.Context, r *pb.ForgetProcessorRequest) (*pb.ForgetProcessorResponse, error) {
	f.note(r)
	if f.forgotten == nil {
		return nil, status.Errorf(codes.NotFound, "processor %q has not registered", r.GetName())
	}
	return f.forgotten, nil
}

// rerunning is a core that makes revision 2 of every window, and finishes it like this when it is watched.
func rerunning(s pb.WindowEmitStatus_StatusEnum, events ...*pb.WatchWindowResponse) *fakeCore {
	f := &fakeCore{watch: play(events...)}
	f.rerun = func(kind pb.RunKind) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error) {
		return secondRun(kind), s, nil
	}
	return f
}

// secondRun is a second run that has begun.
func secondRun(kind pb.RunKind) *pb.RunInfo {
	return &pb.RunInfo{
		Position: 9, Revision: 2, Kind: kind, State: pb.RunState_RUN_STATE_OPEN, AcceptedAt: at("12:00:00"), Nodes: 3, Settled: 1,
	}
}

// finishedRun is the second run when it is over.
func finishedRun(kind pb.RunKind, s pb.RunState) *pb.WatchWindowResponse {
	run := secondRun(kind)
	run.State, run.Settled, run.FinishedAt = s, 3, at("12:00:00.125")
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Finished{Finished: run}}
}

// refusedRerun is a core that makes no further run.
func refusedRerun(err error) *fakeCore {
	f := &fakeCore{}
	f.rerun = func(pb.RunKind) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error) { return nil, 0, err }
	return f
}

func TestRetry(t *testing.T) {
	t.Parallel()
	nodes := window().GetNodes() // the tenth was kept from an earlier run
	f := rerunning(triggered, nodeEvent(nodes[9]), nodeEvent(nodes[0]), nodeEvent(nodes[10]),
		finishedRun(pb.RunKind_RUN_KIND_RETRY, pb.RunState_RUN_STATE_FAILED))
	transcript(t, "retry", f.start(t), "retry w7", "retry w7 --json", "retry w7 --wait", "retry w7 --wait --json",
		"retry", "retry w7 w8", "retry w7 --meta token", "retry w7 --timeout -1s")
}

func TestReprocessOneWindow(t *testing.T) {
	t.Parallel()
	nodes := window().GetNodes()
	f := rerunning(triggered, nodeEvent(nodes[0]), finishedRun(pb.RunKind_RUN_KIND_REPROCESS, pb.RunState_RUN_STATE_SUCCEEDED))
	transcript(t, "reprocess", f.start(t), "reprocess w7", "reprocess w7 --json", "reprocess w7 --wait", "reprocess w7 --wait --json",
		"reprocess", "reprocess w7 w8", "reprocess w7 --type A@1.0.0", "reprocess w7 --dry-run", "reprocess w7 --meta token",
		"reprocess --type A@1.0.0", "reprocess --from -1h --to now", "reprocess --type A --from -1h --to now",
		"reprocess --type A@1.0.0 --from -1h --to yesterday", "reprocess --type A@1.0.0 --from now --to -1h",
		"reprocess --type A@1.0.0 --from -1h --to now --wait", "reprocess --meta a=b --type A@1.0.0 --from -1h --to now")
}

func TestReprocessThatTriggersNothing(t *testing.T) {
	t.Parallel()
	const cannot = "orca: none of the algorithms of window w7 can run; \"orca window w7\" says why\n"
	const made = "window w7: revision 2 (reprocess), position 9, open, 1 of 3 nodes settled"
	for _, test := range []struct {
		status pb.WindowEmitStatus_StatusEnum
		want   said
	}{
		{none, said{0, made + "; no algorithm is triggered by its type\n", ""}},
		{failed, said{1, made + "; none of its algorithms can run\n", cannot}},
		{9, said{0, made + "; the core answered the unknown status 9\n", ""}},
	} {
		compare(t, test.status.String(), test.want, orca(t, rerunning(test.status).start(t), "reprocess", "w7"))
	}
	f := rerunning(failed, nodeEvent(window().GetNodes()[12]), finishedRun(pb.RunKind_RUN_KIND_REPROCESS, pb.RunState_RUN_STATE_INCOMPLETE))
	compare(t, "--wait", said{1, `After@1.0.0 skipped: Failed@1.0.0 failed
window w7: revision 2 (reprocess), position 9, incomplete in 125ms, 3 of 3 nodes settled
`, "orca: the run of window w7 did not succeed: it is incomplete\n"}, orca(t, f.start(t), "reprocess", "w7", "--wait"))
}

func TestRerunsAreOrderedWithMetadataAndWaitForTheirRevision(t *testing.T) {
	t.Parallel()
	for verb, want := range map[string]proto.Message{
		"retry":     &pb.RetryWindowRequest{Id: "w7", Metadata: fields("token", "007", "n", 0.5)},
		"reprocess": &pb.ReprocessWindowRequest{Id: "w7", Metadata: fields("token", "007", "n", 0.5)},
	} {
		f := rerunning(triggered, finishedRun(pb.RunKind_RUN_KIND_RETRY, pb.RunState_RUN_STATE_SUCCEEDED))
		orca(t, f.start(t), verb, "w7", "--meta", "token=007", "--meta", "n:=0.5", "--wait")
		if diff := cmp.Diff([]proto.Message{want, &pb.WatchWindowRequest{Id: "w7", Revision: 2}}, f.questions(), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", verb, diff)
		}
	}
}

func TestRerunsThatAreRefused(t *testing.T) {
	t.Parallel()
	const look = "; \"orca window w7\" shows whether the run was made\n"
	for _, test := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.FailedPrecondition, "window w7: its run is not finished"), "window w7: its run is not finished\n"},
		{status.Error(codes.Unavailable, "outcome unknown"), "the core at CORE is not available: outcome unknown" + look},
		{status.Error(codes.DeadlineExceeded, ""), "the core at CORE gave no answer in time" + look},
	} {
		for _, verb := range []string{"retry", "reprocess"} {
			f := refusedRerun(test.err)
			core := f.start(t)
			got := orca(t, core, verb, "w7", "--wait")
			got.Err = strings.ReplaceAll(got.Err, core, "CORE")
			compare(t, verb, said{1, "", "orca: " + test.want}, got)
			if n := len(f.questions()); n != 1 {
				t.Errorf("%s after %v: ordered %d times, want once", verb, test.err, n)
			}
		}
	}
}

func TestRerunsThatEndBeforeTheyAreAnswered(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	f := &fakeCore{}
	f.rerun = func(pb.RunKind) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error) {
		interrupt()
		<-t.Context().Done()
		return nil, 0, nil
	}
	got := terminal{}.orca(ctx, "retry", "w7", "--core", f.start(t))
	compare(t, "interrupted", said{1, "", "orca: interrupted; \"orca window w7\" shows whether the run was made\n"}, got)
}

func TestRetryWaitThatEndsBeforeTheRun(t *testing.T) {
	t.Parallel()
	f := rerunning(triggered)
	f.watch = func(_ int, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
		<-s.Context().Done()
		return nil
	}
	compare(t, "timeout", said{1, "", "orca: revision 2 of window w7 is accepted and was not finished after 500ms; \"orca window w7\" shows how it stands, and \"orca status\" which processors are waited for\n"},
		orca(t, f.start(t), "retry", "w7", "--wait", "--timeout", "500ms"))
}

// matchedEvent, remadeEvent and refusedEvent are what a core says of a range.
func matchedEvent(n int64) *pb.ReprocessWindowsResponse {
	return &pb.ReprocessWindowsResponse{Event: &pb.ReprocessWindowsResponse_Matched{Matched: n}}
}

func remadeEvent(id string) *pb.ReprocessWindowsResponse {
	return windowEvent(&pb.ReprocessedWindow{Id: id, Run: secondRun(pb.RunKind_RUN_KIND_REPROCESS)})
}

func refusedEvent(id, why string) *pb.ReprocessWindowsResponse {
	return windowEvent(&pb.ReprocessedWindow{Id: id, Refusal: why})
}

func windowEvent(w *pb.ReprocessedWindow) *pb.ReprocessWindowsResponse {
	return &pb.ReprocessWindowsResponse{Event: &pb.ReprocessWindowsResponse_Window{Window: w}}
}

// sweeping is a core that answers the reprocess of a range with events, and then ends like this.
func sweeping(end error, events ...*pb.ReprocessWindowsResponse) *fakeCore {
	f := &fakeCore{}
	f.sweep = func(s grpc.ServerStreamingServer[pb.ReprocessWindowsResponse]) error {
		for _, e := range events {
			if err := s.Send(e); err != nil {
				return err
			}
		}
		return end
	}
	return f
}

func TestReprocessManyWindows(t *testing.T) {
	t.Parallel()
	const line = "reprocess --type CpuWindow@1.0.0 --from -1h --to now"
	for name, f := range map[string]*fakeCore{
		"reprocess_many": sweeping(nil, matchedEvent(2), remadeEvent("w1"), remadeEvent("w2")),
		"reprocess_none": sweeping(nil, matchedEvent(0)),
		"reprocess_refused": sweeping(nil, matchedEvent(6), remadeEvent("w1"), refusedEvent("w2", "its run is not finished"),
			refusedEvent("w3", "its type has the noStore field\ntoken"), refusedEvent("w4", ""), refusedEvent("w5", "e"), refusedEvent("w6", "f")),
		"reprocess_short":  sweeping(nil, matchedEvent(3), remadeEvent("w1")),
		"reprocess_silent": sweeping(nil),
		"reprocess_broken": sweeping(status.Error(codes.Unavailable, "the core is stopping"), matchedEvent(3), remadeEvent("w1")),
		"reprocess_denied": sweeping(status.Error(codes.NotFound, "window type CpuWindow 1.0.0 is not registered")),
	} {
		transcript(t, name, f.start(t), line, line+" --json")
	}
}

func TestReprocessDryRun(t *testing.T) {
	t.Parallel()
	f := sweeping(nil, matchedEvent(1234))
	const line = "reprocess --type CpuWindow@1.0.0 --from -1h --to now --dry-run"
	transcript(t, "reprocess_dry_run", f.start(t), line, line+" --json")
	want := &pb.ReprocessWindowsRequest{
		WindowTypeName: "CpuWindow", WindowTypeVersion: "1.0.0", TimeFrom: at("11:00:00"), TimeTo: at("12:00:00"), DryRun: true,
	}
	if diff := cmp.Diff([]proto.Message{want, want}, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of many windows, a line of progress comes at most once a second.
func TestReprocessTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	events := []*pb.ReprocessWindowsResponse{matchedEvent(8)}
	for i := range 8 {
		events = append(events, remadeEvent(fmt.Sprint("w", i)))
	}
	clock := at("12:00:00").AsTime()
	x := terminal{now: func() time.Time {
		clock = clock.Add(400 * time.Millisecond)
		return clock
	}}
	got := x.orca(t.Context(), "reprocess", "--type", "A@1.0.0", "--from", "-1h", "--to", "now", "--core", sweeping(nil, events...).start(t))
	compare(t, "reprocess", said{0, "new runs for 8 of 8 windows of A@1.0.0\n",
		"orca: reprocessing 8 windows of A@1.0.0\norca: 3 of 8 done\norca: 6 of 8 done\n"}, got)
}

func TestReprocessOfManyIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	f := &fakeCore{}
	f.sweep = func(s grpc.ServerStreamingServer[pb.ReprocessWindowsResponse]) error {
		if err := s.Send(matchedEvent(3)); err != nil {
			return err
		}
		if err := s.Send(remadeEvent("w1")); err != nil {
			return err
		}
		<-s.Context().Done()
		return nil
	}
	core := f.start(t)
	asked := 0 // the time: for the range, then with each event
	x := terminal{now: func() time.Time {
		if asked++; asked == 3 {
			interrupt()
		}
		return at("12:00:00").AsTime()
	}}
	got := x.orca(ctx, "reprocess", "--type", "A@1.0.0", "--from", "-1h", "--to", "now", "--core", core)
	compare(t, "reprocess", said{1, "", "orca: reprocessing 3 windows of A@1.0.0\n" +
		"orca: stopped after 1 of 3 windows of A@1.0.0: interrupted; the new runs go on, and the same again would reprocess those windows once more\n"}, got)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	run := secondRun(pb.RunKind_RUN_KIND_RETRY)
	run.State, run.Settled, run.FinishedAt = pb.RunState_RUN_STATE_CANCELLED, 3, at("12:00:03")
	f := &fakeCore{orders: orders{cancelled: run}}
	transcript(t, "cancel", f.start(t), "cancel w7", "cancel w7 --json", "cancel", "cancel w7 w8")
	want := &pb.CancelWindowRequest{Id: "w7"}
	if diff := cmp.Diff([]proto.Message{want, want}, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	transcript(t, "cancel_refused", (&fakeCore{}).start(t), "cancel w7")
}

func TestForget(t *testing.T) {
	t.Parallel()
	f := &fakeCore{orders: orders{forgotten: &pb.ForgetProcessorResponse{Instances: 2, Algorithms: 1, Runs: 40}}}
	transcript(t, "forget", f.start(t), "forget racing", "forget racing --json", "forget", "forget racing score")
	want := &pb.ForgetProcessorRequest{Name: "racing"}
	if diff := cmp.Diff([]proto.Message{want, want}, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	transcript(t, "forget_refused", (&fakeCore{}).start(t), "forget nobody")
}
