package postgres

import "github.com/orca-telemetry/orca/internal/orca"

// round is a part of a batch whose rows are independent of each other, so that one transaction can write them in any
// order: what a row reads, no other row of its round writes. That is nearly always the whole batch, since the engine asks
// for nothing before it was told of what that depends on. The rows of a batch are cut into rounds in their order.
type round struct {
	requests []*request

	accepts bool
	keys    map[keyName]bool
	// windows have a revision here.
	windows map[orca.WindowID]bool
	// settled, parked and read are runs that get outcomes or an end, that are parked, and that are looked at.
	settled, parked, read map[orca.Position]bool
}

// keyName is an idempotency key without the digest.
type keyName struct{ project, key string }

func newRound() *round {
	return &round{keys: map[keyName]bool{}, windows: map[orca.WindowID]bool{}, settled: map[orca.Position]bool{},
		parked: map[orca.Position]bool{}, read: map[orca.Position]bool{}}
}

// nextRound cuts the first round off a batch. Runs up to seen exist; those above may be of rows of the same batch.
func nextRound(batch []*request, seen orca.Position) (first *round, rest []*request) {
	rd := newRound()
	for i, r := range batch {
		if !rd.fits(r, seen) {
			return rd, batch[i:]
		}
		rd.add(r)
	}
	return rd, nil
}

func (rd *round) fits(r *request, seen orca.Position) bool {
	mayBeHere := func(p orca.Position) bool { return rd.accepts && p > seen }
	switch {
	case r.emission != nil:
		return r.emission.Key.Key == "" || !rd.keys[nameOf(r.emission)]
	case r.revision != nil:
		v := r.revision
		return !mayBeHere(v.Window) && !mayBeHere(v.Base) && !rd.windows[v.Window] && !rd.settled[v.Base]
	case r.settlement != nil:
		p := r.settlement.Position
		return !mayBeHere(p) && !rd.parked[p] && !rd.read[p]
	case r.parking != nil:
		p := r.parking.Position
		if mayBeHere(p) || rd.settled[p] || rd.parked[p] {
			return false
		}
		for _, k := range r.parking.Expects {
			if mayBeHere(k.Position) || rd.settled[k.Position] {
				return false
			}
		}
	}
	return true
}

func (rd *round) add(r *request) {
	rd.requests = append(rd.requests, r)
	switch {
	case r.emission != nil:
		rd.accepts = true
		if r.emission.Key.Key != "" {
			rd.keys[nameOf(r.emission)] = true
		}
	case r.revision != nil:
		rd.accepts = true
		rd.windows[r.revision.Window], rd.read[r.revision.Base] = true, true
	case r.settlement != nil:
		rd.settled[r.settlement.Position] = true
	case r.parking != nil:
		rd.parked[r.parking.Position] = true
		for _, k := range r.parking.Expects {
			rd.read[k.Position] = true
		}
	}
}

func nameOf(e *orca.Emission) keyName { return keyName{e.Key.Project, e.Key.Key} }
