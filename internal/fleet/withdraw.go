package fleet

import (
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Withdraw takes algorithms of the run at a position out of the calls that wait at a processor, and returns which:
// nothing is reported of them. It does not wait. What is under way goes on, and its results are the caller's to drop.
func (f *Fleet) Withdraw(processor string, position orca.Position, gone func(orca.AlgorithmID) bool) []orca.AlgorithmID {
	return f.pool(processor).withdraw(position, gone)
}

func (p *pool) withdraw(position orca.Position, gone func(orca.AlgorithmID) bool) (taken []orca.AlgorithmID) {
	p.mu.Lock()
	for _, pt := range p.queue.remove(position) {
		if pt.without(gone, &taken) {
			p.queue.push(pt)
		}
	}
	for pt := range p.putOff {
		if pt.call.Position == position && !pt.without(gone, &taken) {
			delete(p.putOff, pt) // its timer finds it gone
		}
	}
	for _, in := range slices.Clone(p.reserved) {
		if pt := in.reserved; pt.call.Position == position && !pt.without(gone, &taken) {
			p.unreserve(in)
		}
	}
	p.mu.Unlock()
	token(p.wake)
	return taken
}

// without takes algorithms out of a part, adds them to taken, and reports whether any are left.
func (pt *part) without(gone func(orca.AlgorithmID) bool, taken *[]orca.AlgorithmID) bool {
	is := func(a orca.CalledAlgorithm) bool { return gone(a.ID) }
	if slices.ContainsFunc(pt.algorithms, is) {
		var left []orca.CalledAlgorithm // the list may be the call's
		for _, a := range pt.algorithms {
			if is(a) {
				*taken = append(*taken, a.ID)
			} else {
				left = append(left, a)
			}
		}
		pt.algorithms, pt.line = left, nil
	}
	return len(pt.algorithms) > 0
}

// remove takes all parts of a position out of the queue.
func (q *queue) remove(position orca.Position) []*part {
	var removed []*part
	for _, l := range slices.Clone(q.waiting) {
		for i := 0; i < len(l.parts); {
			if l.parts[i].call.Position != position {
				i++
				continue
			}
			removed = append(removed, q.removeAt(l, i))
			i = 0 // the heap has moved
		}
	}
	return removed
}
