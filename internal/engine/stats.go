package engine

import (
	"sync/atomic"

	"github.com/orca-telemetry/orca/internal/orca"
)

// counters are written by the loop and read by anyone.
type counters struct {
	accepted, open, active atomic.Int64
	parked                 atomic.Int64 // rows in lots
	held                   atomic.Int64 // bytes of results kept for dependents
	outcomes               [orca.Cancelled + 1]atomic.Int64
}

func (c *counters) outcome(k orca.OutcomeKind) { c.outcomes[k].Add(1) }

// Stats returns a snapshot; its figures are read one by one.
func (e *Engine) Stats() orca.RunStats {
	s := orca.RunStats{
		Accepted: e.stats.accepted.Load(), Open: e.stats.open.Load(), Active: e.stats.active.Load(),
		Parked: e.stats.parked.Load(), HeldBytes: e.stats.held.Load(), Outcomes: map[orca.OutcomeKind]int64{},
	}
	for k := orca.Succeeded; k <= orca.Cancelled; k++ {
		s.Outcomes[k] = e.stats.outcomes[k].Load()
	}
	return s
}
