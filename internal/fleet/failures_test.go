package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

func exhausted() error { return status.Error(codes.ResourceExhausted, "busy") }

func unimplemented() error { return status.Error(codes.Unimplemented, "not here") }

// A connection lost with nothing received is EndLost, with the times that tell one breakdown from two, and the instance
// gets no work until it answers SERVING again.
func TestLostConnection(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		served := orca.TimeOf(time.Now())
		time.Sleep(time.Second)
		sent := orca.TimeOf(time.Now())
		c := w.submit(1, "A", "B")
		w.next(p)
		time.Sleep(time.Second)
		p.kill()
		got := c.wait()
		wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndLost, Missing: []string{"A", "B"}}}})
		if end := got.Ends[0]; end.served != served || end.sent != sent || !strings.Contains(end.reason, "alpha:1") {
			t.Errorf("served %v, sent %v, reason %q; want %v, %v and the address", end.served, end.sent, end.reason, served, sent)
		}
		w.wantState("alpha:1", orca.Unreachable)
		w.submit(2, "A")
		time.Sleep(time.Minute)
		back := w.serve("alpha:1")
		a, took := w.until(back)
		if took > time.Second {
			t.Errorf("the instance got work %v after it was back, want a second at most", took)
		}
		a.succeed(t)
		w.wantState("alpha:1", orca.Serving)
	})
}

// UNAVAILABLE from the processor itself is the same, although the connection stands.
func TestUnavailable(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		c := w.submit(1, "A")
		a := w.next(p)
		p.answerStatus(pb.HealthCheckResponse_STATUS_NOT_SERVING)
		a.end(status.Error(codes.Unavailable, "no database"))
		c.wait()
		wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndLost, Missing: []string{"A"}, Alone: true}}})
		w.submit(2, "A")
		time.Sleep(time.Minute)
		w.idle(p)
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		if _, took := w.until(p); took > time.Second {
			t.Errorf("the instance got work %v after it was well again, want a second at most", took)
		}
	})
}

// An instance that answers SERVING and breaks down with each request is asked a few times a second, not all the time.
func TestBreakdownWithEachRequest(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		for position := orca.Position(1); position <= 100; position++ {
			w.fleet.Submit(&newCall(position, "p", "A").Call)
		}
		for range 32 {
			w.next(p).end(status.Error(codes.Unavailable, "no"))
		}
		from, checks := time.Now(), p.checks.Load()
		for range 64 {
			a := <-p.asked
			a.end(status.Error(codes.Unavailable, "no"))
		}
		synctest.Wait()
		took := time.Since(from)
		if checks = p.checks.Load() - checks; checks > 1+int64(took/(250*time.Millisecond)) {
			t.Errorf("%d health checks in %v, want at most 4 per second", checks, took)
		}
		if took > time.Second {
			t.Errorf("two rounds of requests took %v", took)
		}
	})
}

// The answer to a health check from before the breakdown is no SERVING since.
func TestServingFromBeforeTheBreakdown(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		a := w.next(p)
		began, answer := make(chan struct{}, 2), make(chan struct{})
		p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
			began <- struct{}{}
			<-answer
			return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
		})
		<-began
		a.end(status.Error(codes.Unavailable, "no"))
		synctest.Wait()
		answer <- struct{}{}
		w.wantState("alpha:1", orca.Unreachable)
		close(answer)
		<-began
		w.wantState("alpha:1", orca.Serving)
	})
}

// What a refused connection kept from being sent is queued again, unreported, and any other instance may take it.
func TestRefusedBeforeSending(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		alpha, beta := w.serve("alpha:1"), w.serve("beta:1")
		inAlpha, inBeta := w.instance("alpha:1", "A"), w.instance("beta:1", "A")
		w.sync(inAlpha)
		w.sync(inAlpha, inBeta)
		w.submit(1, "A")
		busy := []*asked{w.next(alpha)}
		w.submit(2, "A")
		busy = append(busy, w.next(beta))
		for _, a := range busy {
			a.succeed(t)
		}
		alpha.kill() // while nothing is under way: only the next request finds out
		c := w.submit(3, "A")
		w.submit(4, "A")
		w.wantState("alpha:1", orca.Unreachable)
		a := w.next(beta)
		a.succeed(t)
		w.next(beta).succeed(t)
		synctest.Wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 0}})

		beta.kill()
		c = w.submit(5, "A")
		time.Sleep(5 * time.Minute)
		if !c.open() {
			t.Errorf("a call that nobody can take was reported: %+v", c.soFar())
		}
		again := w.serve("alpha:1")
		a, took := w.until(again)
		if took > time.Second {
			t.Errorf("the instance got work %v after it was back, want a second at most", took)
		}
		a.succeed(t)
	})
}

// RESOURCE_EXHAUSTED while other work is in flight is back-pressure: the instance gets less at once, the request goes
// out again when there is room, and nothing is reported.
func TestBackPressure(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		var busy []*asked
		for position := orca.Position(1); position <= 10; position++ {
			w.submit(position, "A")
			busy = append(busy, w.next(p))
		}
		for _, a := range busy[4:] { // it takes four
			a.end(exhausted())
		}
		w.idle(p)
		for next := range 6 {
			busy[next].succeed(t)
			busy = append(busy[:4+next], w.next(p))
			w.idle(p)
		}
		for _, a := range busy[6:] {
			a.succeed(t)
		}
		synctest.Wait()
		for _, c := range w.calls {
			wantOutcome(t, c, outcome{Results: map[string]float64{"A": 0}})
		}
	})
}

// The limit of an instance grows back slowly, and at once when it registers again.
func TestLimitGrowsBack(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 4}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		position := orca.Position(0)
		submit := func(n int) {
			for range n {
				position++
				w.submit(position, "A")
			}
		}
		submit(2)
		first := w.next(p)
		w.next(p).end(exhausted()) // it takes one
		w.idle(p)
		calm := 0
		for {
			first.succeed(t)
			calm++
			first = w.next(p)
			submit(1)
			synctest.Wait()
			if w.fleet.Status()[0].Instances[0].InFlight == 2 {
				break
			}
			if calm > 100 {
				t.Fatal("the limit does not grow")
			}
		}
		if calm != 8 {
			t.Errorf("a second request was tried after %d requests that went well, want 8", calm)
		}
		w.next(p)
		w.sync(w.instance("alpha:1", "A")) // registers again
		submit(3)
		w.next(p)
		w.next(p)
		w.idle(p)
	})
}

// A request that was refused twice goes out with nothing else in flight, its algorithms one by one. Refused even so,
// its inputs are too large.
func TestRefusedTwice(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		var busy []*asked
		for range 3 {
			w.submit(1, "A")
			busy = append(busy, w.next(p))
		}
		c := w.submit(2, "A", "B")
		w.next(p).end(exhausted())
		w.idle(p)
		busy[0].succeed(t)
		w.next(p).end(exhausted())
		later := w.submit(3, "B")
		w.idle(p) // it waits for the others to end, and so does what comes later
		busy[1].succeed(t)
		w.idle(p)
		busy[2].succeed(t)

		alone := w.next(p)
		w.idle(p)
		alone.end(exhausted())
		if diff := cmp.Diff([]string{"A"}, alone.names()); diff != "" {
			t.Errorf("first request alone (-want +got):\n%s", diff)
		}
		alone = w.next(p)
		w.idle(p)
		alone.succeed(t)
		if diff := cmp.Diff([]string{"B"}, alone.names()); diff != "" {
			t.Errorf("second request alone (-want +got):\n%s", diff)
		}
		w.next(p).succeed(t)
		synctest.Wait()
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"B": 0},
			Ends:    []ending{{Kind: orca.EndTooLarge, Missing: []string{"A"}, Alone: true}},
		})
		wantOutcome(t, later, outcome{Results: map[string]float64{"B": 0}})
	})
}

// An idle instance that refuses gets time between the three tries, since nothing of ours could make room.
func TestRefusedByAnIdleInstance(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		c := w.submit(1, "A")
		w.next(p).end(exhausted())
		for range 2 {
			synctest.Wait()
			if got := w.fleet.Status()[0]; got.Queued != 1 || got.Oldest != 1 {
				t.Errorf("%d are queued, the oldest %d, while the call is put off; want 1 and 1", got.Queued, got.Oldest)
			}
			w.submit(2, "A")
			w.next(p).succeed(t) // what comes later is not held up
			a, took := w.until(p)
			if took != time.Second {
				t.Errorf("the next try came after %v, want a second", took)
			}
			a.end(exhausted())
		}
		c.wait()
		wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndTooLarge, Missing: []string{"A"}, Alone: true}}})
	})
}

// A result beyond our own receive limit is the processor's failure, not back-pressure, although gRPC uses one code for
// both.
func TestResultTooLarge(t *testing.T) {
	inOne(t, fleet.Config{MaxMessageSize: 4096}, func(t *testing.T, w *world, p *processor, c *call, a *asked) {
		large := func(a *asked) {
			m := resultOf(a.req.GetExecId(), "A", 1)
			m.AlgorithmResult.Result.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: make([]float32, 2000)}}
			a.send(t, m)
		}
		a.answer(t, "B", 1)
		large(a)
		c.wait()
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"B": 1},
			Ends:    []ending{{Kind: orca.EndBroken, Missing: []string{"A", "C"}}},
		})
		c = w.submit(2, "A")
		large(w.next(p))
		c.wait()
		wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndFailed, Missing: []string{"A"}, Alone: true}}})
		w.wantState("alpha:1", orca.Serving)
	})
}

// A request beyond the processor's receive limit is too large, although gRPC says it in the same words as the case above.
func TestRequestTooLargeForTheProcessor(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1", grpc.MaxRecvMsgSize(4096))
		w.sync(w.instance("alpha:1", "A", "B"))
		c := newCall(1, "p", "A", "B")
		c.Build = func(_ context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
			x := execution(algorithms)
			if algorithms[0].ID.Name == "A" {
				x.Input.Origin = strings.Repeat("x", 5000)
			}
			return x, nil
		}
		w.submitCall(c)
		a, _ := w.until(p)
		if diff := cmp.Diff([]string{"B"}, a.names()); diff != "" {
			t.Errorf("request that fits (-want +got):\n%s", diff)
		}
		a.answer(t, "B", 1)
		a.end(nil)
		got := c.wait()
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"B": 1},
			Ends:    []ending{{Kind: orca.EndTooLarge, Missing: []string{"A"}, Alone: true}},
		})
		if !strings.Contains(got.Ends[0].reason, "4096") {
			t.Errorf("the reason %q does not say the limit", got.Ends[0].reason)
		}
	})
}

// After UNIMPLEMENTED the instance gets these algorithms no more until it registers again. Others may take them.
func TestUnimplemented(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		alpha := w.serve("alpha:1")
		inAlpha := w.instance("alpha:1", "A", "B")
		w.sync(inAlpha)
		c := w.submit(1, "A")
		w.next(alpha).end(status.Error(codes.Unimplemented, "no A here"))
		later := w.submit(2, "A")
		time.Sleep(time.Minute)
		w.sync(inAlpha) // another processor registered: the same announcement once more
		w.idle(alpha)
		w.submit(3, "B")
		w.next(alpha).succeed(t)

		beta := w.serve("beta:1")
		inBeta := w.instance("beta:1", "A")
		w.sync(inAlpha, inBeta)
		w.next(beta).succeed(t)
		w.next(beta).end(status.Error(codes.Unimplemented, "no A here either"))
		w.idle(alpha, beta)
		c.wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 0}})

		w.sync(w.instance("alpha:1", "A", "B"), inBeta)
		w.next(alpha).succeed(t)
		later.wait()
		wantOutcome(t, later, outcome{Results: map[string]float64{"A": 0}})
		if log := w.logged.String(); !strings.Contains(log, "no A here") || !strings.Contains(log, `algorithm="A 1.0.0"`) {
			t.Errorf("the log does not say what is missing:\n%s", log)
		}
	})
}

// A registration that changes nothing is one all the same: what was denied before it does not count any more, not even
// when the answer comes later.
func TestRegisteredAgain(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		c := w.submit(1, "A")
		w.next(p).end(unimplemented())
		w.idle(p)
		checks := p.checks.Load()
		time.Sleep(time.Second)
		w.fleet.Registered("beta:1") // which nobody knows
		w.idle(p)
		w.fleet.Registered("alpha:1")
		a := w.next(p)
		if got := p.checks.Load() - checks; got != 1 {
			t.Errorf("%d health checks upon the registration, want one", got)
		}
		w.fleet.Registered("alpha:1")
		a.end(unimplemented())
		w.next(p).succeed(t)
		c.wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 0}})
		p.answerHealth(hang)
		time.Sleep(time.Minute)
		w.fleet.Registered("alpha:1")
		if seen := w.fleet.Status()[0].Instances[0].LastSeen; seen != orca.TimeOf(time.Now()) {
			t.Errorf("the instance was last seen at %v, want the time of its registration", seen)
		}
	})
}

// Codes that may concern one algorithm are reported with whether it was alone, and say nothing about the instance.
func TestCodesThatConcernAlgorithms(t *testing.T) {
	kinds := map[codes.Code]orca.CallEndKind{
		codes.InvalidArgument: orca.EndRefused, codes.NotFound: orca.EndRefused,
		codes.Internal: orca.EndFailed, codes.Unknown: orca.EndFailed, codes.DeadlineExceeded: orca.EndFailed,
		codes.Canceled: orca.EndFailed, codes.PermissionDenied: orca.EndFailed, codes.FailedPrecondition: orca.EndFailed,
		codes.Aborted: orca.EndFailed, codes.OutOfRange: orca.EndFailed, codes.DataLoss: orca.EndFailed,
		codes.AlreadyExists: orca.EndFailed, codes.Unauthenticated: orca.EndFailed, 99: orca.EndFailed,
	}
	for code, kind := range kinds {
		t.Run(code.String(), func(t *testing.T) {
			inOne(t, fleet.Config{}, func(t *testing.T, w *world, p *processor, c *call, a *asked) {
				a.end(status.Error(code, "not this one"))
				got := c.wait()
				wantOutcome(t, c, outcome{Ends: []ending{{Kind: kind, Missing: []string{"A", "B", "C"}}}})
				if want := fmt.Sprintf("answered %v: not this one", code); !strings.Contains(got.Ends[0].reason, want) {
					t.Errorf("the reason is %q, want %q", got.Ends[0].reason, want)
				}
				c = w.submit(2, "B")
				w.next(p).end(status.Error(code, "not this one"))
				c.wait()
				wantOutcome(t, c, outcome{Ends: []ending{{Kind: kind, Missing: []string{"B"}, Alone: true}}})
				w.wantState("alpha:1", orca.Serving)
			})
		})
	}
}

// A message that is no protobuf breaks the stream, after the results that came before it.
func TestUnreadableMessage(t *testing.T) {
	inOne(t, fleet.Config{}, func(t *testing.T, w *world, _ *processor, c *call, a *asked) {
		a.answer(t, "B", 1)
		garbled := resultOf(a.req.GetExecId(), "A", 1)
		garbled.ProtoReflect().SetUnknown([]byte{0x0f})
		a.send(t, garbled)
		c.wait()
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"B": 1},
			Ends:    []ending{{Kind: orca.EndBroken, Missing: []string{"A", "C"}}},
		})
		w.wantState("alpha:1", orca.Serving)
	})
}

// What a processor says is passed on as text that is short and valid, whatever it was.
func TestWordsOfProcessors(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		words := "bad \xff and \x00" + strings.Repeat("x", 1<<16)
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		c := w.submit(1, "A")
		a := w.next(p)
		name := strings.Repeat("N", 1<<16)
		a.send(t, resultOf(name, name, 1))
		a.answer(t, name, 1)
		a.end(status.Error(codes.Internal, words))
		reasons := []string{c.wait().Ends[0].reason}
		p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
			return &pb.HealthCheckResponse{Message: words[6:]}, nil
		})
		time.Sleep(5 * time.Second)
		w.wantState("alpha:1", orca.NotServing)
		reasons = append(reasons, w.fleet.Status()[0].Instances[0].Reason)
		p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
			return nil, status.Error(codes.Internal, words)
		})
		time.Sleep(5 * time.Second)
		w.wantState("alpha:1", orca.Unreachable)
		reasons = append(reasons, w.fleet.Status()[0].Instances[0].Reason)
		for _, reason := range reasons {
			if !utf8.ValidString(reason) || strings.Contains(reason, "\x00") || len(reason) > 2000 || !strings.Contains(reason, "bytes)") {
				t.Errorf("the reason has %d bytes and is not valid: %.100q", len(reason), reason)
			}
		}
		if log := w.logged.String(); len(log) > 20_000 {
			t.Errorf("the log has %d bytes", len(log))
		}
	})
}
