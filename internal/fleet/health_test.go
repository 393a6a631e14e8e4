package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// hang is a health check that is not answered.
func hang(ctx context.Context) (*pb.HealthCheckResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Three heartbeats in a row that fail stop new work, never a running call. One answer brings the instance back.
func TestThreeFailedHeartbeats(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		running := w.next(p)
		p.answerHealth(hang)
		for w.since() < 15*time.Second { // the last answer came at 0, so the third failure is at 20 at the latest
			w.wantState("alpha:1", orca.Serving)
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		w.wantState("alpha:1", orca.Unreachable)
		c := w.submit(2, "A")
		w.idle(p)
		running.succeed(t)
		w.calls[0].wait()
		wantOutcome(t, w.calls[0], outcome{Results: map[string]float64{"A": 0}})
		time.Sleep(time.Minute)
		w.idle(p)
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		(<-p.asked).succeed(t)
		c.wait()
	})
}

// Failures count in a row: an answer in between begins anew.
func TestHeartbeatsThatFailNowAndThen(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		checks := 0
		p.answerHealth(func(ctx context.Context) (*pb.HealthCheckResponse, error) {
			if checks++; checks%3 != 1 {
				return hang(ctx)
			}
			return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
		})
		w.sync(w.instance("alpha:1", "A"))
		for w.since() < 5*time.Minute {
			w.wantState("alpha:1", orca.Serving)
			time.Sleep(time.Second)
		}
	})
}

// An answer other than SERVING stops new work at once, never a running call. With work waiting the instance is asked
// every second, so it goes on within that of its return.
func TestAnswerOtherThanServing(t *testing.T) {
	t.Parallel()
	for _, answer := range []pb.HealthCheckResponse_Status{
		pb.HealthCheckResponse_STATUS_NOT_SERVING, pb.HealthCheckResponse_STATUS_TRANSITIONING, pb.HealthCheckResponse_STATUS_UNKNOWN, 17,
	} {
		t.Run(answer.String(), func(t *testing.T) {
			inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
				p := w.serve("alpha:1")
				w.sync(w.instance("alpha:1", "A"))
				c := w.submit(1, "A")
				running := w.next(p)
				p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
					return &pb.HealthCheckResponse{Status: answer, Message: "moving house"}, nil
				})
				time.Sleep(5 * time.Second)
				w.wantState("alpha:1", orca.NotServing)
				if reason := w.fleet.Status()[0].Instances[0].Reason; !strings.Contains(reason, answer.String()+": moving house") {
					t.Errorf("the reason is %q, which does not repeat the answer", reason)
				}
				w.submit(2, "A")
				w.idle(p)
				running.succeed(t)
				c.wait()
				w.idle(p)
				checks := p.checks.Load()
				time.Sleep(time.Minute)
				if checks = p.checks.Load() - checks; checks < 55 || checks > 61 {
					t.Errorf("%d health checks in a minute while work waits, want one per second", checks)
				}
				p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
				if _, took := w.until(p); took > time.Second {
					t.Errorf("work went on %v after the return, want a second at most", took)
				}
			})
		})
	}
}

// Without work waiting, heartbeats are the only health checks.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	for _, answer := range []pb.HealthCheckResponse_Status{pb.HealthCheckResponse_STATUS_SERVING, pb.HealthCheckResponse_STATUS_NOT_SERVING} {
		t.Run(answer.String(), func(t *testing.T) {
			inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
				p := w.serve("alpha:1")
				p.answerStatus(answer)
				w.sync(w.instance("alpha:1", "A"))
				time.Sleep(10 * time.Minute)
				if got := p.checks.Load(); got < 120 || got > 130 {
					t.Errorf("%d health checks in ten minutes, want one each 5 s or a little less", got)
				}
			})
		})
	}
}

// What instances say of themselves is passed on.
func TestStatus(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
			return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING, Metrics: &pb.ProcessorMetrics{
				ActiveTasks: 1, MemoryBytes: 2, CpuPercent: 3, UptimeSeconds: 4,
			}}, nil
		})
		other := w.instance("other:1", "A")
		other.Processor = "a"
		w.sync(w.instance("beta:1", "A"), w.instance("alpha:1", "A"), other)
		w.submit(7, "A")
		w.submit(8, "B")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		status := w.fleet.Status()
		refused := func(address string) orca.InstanceStatus {
			return orca.InstanceStatus{Address: address, State: orca.Unreachable, Silent: 5 * time.Second}
		}
		for i := range status {
			for k := range status[i].Instances {
				in := &status[i].Instances[k]
				if want := "dial " + in.Address + ": connection refused"; in.State == orca.Unreachable && !strings.Contains(in.Reason, want) {
					t.Errorf("the reason is %q, want %q", in.Reason, want)
				}
				in.Reason = ""
			}
		}
		want := []orca.ProcessorStatus{
			{Name: "a", Instances: []orca.InstanceStatus{refused("other:1")}},
			{Name: "p", Queued: 1, Oldest: 8, Instances: []orca.InstanceStatus{
				{
					Address: "alpha:1", State: orca.Serving, LastSeen: status[1].Instances[0].LastSeen, InFlight: 1,
					Silent:  time.Since(status[1].Instances[0].LastSeen.Std()),
					Metrics: &orca.ProcessorMetrics{ActiveTasks: 1, MemoryBytes: 2, CPUPercent: 3, UptimeSeconds: 4},
				},
				refused("beta:1"),
			}},
		}
		if diff := cmp.Diff(want, status); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if age := time.Since(status[1].Instances[0].LastSeen.Std()); age > time.Second {
			t.Errorf("alpha was last seen %v ago, right after a heartbeat", age)
		}
	})
}

// A processor that registers before it listens gets work as soon as it listens, or at most a second later when it took
// its time.
func TestRegistersBeforeItListens(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute} {
		t.Run(delay.String(), func(t *testing.T) {
			inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
				w.sync(w.instance("alpha:1", "A"))
				w.submit(1, "A")
				time.Sleep(delay)
				_, took := w.until(w.serve("alpha:1"))
				if limit := min(delay+100*time.Millisecond, time.Second); took > limit {
					t.Errorf("it got work after %v, want %v at most", took, limit)
				}
				t.Logf("work came %v after it listened", took)
			})
		})
	}
}

// An absent processor that comes back gets work within a second, however long it was away, whether it registers again or
// not.
func TestComesBack(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("registers=%v", again), func(t *testing.T) {
			inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
				p := w.serve("alpha:1")
				w.sync(w.instance("alpha:1", "A"))
				const limit = time.Second
				for range 5 {
					p.kill()
					w.submit(1, "A")
					time.Sleep(time.Minute + 300*time.Millisecond)
					p = w.serve("alpha:1")
					if again {
						w.sync(w.instance("alpha:1", "A"))
					}
					a, took := w.until(p)
					if took > limit {
						t.Errorf("it got work after %v, want %v at most", took, limit)
					}
					a.succeed(t)
				}
			})
		})
	}
}

// A processor that hangs on health checks gets no work until it answers one.
func TestHangingHealthCheck(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		p.answerHealth(hang)
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		w.wantState("alpha:1", orca.Connecting)
		time.Sleep(5 * time.Second)
		w.wantState("alpha:1", orca.Unreachable)
		time.Sleep(time.Minute)
		w.idle(p)
		if got := p.checks.Load(); got > 14 {
			t.Errorf("%d health checks in 65 s, each of which hangs for 5 s", got)
		}
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		if _, took := w.until(p); took > 5*time.Second {
			t.Errorf("it got work %v after it answers again", took)
		}
	})
}

// A processor without health checks, or one that panics in them, is asked at the pace of probes.
func TestFailingHealthCheck(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) { return nil, unimplemented() })
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		time.Sleep(time.Minute)
		w.idle(p)
		w.wantState("alpha:1", orca.Unreachable)
		if got := p.checks.Load(); got < 55 || got > 61 {
			t.Errorf("%d health checks in a minute while work waits, want one per second", got)
		}
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		if _, took := w.until(p); took > time.Second {
			t.Errorf("it got work %v after it answers, want a second at most", took)
		}
	})
}

// Something that takes connections and drops them is no busy loop.
func TestConnectionsThatBreakAtOnce(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		l := w.network.listen(t, "alpha:1")
		accepted := 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				accepted++
				_ = conn.Close()
			}
		}()
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		time.Sleep(time.Minute)
		w.wantState("alpha:1", orca.Unreachable)
		_ = l.Close()
		<-ended
		if accepted > 240 {
			t.Errorf("%d connections in a minute, want 4 per second at most", accepted)
		}
	})
}
