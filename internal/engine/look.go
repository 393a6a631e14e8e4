package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

// looking is what a node does before it is submitted whose algorithm looks back: its rows must be settled. A look reads
// the ledger in a goroutine, and comes back with the rows, or with the first outcome that it has to wait for:
//
//	waiting ──▶ looking ──────────────▶ waiting, ready to be submitted
//	              │  ▲       settled
//	  not settled ▼  │ it is durable
//	            expecting
//
// Every wait leads to a smaller position, so no two nodes wait for each other. An outcome may become durable between
// the read that misses it and the turn that hears of that read. A wait therefore counts only if it was there before the
// read began, or if the node that it waits for is in memory and not settled; else the ledger is read once more.
type looking struct {
	queue   []nodeRef // one entry per node at most
	running int       // goroutines, at most maxLooks
	waits   map[outcomeKey]map[nodeRef]bool
}

const (
	// maxLooks bounds the goroutines that read for nodes, and lookBatch the nodes that each of them reads for.
	maxLooks  = 4
	lookBatch = 16
	// maxFound is how many positions a look keeps for the request; more are looked for once more.
	maxFound = 1024
)

// nodeRef is a node of a run in memory.
type nodeRef struct {
	run  *run
	node int
}

// outcomeKey is an outcome that somebody waits for.
type outcomeKey = orca.OutcomeKey

// found is what the looks of a node have found.
type found struct {
	// positions by look; nil when there were too many to be kept, or walking once more is the faster way to the rows.
	positions [][]orca.Position
	// nothing, by look: the ledger had no run for it.
	nothing []bool
	// open is what has to be waited for, if anything.
	open outcomeKey
	err  error
}

// looksBack reports whether a node has to look back before it is submitted.
func (r *run) looksBack(i int) bool { return r.plan.LooksBack(i) && !r.nodes[i].looked }

// look has a node look back: in memory, where that knows enough, else the ledger is read for it.
func (e *Engine) look(r *run, i int) {
	n := &r.nodes[i]
	n.phase = looks
	open, known := e.recall(r, i)
	switch {
	case !known:
		n.reading = true
		e.looking.queue = append(e.looking.queue, nodeRef{r, i})
	case open != outcomeKey{}: // the loop has not heard that it is settled, so it will
		e.stopWaiting(nodeRef{r, i})
		e.await(nodeRef{r, i}, open)
	default:
		e.stopWaiting(nodeRef{r, i})
		n.looked, n.phase = true, waiting
	}
}

// recall looks back in memory. It returns the outcome that has to be waited for, if any, and whether memory knows.
func (e *Engine) recall(r *run, i int) (open outcomeKey, known bool) {
	places := r.looks(i)
	for k := range places {
		l := &places[k]
		s, ok := e.recent.read(l, r.filters, r.position, e.cfg.Available, false)
		switch {
		case !ok:
			e.recent.watch(r.plan)
			return outcomeKey{}, false
		case s.open != nil:
			return outcomeKey{Position: s.open.Position, Algorithm: l.Of}, true
		}
	}
	return outcomeKey{}, true
}

// startLooks reads for the nodes that wait for it.
func (e *Engine) startLooks(ctx context.Context, loads *sync.WaitGroup) {
	l := &e.looking
	for len(l.queue) > 0 && l.running < maxLooks {
		batch := slices.Clone(l.queue[:min(len(l.queue), lookBatch)])
		l.queue = slices.Delete(l.queue, 0, len(batch))
		l.running++
		loads.Go(func() {
			answers := make([]found, len(batch))
			for k, n := range batch {
				answers[k] = e.find(ctx, n.run, n.node)
			}
			e.inbox.post(func() {
				l.running--
				for k, n := range batch {
					e.lookEnded(n, &answers[k])
				}
			})
		})
	}
}

// find reads what a node looks back at. It reads of the run only what never changes.
func (e *Engine) find(ctx context.Context, r *run, i int) (f found) {
	places := r.looks(i)
	total := 0
	f.nothing = make([]bool, len(places))
	f.positions = make([][]orca.Position, len(places))
	for k := range places {
		from := pastOf{Ledger: e.cfg.Ledger}
		rows, open, err := places[k].Read(ctx, &from, r.window, r.position, e.cfg.Available)
		if err != nil {
			return found{err: fmt.Errorf("look back from run %d: %w", r.position, err)}
		}
		if open != nil {
			return found{open: outcomeKey{Position: open.Position, Algorithm: places[k].Of}}
		}
		total += len(rows)
		if len(places[k].Fields) == 0 { // those of equal fields have their rows at hand
			f.positions[k] = positionsOf(rows)
		}
		f.nothing[k] = !from.some
	}
	if total > maxFound {
		f.positions = nil
	}
	return f
}

// pastOf is a ledger that notices whether it had anything.
type pastOf struct {
	Ledger
	some bool
}

func (p *pastOf) Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error {
	return p.Ledger.Past(ctx, q, func(r orca.PastRun) bool {
		p.some = true
		return yield(r)
	})
}

func positionsOf(rows []orca.PastRun) []orca.Position {
	positions := make([]orca.Position, len(rows))
	for i := range rows {
		positions[i] = rows[i].Position
	}
	return positions
}

// looks returns where a node looks back at.
func (r *run) looks(i int) []lookback.Look {
	return r.plan.Looks(i, r.stored)
}

// lookEnded takes what a look has found.
func (e *Engine) lookEnded(n nodeRef, f *found) {
	r, node := n.run, &n.run.nodes[n.node]
	node.reading = false
	switch {
	case node.phase != looks: // it was withdrawn
		e.stopWaiting(n)
	case f.err != nil:
		e.stopWaiting(n)
		node.unbuilt++
		e.cfg.Log.Warn("the ledger could not be read for a lookback; trying again", "run", r.position,
			"algorithm", r.plan.Nodes[n.node].Algorithm.ID, "error", f.err)
		e.delay(r, []int{n.node}, backoff(node.unbuilt, e.random()))
	case f.open != outcomeKey{}:
		e.expect(n, f.open)
	default:
		e.stopWaiting(n)
		for k, l := range r.looks(n.node) {
			if f.nothing[k] {
				e.recent.nothing(&l, r.filters, r.position)
			}
		}
		node.looked, node.found, node.unbuilt = true, f.positions, 0
		node.phase = waiting
		e.markReady(r, []int{n.node})
	}
	e.touch(r)
}

// expect has a node wait for an outcome that the ledger says is not settled.
func (e *Engine) expect(n nodeRef, k outcomeKey) {
	node := &n.run.nodes[n.node]
	if node.expects == k {
		return // since before the read
	}
	e.stopWaiting(n)
	e.await(n, k)
	if of := e.active[k.Position]; of != nil {
		if i, ok := of.plan.Index(k.Algorithm); ok && of.nodes[i].phase != settled {
			return
		}
	}
	e.lookAgain(n)
}

// await has a node wait for an outcome.
func (e *Engine) await(n nodeRef, k outcomeKey) {
	n.run.nodes[n.node].expects = k
	if e.looking.waits[k] == nil {
		e.looking.waits[k] = map[nodeRef]bool{}
	}
	e.looking.waits[k][n] = true
}

// lookAgain has a node look that looked before, and submits it when that was all.
func (e *Engine) lookAgain(n nodeRef) {
	if e.look(n.run, n.node); n.run.nodes[n.node].phase == waiting {
		e.markReady(n.run, []int{n.node})
	}
}

// stopWaiting forgets what a node waits for.
func (e *Engine) stopWaiting(n nodeRef) {
	node := &n.run.nodes[n.node]
	if node.expects == (outcomeKey{}) {
		return
	}
	waits := e.looking.waits[node.expects]
	if delete(waits, n); len(waits) == 0 {
		delete(e.looking.waits, node.expects)
	}
	node.expects = outcomeKey{}
}

// wake has those look again who waited for an outcome that is durable now.
func (e *Engine) wake(k outcomeKey) {
	if e.parking.expecting && !e.admission.shared { // else whoever settles wakes
		e.parking.settled = append(e.parking.settled, k)
	}
	waits := e.looking.waits[k]
	if waits == nil {
		return
	}
	delete(e.looking.waits, k)
	for n := range waits {
		node := &n.run.nodes[n.node]
		node.expects = outcomeKey{}
		if node.phase == looks && !node.reading { // else what is read will say that it waits anew
			e.lookAgain(n)
		}
	}
}
