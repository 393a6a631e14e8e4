package orca

import "time"

// Core is one of the cores that share a ledger.
type Core struct {
	ID int32
	// Address is where it listens for gRPC, and Version what it is.
	Address, Version string
	StartedAt        time.Time
	// Left is how long its lease lasts; negative when it has run out and nobody has taken over.
	Left time.Duration
	CoreLoad
}

// CoreLoad is what a core has in hand.
type CoreLoad struct {
	// ActiveRuns are in memory, Calls under way.
	ActiveRuns, Calls int64
}

// Leftover is what of a shared ledger no core works on.
type Leftover struct {
	// Runs that are not parked: there are some.
	Runs bool
	// Lots with runs that are parked.
	Lots []*Lot
	// Expected: parked runs wait for outcomes of others. Settled are some of these that are there: whoever settled them did
	// not see yet that somebody waits.
	Expected bool
	Settled  []OutcomeKey
	// Pending and Parked are the lowest runs of this core, in memory or not.
	Pending, Parked []Position
}
