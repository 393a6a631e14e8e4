package orca

import "cmp"

// Position is a run's place in the order of acceptance over all runs: strictly increasing from 1, in commit order.
type Position int64

// WindowID is the position of the window's first run.
type WindowID = Position

// Window is one interval of event time. Time From is not after To; both lie after the epoch.
type Window struct {
	Type     WindowTypeID
	From, To Time
	// Origin is who emitted it, in the emitter's own words.
	Origin string
	// Metadata is an encoded google.protobuf.Struct, nil when there is none. In everything that is stored or
	// listed it lacks the noStore fields of the type.
	Metadata []byte
}

// Interval is the time of a window. Intervals are ordered by (To, From).
type Interval struct {
	To, From Time
}

// Compare orders by To, then From.
func (i Interval) Compare(o Interval) int {
	return cmp.Or(cmp.Compare(i.To, o.To), cmp.Compare(i.From, o.From))
}

// Interval of the window.
func (w *Window) Interval() Interval { return Interval{To: w.To, From: w.From} }

// FilterValue is what lookbacks compare of one metadata field: a hash of its value, equal exactly for values that
// count as equal. Fields that are not stored are hashed with the ledger's secret key.
type FilterValue struct {
	Field string
	Hash  [16]byte
}

// IdempotencyKey makes the retry of an emit safe. The zero value means that none was sent.
type IdempotencyKey struct {
	Project string
	Key     string
	// Digest is a hash of the whole window, noStore fields under the ledger's secret key.
	Digest [32]byte
}

// EmitStatus is the answer to an emit; its numbers are those of the contract.
type EmitStatus uint8

// The answers.
const (
	TriggeringFailed EmitStatus = iota
	NoTriggeredAlgorithms
	ProcessingTriggered
)

// Emission is a window on its way into the ledger, with the run that it sets in motion.
type Emission struct {
	Window Window
	// FullMetadata is the metadata with the noStore fields, for the pending run only; nil when the type has none.
	FullMetadata []byte
	// Filters has one entry per field that the type marks filter, sorted by field name.
	Filters []FilterValue
	Key     IdempotencyKey
	// AcceptedAt is the core's clock, for people; the order of runs is that of their positions.
	AcceptedAt Time

	Plan *PlanContent
	// Status is what the emitter is answered.
	Status EmitStatus
	// Outcomes are settled from the start: nodes that can never run.
	Outcomes []Outcome
	// End is the run's state when it has nothing to do, else RunOpen.
	End RunState
	// Lot in which the run is parked from the start; nil when it can go on, or is finished.
	Lot *Lot
	// Unclaimed: the core has no room for the run. Any of those that share the ledger may take it.
	Unclaimed bool
}

// Accepted says where an emission or a revision went.
type Accepted struct {
	Window   WindowID
	Position Position
	Status   EmitStatus
	// Revision is that of a retry or a reprocess; zero for an emission, whose run is the first.
	Revision int
	// Replayed: the idempotency key had been used with the same window before; nothing was written.
	Replayed bool
}

// PlanHash identifies a plan by its content (SHA-256).
type PlanHash [32]byte

// PlanContent is a plan in its stored form. It is immutable and shared by all runs that follow it.
type PlanContent struct {
	Hash    PlanHash
	Content []byte
	// Nodes is how many nodes it has, for people who look at runs without reading plans.
	Nodes int
	// Algorithms are the nodes, for a ledger that has to know which runs will have an outcome of an algorithm.
	Algorithms []AlgorithmID
}
