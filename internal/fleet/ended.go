package fleet

import (
	"google.golang.org/grpc/codes"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ended gives back the place of a request and decides what becomes of the algorithms that have no result: back to the
// queue where its end says nothing about them, else to the engine. Whoever calls it looks at the queue next.
func (p *pool) ended(r *request, e end) {
	in := r.instance
	p.mu.Lock()
	in.inFlight--
	in.soloing = false
	broke := e.code == codes.Unavailable && in.broke(e.reason)
	if e.kind == 0 {
		e.kind = p.putBack(r, e)
	}
	if e.kind == orca.EndComplete {
		in.relax()
	}
	p.mu.Unlock()

	if broke {
		in.log(orca.Unreachable, e.reason)
	}
	if e.kind == 0 && e.code == codes.Unimplemented {
		r.log().Warn("an instance does not have algorithms that it announced; it gets no such work until it registers again",
			"algorithm", r.part.algorithms[0].ID.String(), "of", len(r.part.algorithms), "answer", e.reason)
	}
	if e.kind != 0 {
		for _, report := range r.report(e) {
			r.part.call.End(report)
		}
	}
	in.work.Done()
	p.fleet.gate.leave()
}

// putBack queues a request again that the instance did not begin to work on, and returns zero, or the kind of its end
// when it is not to be tried any more. The lock is held.
func (p *pool) putBack(r *request, e end) orca.CallEndKind {
	switch e.code {
	case codes.OK:
		return p.tooLarge(r.part)
	case codes.ResourceExhausted:
		return p.refused(r)
	case codes.Unimplemented:
		if r.registrations == r.instance.registrations {
			r.instance.deny(r.part.algorithms)
		}
	}
	p.queue.push(r.part)
	return 0
}

// tooLarge handles a request beyond our own limit: its algorithms may fit one by one. The lock is held.
func (p *pool) tooLarge(pt *part) orca.CallEndKind {
	if len(pt.algorithms) == 1 {
		return orca.EndTooLarge
	}
	for i := range pt.algorithms {
		p.queue.push(&part{call: pt.call, algorithms: pt.algorithms[i : i+1], solo: pt.solo})
	}
	return 0
}

// refused handles an instance that says that it has too much. While other work is in flight there, that is why, and it
// gets less. A request that was refused twice goes out with nothing else in flight, its algorithms one by one; one
// that is refused even so is too large. The lock is held.
func (p *pool) refused(r *request) orca.CallEndKind {
	const chances = 2
	in, pt := r.instance, r.part
	alone := in.inFlight == 0
	in.restrain()
	pt.refusals++
	again := []*part{pt}
	switch {
	case pt.refusals > chances:
		return orca.EndTooLarge
	case pt.refusals == chances:
		again = nil
		for i := range pt.algorithms {
			again = append(again, &part{call: pt.call, algorithms: pt.algorithms[i : i+1], solo: true, refusals: chances})
		}
	}
	for _, pt := range again {
		if alone { // nothing of ours will end and make room, so only time can help
			p.later(pt)
		} else {
			p.queue.push(pt)
		}
	}
	return 0
}

// report makes the reports on what has no result: one for all, and one for each algorithm whose result was unreadable.
func (r *request) report(e end) []orca.CallEnd {
	if len(r.missing) == 0 {
		return nil
	}
	var reports []orca.CallEnd
	all := orca.CallEnd{Kind: e.kind, Reason: e.reason, Sent: r.sent, Alone: len(r.part.algorithms) == 1}
	if r.sent != 0 {
		all.Served = r.served
	}
	rest := all
	for _, id := range r.missing {
		if problem, ok := r.unreadable[id]; ok {
			one := all
			one.Missing, one.Reason = []orca.AlgorithmID{id}, "the result cannot be read: "+problem
			reports = append(reports, one)
			continue
		}
		rest.Missing = append(rest.Missing, id)
	}
	if len(rest.Missing) > 0 {
		reports = append(reports, rest)
	}
	return reports
}
