package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// submitSolo submits a call that must go out with nothing else in flight.
func (w *world) submitSolo(position orca.Position, names ...string) *call {
	c := newCall(position, "p", names...)
	c.Solo = true
	return w.submitCall(c)
}

// A solo call waits until nothing is in flight, and while it waits and runs nothing else begins.
func TestSoloRunsAlone(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		w.submit(1, "A")
		w.submit(2, "A")
		busy := []*asked{w.next(p), w.next(p)}
		w.submitSolo(3, "B")
		w.submit(4, "A")
		w.idle(p)
		busy[0].succeed(t)
		w.idle(p)
		if got := w.fleet.Status()[0]; got.Queued != 2 || got.Oldest != 3 {
			t.Errorf("%d are queued, the oldest %d; want 2 and 3", got.Queued, got.Oldest)
		}
		busy[1].succeed(t)
		solo := w.next(p)
		if got := solo.names()[0]; got != "B" {
			t.Errorf("%s goes out alone, want B", got)
		}
		w.submit(5, "A")
		w.idle(p)
		solo.succeed(t)
		w.next(p)
		w.next(p)
		w.idle(p)
	})
}

// A solo call takes its turn like any other.
func TestSoloKeepsThePositions(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		w.submit(1, "A")
		busy := w.next(p)
		w.submit(2, "A")
		w.submitSolo(3, "B")
		w.submit(4, "A")
		w.submitSolo(2, "B")
		for _, want := range []string{"B", "A", "B", "A"} { // the first was reserved before 2 came
			busy.succeed(t)
			busy = w.next(p)
			if got := busy.names()[0]; got != want {
				t.Errorf("%s was asked for, want %s", got, want)
			}
		}
	})
}

// A solo call stops one instance only, the one with the least to finish.
func TestSoloLeavesOtherInstancesToWork(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		alpha, beta := w.serve("alpha:1"), w.serve("beta:1")
		w.sync(w.instance("alpha:1", "A"), w.instance("beta:1", "A"))
		for range 3 {
			w.submit(1, "A")
		}
		busyAlpha, busyBeta := drainAsked(alpha), drainAsked(beta)
		if len(busyAlpha) < len(busyBeta) {
			alpha, beta, busyBeta = beta, alpha, busyAlpha
		}
		w.submitSolo(2, "A") // reserves beta, which has one under way
		for range 3 {
			w.submit(3, "A")
			w.next(alpha)
		}
		w.idle(beta)
		busyBeta[0].succeed(t)
		w.next(beta)
		w.submit(4, "A")
		w.next(alpha)
		w.idle(alpha, beta)
	})
}

// drainAsked takes the requests that have reached the processor.
func drainAsked(p *processor) []*asked {
	var all []*asked
	for {
		synctest.Wait()
		select {
		case a := <-p.asked:
			all = append(all, a)
		default:
			return all
		}
	}
}

// A reserved call is not lost with its instance, whatever happens to that: it goes to another one at once.
func TestReservedCallOutlivesItsInstance(t *testing.T) {
	t.Parallel()
	happens := map[string]func(w *world, p *processor, busy *asked, other orca.Instance){
		"stops serving": func(w *world, p *processor, _ *asked, _ orca.Instance) {
			p.answerStatus(pb.HealthCheckResponse_STATUS_TRANSITIONING)
			for w.state("alpha:1") == orca.Serving {
				time.Sleep(time.Millisecond)
			}
		},
		"dies":         func(_ *world, p *processor, _ *asked, _ orca.Instance) { p.kill() },
		"is withdrawn": func(w *world, _ *processor, _ *asked, other orca.Instance) { w.sync(other) },
		"no longer runs it": func(w *world, _ *processor, _ *asked, other orca.Instance) {
			w.sync(w.instance("alpha:1", "B"), other)
		},
		"denies it": func(w *world, p *processor, busy *asked, _ orca.Instance) { busy.end(unimplemented()) },
	}
	for name, happen := range happens {
		t.Run(name, func(t *testing.T) {
			inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
				alpha, beta := w.serve("alpha:1"), w.serve("beta:1")
				beta.answerStatus(pb.HealthCheckResponse_STATUS_NOT_SERVING)
				inAlpha, inBeta := w.instance("alpha:1", "A"), w.instance("beta:1", "A")
				w.sync(inAlpha, inBeta)
				w.submit(1, "A")
				busy := w.next(alpha)
				c := w.submitSolo(2, "A")
				beta.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
				inBeta = w.instance("beta:1", "A")
				w.sync(inAlpha, inBeta) // beta registers again, and is found to serve
				time.Sleep(250 * time.Millisecond)
				w.wantState("beta:1", orca.Serving)
				w.idle(beta)
				happen(w, alpha, busy, inBeta)
				for c.open() {
					w.next(beta).succeed(t)
				}
				w.idle(alpha, beta)
				wantOutcome(t, c, outcome{Results: map[string]float64{"A": 0}})
			})
		})
	}
}
