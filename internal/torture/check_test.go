package torture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sound returns the record of a small session in which all is well: windows 0 to 29, emitted, executed, seen and settled
// one after the other; then window 3, which has failed, is retried, and window 0 reprocessed.
func sound() *Record {
	r := &Record{Faults: []Fault{{At: 100_000, Done: 100_010, Target: coreName, Action: Stop}}}
	for n := range int64(30) {
		w := Window{ID: fmt.Sprintf("id-%d", n), Origin: fmt.Sprintf("keyed-%d", n), Type: TypeOf(n), N: n}
		w.Runs = []LedgerRun{{Position: n + 1, Revision: 1}}
		r.Windows = append(r.Windows, w)
	}
	r.Windows[3].Runs = append(r.Windows[3].Runs, LedgerRun{Position: 31, Revision: 2, Kind: Retry})
	r.Windows[0].Runs = append(r.Windows[0].Runs, LedgerRun{Position: 32, Revision: 2, Kind: Reprocess})
	model := modelled(r)
	at := Instant(1000)
	play := func(n, revision int) {
		w := &r.Windows[n]
		run := w.run(revision)
		run.State, run.Nodes = stateOf(model[run.Position]), map[ID]Settled{}
		if revision == 1 {
			emitted := Emit{Emitter: Keyed, Origin: w.Origin, N: w.N, Begun: at, Ended: at + 1, WindowID: w.ID, Triggered: true}
			late := emitted
			late.WindowID, late.Err = "", "too late"
			r.Emits = append(r.Emits, late, emitted)
		} else {
			r.Asks = append(r.Asks, Ask{Verb: run.Kind, WindowID: w.ID, Begun: at, Ended: at + 1, Revision: revision, Position: run.Position})
		}
		at += 10
		for _, a := range Work {
			o, ok := model[run.Position].Outcomes[nameOf(a.ID)]
			if !ok {
				continue
			}
			s := Settled{Result: resultOf(o), Attempts: 1, At: at + 2, ProducedAt: run.Position, Own: true}
			before := w.Runs[0].Nodes[a.ID]
			switch {
			case run.Kind == Retry && before.Outcome == Succeeded:
				s = before
			case s.Outcome == Skipped:
				s.Own = false
			default:
				r.Executions = append(r.Executions, Execution{
					Process: "press-a-0001.journal", Origin: w.Origin, N: w.N, Algorithm: a.ID, Connected: 1, Begun: at, Ended: at + 1,
					Given: givenOf(model[run.Position].Given[nameOf(a.ID)]),
				})
			}
			run.Nodes[a.ID] = s
			r.Sightings = append(r.Sightings, Sighting{Seen: at + 3, WindowID: w.ID, Revision: revision, Algorithm: a.ID, Settled: s})
			r.Results = append(r.Results, ResultRow{WindowID: w.ID, Position: run.Position, Algorithm: a.ID, Settled: s})
			at += 10
		}
	}
	for n := range r.Windows {
		play(n, 1)
	}
	play(3, 2)
	play(0, 2)
	return r
}

// The record of the tests has what a session has: all kinds of outcomes, an emit that was not answered, all types, rows of
// the past.
func TestSoundRecord(t *testing.T) {
	t.Parallel()
	if defects := Check(sound()); defects != nil {
		t.Errorf("a sound record has the defects %q", defects)
	}
	outcomes := map[Outcome]int{}
	for _, row := range sound().Results {
		outcomes[row.Settled.Outcome]++
	}
	if want := (map[Outcome]int{Succeeded: 306, HandledFailed: 4, UnhandledFailed: 2, Skipped: 12}); !cmp.Equal(outcomes, want) {
		t.Errorf("outcomes: %s", cmp.Diff(want, outcomes))
	}
	past := map[ID]bool{}
	for _, x := range sound().Executions {
		past[x.Algorithm] = past[x.Algorithm] || strings.Join(x.Past, "") != ""
	}
	for _, id := range []ID{{Press, "Wear"}, {Paint, "Drift"}, {Press, "Tally"}, {Paint, "Audit"}} {
		if !past[id] {
			t.Errorf("%v is given no past rows", id)
		}
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
			func(r *Record) {
				w := r.Windows[0]
				w.ID, w.Runs = "id-99", []LedgerRun{{Position: 99, Revision: 1}}
				r.Windows = append(r.Windows, w)
			}, "keyed-0 is in the ledger 2 times"},
		"a window from nowhere": {
			func(r *Record) { r.Emits = r.Emits[2:] }, "is none that was emitted"},
		"a window with other metadata": {
			func(r *Record) { r.Emits[0].N = 7 }, "is none that was emitted"},
		"a position twice": {
			func(r *Record) { r.Windows[3].Runs[0].Position = 5 }, "have the same position 5"},
		"positions out of order": {
			func(r *Record) { r.Windows[2].Runs[0].Position, r.Windows[3].Runs[0].Position = 4, 3 },
			"keyed-2 was answered before keyed-3 was emitted, and has the higher position: 4 and 3"},
		"an open run": {
			func(r *Record) { r.Windows[0].Runs[0].State = RunOpen }, "of window id-0 (keyed-0) is open, want succeeded"},
		"a run that nobody asked for": {
			func(r *Record) { r.Asks = r.Asks[1:] }, "run 2 of window id-3 (keyed-3) is a retry that nobody asked for"},
		"a missing node": {
			func(r *Record) { delete(r.Windows[0].Runs[0].Nodes, cut) }, "press/Cut in run 1 of window id-0 (keyed-0) is { 0}"},
		"a node of another type": {
			func(r *Record) { r.Windows[0].Runs[0].Nodes[ID{Paint, "Weigh"}] = Settled{} }, "is of another type"},
		"a wrong value": {
			func(r *Record) { settle(r, 0, cut, Result{Succeeded, 1}, 0) }, "press/Cut in run 1 of window id-0 (keyed-0) is {succeeded 1}"},
		"a success that should be skipped": {
			func(r *Record) { settle(r, 3, grade, Result{Succeeded, 1}, 0) }, "paint/Grade in run 1 of window id-3 (keyed-3) is {succeeded 1}"},
		"two outcomes": {
			func(r *Record) { r.Results = append(r.Results, r.Results[0]) }, "press/Cut of window id-0 has two outcomes at position 1"},
		"a second outcome in another run": {
			func(r *Record) { r.Results[0].Position = 77 }, "at position 77 is of no run"},
		"an outcome missing among the results": {
			func(r *Record) { r.Results = r.Results[1:] }, "press/Cut in run 1 of window id-0 (keyed-0) is {{succeeded"},
		"an outcome that changed": {
			func(r *Record) { r.Sightings[0].Settled.At-- }, "press/Cut in run 1 of window id-0 (keyed-0) was"},
		"a seen window that is lost": {
			func(r *Record) { r.Sightings[0].WindowID = "id-99" }, "run 1 of window id-99 was seen"},
		"a node that was told as settled and is open": {
			func(r *Record) { r.Sightings[0].Settled.Outcome = Open }, "told as settled and is open"},
		"an execution of a window that is not stored": {
			func(r *Record) { r.Executions[0].Origin = "keyed-99" }, "which the ledger does not have"},
		"an execution with other metadata": {
			func(r *Record) { r.Executions[0].N = 1 }, "was executed for keyed-0 with number 1"},
		"an execution of what is skipped": {
			func(r *Record) { repeat(r, 3, cut, func(x *Execution) { x.Algorithm = grade }) }, "paint/Grade of keyed-3, begun"},
		"a settled node runs again after a restart": {
			func(r *Record) {
				repeat(r, 1, coat, func(x *Execution) { x.Connected, x.Begun = x.Begun+4, x.Begun+5 })
			}, "it was known to be settled"},
		"a node runs again though its dependent has run": {
			func(r *Record) {
				r.Sightings = nil
				repeat(r, 1, prime, func(x *Execution) { x.Connected, x.Begun = x.Begun+51, x.Begun+52 })
			}, "it was known to be settled"},
		"a settled node runs again much later": {
			func(r *Record) { repeat(r, 1, coat, func(x *Execution) { x.Begun += 4 + tolerance }) }, "it was known to be settled"},
		"what was under way when the core was stopped runs again": {
			func(r *Record) {
				r.Sightings = nil
				repeat(r, 1, ID{Paint, "Bill"}, func(x *Execution) { x.Connected, x.Begun = 100_020, 100_030 })
			}, "it was known to be settled"},
		"wrong inputs": {
			func(r *Record) { repeat(r, 1, prime, func(x *Execution) { x.Inputs = []float32{1} }) }, "it was given {[1]"},
		"a row of the past is missing": {
			func(r *Record) { spoilPast(r, func(rows []string) []string { return rows[1:] }) }, "it was given {["},
		"rows of the past in another order": {
			func(r *Record) {
				spoilPast(r, func(rows []string) []string { slices.Reverse(rows); return rows })
			}, "it was given {["},
		"an answered retry is lost": {
			func(r *Record) { r.Windows[3].Runs = r.Windows[3].Runs[:1] }, "was answered with run 2 at position 31, which is not there"},
		"a retry that runs again what was kept": {
			func(r *Record) {
				x := *find(r, 3, cut)
				x.Connected, x.Begun, x.Ended = 90_000, 90_001, 90_002
				r.Executions = append(r.Executions, x)
			}, "in run 2 its result was kept from an earlier run"},
		"a run that begins before it is asked for": {
			func(r *Record) { r.Asks[1].Begun = 99_999 }, "paint/Bill in run 2 of window id-0 (keyed-0) is"},
		"a cancelled run that nobody cancelled": {
			func(r *Record) { settle(r, 1, cut, Result{Outcome: Cancelled}, 0) }, "press/Cut in run 1 of window id-1 (keyed-1) is {cancelled 0}"},
		"inputs in another order": {
			func(r *Record) { repeat(r, 1, coat, func(x *Execution) { slices.Reverse(x.Inputs) }) }, "it was given {"},
		"a dependent before its dependency": {
			func(r *Record) { find(r, 0, cut).Ended += 10 }, "it began before press/Cut had a result"},
		"a dependent before its dependency was settled": {
			func(r *Record) {
				s := r.Windows[0].Runs[0].Nodes[cut]
				s.At += 10
				r.Windows[0].Runs[0].Nodes[cut], r.Results[0].Settled, r.Sightings[0].Settled = s, s, s
			}, "it began before press/Cut was settled"},
		"an unknown algorithm": {
			func(r *Record) { r.Executions[0].Algorithm.Name = "Melt" }, "press/Melt was executed for keyed-0 and is unknown"},
		"a result that nobody computed": {
			func(r *Record) { find(r, 0, ID{Paint, "Bill"}).Ended = 0 }, "no processor had a result by then"},
		"metadata that is not to be stored": {
			func(r *Record) { r.Leaks = []string{"orca.db-wal"} }, "orca.db-wal has metadata that is not to be stored"},
		"metadata that stays for too long": {
			func(r *Record) { r.Unscrubbed = []string{"orca.db"} }, "orca.db has metadata that is not to be stored, a minute after"},
		"a core that says it is ready and refuses": {
			func(r *Record) {
				r.Probes = []Probe{{Begun: 50_000, Before: Readiness{Code: 200}, After: Readiness{Code: 200}, Refused: "no", Ended: 50_001}}
				r.Faults = append(r.Faults, Fault{At: 49_000, Done: 49_001, Target: "disk", Action: "full"})
			}, "that it is ready, and refused a window between: no"},
		"a core that is not ready for nothing": {
			func(r *Record) {
				r.Probes = []Probe{{Begun: 50_000, Before: Readiness{Code: 503, Text: "why"}, After: Readiness{Code: 200}, Ended: 50_001}}
			}, "nothing was wrong, and the core was ready with 503 (why)"},
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
			x := find(r, 1, ID{Paint, "Bill"})
			x.Ended = 0
			r.Faults = append(r.Faults, Fault{At: x.Begun, Done: x.Begun + 1, Target: "press-a", Action: Kill})
			settle(r, 1, x.Algorithm, r.Windows[1].Runs[0].Nodes[x.Algorithm].Result, 100_050)
			repeat(r, 1, x.Algorithm, func(x *Execution) { x.Connected, x.Begun, x.Ended = 100_020, 100_030, 100_040 })
		},
		"a window whose emit was never answered": func(r *Record) { r.Emits = slices.Delete(r.Emits, 1, 2) },
		"an emit that left nothing": func(r *Record) {
			r.Emits = append(r.Emits, Emit{Emitter: Bare, Origin: "bare-1", N: 1, Err: "refused"})
		},
		"a core that is not ready, or refuses, while its disk is full": func(r *Record) {
			r.Faults = append(r.Faults, Fault{At: 49_000, Done: 49_001, Target: "disk", Action: "full"})
			r.Probes = []Probe{
				{Begun: 50_000, Before: Readiness{Code: 503}, After: Readiness{Code: 503}, Ended: 50_001},
				{Begun: 50_010, Before: Readiness{Code: 200}, After: Readiness{Code: 503}, Refused: "full", Ended: 50_011},
			}
		},
		"a core that is killed": func(r *Record) {
			r.Faults = append([]Fault{{At: 50_000, Done: 50_001, Target: coreName, Action: Kill}, {At: 50_002, Done: 50_009, Target: coreName, Action: Start}}, r.Faults...)
			r.Probes = []Probe{{Begun: 50_003, Refused: "nobody is there", Ended: 50_004}}
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

// spoilPast changes a list of past rows with at least two of them.
func spoilPast(r *Record, change func([]string) []string) {
	for i := range r.Executions {
		x := &r.Executions[i]
		for k, text := range x.Past {
			if rows := strings.Fields(text); len(rows) > 1 {
				x.Past[k] = RowTexts(change(rows))
				return
			}
		}
	}
}

// settle changes the outcome of an algorithm for window n, in the ledger and all that was seen of it.
func settle(r *Record, n int, id ID, result Result, at Instant) {
	s := r.Windows[n].Runs[0].Nodes[id]
	s.Result, s.At = result, at
	r.Windows[n].Runs[0].Nodes[id] = s
	for i := range r.Results {
		if r.Results[i].WindowID == r.Windows[n].ID && r.Results[i].Algorithm == id {
			r.Results[i].Settled = s
			if r.Sightings != nil {
				r.Sightings[i].Settled = s
			}
		}
	}
}
