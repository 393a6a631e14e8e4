package fleet_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// wantOutcome compares what was reported of a call, without words and times.
func wantOutcome(t *testing.T, c *call, want outcome) {
	t.Helper()
	if diff := cmp.Diff(want, c.soFar(), cmpopts.IgnoreUnexported(ending{})); diff != "" {
		t.Errorf("call at position %d (-want +got):\n%s", c.Position, diff)
	}
}

// Per processor, work goes out in the order of positions, whatever it asks for and however it came.
func TestLowestPositionGoesFirst(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B", "C"))
		w.submit(1, "A")
		busy := w.next(p)
		for _, position := range []orca.Position{70, 30, 90, 10} {
			w.submit(position, "A")
			w.submit(position+2, "B", "C")
			w.submit(position+1, "B")
		}
		var got []string
		for busy.succeed(t); len(got) < 12; busy.succeed(t) {
			busy = w.next(p)
			got = append(got, fmt.Sprint(busy.names()))
		}
		want := slices.Repeat([]string{"[A]", "[B]", "[B C]"}, 4)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order of requests (-want +got):\n%s", diff)
		}
		w.idle(p)
	})
}

// Calls of one position keep the order in which they came.
func TestOnePositionKeepsItsOrder(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B", "C"))
		for _, name := range []string{"C", "A", "B"} {
			w.submit(1, name)
		}
		for _, want := range []string{"C", "A", "B"} {
			a := w.next(p)
			if got := a.names()[0]; got != want {
				t.Errorf("%s was asked for, want %s", got, want)
			}
			a.succeed(t)
		}
	})
}

// What nobody can run now holds back nothing else.
func TestUnservedWorkHoldsBackNothing(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "B"))
		first := w.submit(1, "A")
		w.submit(2, "B")
		w.next(p).succeed(t)
		if !first.open() {
			t.Error("A was reported, which nobody runs")
		}
		want := []orca.ProcessorStatus{{Name: "p", Queued: 1, Oldest: 1}}
		got := w.fleet.Status()
		got[0].Instances = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

// Two processors work at the same time, and a slow one never holds back another.
func TestProcessorsAreIndependent(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 1}, func(t *testing.T, w *world) {
		slow, fast := w.serve("slow:1"), w.serve("fast:1")
		other := w.instance("fast:1")
		other.Processor = "q"
		other.Algorithms = map[orca.AlgorithmID]orca.DefinitionHash{id("q", "A"): {1}}
		w.sync(w.instance("slow:1", "A"), other)
		w.submit(1, "A")
		w.submit(2, "A")
		w.next(slow)
		for position := orca.Position(3); position < 6; position++ {
			w.submitCall(newCall(position, "q", "A"))
			w.next(fast).succeed(t)
		}
		w.idle(slow)
	})
}

func TestMaxInFlight(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 3}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		for position := orca.Position(1); position <= 5; position++ {
			w.submit(position, "A")
		}
		var busy []*asked
		for range 3 {
			busy = append(busy, w.next(p))
		}
		w.idle(p)
		busy[1].succeed(t)
		w.next(p)
		w.idle(p)
	})
}

// Of three cores each gives an instance a third of what it takes, rounded up; alone again it gives all.
func TestMaxInFlightIsSharedByCores(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 4}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		w.fleet.Share(1, []int32{1, 2, 3})
		for position := orca.Position(1); position <= 5; position++ {
			w.submit(position, "A")
		}
		w.next(p)
		w.next(p)
		w.idle(p)
		w.fleet.Share(1, []int32{1})
		w.next(p)
		w.next(p)
		w.idle(p)
	})
}

// Work goes to the least loaded instance, and equals take turns.
func TestLeastLoadedFirst(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		processors := []*processor{w.serve("alpha:1"), w.serve("beta:1"), w.serve("gamma:1")}
		w.sync(w.instance("alpha:1", "A"), w.instance("beta:1", "A"), w.instance("gamma:1", "A"))
		busy := make([][]*asked, 3)
		for round := range 3 {
			for range processors {
				w.submit(orca.Position(1+round), "A")
			}
			for i, p := range processors { // each got exactly one
				busy[i] = append(busy[i], w.next(p))
			}
			w.idle(processors...)
		}
		busy[1][0].succeed(t)
		busy[1][1].succeed(t)
		for range 2 { // beta has one under way, the others have three
			w.submit(9, "A")
			w.next(processors[1])
		}
		w.idle(processors...)
	})
}

func TestEqualsTakeTurns(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		processors := []*processor{w.serve("alpha:1"), w.serve("beta:1"), w.serve("gamma:1")}
		w.sync(w.instance("alpha:1", "A"), w.instance("beta:1", "A"), w.instance("gamma:1", "A"))
		for range 3 {
			got := map[string]int{}
			for range processors {
				w.submit(1, "A")
				select {
				case a := <-processors[0].asked:
					got["alpha"]++
					a.succeed(t)
				case a := <-processors[1].asked:
					got["beta"]++
					a.succeed(t)
				case a := <-processors[2].asked:
					got["gamma"]++
					a.succeed(t)
				}
			}
			if diff := cmp.Diff(map[string]int{"alpha": 1, "beta": 1, "gamma": 1}, got); diff != "" {
				t.Errorf("requests in one round (-want +got):\n%s", diff)
			}
		}
	})
}

// An instance that announced exactly the definition of the plan is preferred, however loaded; when it is full, another
// one takes the work.
func TestExactDefinitionIsPreferred(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 2}, func(t *testing.T, w *world) {
		older, newer := w.serve("a-older:1"), w.serve("b-newer:1")
		of := func(address string, definition byte) orca.Instance {
			in := w.instance(address)
			in.Algorithms[id("p", "A")] = orca.DefinitionHash{definition}
			return in
		}
		w.sync(of("a-older:1", 7), of("b-newer:1", 1))
		for range 2 {
			w.submit(1, "A")
			w.next(newer)
		}
		w.submit(1, "A")
		w.next(older)
	})
}

func TestRuntimeIsPreferred(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 2}, func(t *testing.T, w *world) {
		goes, python := w.serve("go:1"), w.serve("python:1")
		of := func(address, runtime string) orca.Instance {
			in := w.instance(address, "A")
			in.Runtime = runtime
			return in
		}
		w.sync(of("go:1", "go1.26"), of("python:1", "python3.12"))
		for _, p := range []*processor{python, python, goes} {
			c := newCall(1, "p", "A")
			c.Algorithms[0].Runtime = "python3.12"
			w.submitCall(c)
			w.next(p)
		}
	})
}

// A call is split over instances that run different algorithms, as few requests as possible.
func TestCallIsSplitOverInstances(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		ab, cd := w.serve("ab:1"), w.serve("cd:1")
		w.sync(w.instance("ab:1", "A", "B"), w.instance("cd:1", "B", "C", "D"))
		c := w.submit(1, "A", "B", "C", "D")
		got := map[string][]string{}
		for _, p := range []*processor{ab, cd} {
			a := w.next(p)
			got[p.address] = a.names()
			a.succeed(t)
		}
		w.idle(ab, cd)
		want := map[string][]string{"ab:1": {"A"}, "cd:1": {"B", "C", "D"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 0, "B": 0, "C": 1, "D": 2}})
	})
}

// Of a call, what somebody runs goes out at once, and the rest when its instance is there.
func TestRestOfACallWaitsForItsInstance(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		b := w.serve("b:1")
		inB := w.instance("b:1", "B")
		w.sync(inB)
		c := w.submit(1, "A", "B", "C")
		if got := w.next(b).names(); !slices.Equal(got, []string{"B"}) {
			t.Errorf("%v were asked for, want B", got)
		}
		ac := w.serve("ac:1")
		w.sync(inB, w.instance("ac:1", "A", "C"))
		a := w.next(ac)
		a.answer(t, "C", 3)
		a.end(nil)
		if diff := cmp.Diff([]string{"A", "C"}, a.names()); diff != "" {
			t.Errorf("rest of the call (-want +got):\n%s", diff)
		}
		w.idle(b, ac)
		wantOutcome(t, c, outcome{
			Results: map[string]float64{"C": 3},
			Ends:    []ending{{Kind: orca.EndComplete, Missing: []string{"A"}}},
		})
	})
}

// An instance that runs all of a call is preferred to an idle one that runs a part of it.
func TestWholeInstanceIsPreferred(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		part, whole := w.serve("a-part:1"), w.serve("b-whole:1")
		older := func(address string, names ...string) orca.Instance {
			in := w.instance(address, names...)
			for id := range in.Algorithms {
				in.Algorithms[id] = orca.DefinitionHash{7}
			}
			return in
		}
		w.sync(older("a-part:1", "A"), older("b-whole:1", "A", "B"))
		w.submit(1, "B")
		w.next(whole)
		w.submit(2, "A", "B")
		if got := w.next(whole).names(); !slices.Equal(got, []string{"A", "B"}) {
			t.Errorf("%v were asked for in one request, want A and B", got)
		}
		w.idle(part)
	})
}
