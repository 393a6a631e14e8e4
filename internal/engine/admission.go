package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// admission decides which runs are in memory: always the lowest positions that are unfinished, at most MaxActiveRuns.
//
// Every open run up to admitted is active; those above it are rows. A run that is accepted while nothing is left out
// below it starts from memory; all others are read from the ledger when places get free.
type admission struct {
	admitted orca.Position
	newest   orca.Position // the highest position that the loop has heard of
	loading  bool
	// exhausted: the last load found no more rows, so that nothing is left out up to newest.
	exhausted bool
}

// mayStart takes note of a newly accepted run and reports whether it may start without being read from the ledger.
func (e *Engine) mayStart(p orca.Position) bool {
	a := &e.admission
	if p <= a.admitted { // a load has brought it already
		return false
	}
	complete := a.exhausted && a.admitted == a.newest
	a.newest = max(a.newest, p)
	if !complete || a.loading || len(e.active) >= e.cfg.MaxActiveRuns {
		a.exhausted = false
		return false
	}
	a.admitted = p
	return true
}

// admit asks the loader for the next rows when there are places for them. It waits until a quarter is free, so that
// a long backlog is read in large steps.
func (e *Engine) admit(l *loader) {
	a := &e.admission
	free := e.cfg.MaxActiveRuns - len(e.active)
	if a.loading || a.exhausted || free < max(1, e.cfg.MaxActiveRuns/4) {
		return
	}
	a.loading = true
	l.requests <- loadRequest{after: a.admitted, limit: free, newest: a.newest}
}

// loaded starts the runs that the loader brought.
func (e *Engine) loaded(req loadRequest, runs []*run) {
	a := &e.admission
	a.loading = false
	if len(runs) < req.limit {
		a.admitted = max(a.admitted, req.newest)
		a.exhausted = a.newest == req.newest
	}
	for _, r := range runs {
		a.admitted = max(a.admitted, r.position)
		e.start(r)
	}
	a.newest = max(a.newest, a.admitted)
}

// loader reads unfinished runs from the ledger, one request at a time, in a goroutine of its own.
type loader struct {
	requests chan loadRequest // holds at most the one request under way
	done     sync.WaitGroup
}

type loadRequest struct {
	after  orca.Position
	limit  int
	newest orca.Position // when it was asked
}

func (e *Engine) startLoader(ctx context.Context) *loader {
	l := &loader{requests: make(chan loadRequest, 1)}
	l.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case req := <-l.requests:
				if runs, ok := e.load(ctx, req); ok {
					e.inbox.post(func() { e.loaded(req, runs) })
				}
			}
		}
	})
	return l
}

func (l *loader) wait() { l.done.Wait() }

// load reads until it succeeds or ctx ends: without it the core would stand still.
func (e *Engine) load(ctx context.Context, req loadRequest) ([]*run, bool) {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		runs, err := e.readRuns(ctx, req)
		if err == nil {
			return runs, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		e.cfg.Log.Error("unfinished runs could not be read; trying again", "error", err, "delay", delay)
		if !sleep(ctx, delay) {
			return nil, false
		}
	}
}

func (e *Engine) readRuns(ctx context.Context, req loadRequest) ([]*run, error) {
	rows, err := e.cfg.Ledger.OpenRuns(ctx, req.after, req.limit)
	if err != nil {
		return nil, fmt.Errorf("read open runs after position %d: %w", req.after, err)
	}
	runs := make([]*run, 0, len(rows))
	for _, row := range rows {
		p, err := e.plans.get(ctx, e.cfg.Ledger, row.Plan)
		if err != nil {
			return nil, fmt.Errorf("read the plan of run %d: %w", row.Position, err)
		}
		runs = append(runs, newRun(row, p))
	}
	return runs, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// planCache keeps the plans that were read from the ledger last. Only the loader uses it.
type planCache struct{ byHash map[orca.PlanHash]*plan.Plan }

const maxCachedPlans = 256

func (c *planCache) get(ctx context.Context, l Ledger, h orca.PlanHash) (*plan.Plan, error) {
	if p := c.byHash[h]; p != nil {
		return p, nil
	}
	content, err := l.Plan(ctx, h)
	if err != nil {
		return nil, err
	}
	p, err := plan.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("parse plan %x: %w", h[:6], err)
	}
	if c.byHash == nil || len(c.byHash) >= maxCachedPlans {
		c.byHash = map[orca.PlanHash]*plan.Plan{}
	}
	c.byHash[h] = p
	return p, nil
}
