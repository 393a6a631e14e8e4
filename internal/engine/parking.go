package engine

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// parking makes room. A run that waits for nothing but processors that are away stands in the way of those behind it as
// soon as there is no place left in memory. It becomes a row again, in the lot of the algorithms that it waits for. While
// a lot is closed, whatever would wait there is parked too, windows as they are accepted, so that all of it goes on in
// the order of positions. A lot opens when any of its algorithms is served: then its rows are sources of admission like
// those that were never parked, the lowest positions of all of them first (lots.go).
//
// Runs that wait for outcomes of others are parked too, but for the lower half of the places; each of them is woken by
// the first of these outcomes that settles (waking.go).
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
	// asked is how many parkings the ledger has not answered.
	asked int
	// late are ends of runs and parkings that wait for the end of a load, which may bring these runs as they were before.
	late []func()
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
	r.parking, r.expected = true, expects
	e.parking.asked++
	e.parking.expecting = e.parking.expecting || len(expects) > 0
	e.askToPark(r, l, expects)
}

func (e *Engine) askToPark(r *run, in *orca.Lot, expects []outcomeKey) {
	ended := e.parkingEnded
	if e.admission.shared {
		ended = e.parkedShared
	}
	e.cfg.Ledger.Park(orca.Parking{Position: r.position, Lot: in, Expects: expects, Tries: r.tries()}, func(parked bool, err error) {
		e.inbox.post(func() { ended(r, in, parked, err) })
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

// parked takes note of whether a run is a row of a lot now. What has happened to the run meanwhile keeps it in memory,
// as does the answer that it is not parked.
func (e *Engine) parked(r *run, in *orca.Lot, parked bool) {
	if e.admission.loading {
		e.parking.late = append(e.parking.late, func() { e.parked(r, in, parked) })
		return
	}
	r.parking = false
	e.parking.asked--
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
