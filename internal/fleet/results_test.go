package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// inOne runs a test in a world with one processor that runs A, B and C, to which a call for all three was sent.
func inOne(t *testing.T, cfg fleet.Config, test func(t *testing.T, w *world, p *processor, c *call, a *asked)) {
	t.Helper()
	inWorld(t, cfg, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B", "C"))
		c := w.submit(1, "A", "B", "C")
		test(t, w, p, c, w.next(p))
	})
}

// Results count one by one as they stream in.
func TestResultsCountAsTheyCome(t *testing.T) {
	inOne(t, fleet.Config{}, func(t *testing.T, w *world, _ *processor, c *call, a *asked) {
		want := outcome{Results: map[string]float64{}}
		for i, name := range []string{"C", "A", "B"} {
			a.answer(t, name, float32(i))
			synctest.Wait()
			want.Results[name] = float64(i)
			wantOutcome(t, c, want)
		}
		a.end(nil)
		synctest.Wait()
		wantOutcome(t, c, want)
	})
}

// The first result of each asked algorithm counts. All others are dropped and logged, and harm nothing.
func TestOtherResultsAreDropped(t *testing.T) {
	inOne(t, fleet.Config{}, func(t *testing.T, w *world, _ *processor, c *call, a *asked) {
		exec := a.req.GetExecId()
		a.send(t, resultOf("another", "A", 90))
		a.send(t, resultOf(exec, "Z", 91))
		a.send(t, &pb.ExecutionResult{ExecId: exec})
		a.answer(t, "A", 1)
		a.answer(t, "A", 92)
		other := resultOf(exec, "B", 93)
		other.AlgorithmResult.Algorithm.Version = "2.0.0"
		a.send(t, other)
		unreadable := resultOf(exec, "B", 94)
		unreadable.AlgorithmResult.Result.Status = 17
		a.send(t, unreadable)
		a.answer(t, "B", 2)
		a.answer(t, "C", 3)
		a.end(nil)
		synctest.Wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 1, "B": 2, "C": 3}})
		log := w.logged.String()
		if got := strings.Count(log, "a result was dropped"); got != 5 {
			t.Errorf("%d results are logged one by one, want 5", got)
		}
		for _, words := range []string{
			"another execution", "not asked for", "Z 1.0.0", "B 2.0.0", "run=1", "instance=alpha:1",
			`"more results of the request were dropped"`, "count=1",
		} {
			if !strings.Contains(log, words) {
				t.Errorf("the log does not say %q:\n%s", words, log)
			}
		}
	})
}

// An algorithm whose only result cannot be read has none, for a reason of its own.
func TestUnreadableResult(t *testing.T) {
	inOne(t, fleet.Config{}, func(t *testing.T, _ *world, _ *processor, c *call, a *asked) {
		unreadable := resultOf(a.req.GetExecId(), "B", 1)
		unreadable.AlgorithmResult.Result = nil
		a.send(t, unreadable)
		a.answer(t, "C", 3)
		a.end(nil)
		got := c.wait()
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"C": 3},
			Ends:    []ending{{Kind: orca.EndComplete, Missing: []string{"A"}}, {Kind: orca.EndComplete, Missing: []string{"B"}}},
		})
		for i, words := range []string{"without a result", "cannot be read"} {
			if !strings.Contains(got.Ends[i].reason, words) {
				t.Errorf("%v is missing because of %q, want %q", got.Ends[i].Missing, got.Ends[i].reason, words)
			}
		}
	})
}

func TestStreamEndsWithoutResult(t *testing.T) {
	inOne(t, fleet.Config{}, func(t *testing.T, _ *world, _ *processor, c *call, a *asked) {
		a.answer(t, "B", 1)
		a.end(nil)
		c.wait()
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"B": 1},
			Ends:    []ending{{Kind: orca.EndComplete, Missing: []string{"A", "C"}}},
		})
	})
}

// Whatever the status, a stream that breaks after results has EndBroken for the rest, and its results stay.
func TestStreamBreaksAfterResults(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unavailable, codes.ResourceExhausted, codes.Unimplemented, codes.InvalidArgument, codes.NotFound, codes.Internal,
	} {
		t.Run(code.String(), func(t *testing.T) {
			inOne(t, fleet.Config{}, func(t *testing.T, w *world, p *processor, c *call, a *asked) {
				a.answer(t, "B", 1)
				a.end(status.Error(code, "it broke"))
				got := c.wait()
				wantOutcome(t, c, outcome{
					Results: map[string]float64{"B": 1},
					Ends:    []ending{{Kind: orca.EndBroken, Missing: []string{"A", "C"}}},
				})
				if reason := got.Ends[0].reason; !strings.Contains(reason, "it broke") || !strings.Contains(reason, "alpha:1") {
					t.Errorf("the reason is %q, which does not say what and where", reason)
				}
			})
		})
	}
}

// A status after every result means nothing any more.
func TestStreamBreaksAfterEveryResult(t *testing.T) {
	inOne(t, fleet.Config{}, func(t *testing.T, w *world, _ *processor, c *call, a *asked) {
		for _, name := range a.names() {
			a.answer(t, name, 1)
		}
		a.end(status.Error(codes.Internal, "it broke"))
		synctest.Wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 1, "B": 1, "C": 1}})
		w.wantState("alpha:1", orca.Serving)
	})
}

// The execution timeout starts again with each result that was waited for, and with nothing else.
func TestExecutionTimeout(t *testing.T) {
	inOne(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world, p *processor, c *call, a *asked) {
		for _, name := range []string{"B", "A"} {
			time.Sleep(14 * time.Minute)
			a.answer(t, name, 1)
		}
		time.Sleep(14 * time.Minute)
		a.answer(t, "A", 2)
		a.send(t, resultOf("another", "C", 3))
		synctest.Wait()
		from := time.Now()
		c.wait()
		if took := time.Since(from); took != time.Minute {
			t.Errorf("the call ended %v after 14 minutes without a result, want a minute", took)
		}
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"A": 1, "B": 1},
			Ends:    []ending{{Kind: orca.EndTimeout, Missing: []string{"C"}}},
		})
		<-a.stream.Context().Done() // the call is cancelled
		w.wantState("alpha:1", orca.Serving)
		w.submit(2, "A")
		w.next(p) // and its place is free
	})
}

// The time that the engine takes with a result is not the processor's.
func TestEngineMayTakeItsTime(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		c := newCall(1, "p", "A", "B")
		take := c.Result
		c.Result = func(ctx context.Context, id orca.AlgorithmID, r orca.Result) {
			time.Sleep(16 * time.Minute) // longer than the execution timeout
			if ctx.Err() != nil {
				t.Errorf("the context of the result of %s has ended", id)
			}
			take(ctx, id, r)
		}
		w.submitCall(c)
		a := w.next(p)
		a.answer(t, "A", 1)
		time.Sleep(17 * time.Minute)
		a.answer(t, "B", 2)
		c.wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 1, "B": 2}})
	})
}

// A result that comes just when time is up counts, or the timeout does, never a half of each: the engine drops what it is
// handed with a context that has ended, so nobody would report the algorithm.
func TestResultJustInTime(t *testing.T) {
	inWorld(t, fleet.Config{Heartbeat: 24 * time.Hour}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		inTime := 0
		for range 500 {
			c := newCall(1, "p", "A")
			take := c.Result
			c.Result = func(ctx context.Context, id orca.AlgorithmID, r orca.Result) {
				if ctx.Err() != nil {
					t.Error("a result was handed over with a context that has ended")
				}
				take(ctx, id, r)
			}
			sent := time.Now()
			w.submitCall(c)
			a := w.next(p)
			time.Sleep(time.Until(sent.Add(15 * time.Minute)))
			_ = a.stream.Send(resultOf(a.req.GetExecId(), "A", 1)) // fails when the timeout was faster
			a.end(nil)
			if c.wait().Results != nil {
				inTime++
			}
		}
		t.Logf("%d of 500 results were in time", inTime)
	})
}

// The timeout holds for a processor, too, that does not even read its request.
func TestRequestThatIsNotRead(t *testing.T) {
	block := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		w.serve("alpha:1", grpc.StreamInterceptor(block))
		w.sync(w.instance("alpha:1", "A"))
		c := newCall(1, "p", "A")
		c.Build = func(_ context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
			x := execution(algorithms)
			x.Input.Origin = strings.Repeat("x", 1<<20) // more than what is sent unread
			return x, nil
		}
		from := time.Now()
		w.submitCall(c)
		c.wait()
		wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndTimeout, Missing: []string{"A"}, Alone: true}}})
		if took := time.Since(from); took != 15*time.Minute {
			t.Errorf("the call ended after %v, want 15m", took)
		}
	})
}

// A stream that stays open after every result loses its place after a grace, even when it goes on sending.
func TestStreamStaysOpen(t *testing.T) {
	inOne(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world, p *processor, c *call, a *asked) {
		for _, name := range a.names() {
			a.answer(t, name, 1)
		}
		w.submit(2, "A")
		for range 4 {
			w.idle(p)
			time.Sleep(time.Second)
			a.answer(t, "A", 2)
		}
		next, took := w.until(p)
		if took != time.Second {
			t.Errorf("the place was free %v after the fourth second, want a second", took)
		}
		next.succeed(t)
		<-a.stream.Context().Done()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 1, "B": 1, "C": 1}})
		w.wantState("alpha:1", orca.Serving)
	})
}

// Inputs that cannot be read, or cannot be sent, are reported without anything being sent.
func TestRequestThatIsNotSent(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, []orca.CalledAlgorithm) (*orca.Execution, error) {
		return nil, errors.New("read results of run 1: disk is gone")
	}
	large := func(_ context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
		x := execution(algorithms)
		x.Input.Origin = strings.Repeat("x", 5000)
		return x, nil
	}
	tests := map[string]struct {
		build  func(context.Context, []orca.CalledAlgorithm) (*orca.Execution, error)
		kind   orca.CallEndKind
		reason string
	}{
		"unbuilt":   {broken, orca.EndUnbuilt, "disk is gone"},
		"too large": {large, orca.EndTooLarge, "the limit is 4096 (--max-message-size)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, fleet.Config{MaxInFlight: 1, MaxMessageSize: 4096}, func(t *testing.T, w *world) {
				p := w.serve("alpha:1")
				w.sync(w.instance("alpha:1", "A"))
				c := newCall(1, "p", "A")
				c.Build = test.build
				w.submitCall(c)
				got := c.wait()
				wantOutcome(t, c, outcome{Ends: []ending{{Kind: test.kind, Missing: []string{"A"}, Alone: true}}})
				if end := got.Ends[0]; end.sent != 0 || end.served != 0 || !strings.Contains(end.reason, test.reason) {
					t.Errorf("got sent %d, served %d, reason %q; want zeros and %q", end.sent, end.served, end.reason, test.reason)
				}
				w.submit(2, "A")
				w.next(p) // the place is free again
			})
		})
	}
}

// A request that is too large for what it asks altogether goes out in parts.
func TestRequestThatIsTooLargeTogether(t *testing.T) {
	inWorld(t, fleet.Config{MaxMessageSize: 4096}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B", "C"))
		c := newCall(1, "p", "A", "B", "C")
		c.Build = func(_ context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
			x := execution(algorithms)
			size := 3000 * len(algorithms)
			if algorithms[0].ID.Name == "B" {
				size = 5000
			}
			x.Input.Origin = strings.Repeat("x", size)
			return x, nil
		}
		w.submitCall(c)
		for range 2 {
			a := w.next(p)
			a.answer(t, a.names()[0], 1)
			a.end(nil)
		}
		c.wait()
		w.idle(p)
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"A": 1, "C": 1},
			Ends:    []ending{{Kind: orca.EndTooLarge, Missing: []string{"B"}, Alone: true}},
		})
	})
}

// Both generations of request fields are on the wire, and exec_id is new for each call.
func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	for _, omit := range []bool{false, true} {
		t.Run(fmt.Sprintf("omit=%v", omit), func(t *testing.T) {
			inWorld(t, fleet.Config{OmitLegacyFields: omit}, func(t *testing.T, w *world) {
				p := w.serve("alpha:1")
				w.sync(w.instance("alpha:1", "B"))
				var requests []*pb.ExecutionRequest
				for range 2 {
					c := newCall(1, "p", "B")
					c.Build = executionWithDependency
					w.submitCall(c)
					a := w.next(p)
					requests = append(requests, a.req)
					a.succeed(t)
				}
				if first, second := requests[0].GetExecId(), requests[1].GetExecId(); first == second || first == "" {
					t.Errorf("the two requests have exec_ids %q and %q", first, second)
				}
				want := requestWithDependency(!omit)
				want.ExecId = requests[0].GetExecId()
				if diff := cmp.Diff(want, requests[0], protocmp.Transform()); diff != "" {
					t.Errorf("request (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// executionWithDependency asks for B, which depends on A.
func executionWithDependency(context.Context, []orca.CalledAlgorithm) (*orca.Execution, error) {
	window := orca.Window{Type: orca.WindowTypeID{Name: "Minute", Version: "1.0.0"}, From: 1e9, To: 2e9, Origin: "test"}
	result, err := proto.Marshal(resultOf("", "A", 4).GetAlgorithmResult().GetResult())
	if err != nil {
		return nil, err
	}
	a := &orca.Algorithm{ID: id("p", "A"), WindowType: orca.WindowType{ID: window.Type}, ResultType: orca.ResultValue}
	b := &orca.Algorithm{
		ID: id("p", "B"), WindowType: orca.WindowType{ID: window.Type}, ResultType: orca.ResultNone,
		Dependencies: []orca.Dependency{{On: a.ID}},
	}
	return &orca.Execution{Input: window, Stored: window, Algorithms: []orca.AlgorithmExecution{{
		Algorithm: b, Dependencies: []orca.DependencyRows{{Algorithm: a, Current: result}},
	}}}, nil
}

// requestWithDependency is what executionWithDependency is on the wire.
func requestWithDependency(legacy bool) *pb.ExecutionRequest {
	window := &pb.Window{
		TimeFrom: &timestamppb.Timestamp{Seconds: 1}, TimeTo: &timestamppb.Timestamp{Seconds: 2},
		WindowTypeName: "Minute", WindowTypeVersion: "1.0.0", Origin: "test",
	}
	windowType := &pb.WindowType{Name: "Minute", Version: "1.0.0"}
	a := &pb.Algorithm{Name: "A", Version: "1.0.0", WindowType: windowType, ResultType: pb.ResultType_VALUE}
	b := &pb.Algorithm{
		Name: "B", Version: "1.0.0", WindowType: windowType, ResultType: pb.ResultType_NONE,
		Dependencies: []*pb.AlgorithmDependency{{Name: "A", Version: "1.0.0", ProcessorName: "p"}},
	}
	result := resultOf("", "A", 4).GetAlgorithmResult().GetResult()
	req := &pb.ExecutionRequest{
		Window: window,
		AlgorithmExecutions: []*pb.ExecuteAlgorithm{{Algorithm: b, Dependencies: []*pb.AlgorithmDependencyResult{{
			Algorithm: a, Result: []*pb.AlgorithmDependencyResultRow{{Result: result, Window: window}},
		}}}},
	}
	if legacy {
		req.Algorithms = []*pb.Algorithm{b}           //nolint:staticcheck // deprecated, and read by old processors
		req.AlgorithmResults = []*pb.AlgorithmResult{ //nolint:staticcheck // deprecated, and read by old processors
			{Algorithm: a, Result: result, Window: window},
		}
	}
	return req
}
