package fleet

import (
	"google.golang.org/grpc/codes"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ended gives back the place of a request and decides what becomes of the algorithms that have no result: back to the
// queue where it says nothing about them, else to the engine.
func (p *pool) ended(r *request, e end) {
	p.mu.Lock()
	in := r.instance
	others := in.inFlight - 1 // that were under way at its end
	in.inFlight--
	in.soloing = false
	var reports []orca.CallEnd
	if e.kind == 0 {
		reports = p.putBack(r, e, others)
	} else {
		if e.kind == orca.EndLost {
			p.lost(in, e)
		}
		in.relax(e)
		reports = r.report(e)
	}
	if in.inFlight == 0 {
		select {
		case in.idle <- struct{}{}:
		default:
		}
	}
	p.mu.Unlock()
	for _, report := range reports {
		r.part.call.End(report)
	}
	p.fleet.inFlight.add(-1)
	p.signal()
}

// putBack queues a request again that the instance did not begin to work on. The lock is held.
func (p *pool) putBack(r *request, e end, others int) []orca.CallEnd {
	in, pt := r.instance, r.part
	switch e.code {
	case codes.Unimplemented:
		if in.unimplemented == nil {
			in.unimplemented = map[orca.AlgorithmID]bool{}
		}
		for _, a := range pt.algorithms {
			in.unimplemented[a.ID] = true
		}
		p.fleet.cfg.Log.Warn("an instance does not have algorithms that it announced; it gets no such work until it registers again",
			"processor", p.name, "instance", in.address, "algorithm", pt.first().String(), "answer", e.reason)
		p.queue.push(pt)
	case codes.ResourceExhausted:
		return p.pushBack(r, e, others)
	default: // not reached
		p.lost(in, e)
		p.queue.push(pt)
	}
	return nil
}

// pushBack handles an instance that says that it has too much. While other work is in flight there, that is why;
// after two such answers the request goes out alone, its algorithms one by one, and then its inputs are too large.
func (p *pool) pushBack(r *request, e end, others int) []orca.CallEnd {
	in, pt := r.instance, r.part
	if pt.solo && len(pt.algorithms) == 1 && others == 0 {
		e.kind = orca.EndTooLarge
		return r.report(e)
	}
	in.limit = max(1, min(in.limit, others))
	pt.refusals++
	if others == 0 || pt.refusals >= 2 {
		for _, a := range pt.algorithms {
			p.queue.push(&part{call: pt.call, algorithms: []orca.CalledAlgorithm{a}, solo: true})
		}
		return nil
	}
	p.queue.push(pt)
	return nil
}

// lost takes an instance that broke down out of the pool until it answers SERVING. The lock is held.
func (p *pool) lost(in *instance, e end) {
	select {
	case <-in.gone:
		return
	default:
	}
	in.setState(orca.Unreachable, e.reason)
	in.probeSoon()
}

// relax lets the limit grow back by one with each request that was worked on. The lock is held.
func (in *instance) relax(e end) {
	if e.kind == orca.EndComplete && in.limit < in.pool.fleet.cfg.MaxInFlight {
		in.limit++
	}
}

// report makes the reports on what has no result: one for all, and one for each algorithm whose result was unreadable.
func (r *request) report(e end) []orca.CallEnd {
	if len(r.missing) == 0 {
		return nil
	}
	base := orca.CallEnd{Kind: e.kind, Reason: e.reason, Sent: r.sent, Served: r.served, Alone: len(r.part.algorithms) == 1}
	var reports []orca.CallEnd
	rest := base
	for _, id := range r.missing {
		if reason, ok := r.invalid[id]; ok {
			one := base
			one.Missing, one.Reason = []orca.AlgorithmID{id}, "the result cannot be read: "+reason
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
