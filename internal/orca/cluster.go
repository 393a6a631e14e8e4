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
	// Checks are the health checks that it made a moment ago; empty for the core that asks.
	Checks []HealthCheck
	// Listens: it hears of what others tell as it happens.
	Listens bool
}

// CoreLoad is what a core has in hand.
type CoreLoad struct {
	// ActiveRuns are in memory, Calls under way.
	ActiveRuns, Calls int64
}

// News is what a core hears of others as it happens, beside what it learns with its renewals.
type News struct {
	// Listening: others are heard. While they are not, and when nobody said so yet, what they do has to be looked for.
	Listening bool
	// Settled are runs that have new outcomes, each once; All says that any run may have.
	Settled []Position
	All     bool
	// Around: a renewal has something new to tell.
	Around bool
}

// HealthCheck is what a core found when it asked an instance of a processor how it is.
type HealthCheck struct {
	// Address of the instance.
	Address string
	// Serving: it answered that it takes work. If not it answered something else, or nothing.
	Serving bool
	// Age is how long ago that was, or a little less.
	Age time.Duration
	// Metrics that came with the answer; nil when there were none.
	Metrics *ProcessorMetrics
}

// Withdrawal says which nodes are to be settled by every core that has their runs.
type Withdrawal struct {
	ID int32
	// First and Last are the positions of the runs, and Processor is whose nodes it is about; empty for all.
	First, Last Position
	Processor   string
	// Kind and Reason are those of the outcomes.
	Kind   OutcomeKind
	Reason string
}

// Surroundings are what a core learns with each renewal of its lease.
type Surroundings struct {
	// Self is the id of the core that learns this.
	Self int32
	// Registry is the version of the registry.
	Registry int64
	// Cores share the ledger, the oldest first, this one among them.
	Cores []Core
	// Expired: leases have run out, or what cores have left is not given to others yet.
	Expired bool
	Leftover
}

// Leftover is what of a shared ledger no core works on.
type Leftover struct {
	// Free: there are runs of nobody that are not parked.
	Free bool
	// Lots with runs that are parked.
	Lots []*Lot
	// Withdrawals that are under way.
	Withdrawals []Withdrawal
}
