package cli

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	triggered = pb.WindowEmitStatus_PROCESSING_TRIGGERED
	none      = pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS
	failed    = pb.WindowEmitStatus_TRIGGERING_FAILED
)

// emitArgs are the flags of an emit that has nothing wrong with it.
func emitArgs(more ...string) []string {
	return append([]string{"emit", "--type", "CpuWindow@1.0.0", "--from", "-1m", "--to", "now", "--origin", "me"}, more...)
}

// answering is a core that gives every emit the same answer.
func answering(s pb.WindowEmitStatus_StatusEnum) *fakeCore {
	return &fakeCore{emit: func(ctx context.Context, _ int) (*pb.WindowEmitStatus, error) { return accepted(ctx, "w7", s) }}
}

func TestEmitSendsTheWindow(t *testing.T) {
	t.Parallel()
	f := answering(triggered)
	got := orca(t, f.start(t), emitArgs("--meta", "host=web-1", "--meta", "load:=0.5", "--idempotency-key", "k 1")...)
	compare(t, "emit", said{0, "window w7: accepted, processing is triggered\n", ""}, got)
	want := []proto.Message{&pb.Window{
		WindowTypeName: "CpuWindow", WindowTypeVersion: "1.0.0", TimeFrom: at("11:59:00"), TimeTo: at("12:00:00"), Origin: "me",
		Metadata: fields("host", "web-1", "load", 0.5),
	}}
	if diff := cmp.Diff(want, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"[k 1]"}, f.keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestEmitUsesAFreshKeyEachTime(t *testing.T) {
	t.Parallel()
	f := answering(triggered)
	core := f.start(t)
	orca(t, core, emitArgs()...)
	orca(t, core, emitArgs()...)
	if len(f.keys) != 2 || f.keys[0] == f.keys[1] || len(f.keys[0]) < 20 {
		t.Errorf("keys %q; want two long ones that differ", f.keys)
	}
}

func TestEmitAnswers(t *testing.T) {
	t.Parallel()
	const kept = "orca: window w7 is kept, but none of its algorithms can run; \"orca window w7\" says why\n"
	for _, test := range []struct {
		status pb.WindowEmitStatus_StatusEnum
		args   []string
		want   said
	}{
		{none, nil, said{0, "window w7: accepted, and no algorithm is triggered by CpuWindow@1.0.0\n", ""}},
		{none, []string{"--wait"}, said{0, "window w7: accepted, and no algorithm is triggered by CpuWindow@1.0.0\n", ""}},
		{failed, nil, said{1, "window w7: accepted, and none of its algorithms can run\n", kept}},
		{9, nil, said{0, "window w7: accepted, with the unknown status 9\n", ""}},
		{triggered, []string{"--json"}, said{0, `{"id":"w7","status":"processing-triggered"}` + "\n", ""}},
		{none, []string{"--json", "--wait"}, said{0, `{"id":"w7","status":"no-triggered-algorithms"}` + "\n", ""}},
		{failed, []string{"--json"}, said{1, `{"id":"w7","status":"triggering-failed"}` + "\n", kept}},
	} {
		compare(t, fmt.Sprint(test.status, test.args), test.want, orca(t, answering(test.status).start(t), emitArgs(test.args...)...))
	}
}

func TestEmitIsRepeatedWithOneKeyWhileTheCoreIsBusy(t *testing.T) {
	t.Parallel()
	busy, err := status.New(codes.ResourceExhausted, "too many emits").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCore{emit: func(ctx context.Context, n int) (*pb.WindowEmitStatus, error) {
		switch n {
		case 0:
			return nil, status.Error(codes.Unavailable, "outcome unknown")
		case 1:
			return nil, busy.Err()
		}
		return accepted(ctx, "w7", triggered)
	}}
	core := f.start(t)
	want := said{0, "window w7: accepted, processing is triggered\n",
		fmt.Sprintf("orca: the core at %s is not available: outcome unknown; trying again\n", core)}
	compare(t, "emit", want, orca(t, core, emitArgs()...))
	if len(f.keys) != 3 || f.keys[0] != f.keys[1] || f.keys[1] != f.keys[2] || f.keys[0] == "[]" {
		t.Errorf("keys %q; want the same one three times", f.keys)
	}
}

func TestRetryDelayOfTheCoreIsHeard(t *testing.T) {
	t.Parallel()
	s, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if got := retryDelay(fmt.Errorf("emit: %w", &refusal{status: s})); got != 7*time.Second {
		t.Errorf("got %s, want 7s", got)
	}
}

// closing is a listener whose first connections are closed as soon as they are there: a core that is just starting.
type closing struct {
	net.Listener
	left atomic.Int32
}

func (l *closing) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil && l.left.Add(-1) >= 0 {
		_ = conn.Close()
	}
	return conn, err
}

func TestEmitWaitsForACoreThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	starting := &closing{Listener: l}
	starting.left.Store(2)
	f := answering(triggered)
	serve(t, starting, f, f)
	got := orca(t, l.Addr().String(), emitArgs()...)
	want := said{0, "window w7: accepted, processing is triggered\n",
		fmt.Sprintf("orca: what listens at %[1]s does not answer as a core does on its gRPC port; start one with \"orca start\" "+
			"or say where it is with --core; if it speaks TLS, write grpcs://%[1]s; trying again\n", l.Addr())}
	compare(t, "emit", want, got)
}

func TestEmitGivesUpAndSaysHowToRepeat(t *testing.T) {
	t.Parallel()
	got := orca(t, "127.0.0.1:1", emitArgs("--timeout", "1s", "--idempotency-key", "k1")...)
	const away = `no core answers at 127.0.0.1:1; start one with "orca start" or say where it is with --core`
	compare(t, "emit", said{1, "", "orca: " + away + "; trying again\n" +
		"orca: gave up after 1s: " + away + " (--idempotency-key k1 makes it safe to repeat)\n"}, got)
}

func TestEmitGivesUpOnACoreThatHangs(t *testing.T) {
	t.Parallel()
	f := &fakeCore{emit: func(ctx context.Context, _ int) (*pb.WindowEmitStatus, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}}
	core := f.start(t)
	got := orca(t, core, emitArgs("--timeout", "1s", "--idempotency-key", "k1")...)
	compare(t, "emit", said{1, "", fmt.Sprintf(
		"orca: gave up after 1s: the core at %s gave no answer in time (--idempotency-key k1 makes it safe to repeat)\n", core)}, got)
}

func TestEmitThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.NotFound, "window type CpuWindow 1.0 is not registered; did you mean CpuWindow 1.0.0?"),
			"window type CpuWindow 1.0 is not registered; did you mean CpuWindow 1.0.0?"},
		{status.Error(codes.InvalidArgument, "metadata of CpuWindow 1.0.0: host is missing"), "metadata of CpuWindow 1.0.0: host is missing"},
		{status.Error(codes.AlreadyExists, "idempotency key k1 was used for another window"), "idempotency key k1 was used for another window"},
	} {
		f := &fakeCore{emit: func(context.Context, int) (*pb.WindowEmitStatus, error) { return nil, test.err }}
		compare(t, "emit", said{1, "", "orca: " + test.want + "\n"}, orca(t, f.start(t), emitArgs()...))
		if len(f.keys) != 1 {
			t.Errorf("%v: emitted %d times, want once", test.err, len(f.keys))
		}
	}
}

func TestEmitUsedWrongly(t *testing.T) {
	t.Parallel()
	transcript(t, "emit_wrong", "127.0.0.1:1",
		"emit", "emit --type CpuWindow@1.0.0 --from -1h", "emit --type CpuWindow --from -1h --to now --origin me",
		"emit --type CpuWindow@ --from -1h --to now --origin me", "emit --type A@1.0.0 --from yesterday --to now --origin me",
		"emit --type A@1.0.0 --from -1h --to 2026-01-31T12:00:00 --origin me", "emit --type A@1.0.0 --from -1h --to now --origin me --meta =x",
		"emit --type A@1.0.0 --from -1h --to now --origin me --meta a:=b", "emit --type A@1.0.0 --from -1h --to now --origin me --meta a=1 --meta a:=2",
		"emit --type A@1.0.0 --from -1h --to now --origin me --timeout -1s", "emit --type A@1.0.0 --from -1h --to now --origin me --timeout 5",
		"emit --type A@1.0.0 --from -1h --to now --origin me --core here", "emit --tpye A@1.0.0", "emit -type A@1.0.0", "emit --type", "emit now")
}

// nodeEvent and finishedEvent are what a watched run sends.
func nodeEvent(n *pb.NodeInfo) *pb.WatchWindowResponse {
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Node{Node: n}}
}

func finishedEvent(s pb.RunState) *pb.WatchWindowResponse {
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Finished{Finished: &pb.RunInfo{
		Position: 9, Revision: 1, Kind: pb.RunKind_RUN_KIND_EMIT, State: s, AcceptedAt: at("12:00:00"), FinishedAt: at("12:00:00.125"), Nodes: 3, Settled: 3,
	}}}
}

// play is a stream of events that ends well.
func play(events ...*pb.WatchWindowResponse) func(int, grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
	return func(_ int, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
		for _, e := range events {
			if err := s.Send(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestEmitWaitPrintsEachOutcome(t *testing.T) {
	t.Parallel()
	nodes := window().GetNodes()
	f := answering(triggered)
	f.watch = play(nodeEvent(nodes[0]), nodeEvent(nodes[10]), nodeEvent(nodes[12]), finishedEvent(pb.RunState_RUN_STATE_FAILED))
	core := f.start(t)
	compare(t, "people", said{1, `Value@1.0.0 succeeded: 0.1
Failed@1.0.0 unhandled-failed: division by zero at line 3
After@1.0.0 skipped: Failed@1.0.0 failed
window w7: revision 1 (emit), position 9, failed in 125ms, 3 of 3 nodes settled
`, "orca: the run of window w7 did not succeed: it is failed\n"}, orca(t, core, emitArgs("--wait")...))

	f.watch = play(nodeEvent(nodes[0]), finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED))
	compare(t, "program", said{0, `{"id":"w7","status":"processing-triggered",` +
		`"run":{"position":9,"revision":1,"kind":"emit","state":"succeeded","accepted_at":"2026-01-31T12:00:00Z","finished_at":"2026-01-31T12:00:00.125Z","nodes":3,"settled":3},` +
		`"nodes":[{"algorithm":{"processor":"host","name":"Value","version":"1.0.0"},"outcome":"succeeded","value":0.1,"timestamp":1769860800,"attempts":1,"settled_at":"2026-01-31T12:00:00.5Z","produced_at":9}]}` +
		"\n", ""}, orca(t, core, emitArgs("--wait", "--json")...))
}

func TestEmitWaitOutlivesABrokenStream(t *testing.T) {
	t.Parallel()
	nodes := window().GetNodes()
	f := answering(triggered)
	f.watch = func(n int, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
		switch n {
		case 0:
			if err := s.Send(nodeEvent(nodes[0])); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "the core is stopping")
		case 1:
			return nil // ends early
		}
		return play(nodeEvent(nodes[0]), nodeEvent(nodes[1]), finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED))(n, s)
	}
	compare(t, "emit", said{0, `Value@1.0.0 succeeded: 0.1
Large@1.0.0 succeeded: 16777216
window w7: revision 1 (emit), position 9, succeeded in 125ms, 3 of 3 nodes settled
`, ""}, orca(t, f.start(t), emitArgs("--wait")...))
}

func TestEmitWaitThatEndsBeforeTheRun(t *testing.T) {
	t.Parallel()
	const look = "; \"orca window w7\" shows how it stands\n"
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		f := answering(triggered)
		f.watch = func(_ int, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			<-s.Context().Done()
			return nil
		}
		got := orca(t, f.start(t), emitArgs("--wait", "--timeout", "1s")...)
		compare(t, "emit", said{1, "", "orca: window w7 is accepted and was not finished after 1s" +
			strings.TrimSpace(look) + ", and \"orca status\" which processors are waited for\n"}, got)
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		f := answering(triggered)
		f.watch = func(_ int, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			interrupt()
			<-s.Context().Done()
			return nil
		}
		got := terminal{}.orca(ctx, emitArgs("--wait", "--core", f.start(t))...)
		compare(t, "emit", said{1, "", "orca: interrupted; window w7 is accepted and goes on" + look}, got)
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		f := answering(triggered)
		f.watch = func(int, grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			return status.Error(codes.PermissionDenied, "not for you")
		}
		got := orca(t, f.start(t), emitArgs("--wait")...)
		compare(t, "emit", said{1, "", "orca: window w7 is accepted, but cannot be waited for: not for you\n"}, got)
	})
	t.Run("a core that gives no ids", func(t *testing.T) {
		t.Parallel()
		f := &fakeCore{emit: func(context.Context, int) (*pb.WindowEmitStatus, error) {
			return &pb.WindowEmitStatus{Status: triggered}, nil
		}}
		core := f.start(t)
		got := orca(t, core, emitArgs("--wait")...)
		compare(t, "emit", said{1, "", "orca: the core at " + core + " gives no window ids, so that its windows cannot be waited for\n"}, got)
	})
}

func TestEmitHelpHasWhatIsNeeded(t *testing.T) {
	t.Parallel()
	got := orca(t, "127.0.0.1:1", "emit", "--help")
	for _, want := range []string{"--type", "--from", "--to", "--origin", "--meta", "--idempotency-key", "--wait", "--timeout", "--core", "--json"} {
		if !regexp.MustCompile(`(?m)^\s+` + want + `\b`).MatchString(got.Out) {
			t.Errorf("help does not list %s", want)
		}
	}
	if got.Code != 0 || got.Err != "" {
		t.Errorf("exit %d, stderr %q", got.Code, got.Err)
	}
}
