package engine

import (
	"sync/atomic"

	"github.com/orca-telemetry/orca/internal/orca"
)

// counters are written by the loop and read by anyone.
type counters struct {
	accepted, open, active atomic.Int64
	held                   atomic.Int64 // bytes of results kept for dependents
	outcomes               [orca.Cancelled + 1]atomic.Int64
}

func (c *counters) outcome(k orca.OutcomeKind) { c.outcomes[k].Add(1) }

// Stats is a snapshot of what the engine does.
type Stats struct {
	// Accepted windows since the start of this core.
	Accepted int64
	// Open runs in all, of which Active are in memory.
	Open, Active int64
	// HeldBytes is the size of the results kept in memory for dependents.
	HeldBytes int64
	// Outcomes since the start of this core, by kind.
	Outcomes map[orca.OutcomeKind]int64
}

// Stats returns a snapshot; its figures are read one by one.
func (e *Engine) Stats() Stats {
	s := Stats{
		Accepted: e.stats.accepted.Load(), Open: e.stats.open.Load(), Active: e.stats.active.Load(),
		HeldBytes: e.stats.held.Load(), Outcomes: map[orca.OutcomeKind]int64{},
	}
	for k := orca.Succeeded; k <= orca.Cancelled; k++ {
		s.Outcomes[k] = e.stats.outcomes[k].Load()
	}
	return s
}
