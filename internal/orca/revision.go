package orca

import "cmp"

// Revision is the next run of a window on its way into the ledger: a retry or a reprocess.
type Revision struct {
	Window WindowID
	// Base is the run that the revision was worked out from. It must still be the newest of the window, and finished.
	Base Position
	Kind RunKind
	// Plan of the new run; nil for that of Base.
	Plan *PlanContent
	// FullMetadata is the metadata with the noStore fields, given again; nil when the type has none.
	FullMetadata []byte
	// Outcomes are settled from the start. One with a ProducedAt is kept from Base, where its algorithm has to have
	// succeeded: the ledger copies Base's outcome and its result, so that no result passes through memory. All others
	// are nodes that can never run.
	Outcomes []Outcome
	// Status is what the caller is answered.
	Status EmitStatus
	// End is the run's state when it has nothing to do, else RunOpen.
	End RunState
	// AcceptedAt is the core's clock, for people.
	AcceptedAt Time
}

// WindowKey is a place in the order of windows by time: (To, From, ID) ascending.
type WindowKey struct {
	To, From Time
	ID       WindowID
}

// Compare orders by To, From and ID.
func (k WindowKey) Compare(o WindowKey) int {
	return cmp.Or(cmp.Compare(k.To, o.To), cmp.Compare(k.From, o.From), cmp.Compare(k.ID, o.ID))
}
