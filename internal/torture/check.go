package torture

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/orca-telemetry/orca/internal/lookbackmodel"
)

// Check returns everything that a session shows to be wrong, each in a sentence, in an order that depends on the record
// alone; nothing when all is well.
func Check(r *Record) []string {
	e := gather(r)
	var defects []string
	for _, rule := range []func(*evidence) []string{
		answeredIsThere, emittedOnce, rerunAsAsked, positionsInOrder, finishedAsExpected, oneOutcome, neverChanged,
		executedAsItMay, resultsComeFromSomewhere, stoppedInOrder, nothingLeaked, saysWhetherItIsReady,
	} {
		defects = append(defects, rule(e)...)
	}
	return defects
}

// evidence is a record with what is needed to find one's way in it.
type evidence struct {
	*Record
	byID     map[string]*Window
	byOrigin map[string][]*Window
	emits    map[string][]Emit // by origin
	reruns   map[string][]Ask  // retries and reprocesses, by window and in the order in which they were sent
	executed map[workKey][]Execution
	downs    map[string][]Fault           // what ended processes, by unit and in order
	model    map[int64]*lookbackmodel.Run // by position
	known    map[nodeKey]Instant          // see knownSettled
}

// workKey is an algorithm of the window with an origin.
type workKey struct {
	origin    string
	algorithm ID
}

func gather(r *Record) *evidence {
	e := &evidence{
		Record: r, byID: map[string]*Window{}, byOrigin: map[string][]*Window{}, emits: map[string][]Emit{},
		reruns: map[string][]Ask{}, executed: map[workKey][]Execution{}, downs: map[string][]Fault{}, model: modelled(r),
	}
	for i := range r.Windows {
		w := &r.Windows[i]
		e.byID[w.ID] = w
		e.byOrigin[w.Origin] = append(e.byOrigin[w.Origin], w)
	}
	for _, x := range r.Emits {
		e.emits[x.Origin] = append(e.emits[x.Origin], x)
	}
	for _, a := range slices.SortedFunc(slices.Values(r.Asks), func(a, b Ask) int { return cmp.Compare(a.Begun, b.Begun) }) {
		if a.Verb != Cancel {
			e.reruns[a.WindowID] = append(e.reruns[a.WindowID], a)
		}
	}
	for _, x := range r.Executions {
		k := workKey{x.Origin, x.Algorithm}
		e.executed[k] = append(e.executed[k], x)
	}
	for _, f := range r.Faults {
		if f.Action == Kill || f.Action == Stop {
			e.downs[f.Target] = append(e.downs[f.Target], f)
		}
	}
	e.known = e.knownSettled()
	return e
}

// runs are all runs of the ledger with their windows, by position: a result that is wrong makes those wrong that look
// back at it, and the first one tells most.
func (e *evidence) runs(yield func(*Window, *LedgerRun) bool) {
	type place struct {
		window *Window
		run    *LedgerRun
	}
	var places []place
	for i := range e.Windows {
		w := &e.Windows[i]
		for k := range w.Runs {
			places = append(places, place{w, &w.Runs[k]})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.run.Position, b.run.Position) })
	for _, p := range places {
		if !yield(p.window, p.run) {
			return
		}
	}
}

// run returns a run of a window, or nil.
func (w *Window) run(revision int) *LedgerRun {
	if w == nil || revision < 1 || revision > len(w.Runs) {
		return nil
	}
	return &w.Runs[revision-1]
}

// answeredIsThere: what was answered is in the ledger, from then on, and as it was emitted.
func answeredIsThere(e *evidence) (defects []string) {
	for _, d := range e.Denials {
		defects = append(defects, fmt.Sprintf("window %s had been answered and was not there at %v", d.WindowID, d.Seen))
	}
	for _, x := range e.Emits {
		if x.WindowID == "" {
			continue
		}
		w := e.byID[x.WindowID]
		switch {
		case w == nil:
			defects = append(defects, fmt.Sprintf("%s was answered with window %s at %v, and the ledger has no such window", x.Origin, x.WindowID, x.Ended))
		case w.Origin != x.Origin:
			defects = append(defects, fmt.Sprintf("%s was answered with window %s, which is that of %s", x.Origin, x.WindowID, w.Origin))
		case !x.Triggered:
			defects = append(defects, fmt.Sprintf("%s was answered without anything being triggered", x.Origin))
		}
	}
	return defects
}

// emittedOnce: each window is in the ledger once at most, all answers about it name the same id, and the ledger has
// nothing that was not emitted.
func emittedOnce(e *evidence) (defects []string) {
	for _, origin := range sorted(e.emits) {
		ids := map[string]bool{}
		for _, x := range e.emits[origin] {
			if x.WindowID != "" {
				ids[x.WindowID] = true
			}
		}
		if len(ids) > 1 {
			defects = append(defects, fmt.Sprintf("%s was answered with different windows: %v", origin, sorted(ids)))
		}
		if n := len(e.byOrigin[origin]); n > 1 {
			defects = append(defects, fmt.Sprintf("%s is in the ledger %d times", origin, n))
		}
	}
	for _, w := range e.Windows {
		emits := e.emits[w.Origin]
		if len(emits) == 0 || w.N != emits[0].N || w.Type != TypeOf(w.N) {
			defects = append(defects, fmt.Sprintf("window %s of %s, a %s with number %d, is none that was emitted", w.ID, w.Origin, w.Type, w.N))
		}
	}
	return defects
}

// positionsInOrder: positions are unique, and a window that was answered before another one was first emitted has the
// lower one.
func positionsInOrder(e *evidence) (defects []string) {
	type span struct {
		window          *Window
		begun, answered Instant
	}
	taken := map[int64]string{}
	var spans []span
	for i := range e.Windows {
		w := &e.Windows[i]
		for _, run := range w.Runs {
			if other, ok := taken[run.Position]; ok {
				defects = append(defects, fmt.Sprintf("runs of the windows %s and %s have the same position %d", other, w.ID, run.Position))
			}
			taken[run.Position] = w.ID
		}
		s := span{window: w, begun: Instant(1<<63 - 1), answered: Instant(1<<63 - 1)}
		for _, x := range e.emits[w.Origin] {
			s.begun = min(s.begun, x.Begun)
			if x.WindowID != "" {
				s.answered = min(s.answered, x.Ended)
			}
		}
		spans = append(spans, s)
	}
	byBegin := slices.SortedFunc(slices.Values(spans), func(a, b span) int { return cmp.Compare(a.begun, b.begun) })
	byAnswer := slices.SortedFunc(slices.Values(spans), func(a, b span) int { return cmp.Compare(a.answered, b.answered) })
	highest := span{window: &Window{Runs: []LedgerRun{{}}}}
	for _, s := range byBegin {
		for ; byAnswer[0].answered < s.begun; byAnswer = byAnswer[1:] { // it ends at s at the latest
			if byAnswer[0].window.Runs[0].Position > highest.window.Runs[0].Position {
				highest = byAnswer[0]
			}
		}
		if s.window.Runs[0].Position < highest.window.Runs[0].Position {
			defects = append(defects, fmt.Sprintf("%s was answered before %s was emitted, and has the higher position: %d and %d",
				highest.window.Origin, s.window.Origin, highest.window.Runs[0].Position, s.window.Runs[0].Position))
		}
	}
	return defects
}

// rerunAsAsked: a window has no run that nobody asked for, and each that was answered is there as it was answered. What
// a cancel was answered with is how its run ended.
func rerunAsAsked(e *evidence) (defects []string) {
	for w, run := range e.runs {
		asked := slices.ContainsFunc(e.reruns[w.ID], func(a Ask) bool {
			return a.Verb == run.Kind && (a.Position == run.Position || a.Err != "")
		})
		if run.Revision > 1 && !asked || run.Revision == 1 && run.Kind != "" {
			defects = append(defects, fmt.Sprintf("run %d of window %s (%s) is a %s that nobody asked for", run.Revision, w.ID, w.Origin, run.Kind))
		}
	}
	for _, w := range e.Windows {
		if n := len(e.reruns[w.ID]); len(w.Runs) > n+1 {
			defects = append(defects, fmt.Sprintf("window %s (%s) has %d runs, and was asked for %d more than the first", w.ID, w.Origin, len(w.Runs), n))
		}
	}
	for _, a := range e.Asks {
		run := e.byID[a.WindowID].run(a.Revision)
		switch {
		case a.Err != "":
		case run == nil || run.Position != a.Position:
			defects = append(defects, fmt.Sprintf("the %s of window %s was answered with run %d at position %d, which is not there", a.Verb, a.WindowID, a.Revision, a.Position))
		case a.Verb == Cancel && a.State != RunOpen && a.State != run.State:
			defects = append(defects, fmt.Sprintf("the cancel of window %s was answered with a run that is %s, and it is %s", a.WindowID, a.State, run.State))
		}
	}
	return defects
}

// finishedAsExpected: every run is finished, and has the outcomes and values that follow from the order of the runs.
func finishedAsExpected(e *evidence) (defects []string) {
	for w, run := range e.runs {
		model := e.model[run.Position]
		if want := stateOf(model); run.State != want {
			defects = append(defects, fmt.Sprintf("run %d of window %s (%s) is %s, want %s", run.Revision, w.ID, w.Origin, run.State, want))
		}
		for id := range run.Nodes {
			if _, ok := model.Outcomes[nameOf(id)]; !ok {
				defects = append(defects, fmt.Sprintf("%v ran for window %s (%s), and is of another type", id, w.ID, w.Origin))
			}
		}
		for _, a := range Work {
			o, ok := model.Outcomes[nameOf(a.ID)]
			want := resultOf(o)
			if got := run.Nodes[a.ID]; ok && got.Result != want {
				defects = append(defects, fmt.Sprintf("%v in run %d of window %s (%s) is %v (%s), want %v", a.ID, run.Revision, w.ID, w.Origin, got.Result, got.Reason, want))
			}
		}
	}
	return defects
}

// oneOutcome: each algorithm has one outcome in a run, whichever way the ledger is read.
func oneOutcome(e *evidence) (defects []string) {
	type key struct {
		position  int64
		algorithm ID
	}
	rows := map[key]ResultRow{}
	for _, row := range e.Results {
		k := key{row.Position, row.Algorithm}
		if _, twice := rows[k]; twice {
			defects = append(defects, fmt.Sprintf("%v of window %s has two outcomes at position %d", row.Algorithm, row.WindowID, row.Position))
		}
		rows[k] = row
	}
	for w, run := range e.runs {
		for _, a := range Work {
			node, has := run.Nodes[a.ID]
			row, listed := rows[key{run.Position, a.ID}]
			delete(rows, key{run.Position, a.ID})
			if has != listed || row.Settled != node || has && row.WindowID != w.ID {
				defects = append(defects, fmt.Sprintf("%v in run %d of window %s (%s) is %v, and among the results of the algorithm %v",
					a.ID, run.Revision, w.ID, w.Origin, node, row))
			}
		}
	}
	for _, row := range e.Results {
		if _, left := rows[key{row.Position, row.Algorithm}]; left {
			defects = append(defects, fmt.Sprintf("the result of %v of window %s at position %d is of no run", row.Algorithm, row.WindowID, row.Position))
		}
	}
	return defects
}

// neverChanged: what the core once said of a settled node is what it says in the end.
func neverChanged(e *evidence) (defects []string) {
	for _, s := range e.Sightings {
		w := e.byID[s.WindowID]
		run := w.run(s.Revision)
		switch {
		case s.Settled.Outcome == Open:
			defects = append(defects, fmt.Sprintf("%v of window %s was told as settled and is open", s.Algorithm, s.WindowID))
		case run == nil:
			defects = append(defects, fmt.Sprintf("run %d of window %s was seen at %v, and the ledger has no such run", s.Revision, s.WindowID, s.Seen))
		case run.Nodes[s.Algorithm] != s.Settled:
			defects = append(defects, fmt.Sprintf("%v in run %d of window %s (%s) was %v at %v and is %v",
				s.Algorithm, s.Revision, s.WindowID, w.Origin, s.Settled, s.Seen, run.Nodes[s.Algorithm]))
		}
	}
	return defects
}

// resultsComeFromSomewhere: what has a result of its own was executed before it was settled.
func resultsComeFromSomewhere(e *evidence) (defects []string) {
	for w, run := range e.runs {
		for _, a := range Work {
			node, ok := run.Nodes[a.ID]
			if ok && node.Own && node.ProducedAt == run.Position && !e.computed(w, run, a.ID, node.At) {
				defects = append(defects, fmt.Sprintf("%v in run %d of window %s (%s) is %v since %v, and no processor had a result by then",
					a.ID, run.Revision, w.ID, w.Origin, node.Result, node.At))
			}
		}
	}
	return defects
}

// stoppedInOrder: a process that is asked to stop ends with exit code 0.
func stoppedInOrder(e *evidence) (defects []string) {
	for _, f := range e.Faults {
		if f.Action == Stop && f.Code != 0 {
			defects = append(defects, fmt.Sprintf("%s was asked to stop at %v and ended with exit code %d", f.Target, f.At, f.Code))
		}
	}
	return defects
}

// nothingLeaked: metadata that is not stored is in no file of a store whose runs have all ended.
func nothingLeaked(e *evidence) (defects []string) {
	for _, path := range e.Leaks {
		defects = append(defects, fmt.Sprintf("%s has metadata that is not to be stored", path))
	}
	for _, path := range e.Unscrubbed {
		defects = append(defects, fmt.Sprintf("%s has metadata that is not to be stored, a minute after the last run had ended", path))
	}
	return defects
}

// sorted are the keys of a map, so that what is said does not depend on its order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
