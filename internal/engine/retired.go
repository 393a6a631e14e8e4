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
	// since when each of them is retired, by the system's clock, and when that is for too long, by the monotonic one: a step
	// of the system's clock makes nothing overdue.
	since map[orca.AlgorithmID]orca.Time
	due   map[orca.AlgorithmID]time.Time
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

// learn takes what is retired since when. What was known keeps its time.
func (t *retirement) learn(since map[orca.AlgorithmID]orca.Time, now orca.Time, wait time.Duration) {
	due := map[orca.AlgorithmID]time.Time{}
	for id, at := range since {
		if before, known := t.since[id]; known && before == at {
			due[id] = t.due[id]
			continue
		}
		left := time.Duration(at + orca.Time(wait) - now)
		due[id] = time.Now().Add(min(max(left, 0), wait))
	}
	t.since, t.due = since, due
}

// Retired tells which algorithms are retired now, and since when. Nodes whose algorithm stays so for RetiredWait are
// skipped. The map must not be changed any more.
func (e *Engine) Retired(since map[orca.AlgorithmID]orca.Time) {
	e.inbox.post(func() {
		e.retirement.learn(since, e.cfg.Now(), e.cfg.RetiredWait)
		e.skipRetired()
	})
}

// skipRetired finds out what is overdue, takes that out of the active runs, and sets the timer for the next one. Runs
// that are rows are looked at when they start.
func (e *Engine) skipRetired() {
	t := &e.retirement
	t.stop()
	now, next := time.Now(), e.cfg.RetiredWait
	t.overdue = map[orca.AlgorithmID]bool{}
	for id, due := range t.due {
		if left := due.Sub(now); left <= 0 {
			t.overdue[id] = true
		} else {
			next = min(next, left)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(e.active)) {
		e.takeRetired(e.active[p])
	}
	e.lookAtLots()
	if len(t.overdue) < len(t.due) {
		t.timer = time.AfterFunc(next, func() { e.inbox.post(e.skipRetired) })
	}
}

// takeRetired skips the nodes of a run whose algorithms are overdue.
func (e *Engine) takeRetired(r *run) {
	overdue := e.retirement.overdue
	if len(overdue) == 0 || e.isParking(r) {
		return
	}
	e.takeNodes(r, func(id orca.AlgorithmID) bool { return overdue[id] }, orca.Skipped, func(id orca.AlgorithmID) string {
		return fmt.Sprintf("%s is retired, and no processor has announced it again for %v", id, e.cfg.RetiredWait)
	})
}
