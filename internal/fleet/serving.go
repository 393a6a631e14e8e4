package fleet

import "github.com/orca-telemetry/orca/internal/orca"

// Serving returns the best state among the instances that run an algorithm: Serving when one takes work,
// Connecting when one may be about to, Unreachable when none runs it.
func (f *Fleet) Serving(id orca.AlgorithmID) orca.InstanceState {
	f.mu.Lock()
	p := f.pools[id.Processor]
	f.mu.Unlock()
	if p == nil {
		return orca.Unreachable
	}
	return p.serving(id)
}

func (p *pool) serving(id orca.AlgorithmID) orca.InstanceState {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := orca.Unreachable
	for _, in := range p.instances {
		if !in.runs(id) {
			continue
		}
		switch in.state {
		case orca.Serving:
			return orca.Serving
		case orca.Connecting:
			best = orca.Connecting
		case orca.NotServing, orca.Unreachable, retired:
		}
	}
	return best
}

// Expect says of every processor whether work waits for it outside of the fleet, so that its instances are probed as
// if the work was queued here.
func (f *Fleet) Expect(processors map[string]bool) {
	for name := range processors {
		f.pool(name)
	}
	for _, p := range f.sorted() {
		p.expect(processors[p.name])
	}
}

func (p *pool) expect(work bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = work
}
