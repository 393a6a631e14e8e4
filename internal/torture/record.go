package torture

import (
	"fmt"
	"time"
)

// Record is everything that was seen of a session from outside.
type Record struct {
	Emits      []Emit
	Executions []Execution
	// Sightings are what the core said of settled nodes while the session went on. What was said again the same way
	// is there once, at the first time.
	Sightings []Sighting
	// Denials are when the core said that there is no such window, of windows that it had answered with.
	Denials []Denial
	// Windows are the ledger after everything had finished.
	Windows []Window
	// Results are the same ledger, read by algorithm.
	Results []ResultRow
	// Faults are in the order in which they befell each process.
	Faults []Fault
	Took   time.Duration
}

// Emitter is a way of emitting.
type Emitter string

// The emitters.
const (
	Fresh Emitter = "fresh" // the SDK with its own keys, which tries on for long
	Keyed Emitter = "keyed" // the SDK with a key per window, which gives up early and emits again, also when answered
	Bare  Emitter = "bare"  // one call without a key
)

// Emit is one attempt to emit the window with number N, as its emitter saw it.
type Emit struct {
	Emitter Emitter
	// Origin tells the windows of a session apart.
	Origin string
	N      int64
	Begun  Instant
	Ended  Instant
	// WindowID is the answer. It is empty when there was none; Err then says why.
	WindowID string
	// Triggered says that the answer was that the processing has begun.
	Triggered bool
	Err       string
}

// RunState is how a run stands.
type RunState string

// The states.
const (
	RunOpen       RunState = "open"
	RunSucceeded  RunState = "succeeded"
	RunFailed     RunState = "failed"
	RunIncomplete RunState = "incomplete"
	RunCancelled  RunState = "cancelled"
)

// Settled is what the ledger says of a node.
type Settled struct {
	Result
	Reason   string
	Attempts int
	At       Instant
	// ProducedAt is the position of the run in which it came about.
	ProducedAt int64
}

// Sighting is that the core said at some time that a node is settled.
type Sighting struct {
	Seen      Instant // after the answer had arrived
	WindowID  string
	Algorithm ID
	Settled   Settled
}

// Denial is that the core said at some time that it does not have a window.
type Denial struct {
	Seen     Instant
	WindowID string
}

// Window is a window of the ledger with its newest run.
type Window struct {
	ID       string
	Origin   string
	Type     string
	N        int64
	Position int64
	Revision int
	State    RunState
	Nodes    map[ID]Settled
}

// ResultRow is one outcome of an algorithm.
type ResultRow struct {
	WindowID  string
	Position  int64
	Algorithm ID
	Settled   Settled
}

// Fault is something that was done to a process.
type Fault struct {
	At     Instant // before it was done
	Done   Instant // after it was done
	Target string
	Action Action
	// Code is the exit code of a process that was asked to stop.
	Code int
}

// Summary says in a few words what happened.
func (r *Record) Summary() string {
	done := map[Action]int{}
	cores := map[Action]int{}
	for _, f := range r.Faults {
		done[f.Action]++
		if f.Target == coreName {
			cores[f.Action]++
		}
	}
	answered := map[string]bool{}
	for _, e := range r.Emits {
		if e.WindowID != "" {
			answered[e.Origin] = true
		}
	}
	return fmt.Sprintf("%v: %d emits, %d windows answered, %d in the ledger, %d executions, %d outcomes, %d seen settling; "+
		"the core was killed %d times, stopped %d, paused %d; processors were killed %d times, stopped %d, paused %d, moved %d",
		r.Took.Round(time.Second), len(r.Emits), len(answered), len(r.Windows), len(r.Executions), len(r.Results), len(r.Sightings),
		cores[Kill], cores[Stop], cores[Pause],
		done[Kill]-cores[Kill], done[Stop]-cores[Stop], done[Pause]-cores[Pause], done[Move])
}
