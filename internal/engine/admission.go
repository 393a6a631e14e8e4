package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// admission decides which runs are in memory: always the lowest positions of those that can go on, at most
// MaxActiveRuns. Those that cannot are parked, see parking.go; here is what is said of the others.
//
//	positions  1 ········· admitted ········· tailAfter ········· newest
//	           active or finished | rows in the ledger | tail
//
// Runs above admitted start in the order of their positions: rows by being loaded, then those of the tail from memory.
// When the tail has no room it becomes rows. Whenever it is not certain that the tail follows admitted without a gap,
// rows are loaded; that there are none costs a read and nothing else.
//
// Of a ledger that is shared none of that holds but what is said of doubt and behind, see shared.go.
type admission struct {
	shared bool
	// admitted: every unfinished run up to it is active.
	admitted orca.Position
	// tailAfter: every unfinished run above it and admitted, up to newest, is in the tail.
	tailAfter orca.Position
	tail      []*emit // ascending
	// newest is the highest position that the loop has heard of.
	newest orca.Position
	// doubt: there may be a run above newest, from a commit whose end was not seen; or, of a ledger that is shared, there may be
	// runs that nobody works on.
	doubt bool
	// behind: the last load of a shared ledger found as many as it had room for.
	behind  bool
	loading bool
	// unheard are positions below newest that nobody told of: of runs that may exist, from such commits.
	unheard []unheard
}

// unheard are positions from first to last.
type unheard struct{ first, last orca.Position }

// maxUnheard bounds what is remembered of them; beyond it the count of open runs may be too low.
const maxUnheard = 1024

// skip takes note of positions that nobody told of.
func (a *admission) skip(first, last orca.Position) {
	if first <= last && len(a.unheard) < maxUnheard {
		a.unheard = append(a.unheard, unheard{first, last})
	}
}

// isNews reports whether nobody has told of a run that a load brings, and takes note that now somebody has.
func (a *admission) isNews(p orca.Position) bool {
	i := slices.IndexFunc(a.unheard, func(u unheard) bool { return u.first <= p && p <= u.last })
	if i < 0 {
		return p > a.newest
	}
	u := a.unheard[i]
	a.unheard = slices.Delete(a.unheard, i, i+1)
	a.skip(u.first, p-1)
	a.skip(p+1, u.last)
	return true
}

func (a *admission) begin(newest orca.Position) { a.newest, a.tailAfter = newest, newest }

// hear takes note of a position that was given to a run, and reports whether it is news. The run is left to the
// ledger.
func (a *admission) hear(p orca.Position) bool {
	if p <= a.newest {
		return false
	}
	a.skip(a.newest+1, p-1)
	a.newest = p
	a.dropTail()
	return true
}

func (a *admission) dropTail() { a.tail, a.tailAfter = nil, a.newest }

// caughtUp reports whether no run that can go on is left to the ledger.
func (e *Engine) caughtUp() bool {
	a := &e.admission
	return (a.shared || a.admitted >= a.tailAfter) && !a.doubt && !e.lotsLeft()
}

// admitNext takes a newly accepted run: from memory when it is its turn, or the tail has room.
func (e *Engine) admitNext(x *emit) {
	if e.admission.shared {
		e.admitShared(x)
		return
	}
	a, p := &e.admission, x.accepted.Position
	_, state := x.begun()
	parked := state == orca.RunOpen && x.lot() != nil
	open := state == orca.RunOpen && !parked
	gapless := p == a.newest+1 && (!open || len(e.active)+len(a.tail) < e.cfg.MaxActiveRuns)
	switch {
	case gapless && open:
		a.newest = p
		a.tail = append(a.tail, x)
	case gapless:
		a.newest = p
	case !a.hear(p) && (!parked || e.active[p] != nil):
		return // a load has brought it
	}
	if open || parked {
		e.stats.open.Add(1)
	}
	if parked {
		e.addTo(x.lot(), p)
		e.lot(x.lot()).newest = p
	}
	e.startTail()
}

// startTail starts what it can of the tail. While a load is under way nothing starts, since it may bring the same runs.
func (e *Engine) startTail() {
	a := &e.admission
	if a.loading || a.admitted < a.tailAfter || e.lotsLeft() {
		return
	}
	n := 0
	for n < len(a.tail) && len(e.active) < e.cfg.MaxActiveRuns {
		x := a.tail[n]
		n++
		if p := x.accepted.Position; p > a.admitted { // else a load has brought it
			a.admitted = p
			e.start(newRun(x.openRun(), x.plan))
		}
	}
	a.tail = slices.Delete(a.tail, 0, n)
	if len(a.tail) == 0 {
		a.admitted = a.newest
	}
}

// load is one read of unfinished runs.
type load struct {
	read    func(context.Context) ([]orca.OpenRun, error)
	sources []orca.OpenSource
	limit   int
	newest  orca.Position // when it was asked
	doubt   bool          // when it was asked

	// brought is what was read; it is read once, since a claim cannot be repeated.
	brought []orca.OpenRun
	// What came of it: rows, of which some may be unreadable, up to last.
	rows int
	last orca.Position
	runs []*run
}

// admit begins to load the next rows when there are places for them. It waits until a quarter is free, so that a long
// backlog is read in large steps.
func (e *Engine) admit(ctx context.Context, loads *sync.WaitGroup) {
	a := &e.admission
	if a.shared {
		e.claim(ctx)
		return
	}
	free := e.cfg.MaxActiveRuns - len(e.active)
	if a.loading || e.caughtUp() || free < max(1, e.cfg.MaxActiveRuns/4) {
		return
	}
	sources, lots := e.sources()
	if lots {
		a.dropTail() // its runs may have to wait for lower ones of a lot, or these for them
	}
	l := &load{sources: sources, limit: free, newest: a.newest, doubt: a.doubt}
	a.loading, a.doubt = true, false
	l.read = func(ctx context.Context) ([]orca.OpenRun, error) { return e.cfg.Ledger.NextRuns(ctx, sources, l.limit) }
	loads.Go(func() {
		if e.load(ctx, l) {
			e.inbox.post(func() { e.loaded(l) })
		}
	})
}

// loaded starts the runs that a load brought, and goes on with the tail when it brought all there are.
func (e *Engine) loaded(l *load) {
	a := &e.admission
	a.loading = false
	a.admitted = max(a.admitted, l.last)
	if l.rows < l.limit {
		a.admitted = max(a.admitted, l.newest)
	} else {
		a.doubt = a.doubt || l.doubt // it has not seen all there is
	}
	for _, r := range l.runs {
		if e.active[r.position] == nil { // else a lot has it still, and it was loaded before
			if a.isNews(r.position) {
				e.stats.open.Add(1)
			}
			e.leaves(r.lot)
			e.start(r)
		}
	}
	a.newest = max(a.newest, a.admitted)
	e.drained(l)
	e.loadEnded()
	e.startTail()
	if len(e.active)+len(a.tail) > e.cfg.MaxActiveRuns {
		a.dropTail()
	}
}

// load reads until it succeeds or ctx ends: without it the core would stand still.
func (e *Engine) load(ctx context.Context, l *load) bool {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 5*time.Second) {
		err := e.readRuns(ctx, l)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		e.cfg.Log.Error("unfinished runs could not be read; trying again", "error", err, "delay", delay)
		if !sleep(ctx, delay) {
			return false
		}
	}
}

func (e *Engine) readRuns(ctx context.Context, l *load) error {
	if l.brought == nil {
		rows, err := l.read(ctx)
		if err != nil {
			return fmt.Errorf("read open runs: %w", err)
		}
		l.brought = rows
	}
	runs := make([]*run, 0, len(l.brought))
	for _, row := range l.brought {
		p, err := e.plans.get(ctx, e.cfg.Ledger, row.Plan)
		switch {
		case errors.Is(err, errUnreadable):
			e.cfg.Log.Error("a run is left unfinished: its plan cannot be read", "run", row.Position, "error", err)
		case err != nil:
			return fmt.Errorf("read the plan of run %d: %w", row.Position, err)
		default:
			runs = append(runs, newRun(row, p))
		}
		l.last = row.Position
	}
	l.rows, l.runs, l.brought = len(l.brought), runs, nil
	return nil
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

// errUnreadable: reading the plan again would not help.
var errUnreadable = errors.New("unreadable plan")

// planCache keeps the plans that were read from the ledger last.
type planCache struct{ byHash map[orca.PlanHash]*plan.Plan }

const maxCachedPlans = 256

func (c *planCache) get(ctx context.Context, l Ledger, h orca.PlanHash) (*plan.Plan, error) {
	if p := c.byHash[h]; p != nil {
		return p, nil
	}
	content, err := l.Plan(ctx, h)
	if errors.Is(err, orca.NotFound) {
		return nil, fmt.Errorf("%w %x: %w", errUnreadable, h[:6], err)
	} else if err != nil {
		return nil, err
	}
	p, err := plan.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("%w %x: %w", errUnreadable, h[:6], err)
	}
	if c.byHash == nil || len(c.byHash) >= maxCachedPlans {
		c.byHash = map[orca.PlanHash]*plan.Plan{}
	}
	c.byHash[h] = p
	return p, nil
}
