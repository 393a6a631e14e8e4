package torture

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// tolerance is how late a request may arrive that was sent in time: long after the longest pause of a processor.
const tolerance = Instant(10 * time.Second)

// executedAsItMay: whatever a processor executed, it did in some run of the window in which that could be: one that had
// begun, in which the node was not known to be settled, after all that the node needs, and with exactly the rows that it
// has to be given there. A window that never ran again has one run, so that nothing is left open.
func executedAsItMay(e *evidence) (defects []string) {
	for _, x := range e.Executions {
		a, known := algorithm(x.Algorithm)
		windows := e.byOrigin[x.Origin]
		switch {
		case !known:
			defects = append(defects, fmt.Sprintf("%v was executed for %s and is unknown", x.Algorithm, x.Origin))
			continue
		case len(windows) == 0:
			defects = append(defects, fmt.Sprintf("%v was executed for %s, which the ledger does not have", x.Algorithm, x.Origin))
			continue
		case windows[0].N != x.N:
			defects = append(defects, fmt.Sprintf("%v was executed for %s with number %d, which has number %d", x.Algorithm, x.Origin, x.N, windows[0].N))
			continue
		}
		var reasons []string
		for i := range windows[0].Runs {
			run := &windows[0].Runs[i]
			reason := e.mayNot(x, a, windows[0], run)
			if reason == "" {
				reasons = nil
				break
			}
			reasons = append(reasons, fmt.Sprintf("in run %d %s", run.Revision, reason))
		}
		if reasons != nil {
			defects = append(defects, fmt.Sprintf("%v of %s, begun at %v in %s over a connection of %v: %s",
				a.ID, x.Origin, x.Begun, x.Process, x.Connected, strings.Join(reasons, "; ")))
		}
	}
	return defects
}

// mayNot says why an execution cannot have been in a run, or nothing.
func (e *evidence) mayNot(x Execution, a Algorithm, w *Window, run *LedgerRun) string {
	node, has := run.Nodes[a.ID]
	at, known := e.known[nodeKey{w.ID, run.Revision, a.ID}]
	switch {
	case x.Begun < e.mayBegin(w, run.Revision):
		return "it was before anybody had asked for the run"
	case !has || node.Outcome == Skipped:
		return fmt.Sprintf("it is %q", node.Outcome)
	case node.ProducedAt != run.Position:
		return "its result was kept from an earlier run"
	case known && (x.Connected > at || x.Begun > at+tolerance):
		return fmt.Sprintf("it was known to be settled at %v", at)
	}
	model := e.model[run.Position].Given[nameOf(a.ID)]
	if model == nil {
		return "it lacks what it needs"
	}
	if want := givenOf(model); !x.Given.equal(want) {
		return fmt.Sprintf("it was given %v, want %v", x.Given, want)
	}
	for _, need := range a.Needs {
		before, ok := run.Nodes[need.ID]
		switch {
		case !ok || before.ProducedAt != run.Position: // of another window type, or kept
		case before.At > x.Begun:
			return fmt.Sprintf("it began before %v was settled at %v", need.ID, before.At)
		case !e.computed(w, run, need.ID, x.Begun):
			return fmt.Sprintf("it began before %v had a result", need.ID)
		}
	}
	return ""
}

// mayBegin is the earliest moment at which a run can have begun: that at which so many had been asked for.
func (e *evidence) mayBegin(w *Window, revision int) Instant {
	switch asked := e.reruns[w.ID]; {
	case revision == 1:
		return 0
	case revision-2 < len(asked):
		return asked[revision-2].Begun
	}
	return math.MaxInt64
}

// computed reports whether an execution that may be of a run had a result at some moment.
func (e *evidence) computed(w *Window, run *LedgerRun, id ID, at Instant) bool {
	begun := e.mayBegin(w, run.Revision)
	return slices.ContainsFunc(e.executed[workKey{w.Origin, id}], func(x Execution) bool {
		return x.Begun >= begun && x.Ended != 0 && x.Ended <= at
	})
}

// knownSettled is since when it is known that an outcome is durable: when somebody was first told of it, when a
// dependent first ran, or when the core that had asked for it was stopped in order.
func (e *evidence) knownSettled() map[nodeKey]Instant {
	known := map[nodeKey]Instant{}
	learn := func(k nodeKey, at Instant) {
		if before, ok := known[k]; !ok || at < before {
			known[k] = at
		}
	}
	for _, s := range e.Sightings {
		learn(nodeKey{s.WindowID, s.Revision, s.Algorithm}, s.Seen)
	}
	for _, x := range e.Executions {
		w, ok := e.inFirst(x)
		if !ok {
			continue
		}
		a, _ := algorithm(x.Algorithm)
		for _, need := range a.Needs {
			if TypeOf(x.N) == typeOf(need.ID) {
				learn(nodeKey{w.ID, 1, need.ID}, x.Begun)
			}
		}
		if at, ok := e.drained(x, a); ok {
			learn(nodeKey{w.ID, 1, x.Algorithm}, at)
		}
	}
	return known
}

// inFirst returns the window of an execution that can only be of the first run.
func (e *evidence) inFirst(x Execution) (*Window, bool) {
	windows := e.byOrigin[x.Origin]
	if len(windows) != 1 {
		return nil, false
	}
	return windows[0], x.Begun < e.mayBegin(windows[0], 2)
}

func typeOf(id ID) string {
	a, _ := algorithm(id)
	return a.WindowType
}

// drained is when the core that had asked for an execution was stopped in order, which waits for all that is under way.
// It says nothing of one whose processor was killed meanwhile, or its network or the core's disk failed, nor of what
// broke, since that is tried again.
func (e *evidence) drained(x Execution, a Algorithm) (at Instant, ok bool) {
	down := after(e.downs[coreName], x.Connected)
	if down == nil || down.Action != Stop || down.Code != 0 || x.Begun > down.Done || a.Do(x.N, x.Given).Outcome == UnhandledFailed {
		return 0, false
	}
	if e.troubled(x.Begun, down.Done, networkOf(unitOf(x.Process)), "disk", "disk-errors") {
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
