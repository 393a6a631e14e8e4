package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/orca-telemetry/orca/internal/orca"
)

// withdrawal settles open nodes that are not to run any more: all of one run (cancel), or those of one processor in the
// runs accepted so far (forget). It takes the active runs at once. The others are rows: it walks them in pages, each of
// which is in memory only until its outcomes are durable.
//
// A page and a load exclude each other, so that no load brings a run as it was before. Runs that are loaded between two
// pages are taken as they start.
type withdrawal struct {
	// first and last are the positions of the runs that it is about.
	first, last orca.Position
	kind        orca.OutcomeKind
	reason      string
	takes       func(orca.AlgorithmID) bool
	processor   string // of all that takes names; "" when it names any

	// walked: every row up to it was looked at.
	walked orca.Position
	// announced is its id when every core has it, see everywhere.go; answered: this core has said that it is durable;
	// retracted: that it is not announced any more.
	announced           int32
	answered, retracted bool
	// again is the lowest run, if any, that was not looked at because it was being parked and is a row now.
	again orca.Position
	// unsettled runs have outcomes of it that are not durable.
	unsettled int
	// runs had nodes of it. To be read once done is closed, which is when all of it is durable.
	runs int64
	done chan struct{}
}

// pageSize is how many runs of the ledger are looked at at once.
const pageSize = 256

const cancelReason = "cancelled by request"

// Cancel settles all open nodes of a window's open run as cancelled, and returns the run's revision when that is
// durable. Results that come later are dropped. Errors: NotFound, and Precondition when no run is open.
func (e *Engine) Cancel(ctx context.Context, id orca.WindowID) (revision int, err error) {
	w, err := e.cfg.Ledger.Window(ctx, id)
	if err != nil {
		return 0, err
	}
	newest := w.Newest
	if newest.State != orca.RunOpen {
		return 0, orca.Errorf(orca.Precondition, "no run of the window is open: revision %d is %v", newest.Revision, newest.State)
	}
	everything := func() *withdrawal {
		return &withdrawal{
			first: newest.Position, last: newest.Position, kind: orca.Cancelled, reason: cancelReason,
			takes: func(orca.AlgorithmID) bool { return true },
		}
	}
	runs, err := e.withdrawAndWait(ctx, everything())
	if err == nil && runs == 0 && e.cfg.Shared != nil { // another core has it
		runs, err = e.withdrawEverywhere(ctx, everything())
	}
	if err == nil && runs == 0 {
		err = orca.Errorf(orca.Precondition, "revision %d of the window has no open node any more", newest.Revision)
	}
	return newest.Revision, err
}

// ForgetProcessor settles the open nodes of a processor as skipped in every run accepted so far, and what depends on
// them. It returns how many runs had such nodes, when all of it is durable. What ctx cuts off goes on in this core.
func (e *Engine) ForgetProcessor(ctx context.Context, name string) (runs int64, err error) {
	last, err := e.newest(ctx)
	if err != nil {
		return 0, err
	}
	withdraw := e.withdrawAndWait
	if e.cfg.Shared != nil {
		withdraw = e.withdrawEverywhere
	}
	return withdraw(ctx, &withdrawal{
		first: 1, last: last, kind: orca.Skipped, reason: fmt.Sprintf("processor %q was forgotten", name),
		takes: func(id orca.AlgorithmID) bool { return id.Processor == name }, processor: name,
	})
}

func (e *Engine) withdrawAndWait(ctx context.Context, w *withdrawal) (runs int64, err error) {
	w.done = make(chan struct{})
	stopping := orca.Errorf(orca.Unavailable, "the core is stopping; ask again when it is back")
	if !e.inbox.post(func() { e.withdraw(w) }) {
		return 0, stopping
	}
	select {
	case <-w.done:
		return w.runs, nil
	case <-e.over:
		return 0, stopping
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// withdraw begins a withdrawal. A last position of zero means all runs accepted so far.
func (e *Engine) withdraw(w *withdrawal) {
	if w.last == 0 {
		w.last = max(w.first, e.admission.newest)
	}
	if r := e.active[w.first]; w.first == w.last && r != nil {
		e.take(w, r)
	}
	if w.first < w.last {
		for _, p := range slices.Sorted(maps.Keys(e.active)) {
			e.take(w, e.active[p])
		}
	}
	e.withdrawals = append(e.withdrawals, w)
}

// take settles the nodes of a run that a withdrawal is about, and reports whether there were any.
func (e *Engine) take(w *withdrawal, r *run) bool {
	if r.position < w.first || r.position > w.last {
		return false
	}
	if e.isParking(r) {
		r.passedBy = append(r.passedBy, w)
		w.unsettled++
		return false
	}
	nodes := e.takeNodes(r, w.takes, w.kind, func(orca.AlgorithmID) string { return w.reason })
	if len(nodes) == 0 {
		return false
	}
	r.withdrawals = append(r.withdrawals, withdrawn{w, nodes})
	w.runs++
	w.unsettled++
	return true
}

// isParking reports whether a run may be anybody's already: of a ledger that is shared nothing is decided about one that is being
// parked.
func (e *Engine) isParking(r *run) bool { return e.admission.shared && r.parking }

// takeNodes settles the open nodes that takes names, and then what can no longer run without them, so that a node that
// is taken itself says so.
func (e *Engine) takeNodes(r *run, takes func(orca.AlgorithmID) bool, kind orca.OutcomeKind, reason func(orca.AlgorithmID) string) []int {
	var nodes []int
	var asked []string // processors whose calls may wait in the fleet
	for i := range r.nodes {
		id := r.plan.Nodes[i].Algorithm.ID
		if r.kinds[i] != 0 || !takes(id) {
			continue
		}
		if r.nodes[i].phase == submitted {
			r.unwanted.add(i)
			if !slices.Contains(asked, id.Processor) {
				asked = append(asked, id.Processor)
			}
		}
		e.decide(r, i, orca.Outcome{Kind: kind, Reason: reason(id), Attempts: r.nodes[i].attempts})
		nodes = append(nodes, i)
	}
	for _, i := range nodes {
		e.skipDependents(r, i)
	}
	for _, processor := range asked {
		e.cfg.Fleet.Withdraw(processor, r.position, takes)
	}
	return nodes
}

// withdrawn are the nodes of a run that a withdrawal has taken and that may not be durable yet.
type withdrawn struct {
	by    *withdrawal
	nodes []int
}

// settleWithdrawals tells withdrawals whose nodes of this run are durable now.
func (e *Engine) settleWithdrawals(r *run) {
	r.withdrawals = slices.DeleteFunc(r.withdrawals, func(x withdrawn) bool {
		if slices.ContainsFunc(x.nodes, func(i int) bool { return r.nodes[i].phase != settled }) {
			return false
		}
		x.by.unsettled--
		if r.row {
			e.pageSettled()
		}
		return true
	})
}

// walk ends the withdrawals that are durable, and has the next one look at the next page of rows. Like a load, it waits
// until no other is under way.
func (e *Engine) walk(ctx context.Context, loads *sync.WaitGroup) {
	e.withdrawals = slices.DeleteFunc(e.withdrawals, func(w *withdrawal) bool {
		over := e.allActive(w) && w.unsettled == 0 && (w.announced == 0 || w.retracted)
		if over {
			close(w.done)
		}
		return over
	})
	a := &e.admission
	next := slices.IndexFunc(e.withdrawals, func(w *withdrawal) bool { return !e.allActive(w) })
	if a.loading || next < 0 || !e.sharing.settledDown() {
		return
	}
	w := e.withdrawals[next]
	a.loading = true
	a.dropTail() // so that whatever a load does later, none of its runs starts as it was before
	after := max(w.first-1, e.reached(w))
	l := &load{newest: a.newest, limit: int(min(pageSize, w.last-after))}
	l.read = func(ctx context.Context) ([]orca.OpenRun, error) { return e.cfg.Ledger.OpenRuns(ctx, after, l.limit) }
	if a.shared {
		e.walkShared(ctx, w, l, after)
		return
	}
	loads.Go(func() {
		if e.load(ctx, l) {
			e.inbox.post(func() { e.looked(w, l) })
		}
	})
}

// allActive reports whether no row is left to be looked at: what is unfinished is in memory.
func (e *Engine) allActive(w *withdrawal) bool { return e.reached(w) >= w.last }

// reached is the position up to which no row is left to be looked at.
func (e *Engine) reached(w *withdrawal) orca.Position {
	if w.again > 0 && w.announced == 0 {
		return min(w.walked, w.again-1)
	}
	if len(e.parking.lots) > 0 || e.admission.shared {
		return w.walked
	}
	return max(w.walked, e.admission.admitted)
}

// looked takes the nodes of the rows of one page.
func (e *Engine) looked(w *withdrawal, l *load) {
	w.walked = l.last
	if l.rows < l.limit || l.last > w.last {
		w.walked = w.last
	}
	e.page = 1 // itself
	for _, r := range l.runs {
		if before := e.active[r.position]; before != nil && e.admission.shared {
			e.parkedAway(before) // and it has not heard of it yet
		} else if before != nil {
			continue // it was taken at once, or as it started
		}
		r.row = true
		if e.take(w, r) {
			e.page++
		}
		if e.admission.shared {
			e.sharing.back = append(e.sharing.back, r.position) // if it has not ended then
		}
	}
	e.pageSettled()
}

// pageSettled counts down the page, and at its end lets loads go on.
func (e *Engine) pageSettled() {
	if e.page--; e.page == 0 {
		e.admission.loading = false
		e.loadEnded()
		e.startTail()
	}
}
