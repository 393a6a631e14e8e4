package engine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// retirement is what the engine knows of retired algorithms. Only the loop touches it.
type retirement struct {
	// since when each of them is retired.
	since map[orca.AlgorithmID]orca.Time
	// overdue are those that are so for longer than a node waits for them.
	overdue map[orca.AlgorithmID]bool
	// timer for the next one to be overdue, nil when there is none.
	timer *time.Timer
}

func (t *retirement) stop() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// Retired tells which algorithms are retired now, and since when. Nodes whose algorithm stays so for RetiredWait are
// skipped. The map must not be changed any more.
func (e *Engine) Retired(since map[orca.AlgorithmID]orca.Time) {
	e.inbox.post(func() {
		e.retirement.since = since
		e.skipRetired()
	})
}

// skipRetired finds out what is overdue, takes that out of the active runs, and sets the timer for the next one. Runs
// that are rows are looked at when they start.
func (e *Engine) skipRetired() {
	t := &e.retirement
	t.stop()
	now, next := e.cfg.Now(), orca.MaxTime
	t.overdue = map[orca.AlgorithmID]bool{}
	for id, since := range t.since {
		if at := since + orca.Time(e.cfg.RetiredWait); at <= now {
			t.overdue[id] = true
		} else {
			next = min(next, at)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(e.active)) {
		e.takeRetired(e.active[p])
	}
	e.lookAtLots()
	if next != orca.MaxTime {
		t.timer = time.AfterFunc(time.Duration(next-now), func() { e.inbox.post(e.skipRetired) })
	}
}

// takeRetired skips the nodes of a run whose algorithms are overdue.
func (e *Engine) takeRetired(r *run) {
	overdue := e.retirement.overdue
	if len(overdue) == 0 {
		return
	}
	e.takeNodes(r, func(id orca.AlgorithmID) bool { return overdue[id] }, orca.Skipped, func(id orca.AlgorithmID) string {
		return fmt.Sprintf("%s is retired, and no processor has announced it again for %v", id, e.cfg.RetiredWait)
	})
}
