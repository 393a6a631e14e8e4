package fleet_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// withdraw takes the named algorithms out of the run at a position.
func (w *world) withdraw(position orca.Position, names ...string) {
	w.fleet.Withdraw("p", position, func(id orca.AlgorithmID) bool { return slices.Contains(names, id.Name) })
	synctest.Wait()
}

func (w *world) queued() int {
	for _, p := range w.fleet.Status() {
		if p.Name == "p" {
			return p.Queued
		}
	}
	return 0
}

// What is withdrawn while it waits for an instance is never sent, and holds no memory; the rest of its call goes out.
func TestWithdrawnWhileQueued(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		w.submit(1, "A", "B")
		w.submit(1, "C")
		w.submit(2, "A", "B")
		w.submit(3, "A", "B")
		w.withdraw(1, "A", "C")
		w.withdraw(3, "A", "B", "C")
		if n := w.queued(); n != 2 {
			t.Errorf("%d calls are queued, want 2", n)
		}
		p := w.serve("a:1")
		w.sync(w.instance("a:1", "A", "B", "C"))
		var got [][]string
		for range 2 {
			a := w.next(p)
			got = append(got, a.names())
			a.succeed(t)
		}
		slices.SortFunc(got, slices.Compare)
		if diff := cmp.Diff([][]string{{"A", "B"}, {"B"}}, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		w.idle(p)
	})
}

// A request under way goes on, and its results are reported.
func TestWithdrawnWhileUnderWay(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("a:1")
		w.sync(w.instance("a:1", "A"))
		c := w.submit(1, "A")
		a := w.next(p)
		w.withdraw(1, "A")
		a.succeed(t)
		if got := c.wait(); len(got.Results) != 1 {
			t.Errorf("reported %+v, want the result", got)
		}
	})
}

// A withdrawn call that had an instance reserved for it gives it free.
func TestWithdrawnWhileReserved(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("a:1")
		w.sync(w.instance("a:1", "A", "B", "C"))
		w.submit(1, "A")
		first := w.next(p)
		solo := newCall(2, "p", "B")
		solo.Solo = true
		w.submitCall(solo)
		w.submit(3, "C")
		w.idle(p)
		w.withdraw(2, "B")
		last := w.next(p)
		if got := last.names()[0]; got != "C" {
			t.Errorf("%s was sent, want C", got)
		}
		first.succeed(t)
		last.succeed(t)
		w.idle(p)
	})
}

// A withdrawn call that was put off stays away when its time has come.
func TestWithdrawnWhilePutOff(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("a:1")
		w.sync(w.instance("a:1", "A"))
		w.submit(1, "A")
		w.next(p).end(exhausted())
		synctest.Wait()
		if n := w.queued(); n != 1 {
			t.Fatalf("%d calls are put off, want 1", n)
		}
		w.withdraw(1, "A")
		time.Sleep(time.Minute)
		w.idle(p)
		if n := w.queued(); n != 0 {
			t.Errorf("%d calls are queued, want none", n)
		}
	})
}
