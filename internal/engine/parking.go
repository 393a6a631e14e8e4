package engine

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// parking makes room. A run that waits for nothing but processors that are away stands in the way of those behind it as
// soon as there is no place left in memory. It becomes a row again, in the lot of the algorithms that it waits for. While
// a lot is closed, whatever would wait there is parked too, windows as they are accepted, so that all of it goes on in
// the order of positions. A lot opens when any of its
// algorithms is served: then its rows are sources of admission like those that were never parked, the lowest positions
// of all of them first.
//
//	active ──▶ parking ──▶ row in a lot ──▶ active
//	   no place left,   durable      the lot is open, it is its turn
//	   it stands still
//
// A row stays in its lot when it is loaded, so that opening a lot writes nothing. Loads pass over rows that are active.
type parking struct {
	lots map[orca.LotHash]*lot
	// closed lots, for those who emit.
	closed atomic.Pointer[map[orca.LotHash]bool]
	// changed: the loop has been told to look at the lots again.
	changed atomic.Bool
	// served is what the fleet said since the last change.
	served map[orca.AlgorithmID]orca.InstanceState
	// crowded: there is no room for those who wait to be admitted. suspects are the runs to be looked at in the end of
	// this turn; rescan makes all of them suspects.
	crowded, rescan bool
	suspects        []*run
	half            orca.Position // of lowerHalf in this turn, zero while nobody has asked
	// expecting: a parked run may wait for an outcome. settled are those that are durable since the ledger was last told,
	// which is at most once at a time.
	expecting, waking bool
	settled           []outcomeKey
	// late are ends of runs and parkings that wait for the end of a load, which may bring these runs as they were before.
	late []func()
}

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
				e.publish()
			}
		}
	}
}

// suspect has a run looked at in the end of this turn, if it may have to be parked.
func (e *Engine) suspect(r *run) {
	if p := &e.parking; (p.crowded || len(p.lots) > 0) && !r.suspected {
		r.suspected = true
		e.parking.suspects = append(e.parking.suspects, r)
	}
}

// makeRoom parks runs that stand still while others wait for their places, or are parked for the same reason.
func (e *Engine) makeRoom() {
	p := &e.parking
	before := p.crowded
	p.half = 0
	p.crowded = len(e.active)+e.wanted() > e.cfg.MaxActiveRuns
	if p.rescan || p.crowded && !before {
		p.rescan = false
		for _, at := range slices.Sorted(maps.Keys(e.active)) {
			e.suspect(e.active[at])
		}
	}
	for i, r := range p.suspects {
		p.suspects[i] = nil
		r.suspected = false
		e.park(r)
	}
	p.suspects = p.suspects[:0]
}

// wanted is how many places those who wait would take: a load is worth a quarter of all.
func (e *Engine) wanted() int {
	if !e.caughtUp() {
		return max(1, e.cfg.MaxActiveRuns/4)
	}
	return len(e.admission.tail)
}

// park begins to make a row of a run, if all that it does is wait for absent processors.
func (e *Engine) park(r *run) {
	waits, expects := e.awaited(r)
	l := orca.Expecting
	if len(waits) > 0 {
		l = orca.NewLot(waits)
	}
	if len(waits)+len(expects) == 0 || !e.mayPark(r, l) {
		return
	}
	if !e.takeBack(r, l) {
		e.resume(r) // an instance has taken some of it at this moment
		return
	}
	r.parking = true
	e.parking.expecting = e.parking.expecting || len(expects) > 0
	e.cfg.Ledger.Park(orca.Parking{Position: r.position, Lot: l, Expects: expects, Tries: r.tries()}, func(parked bool, err error) {
		e.inbox.post(func() { e.parkingEnded(r, l, parked, err) })
	})
}

// mayPark reports whether a run that stands still is to be parked: to make room, or in a lot where others are already.
// Half of the places stay with the lowest of those that wait for outcomes: these come one after the other, and then who
// waits goes on at once.
func (e *Engine) mayPark(r *run, in *orca.Lot) bool {
	p := &e.parking
	if in == orca.Expecting {
		return p.crowded && r.position > e.lowerHalf()
	}
	known := p.lots[in.Hash]
	if known == nil && len(p.lots) >= maxLots {
		return false
	}
	return p.crowded || known != nil && !known.open
}

// lowerHalf returns the position up to which runs take the lower half of the places.
func (e *Engine) lowerHalf() orca.Position {
	half := e.cfg.MaxActiveRuns / 2
	switch {
	case half == 0:
		return 0
	case len(e.active) <= half:
		return e.admission.newest
	case e.parking.half == 0:
		e.parking.half = slices.Sorted(maps.Keys(e.active))[half-1]
	}
	return e.parking.half
}

// awaited returns what a run waits for when it does nothing but wait: for algorithms that are not served, and for
// outcomes of other runs.
func (e *Engine) awaited(r *run) (waits []orca.AlgorithmID, expects []outcomeKey) {
	if !r.quiet() {
		return nil, nil
	}
	for i := range r.nodes {
		n, id := &r.nodes[i], r.plan.Nodes[i].Algorithm.ID
		switch n.phase {
		case settled:
		case waiting:
			if slices.Contains(r.ready, i) {
				return nil, nil
			}
		case submitted:
			if !e.absent(id) || n.begun {
				return nil, nil
			}
			waits = append(waits, id)
		case looks:
			switch {
			case n.reading:
				return nil, nil
			case e.absent(id): // whatever it would see
				waits = append(waits, id)
			default:
				expects = append(expects, n.expects)
			}
		case delayed, settling:
			return nil, nil
		}
	}
	return waits, expects
}

// absent reports whether no instance takes an algorithm, nor is about to.
func (e *Engine) absent(id orca.AlgorithmID) bool {
	s := e.serving(id)
	return s != orca.Serving && s != orca.Connecting
}

// tries returns what is known of the requests that open nodes were in.
func (r *run) tries() (tries []orca.Tries) {
	for i := range r.nodes {
		n := &r.nodes[i]
		if t := (orca.Tries{Attempts: n.attempts, Sent: n.sent, Alone: n.alone, Lost: n.lost}); n.phase != settled && t != (orca.Tries{}) {
			t.Algorithm = r.plan.Nodes[i].Algorithm.ID
			tries = append(tries, t)
		}
	}
	return tries
}

// quiet reports whether nothing of a run is on its way to the ledger or to anybody who waits for it.
func (r *run) quiet() bool {
	return !r.parking && !r.sending && !r.holdOff && !r.row && len(r.outbox) == 0 && len(r.withdrawals) == 0
}

// takeBack takes the nodes that wait in the fleet or for an outcome back, and reports whether these were all.
func (e *Engine) takeBack(r *run, l *orca.Lot) bool {
	waits := func(id orca.AlgorithmID) bool {
		_, found := slices.BinarySearchFunc(l.Algorithms, id, orca.AlgorithmID.Compare)
		return found
	}
	for i, id := range l.Algorithms {
		if i > 0 && id.Processor == l.Algorithms[i-1].Processor {
			continue // they are in the order of processors
		}
		for _, taken := range e.cfg.Fleet.Withdraw(id.Processor, r.position, waits) {
			if node, ok := r.plan.Index(taken); ok {
				r.nodes[node].phase = waiting
			}
		}
	}
	all := true
	for i := range r.nodes {
		switch n := &r.nodes[i]; n.phase {
		case submitted:
			n.begun, all = true, false
		case looks:
			e.stopWaiting(nodeRef{r, i})
			n.phase = waiting
		case waiting, delayed, settling, settled:
		}
	}
	return all
}

// parkingAgain is when a run is looked at again that the ledger could not park.
const parkingAgain = time.Second

// parkingEnded takes the ledger's answer.
func (e *Engine) parkingEnded(r *run, in *orca.Lot, parked bool, err error) {
	if err == nil {
		e.parked(r, in, parked)
		return
	}
	e.cfg.Log.Warn("a run could not be parked; it stays in memory", "run", r.position, "error", err)
	time.AfterFunc(parkingAgain, func() { e.inbox.post(func() { e.parked(r, in, false) }) })
}

// parked takes note of whether a run is a row of a lot now. What has happened to the run meanwhile keeps it in memory, as does the answer that
// it is not parked.
func (e *Engine) parked(r *run, in *orca.Lot, parked bool) {
	if e.admission.loading {
		e.parking.late = append(e.parking.late, func() { e.parked(r, in, parked) })
		return
	}
	r.parking = false
	if !parked || !r.quiet() || e.active[r.position] != r {
		e.resume(r)
		return
	}
	e.leave(r)
	for i := range r.nodes {
		e.stats.held.Add(-int64(len(r.nodes[i].result)))
	}
	e.addTo(in, r.position)
}

// wakeParked tells the ledger which outcomes have become durable that parked runs may wait for.
func (e *Engine) wakeParked() {
	p := &e.parking
	if p.waking || len(p.settled) == 0 {
		return
	}
	settled := p.settled
	p.waking, p.settled = true, nil
	e.cfg.Ledger.Wake(settled, func(woken []orca.WokenRun, more bool, err error) {
		e.inbox.post(func() { e.woken(settled, woken, more, err) })
	})
}

// woken takes the ledger's answer.
func (e *Engine) woken(settled []outcomeKey, woken []orca.WokenRun, more bool, err error) {
	p := &e.parking
	switch {
	case err != nil:
		e.cfg.Log.Warn("parked runs could not be woken; trying again", "error", err)
		e.mayHold(orca.Woken) // it may have been done nevertheless
		time.AfterFunc(parkingAgain, func() { e.inbox.post(func() { e.woken(settled, nil, true, nil) }) })
		return
	case e.admission.loading:
		p.late = append(p.late, func() { e.woken(settled, woken, more, nil) })
		return
	}
	p.waking = false
	if more {
		p.settled = append(settled, p.settled...)
	}
	for _, w := range woken {
		if e.active[w.Position] == nil {
			e.leaves(w.From)
			e.addTo(orca.Woken, w.Position)
		}
	}
}

// resume submits again what was taken back.
func (e *Engine) resume(r *run) {
	r.ready = r.ready[:0]
	e.markReady(r, r.progress.Ready())
}

// loadEnded runs what has waited for the end of a load.
func (e *Engine) loadEnded() {
	late := e.parking.late
	e.parking.late = nil
	for _, f := range late {
		f()
	}
}

// Parked returns, by processor, what waits for it as rows.
func (e *Engine) Parked(ctx context.Context) (map[string]orca.ParkedWork, error) {
	answer := make(chan map[string]orca.ParkedWork, 1)
	if !e.inbox.post(func() { answer <- e.parkedWork() }) {
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

func (e *Engine) parkedWork() map[string]orca.ParkedWork {
	work := map[string]orca.ParkedWork{}
	for _, l := range e.parking.lots {
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
