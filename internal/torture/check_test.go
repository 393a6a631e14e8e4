package torture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sound returns the record of a small session in which all is well: windows 0 to 9, emitted, executed, seen and settled
// one after the other.
func sound() *Record {
	r := &Record{Faults: []Fault{{At: 100_000, Done: 100_010, Target: coreName, Action: Stop}}}
	at := Instant(1000)
	for n := range int64(10) {
		w := Window{
			ID: fmt.Sprintf("id-%d", n), Origin: fmt.Sprintf("keyed-%d", n), Type: TypeOf(n), N: n, Position: n + 1, Revision: 1,
			State: stateOf(Expect(n)), Nodes: map[ID]Settled{},
		}
		emitted := Emit{Emitter: Keyed, Origin: w.Origin, N: n, Begun: at, Ended: at + 1, WindowID: w.ID, Triggered: true}
		late := emitted
		late.WindowID, late.Err = "", "too late"
		r.Emits = append(r.Emits, late, emitted)
		at += 10
		for _, a := range Work {
			want, ok := Expect(n)[a.ID]
			if !ok {
				continue
			}
			if want.Outcome != Skipped {
				inputs, _ := values(Expect(n), a.Needs)
				r.Executions = append(r.Executions, Execution{
					Process: "press-a-0001.journal", Origin: w.Origin, N: n, Algorithm: a.ID, Inputs: inputs, Connected: 1, Begun: at, Ended: at + 1,
				})
			}
			s := Settled{Result: want, Attempts: 1, At: at + 2, ProducedAt: w.Position}
			w.Nodes[a.ID] = s
			r.Sightings = append(r.Sightings, Sighting{Seen: at + 3, WindowID: w.ID, Algorithm: a.ID, Settled: s})
			r.Results = append(r.Results, ResultRow{WindowID: w.ID, Position: w.Position, Algorithm: a.ID, Settled: s})
			at += 10
		}
		r.Windows = append(r.Windows, w)
	}
	return r
}

// The record of the tests has what a session has: all kinds of outcomes, an emit that was not answered, two types.
func TestSoundRecord(t *testing.T) {
	t.Parallel()
	if defects := Check(sound()); defects != nil {
		t.Errorf("a sound record has the defects %q", defects)
	}
	outcomes := map[Outcome]int{}
	for _, row := range sound().Results {
		outcomes[row.Settled.Outcome]++
	}
	if want := (map[Outcome]int{Succeeded: 80, HandledFailed: 1, UnhandledFailed: 1, Skipped: 2}); !cmp.Equal(outcomes, want) {
		t.Errorf("outcomes: %s", cmp.Diff(want, outcomes))
	}
}

// Each defect alone is found, by the rule that it breaks.
func TestCheckFindsDefects(t *testing.T) {
	t.Parallel()
	cut, prime, coat, grade := ID{Press, "Cut"}, ID{Paint, "Prime"}, ID{Paint, "Coat"}, ID{Paint, "Grade"}
	for name, tt := range map[string]struct {
		spoil func(r *Record)
		want  string
	}{
		"an answered window is lost": {
			func(r *Record) { r.Windows = r.Windows[1:] }, "the ledger has no such window"},
		"an answered window is denied": {
			func(r *Record) { r.Denials = []Denial{{2000, "id-0"}} }, "window id-0 had been answered and was not there"},
		"an answered window is another one": {
			func(r *Record) { r.Windows[0].ID, r.Windows[1].ID = r.Windows[1].ID, r.Windows[0].ID }, "which is that of"},
		"an answer of nothing triggered": {
			func(r *Record) { r.Emits[1].Triggered = false }, "without anything being triggered"},
		"two answers with different ids": {
			func(r *Record) { r.Emits = append(r.Emits, again(r.Emits[1], "id-5")) }, "was answered with different windows: [id-0 id-5]"},
		"a key twice in the ledger": {
			func(r *Record) { w := r.Windows[0]; w.ID, w.Position = "id-99", 99; r.Windows = append(r.Windows, w) }, "keyed-0 is in the ledger 2 times"},
		"a window from nowhere": {
			func(r *Record) { r.Emits = r.Emits[2:] }, "is none that was emitted"},
		"a window with other metadata": {
			func(r *Record) { r.Emits[0].N = 7 }, "is none that was emitted"},
		"a position twice": {
			func(r *Record) { r.Windows[3].Position = 5 }, "have the same position 5"},
		"positions out of order": {
			func(r *Record) { r.Windows[2].Position, r.Windows[3].Position = 4, 3 },
			"keyed-2 was answered before keyed-3 was emitted, and has the higher position: 4 and 3"},
		"an open run": {
			func(r *Record) { r.Windows[0].State = RunOpen }, "of window id-0 (keyed-0) is open, want run 1 and succeeded"},
		"a run that nobody asked for": {
			func(r *Record) { r.Windows[0].Revision = 2 }, "run 2 of window id-0"},
		"a missing node": {
			func(r *Record) { delete(r.Windows[0].Nodes, cut) }, "press/Cut of window id-0 (keyed-0) is { 0}"},
		"a node of another type": {
			func(r *Record) { r.Windows[0].Nodes[ID{Paint, "Weigh"}] = Settled{} }, "is of another type"},
		"a wrong value": {
			func(r *Record) { settle(r, 0, cut, Result{Succeeded, 1}, 0) }, "press/Cut of window id-0 (keyed-0) is {succeeded 1}"},
		"a success that should be skipped": {
			func(r *Record) { settle(r, 3, grade, Result{Succeeded, 1}, 0) }, "paint/Grade of window id-3 (keyed-3) is {succeeded 1}"},
		"two outcomes": {
			func(r *Record) { r.Results = append(r.Results, r.Results[0]) }, "press/Cut of window id-0 has two outcomes"},
		"a second outcome in another run": {
			func(r *Record) { r.Results[0].Position = 77 }, "at position 77 is not what its run says"},
		"an outcome missing among the results": {
			func(r *Record) { r.Results = r.Results[1:] }, "press/Cut of window id-0 is missing in the results"},
		"an outcome that changed": {
			func(r *Record) { r.Sightings[0].Settled.At-- }, "press/Cut of window id-0 (keyed-0) was"},
		"a seen window that is lost": {
			func(r *Record) { r.Sightings[0].WindowID = "id-99" }, "window id-99 was seen"},
		"a node that was told as settled and is open": {
			func(r *Record) { r.Sightings[0].Settled.Outcome = Open }, "told as settled and is open"},
		"an execution of a window that is not stored": {
			func(r *Record) { r.Executions[0].Origin = "keyed-99" }, "which the ledger does not have"},
		"an execution with other metadata": {
			func(r *Record) { r.Executions[0].N = 1 }, "was executed for keyed-0 with number 1"},
		"an execution of what is skipped": {
			func(r *Record) { repeat(r, 3, cut, func(x *Execution) { x.Algorithm = grade }) }, "paint/Grade was executed for keyed-3, and is skipped"},
		"a settled node runs again after a restart": {
			func(r *Record) {
				repeat(r, 0, coat, func(x *Execution) { x.Connected, x.Begun = x.Begun+4, x.Begun+5 })
			}, "paint/Coat of keyed-0 was known to be settled"},
		"a node runs again though its dependent has run": {
			func(r *Record) {
				r.Sightings = nil
				repeat(r, 0, prime, func(x *Execution) { x.Connected, x.Begun = x.Begun+51, x.Begun+52 })
			}, "paint/Prime of keyed-0 was known to be settled"},
		"a settled node runs again much later": {
			func(r *Record) { repeat(r, 0, coat, func(x *Execution) { x.Begun += 4 + tolerance }) }, "paint/Coat of keyed-0 was known to be settled"},
		"what was under way when the core was stopped runs again": {
			func(r *Record) {
				r.Sightings = nil
				repeat(r, 0, ID{Paint, "Bill"}, func(x *Execution) { x.Connected, x.Begun = 100_020, 100_030 })
			}, "paint/Bill of keyed-0 was known to be settled"},
		"wrong inputs": {
			func(r *Record) { repeat(r, 0, prime, func(x *Execution) { x.Inputs = []float32{1} }) }, "paint/Prime of keyed-0 was given [1]"},
		"inputs in another order": {
			func(r *Record) { repeat(r, 0, coat, func(x *Execution) { slices.Reverse(x.Inputs) }) }, "paint/Coat of keyed-0 was given"},
		"a dependent before its dependency": {
			func(r *Record) { find(r, 0, cut).Ended += 10 }, "before press/Cut had a result"},
		"a dependent before its dependency was settled": {
			func(r *Record) {
				s := r.Windows[0].Nodes[cut]
				s.At += 10
				r.Windows[0].Nodes[cut], r.Results[0].Settled, r.Sightings[0].Settled = s, s, s
			}, "before press/Cut was settled"},
		"an unknown algorithm": {
			func(r *Record) { r.Executions[0].Algorithm.Name = "Melt" }, "press/Melt was executed for keyed-0 and is unknown"},
		"a result that nobody computed": {
			func(r *Record) { find(r, 0, ID{Paint, "Bill"}).Ended = 0 }, "no processor had a result by then"},
		"a process that does not stop well": {
			func(r *Record) { r.Faults[0].Code = 1 }, "core was asked to stop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			tt.spoil(r)
			if defects := Check(r); !slices.ContainsFunc(defects, func(d string) bool { return strings.Contains(d, tt.want) }) {
				t.Errorf("found %q, want %q among it", defects, tt.want)
			}
		})
	}
}

// What may happen is no defect: a node that was not settled runs again after a crash, and a request that was under way
// arrives late.
func TestCheckLetsPass(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(r *Record){
		"an execution cut off by a kill": func(r *Record) {
			repeat(r, 0, ID{Press, "Cut"}, func(x *Execution) { x.Begun, x.Ended = x.Begun-2, 0 })
		},
		"a result that was lost with the core": func(r *Record) {
			repeat(r, 0, ID{Press, "Cut"}, func(x *Execution) { x.Begun, x.Ended = x.Begun-2, x.Begun-1 })
		},
		"a request that was sent before its twin settled the node": func(r *Record) {
			repeat(r, 0, ID{Press, "Cut"}, func(x *Execution) { x.Begun, x.Ended = x.Begun+5, x.Begun+6 })
		},
		"what was under way when the core was stopped and the processor killed": func(r *Record) {
			r.Sightings = nil
			x := find(r, 0, ID{Paint, "Bill"})
			x.Ended = 0
			r.Faults = append(r.Faults, Fault{At: x.Begun, Done: x.Begun + 1, Target: "press-a", Action: Kill})
			settle(r, 0, x.Algorithm, r.Windows[0].Nodes[x.Algorithm].Result, 100_050)
			repeat(r, 0, x.Algorithm, func(x *Execution) { x.Connected, x.Begun, x.Ended = 100_020, 100_030, 100_040 })
		},
		"a window whose emit was never answered": func(r *Record) { r.Emits = slices.Delete(r.Emits, 1, 2) },
		"an emit that left nothing": func(r *Record) {
			r.Emits = append(r.Emits, Emit{Emitter: Bare, Origin: "bare-1", N: 1, Err: "refused"})
		},
		"a repeated answer": func(r *Record) { r.Emits = append(r.Emits, r.Emits[1]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			spoil(r)
			if defects := Check(r); defects != nil {
				t.Errorf("found %q, want nothing", defects)
			}
		})
	}
}

func again(e Emit, id string) Emit {
	e.WindowID = id
	return e
}

// find returns the execution of an algorithm for window n.
func find(r *Record, n int64, id ID) *Execution {
	i := slices.IndexFunc(r.Executions, func(x Execution) bool { return x.N == n && x.Algorithm == id })
	return &r.Executions[i]
}

// repeat adds a changed copy of the execution of an algorithm for window n.
func repeat(r *Record, n int64, id ID, change func(*Execution)) {
	x := *find(r, n, id)
	x.Inputs = slices.Clone(x.Inputs)
	change(&x)
	r.Executions = append(r.Executions, x)
}

// settle changes the outcome of an algorithm for window n, in the ledger and all that was seen of it.
func settle(r *Record, n int, id ID, result Result, at Instant) {
	s := r.Windows[n].Nodes[id]
	s.Result, s.At = result, at
	r.Windows[n].Nodes[id] = s
	for i := range r.Results {
		if r.Results[i].WindowID == r.Windows[n].ID && r.Results[i].Algorithm == id {
			r.Results[i].Settled = s
			if r.Sightings != nil {
				r.Sightings[i].Settled = s
			}
		}
	}
}
