package engine

import (
	"context"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// maxLots bounds the lots in memory; beyond it runs stay active.
const maxLots = 1024

// lot is a Lot with rows in it.
type lot struct {
	*orca.Lot
	open bool
	// runs are the rows in it that are not active, and oldest is not above the lowest of them.
	runs   int64
	oldest orca.Position
	// after: all rows up to it are active. left: there may be rows above.
	after orca.Position
	left  bool
	// newest is the highest position that was parked here when it was accepted.
	newest orca.Position
}

// Served tells the engine that what the fleet serves has changed. It does not block.
func (e *Engine) Served() {
	if !e.parking.changed.Swap(true) {
		e.inbox.post(e.lookAtLots)
	}
}

// lookAtLots opens and closes lots after a change in the fleet.
func (e *Engine) lookAtLots() {
	p := &e.parking
	p.changed.Store(false)
	clear(p.served)
	p.rescan = true
	for _, l := range p.lots {
		l.open = e.mayOpen(l.Lot)
	}
	e.publish()
}

// mayOpen reports whether runs in a lot can go on: an algorithm is served, or is to be skipped.
func (e *Engine) mayOpen(l *orca.Lot) bool {
	return l.Hash == orca.Woken.Hash || slices.ContainsFunc(l.Algorithms, func(id orca.AlgorithmID) bool {
		return e.serving(id) == orca.Serving || e.retirement.overdue[id]
	})
}

func (e *Engine) serving(id orca.AlgorithmID) orca.InstanceState {
	p := &e.parking
	s, known := p.served[id]
	if !known {
		s = e.cfg.Fleet.Serving(id)
		p.served[id] = s
	}
	return s
}

// publish tells emitters which lots are closed, and the fleet which processors work waits for.
func (e *Engine) publish() {
	closed, expected := map[orca.LotHash]bool{}, map[string]bool{}
	for hash, l := range e.parking.lots {
		closed[hash] = !l.open
		for _, id := range l.Algorithms {
			expected[id.Processor] = true
		}
	}
	e.parking.closed.Store(&closed)
	e.cfg.Fleet.Expect(expected)
}

// beginLots takes note of what is parked. All lots are closed until the fleet says that an algorithm of theirs is served.
func (e *Engine) beginLots(sizes []orca.LotSize) {
	for _, s := range sizes {
		e.parking.expecting = true
		l := e.lot(s.Lot)
		l.runs, l.oldest = s.Runs, s.Oldest
		e.stats.parked.Add(s.Runs)
	}
	e.lookAtLots()
}

// lot returns the lot in memory.
func (e *Engine) lot(of *orca.Lot) *lot {
	l := e.parking.lots[of.Hash]
	if l == nil {
		l = &lot{Lot: of, left: true}
		e.parking.lots[of.Hash] = l
	}
	return l
}

// addTo counts a row that has come into a lot, and may be below those that were looked at.
func (e *Engine) addTo(of *orca.Lot, p orca.Position) {
	_, known := e.parking.lots[of.Hash]
	l := e.lot(of)
	l.left = true
	l.after = min(l.after, p-1)
	if l.runs == 0 || p < l.oldest {
		l.oldest = p
	}
	l.runs++
	e.stats.parked.Add(1)
	if !known {
		l.open = e.mayOpen(of)
		e.publish()
	}
}

// mayHold has a lot looked into that may have rows which nobody has told of.
func (e *Engine) mayHold(of *orca.Lot) {
	l := e.lot(of)
	l.after, l.left, l.open = 0, true, e.mayOpen(of)
	e.publish()
}

// leaves counts a row of a lot that was loaded, or has ended as a row.
func (e *Engine) leaves(of orca.LotHash) {
	if l := e.parking.lots[of]; l != nil && l.runs > 0 {
		l.runs--
		e.stats.parked.Add(-1)
	}
}

// lotFor returns the lot in which a run of this plan is to be parked at once: it would begin with nothing but waiting,
// others wait there already, and memory is for those that can go on. It is called by emitters.
func (e *Engine) lotFor(p *plan.Plan) *orca.Lot {
	closed := e.parking.closed.Load()
	if closed == nil || len(*closed) == 0 {
		return nil
	}
	if l := p.Begin(); l != nil && (*closed)[l.Hash] {
		return l
	}
	return nil
}

// sources of the runs that can go on, and whether a lot is one of them.
func (e *Engine) sources() (sources []orca.OpenSource, lots bool) {
	sources = []orca.OpenSource{{After: e.admission.admitted}}
	for _, l := range e.parking.lots {
		if l.open && l.left {
			sources = append(sources, orca.OpenSource{Lot: l.Lot, After: l.after})
		}
	}
	return sources, len(sources) > 1
}

// lotsLeft reports whether rows of open lots wait for a place.
func (e *Engine) lotsLeft() bool {
	for _, l := range e.parking.lots {
		if l.open && l.left {
			return true
		}
	}
	return false
}

// drained takes note of how far a load has come in the lots that it read: up to last, or to their end.
func (e *Engine) drained(l *load) {
	exhausted := l.rows < l.limit
	for _, s := range l.sources {
		if s.Lot == nil {
			continue
		}
		from := e.parking.lots[s.Lot.Hash]
		if from == nil {
			continue
		}
		from.after = max(from.after, l.last)
		from.oldest = max(from.oldest, l.last+1)
		if exhausted {
			if from.left = from.newest > l.newest; !from.left {
				e.stats.parked.Add(-from.runs) // none, unless rows have ended unseen
				delete(e.parking.lots, s.Lot.Hash)
				e.parking.expecting = e.parking.expecting && len(e.parking.lots)+e.parking.asked > 0
				e.publish()
			}
		}
	}
}

// Parked returns, by processor, what waits for it as rows.
func (e *Engine) Parked(ctx context.Context) (map[string]orca.ParkedWork, error) {
	look := func() map[string]orca.ParkedWork { return parkedWork(e.parking.lots) }
	if e.cfg.Shared != nil {
		var err error
		if look, err = e.parkedWorkShared(ctx); err != nil {
			return nil, err
		}
	}
	answer := make(chan map[string]orca.ParkedWork, 1)
	if !e.inbox.post(func() { answer <- look() }) {
		return nil, orca.Errorf(orca.Unavailable, "the core is stopping")
	}
	select {
	case work := <-answer:
		return work, nil
	case <-e.over:
		return nil, orca.Errorf(orca.Unavailable, "the core is stopping")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func parkedWork(lots map[orca.LotHash]*lot) map[string]orca.ParkedWork {
	work := map[string]orca.ParkedWork{}
	for _, l := range lots {
		if l.open {
			continue // these only wait for places
		}
		var last string
		for _, id := range l.Algorithms {
			if l.runs == 0 || id.Processor == last {
				continue // they are in the order of processors
			}
			last = id.Processor
			w := work[last]
			if w.Runs == 0 || l.oldest < w.Oldest {
				w.Oldest = l.oldest
			}
			w.Runs += l.runs
			work[last] = w
		}
	}
	return work
}
