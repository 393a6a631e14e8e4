package fleet_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Drain waits for what is under way and lets nothing begin, neither what is queued nor what comes back to the queue.
func TestDrain(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 2}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		for position := orca.Position(1); position <= 3; position++ {
			w.submit(position, "A")
		}
		busy := drainAsked(p)
		drained := make(chan error, 1)
		go func() { drained <- w.fleet.Drain(t.Context()) }()
		synctest.Wait()
		busy[0].end(exhausted())
		time.Sleep(time.Minute)
		w.submit(4, "A")
		w.idle(p)
		select {
		case err := <-drained:
			t.Fatalf("Drain returned %v while a request is under way", err)
		default:
		}
		busy[1].succeed(t)
		if err := <-drained; err != nil {
			t.Errorf("Drain returned %v", err)
		}
		if err := w.fleet.Drain(t.Context()); err != nil {
			t.Errorf("the second Drain returned %v", err)
		}
		time.Sleep(time.Minute)
		w.idle(p)
		if got := w.fleet.Status()[0]; got.Queued != 3 || got.Instances[0].State != orca.Serving {
			t.Errorf("%d are queued and the instance is %v, want 3 and serving", got.Queued, got.Instances[0].State)
		}
	})
}

func TestDrainGivesUp(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		a := w.next(p)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := w.fleet.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 requests are still under way") {
			t.Errorf("Drain returned %v, want how many are under way", err)
		}
		a.succeed(t)
	})
}

// When Drain has returned, everything that began has been reported, and nothing begins any more, whoever submits.
func TestNothingBeginsAfterDrain(t *testing.T) {
	t.Parallel()
	for range 20 {
		l := bufconn.Listen(1 << 16)
		p := serve(t, l, "alpha:1")
		p.answerAll(t)
		f := fleet.New(fleet.Config{DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })}})
		stop := run(t, f)
		f.Sync([]orca.Instance{{
			Address: "alpha:1", Connection: "alpha:1", Processor: "p", RegisteredAt: 1,
			Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{id("p", "A"): {1}},
		}})
		var drained atomic.Bool
		var begun, reported atomic.Int64
		submit := func() *call {
			c := newCall(1, "p", "A")
			build, result := c.Build, c.Result
			c.Build = func(ctx context.Context, a []orca.CalledAlgorithm) (*orca.Execution, error) {
				if drained.Load() {
					t.Error("a request began after Drain had returned")
				}
				begun.Add(1)
				return build(ctx, a)
			}
			c.Result = func(ctx context.Context, id orca.AlgorithmID, r orca.Result) {
				reported.Add(1)
				result(ctx, id, r)
			}
			f.Submit(&c.Call)
			return c
		}
		submit().wait()
		var submitters sync.WaitGroup
		for range 4 {
			submitters.Go(func() {
				for range 100 {
					submit()
				}
			})
		}
		if err := f.Drain(t.Context()); err != nil {
			t.Errorf("Drain returned %v", err)
		}
		drained.Store(true)
		if b, r := begun.Load(), reported.Load(); b != r {
			t.Errorf("%d requests began and %d were reported when Drain returned", b, r)
		}
		submitters.Wait()
		stop()
	}
}

// Cancelling Run cancels what is under way, which is reported as stopped, and leaves what is queued.
func TestCancel(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 2}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		w.submit(1, "A", "B")
		building := newCall(2, "p", "A")
		building.Build = func(ctx context.Context, _ []orca.CalledAlgorithm) (*orca.Execution, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		w.submitCall(building)
		w.submit(3, "A")
		a := w.next(p)
		a.answer(t, "A", 1)
		synctest.Wait()
		w.stop()
		<-a.stream.Context().Done()
		wantOutcome(t, w.calls[0], outcome{
			Results: map[string]float64{"A": 1},
			Ends:    []ending{{Kind: orca.EndStopped, Missing: []string{"B"}}},
		})
		wantOutcome(t, building, outcome{Ends: []ending{{Kind: orca.EndStopped, Missing: []string{"A"}, Alone: true}}})
		wantOutcome(t, w.calls[2], outcome{})
		if err := w.fleet.Drain(t.Context()); err != nil {
			t.Errorf("Drain after Run returned %v", err)
		}
		if got := w.network.open("alpha:1"); got != 0 {
			t.Errorf("%d connections are open after Run", got)
		}
		w.fleet.Sync(nil)
		w.submit(4, "A")
	})
}
