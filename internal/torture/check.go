package torture

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Check returns everything that a session shows to be wrong, each in a sentence, in an order that depends on the record
// alone; nothing when all is well.
func Check(r *Record) []string {
	e := gather(r)
	var defects []string
	for _, rule := range []func(*evidence) []string{
		answeredIsThere, emittedOnce, positionsInOrder, finishedAsExpected, oneOutcome, neverChanged,
		executedWhatIsStored, settledNeverAgain, dependenciesFirst, resultsComeFromSomewhere, stoppedInOrder,
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
	executed map[workKey][]Execution
	downs    map[string][]Fault // what ended processes, by unit and in order
}

// workKey is an algorithm of the window with an origin.
type workKey struct {
	origin    string
	algorithm ID
}

func gather(r *Record) *evidence {
	e := &evidence{
		Record: r, byID: map[string]*Window{}, byOrigin: map[string][]*Window{}, emits: map[string][]Emit{},
		executed: map[workKey][]Execution{}, downs: map[string][]Fault{},
	}
	for i := range r.Windows {
		w := &r.Windows[i]
		e.byID[w.ID] = w
		e.byOrigin[w.Origin] = append(e.byOrigin[w.Origin], w)
	}
	for _, x := range r.Emits {
		e.emits[x.Origin] = append(e.emits[x.Origin], x)
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
	return e
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
		if other, ok := taken[w.Position]; ok {
			defects = append(defects, fmt.Sprintf("windows %s and %s have the same position %d", other, w.ID, w.Position))
		}
		taken[w.Position] = w.ID
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
	highest := span{window: &Window{}}
	for _, s := range byBegin {
		for ; byAnswer[0].answered < s.begun; byAnswer = byAnswer[1:] { // it ends at s at the latest
			if byAnswer[0].window.Position > highest.window.Position {
				highest = byAnswer[0]
			}
		}
		if s.window.Position < highest.window.Position {
			defects = append(defects, fmt.Sprintf("%s was answered before %s was emitted, and has the higher position: %d and %d",
				highest.window.Origin, s.window.Origin, highest.window.Position, s.window.Position))
		}
	}
	return defects
}

// finishedAsExpected: every run is finished, and has the outcomes and values that follow from its window.
func finishedAsExpected(e *evidence) (defects []string) {
	for _, w := range e.Windows {
		expected := Expect(w.N)
		if want := stateOf(expected); w.State != want || w.Revision != 1 {
			defects = append(defects, fmt.Sprintf("run %d of window %s (%s) is %s, want run 1 and %s", w.Revision, w.ID, w.Origin, w.State, want))
		}
		for id := range w.Nodes {
			if _, ok := expected[id]; !ok {
				defects = append(defects, fmt.Sprintf("%v ran for window %s (%s), and is of another type", id, w.ID, w.Origin))
			}
		}
		for _, a := range Work {
			want, ok := expected[a.ID]
			if got := w.Nodes[a.ID]; ok && got.Result != want {
				defects = append(defects, fmt.Sprintf("%v of window %s (%s) is %v (%s), want %v", a.ID, w.ID, w.Origin, got.Result, got.Reason, want))
			}
		}
	}
	return defects
}

// oneOutcome: each algorithm has one outcome in a run, whichever way the ledger is read.
func oneOutcome(e *evidence) (defects []string) {
	rows := map[nodeKey]int{}
	for _, row := range e.Results {
		key := nodeKey{row.WindowID, row.Algorithm}
		if rows[key]++; rows[key] == 2 {
			defects = append(defects, fmt.Sprintf("%v of window %s has two outcomes", row.Algorithm, row.WindowID))
		}
		w := e.byID[row.WindowID]
		if w == nil || w.Position != row.Position || w.Nodes[row.Algorithm] != row.Settled {
			defects = append(defects, fmt.Sprintf("the result of %v of window %s at position %d is not what its run says: %v", row.Algorithm, row.WindowID, row.Position, row.Settled))
		}
	}
	for _, w := range e.Windows {
		for _, a := range Work {
			if _, ok := w.Nodes[a.ID]; ok && rows[nodeKey{w.ID, a.ID}] == 0 {
				defects = append(defects, fmt.Sprintf("%v of window %s is missing in the results of the algorithm", a.ID, w.ID))
			}
		}
	}
	return defects
}

// neverChanged: what the core once said of a settled node is what it says in the end.
func neverChanged(e *evidence) (defects []string) {
	for _, s := range e.Sightings {
		w := e.byID[s.WindowID]
		switch {
		case s.Settled.Outcome == Open:
			defects = append(defects, fmt.Sprintf("%v of window %s was told as settled and is open", s.Algorithm, s.WindowID))
		case w == nil:
			defects = append(defects, fmt.Sprintf("window %s was seen at %v, and the ledger has no such window", s.WindowID, s.Seen))
		case w.Nodes[s.Algorithm] != s.Settled:
			defects = append(defects, fmt.Sprintf("%v of window %s (%s) was %v at %v and is %v", s.Algorithm, s.WindowID, w.Origin, s.Settled, s.Seen, w.Nodes[s.Algorithm]))
		}
	}
	return defects
}

// executedWhatIsStored: only windows of the ledger are executed, and only what is not skipped.
func executedWhatIsStored(e *evidence) (defects []string) {
	for _, x := range e.Executions {
		windows := e.byOrigin[x.Origin]
		switch {
		case len(windows) == 0:
			defects = append(defects, fmt.Sprintf("%v was executed for %s, which the ledger does not have", x.Algorithm, x.Origin))
		case windows[0].N != x.N:
			defects = append(defects, fmt.Sprintf("%v was executed for %s with number %d, which has number %d", x.Algorithm, x.Origin, x.N, windows[0].N))
		case windows[0].Nodes[x.Algorithm].Outcome == Skipped:
			defects = append(defects, fmt.Sprintf("%v was executed for %s, and is skipped", x.Algorithm, x.Origin))
		}
	}
	return defects
}

// tolerance is how late a request may arrive that was sent in time: long after the longest pause of a processor.
const tolerance = Instant(10 * time.Second)

// settledNeverAgain: nothing is executed that is known to be settled. A request over a connection that came about
// later is wrong in any case; over an older one it may have been under way.
func settledNeverAgain(e *evidence) (defects []string) {
	known := e.knownSettled()
	for _, x := range e.Executions {
		at, ok := known[workKey{x.Origin, x.Algorithm}]
		if ok && (x.Connected > at || x.Begun > at+tolerance) {
			defects = append(defects, fmt.Sprintf("%v of %s was known to be settled at %v, and ran again at %v in %s, over a connection of %v",
				x.Algorithm, x.Origin, at, x.Begun, x.Process, x.Connected))
		}
	}
	return defects
}

// knownSettled is since when it is known that an outcome is durable: when somebody was first told of it, when a
// dependent first ran, or when the core that had asked for it was stopped in order.
func (e *evidence) knownSettled() map[workKey]Instant {
	known := map[workKey]Instant{}
	learn := func(k workKey, at Instant) {
		if before, ok := known[k]; !ok || at < before {
			known[k] = at
		}
	}
	for _, s := range e.Sightings {
		if w := e.byID[s.WindowID]; w != nil {
			learn(workKey{w.Origin, s.Algorithm}, s.Seen)
		}
	}
	for _, x := range e.Executions {
		a, _ := algorithm(x.Algorithm)
		for _, id := range a.Needs {
			learn(workKey{x.Origin, id}, x.Begun)
		}
		if at, ok := e.drained(x, a); ok {
			learn(workKey{x.Origin, x.Algorithm}, at)
		}
	}
	return known
}

// drained is when the core that had asked for an execution was stopped in order, which waits for all that is under way.
// It says nothing of one whose processor was killed meanwhile, nor of what broke, since that is tried again.
func (e *evidence) drained(x Execution, a Algorithm) (at Instant, ok bool) {
	down := after(e.downs[coreName], x.Connected)
	if down == nil || down.Action != Stop || down.Code != 0 || x.Begun > down.Done || a.Do(x.N, x.Inputs).Outcome == UnhandledFailed {
		return 0, false
	}
	end := after(e.downs[unitOf(x.Process)], x.Begun)
	return down.Done, end == nil || end.Action == Stop || end.At > down.Done
}

// after returns the first of some faults, given in their order, that was not over at a moment.
func after(faults []Fault, at Instant) *Fault {
	i, _ := slices.BinarySearchFunc(faults, at, func(f Fault, at Instant) int { return cmp.Compare(f.Done, at) })
	if i == len(faults) {
		return nil
	}
	return &faults[i]
}

// dependenciesFirst: an algorithm runs after what it needs has been executed and settled, and is given those results.
func dependenciesFirst(e *evidence) (defects []string) {
	for _, x := range e.Executions {
		a, ok := algorithm(x.Algorithm)
		if !ok {
			defects = append(defects, fmt.Sprintf("%v was executed for %s and is unknown", x.Algorithm, x.Origin))
			continue
		}
		if want, _ := values(Expect(x.N), a.Needs); !slices.Equal(x.Inputs, want) {
			defects = append(defects, fmt.Sprintf("%v of %s was given %v, want %v", a.ID, x.Origin, x.Inputs, want))
		}
		for _, id := range a.Needs {
			if !e.computedBy(workKey{x.Origin, id}, x.Begun) {
				defects = append(defects, fmt.Sprintf("%v of %s began at %v, before %v had a result", a.ID, x.Origin, x.Begun, id))
			}
			if windows := e.byOrigin[x.Origin]; len(windows) > 0 && windows[0].Nodes[id].At > x.Begun {
				defects = append(defects, fmt.Sprintf("%v of %s began at %v, before %v was settled at %v", a.ID, x.Origin, x.Begun, id, windows[0].Nodes[id].At))
			}
		}
	}
	return defects
}

// computedBy reports whether an execution had a result at that moment.
func (e *evidence) computedBy(k workKey, at Instant) bool {
	return slices.ContainsFunc(e.executed[k], func(x Execution) bool { return x.Ended != 0 && x.Ended <= at })
}

// resultsComeFromSomewhere: what has a result of its own was executed before it was settled.
func resultsComeFromSomewhere(e *evidence) (defects []string) {
	for _, w := range e.Windows {
		for _, a := range Work {
			node, ok := w.Nodes[a.ID]
			if ok && node.Outcome != Skipped && !e.computedBy(workKey{w.Origin, a.ID}, node.At) {
				defects = append(defects, fmt.Sprintf("%v of window %s (%s) is %v since %v, and no processor had a result by then", a.ID, w.ID, w.Origin, node.Result, node.At))
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

// sorted are the keys of a map, so that what is said does not depend on its order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
