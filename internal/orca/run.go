package orca

import "fmt"

// RunState is where a run stands; the numbers are stored and never renumbered.
type RunState uint8

// The states. All but RunOpen are final.
const (
	RunOpen RunState = iota
	// RunSucceeded: every node succeeded, of which there may be none.
	RunSucceeded
	// RunFailed: a node failed.
	RunFailed
	// RunIncomplete: no node failed, some were skipped.
	RunIncomplete
	RunCancelled
)

func (s RunState) String() string {
	switch s {
	case RunOpen:
		return "open"
	case RunSucceeded:
		return "succeeded"
	case RunFailed:
		return "failed"
	case RunIncomplete:
		return "incomplete"
	case RunCancelled:
		return "cancelled"
	}
	return fmt.Sprintf("run state %d", uint8(s))
}

// RunKind is why a run was made; the numbers are stored and never renumbered.
type RunKind uint8

// The kinds of run.
const (
	RunEmit RunKind = iota + 1
	RunRetry
	RunReprocess
)

func (k RunKind) String() string {
	switch k {
	case RunEmit:
		return "emit"
	case RunRetry:
		return "retry"
	case RunReprocess:
		return "reprocess"
	}
	return fmt.Sprintf("run kind %d", uint8(k))
}

// OutcomeKind is how a node settled; the numbers are stored and never renumbered.
type OutcomeKind uint8

// The outcomes. The zero value is no outcome.
const (
	Succeeded OutcomeKind = iota + 1
	HandledFailed
	UnhandledFailed
	Skipped
	Cancelled
)

func (k OutcomeKind) String() string {
	switch k {
	case Succeeded:
		return "succeeded"
	case HandledFailed:
		return "handled-failed"
	case UnhandledFailed:
		return "unhandled-failed"
	case Skipped:
		return "skipped"
	case Cancelled:
		return "cancelled"
	}
	return fmt.Sprintf("outcome %d", uint8(k))
}

// Failed reports whether the algorithm itself failed.
func (k OutcomeKind) Failed() bool { return k == HandledFailed || k == UnhandledFailed }

// ResultStatus is what a processor says of a result; the numbers are those of the contract.
type ResultStatus uint8

// The statuses.
const (
	StatusHandledFailed ResultStatus = iota
	StatusUnhandledFailed
	StatusSucceeded
)

// Result is what a processor sent for one algorithm.
type Result struct {
	Status ResultStatus
	// Type is the kind of data that is there: ResultNone when there is none.
	Type ResultType
	// Timestamp is the processor's, in seconds since the epoch by convention.
	Timestamp int64
	// Encoded is the contract's Result message, spliced into later requests as it is.
	Encoded []byte
	// Value is the single value of a ResultValue, for queries by people.
	Value float64
	// JSON shows array and struct data to people, and is empty for other data and for data above 64 KiB.
	JSON string
	// Error shows the error details of a failure to people, as JSON; empty when there are none.
	Error string
	// Failure is what the details say in words: their message if they have one, else the same as Error.
	Failure string
}

// Outcome is how one node of a run settled. It never changes.
type Outcome struct {
	Algorithm AlgorithmID
	Kind      OutcomeKind
	// Reason says why it failed, was skipped or was cancelled; empty for a success.
	Reason string
	// Result is what the processor sent; nil where nothing was sent, and in listings that leave results out.
	Result *Result
	// Attempts that were counted.
	Attempts  int
	SettledAt Time
	// ProducedAt is the run in which the algorithm ran: another one than the outcome's own when a retry kept it. In a
	// Settlement and an Emission zero means the run itself.
	ProducedAt Position
}

// Settlement records outcomes of one run, and its end when they were the last.
type Settlement struct {
	Position Position
	Outcomes []Outcome
	// End is the final state when every node is settled with these outcomes, else RunOpen.
	End RunState
	At  Time
	// Patient: nothing is known to wait for it, so that it may share the commit of what comes a moment later.
	Patient bool
}

// EndOf returns the final state of a run whose nodes settled with the given kinds.
func EndOf(kinds []OutcomeKind) RunState {
	end := RunSucceeded
	for _, k := range kinds {
		switch k {
		case Succeeded:
		case HandledFailed, UnhandledFailed:
			if end != RunCancelled {
				end = RunFailed
			}
		case Skipped:
			if end == RunSucceeded {
				end = RunIncomplete
			}
		case Cancelled:
			end = RunCancelled
		default:
			panic(fmt.Sprintf("run ended with an open node (%v)", k))
		}
	}
	return end
}

// Run is one processing of one window, as the ledger has it.
type Run struct {
	Position   Position
	Window     WindowID
	Revision   int
	Kind       RunKind
	Plan       PlanHash
	State      RunState
	AcceptedAt Time
	// FinishedAt is zero while the run is open.
	FinishedAt Time
}

// OpenRun is an unfinished run as it is loaded to be worked on.
type OpenRun struct {
	Run
	// Input is the window as the algorithms get it: with noStore metadata.
	Input Window
	// Stored is the window as every row and listing shows it.
	Stored Window
	// Filters of the window, as in Emission; none when they were not asked for.
	Filters []FilterValue
	// Outcomes are those already durable, without the bytes of their results.
	Outcomes []Outcome
	// Lot that the run was parked in when it was last in no core's memory; the zero value when in none.
	Lot LotHash
	// Tries are what was known of open nodes when it was parked.
	Tries []Tries
}
