package orca_test

import (
	"context"
	"errors"
	"math"
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
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

// reruns scripts a core's answers to retries, reprocesses and cancels, one after the other, and records what came in.
type reruns struct {
	answers []error // nil means done
	asked   []proto.Message
}

func (r *reruns) answer(request proto.Message) error {
	r.asked = append(r.asked, request)
	if n := len(r.asked); n <= len(r.answers) {
		return r.answers[n-1]
	}
	return nil
}

func (r *reruns) script() fakecore.Script {
	return fakecore.Script{
		Retry: func(_ context.Context, q *pb.RetryWindowRequest) (*pb.RetryWindowResponse, error) {
			return &pb.RetryWindowResponse{Run: &pb.RunInfo{Position: 17, Revision: 2}}, r.answer(q)
		},
		Reprocess: func(_ context.Context, q *pb.ReprocessWindowRequest) (*pb.ReprocessWindowResponse, error) {
			return &pb.ReprocessWindowResponse{
				Run: &pb.RunInfo{Position: 18, Revision: 3}, Status: pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS,
			}, r.answer(q)
		},
		Cancel: func(_ context.Context, q *pb.CancelWindowRequest) (*pb.CancelWindowResponse, error) {
			return &pb.CancelWindowResponse{}, r.answer(q)
		},
	}
}

// rerunCalls are the calls that must not be made twice.
var rerunCalls = map[string]func(context.Context, *orca.Client) error{
	"retry window w-1": func(ctx context.Context, c *orca.Client) error {
		_, err := c.Retry(ctx, "w-1")
		return err
	},
	"reprocess window w-1": func(ctx context.Context, c *orca.Client) error {
		_, err := c.Reprocess(ctx, "w-1")
		return err
	},
	"cancel window w-1": func(ctx context.Context, c *orca.Client) error {
		return c.Cancel(ctx, "w-1")
	},
}

func TestRetryReprocessAndCancel(t *testing.T) {
	t.Parallel()
	var r reruns
	client := newClient(t, fakecore.Start(t, r.script()))
	secret := orca.NoStoreValues(map[string]any{"token": "007", "n": 2})
	retried, err := client.Retry(t.Context(), "w-1", secret)
	if diff := cmp.Diff(orca.Rerun{WindowID: "w-1", Revision: 2, Position: 17}, retried); diff != "" || err != nil {
		t.Error(err, diff)
	}
	reprocessed, err := client.Reprocess(t.Context(), "w-1", secret)
	if diff := cmp.Diff(orca.Rerun{WindowID: "w-1", Revision: 3, Position: 18, Status: orca.NoTriggeredAlgorithms}, reprocessed); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := client.Retry(t.Context(), "w-2"); err != nil {
		t.Error(err)
	}
	if err := client.Cancel(t.Context(), "w-1"); err != nil {
		t.Error(err)
	}
	metadata := structure(t, map[string]any{"token": "007", "n": 2})
	want := []proto.Message{
		&pb.RetryWindowRequest{Id: "w-1", Metadata: metadata}, &pb.ReprocessWindowRequest{Id: "w-1", Metadata: metadata},
		&pb.RetryWindowRequest{Id: "w-2"}, &pb.CancelWindowRequest{Id: "w-1"},
	}
	if diff := cmp.Diff(want, r.asked, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestReprocessWithAnUnknownStatus(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Reprocess: func(context.Context, *pb.ReprocessWindowRequest) (*pb.ReprocessWindowResponse, error) {
			return &pb.ReprocessWindowResponse{Run: &pb.RunInfo{Revision: 2}, Status: 99}, nil
		},
	}))
	if got, err := client.Reprocess(t.Context(), "w-1"); err == nil || !strings.Contains(err.Error(), "unknown status 99") || got.Revision != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRerunsAreTriedAgainWhenTheCoreIsBusyAndOtherwiseNot(t *testing.T) {
	t.Parallel()
	full, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	for op, call := range rerunCalls {
		r := reruns{answers: []error{full.Err(), full.Err()}}
		client := newClient(t, fakecore.Start(t, r.script()))
		slept := client.SkipSleeps()
		if err := call(t.Context(), client); err != nil || len(r.asked) != 3 {
			t.Errorf("%s at a full core: %v after %d calls, want 3", op, err, len(r.asked))
		}
		if s := slept(); len(s) != 2 || s[0] < 3*time.Second || s[0] > 4*time.Second {
			t.Errorf("%s: pauses %v, want those that the core asked for", op, s)
		}
		for code, want := range map[codes.Code]error{
			codes.Unavailable:        orca.ErrUnavailable, // the answer may have been lost
			codes.FailedPrecondition: orca.ErrConflict,
			codes.NotFound:           orca.ErrNotFound,
			codes.InvalidArgument:    orca.ErrInvalid,
		} {
			r := reruns{answers: []error{status.Error(code, "no, because")}}
			client := newClient(t, fakecore.Start(t, r.script()))
			err := call(t.Context(), client)
			if !errors.Is(err, want) || !strings.Contains(err.Error(), op) || !strings.Contains(err.Error(), "no, because") || len(r.asked) != 1 {
				t.Errorf("%s answered %v: got %v after %d calls", op, code, err, len(r.asked))
			}
		}
	}
}

func TestRerunsReachACoreThatComesUpLater(t *testing.T) {
	t.Parallel()
	for op, call := range rerunCalls {
		var r reruns
		core := fakecore.Start(t, r.script())
		core.Stop()
		client := newClient(t, core)
		done := make(chan error, 1)
		go func() { done <- call(t.Context(), client) }()
		core.Restart()
		if err := await(t, done); err != nil || len(r.asked) != 1 {
			t.Errorf("%s: %v after %d calls, want one that succeeds", op, err, len(r.asked))
		}
	}
}

func TestRerunsGiveUp(t *testing.T) {
	t.Parallel()
	down := fakecore.Start(t, fakecore.Script{})
	down.Stop()
	for op, call := range rerunCalls {
		err := call(t.Context(), newClient(t, down, orca.WithTimeout(50*time.Millisecond)))
		if !errors.Is(err, orca.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), op+" at "+down.Addr) || !strings.Contains(err.Error(), "is a core running there?") {
			t.Errorf("%s: after the client's timeout: %v", op, err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := call(canceled, newClient(t, down)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: with a cancelled context: %v", op, err)
		}
	}
}

func TestRerunsDoNotSleepBeyondTheirTime(t *testing.T) {
	t.Parallel()
	full, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for op, call := range rerunCalls {
		r := reruns{answers: []error{full.Err()}}
		client := newClient(t, fakecore.Start(t, r.script()))
		slept := client.SkipSleeps()
		if err := call(t.Context(), client); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), ": full") || len(slept()) > 0 {
			t.Errorf("%s: got %v after the pauses %v; want the core's words at once", op, err, slept())
		}
	}
}

func TestRerunsRefuseWrongArgumentsThemselves(t *testing.T) {
	t.Parallel()
	var r reruns
	client := newClient(t, fakecore.Start(t, r.script()))
	odd := orca.NoStoreValues(map[string]any{"f": func() {}})
	_, retry := client.Retry(t.Context(), "")
	_, reprocess := client.Reprocess(t.Context(), "")
	_, retryOdd := client.Retry(t.Context(), "w-1", odd)
	_, reprocessOdd := client.Reprocess(t.Context(), "w-1", odd)
	_, nameless := client.Outcome(t.Context(), "", 1)
	_, negative := client.Outcome(t.Context(), "w-1", -1)
	_, huge := client.Outcome(t.Context(), "w-1", math.MaxInt32+1)
	for _, test := range []struct {
		err  error
		want string
	}{
		{retry, "window id"}, {reprocess, "window id"}, {client.Cancel(t.Context(), ""), "window id"}, {nameless, "window id"},
		{retryOdd, `field "f"`}, {reprocessOdd, `field "f"`}, {negative, "revision -1"}, {huge, "revision 2147483648"},
	} {
		if !errors.Is(test.err, orca.ErrInvalid) || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("got %v, want an ErrInvalid that says %q", test.err, test.want)
		}
	}
	if len(r.asked) > 0 {
		t.Errorf("the core was called: %v", r.asked)
	}
}

func TestOutcomeReadsARevision(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	kept := succeeded("Speed", &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: 61.5}})
	kept.ProducedAt = 9
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(q *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			if !proto.Equal(q, &pb.WatchWindowRequest{Id: "w-1", Revision: 2}) {
				return status.Errorf(codes.NotFound, "window %v", q)
			}
			if calls.Add(1) == 1 {
				return status.Error(codes.Unavailable, "going down") // the second stream asks for the same revision
			}
			if err := stream.Send(nodeEvent(kept)); err != nil {
				return err
			}
			return stream.Send(finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED))
		},
	}))
	client.SkipSleeps()
	outcome, err := client.Outcome(t.Context(), "w-1", 2)
	want := &orca.Outcome{
		WindowID: "w-1", Position: 17, Revision: 2, State: orca.RunSucceeded, Accepted: noon, Finished: noon.Add(time.Second),
		Nodes: []orca.Node{{
			Algorithm: orca.AlgorithmID{Processor: "racing", Name: "Speed", Version: "1.0.0"}, State: orca.NodeSucceeded,
			Value: float32(61.5), Attempts: 1, Settled: noon, ProducedAt: 9,
		}},
	}
	if diff := cmp.Diff(want, outcome, ignoreWire); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := client.Outcome(t.Context(), "w-1", 3); !errors.Is(err, orca.ErrNotFound) {
		t.Errorf("a revision that the window does not have: %v", err)
	}
}
