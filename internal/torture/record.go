package torture

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	// Asks are all retries, reprocesses and cancels, in no order.
	Asks []Ask
	// Windows are the ledger after everything had finished.
	Windows []Window
	// Results are the same ledger, read by algorithm.
	Results []ResultRow
	// Probes are in the order in which they were made.
	Probes []Probe
	// Unscrubbed are the files of the store that had what is not to be stored a minute after the last run had ended.
	Unscrubbed []string
	// Leaks are the files of the store that have what is not to be stored, after the core was stopped.
	Leaks []string
	// Faults are in the order in which they befell each process.
	Faults []Fault
	Took   time.Duration
	// Finished is how long what was open took after the last fault.
	Finished time.Duration
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

// Verb is what is asked of a window.
type Verb string

// The verbs.
const (
	Retry     Verb = "retry"
	Reprocess Verb = "reprocess"
	Cancel    Verb = "cancel"
)

// Ask is one request to run a window again, or to cancel its run, as whoever asked saw it.
type Ask struct {
	Verb     Verb
	WindowID string
	Begun    Instant
	Ended    Instant
	// Revision and Position are those of the run that it was answered with; 0 when it was refused or not answered.
	Revision int
	Position int64
	// State is how a cancelled run stood then.
	State RunState
	Err   string
}

// Settled is what the ledger says of a node.
type Settled struct {
	Result
	// Own says that a processor sent it.
	Own      bool
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
	Revision  int
	Algorithm ID
	Settled   Settled
}

// Denial is that the core said at some time that it does not have a window.
type Denial struct {
	Seen     Instant
	WindowID string
}

// Window is a window of the ledger.
type Window struct {
	ID     string
	Origin string
	Type   string
	N      int64
	Runs   []LedgerRun // by revision
}

// LedgerRun is one run of a window.
type LedgerRun struct {
	Position int64
	Revision int
	// Kind is how it came about; empty for the emit.
	Kind  Verb
	State RunState
	Nodes map[ID]Settled
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
	done, cores, asked := map[Action]int{}, map[Action]int{}, map[Verb]int{}
	for _, f := range r.Faults {
		done[f.Action]++
		if isCore(f.Target) {
			cores[f.Action]++
		}
	}
	for _, a := range r.Asks {
		if a.Err == "" {
			asked[a.Verb]++
		}
	}
	answered := map[string]bool{}
	for _, e := range r.Emits {
		if e.WindowID != "" {
			answered[e.Origin] = true
		}
	}
	rows := 0
	for _, x := range r.Executions {
		rows += len(strings.Fields(strings.Join(x.Past, " ")))
	}
	unready, refused, lost := 0, 0, 0
	for _, row := range r.Results {
		if gaveUp(row.Settled) {
			lost++
		}
	}
	for _, p := range r.Probes {
		if p.Before.Code == http.StatusServiceUnavailable {
			unready++
		}
		if p.Refused != "" {
			refused++
		}
	}
	text := fmt.Sprintf("%v, of these %v after the last fault: %d emits, %d windows answered, %d in the ledger, %d retried, %d reprocessed, %d cancelled, "+
		"%d executions given %d past rows, %d outcomes, %d of them attempts used up, %d seen settling; %d probes, %d found the core not ready and %d were refused; "+
		"the core was killed %d times, stopped %d, paused %d; processors were killed %d times, stopped %d, paused %d, moved %d",
		r.Took.Round(time.Second), r.Finished.Round(100*time.Millisecond), len(r.Emits), len(answered), len(r.Windows), asked[Retry], asked[Reprocess], asked[Cancel],
		len(r.Executions), rows, len(r.Results), lost, len(r.Sightings), len(r.Probes), unready, refused, cores[Kill], cores[Stop], cores[Pause],
		done[Kill]-cores[Kill], done[Stop]-cores[Stop], done[Pause]-cores[Pause], done[Move])
	for _, action := range slices.Sorted(maps.Keys(done)) {
		if !slices.Contains([]Action{Kill, Stop, Pause, Resume, Start, Move, Mended}, action) {
			text += fmt.Sprintf("; %s %d times", action, done[action])
		}
	}
	return text
}
