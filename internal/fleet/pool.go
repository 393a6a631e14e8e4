package fleet

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/orca-telemetry/orca/internal/orca"
)

// pool is one processor: the queue of its calls and the instances that serve it.
type pool struct {
	fleet *Fleet
	name  string
	wake  chan struct{} // holds a token when something changed that may let a request begin

	mu        sync.Mutex
	queue     queue
	instances map[string]*instance // by address
	started   []*instance          // to be watched by run
	starts    uint64               // requests begun, for taking turns between equals
}

func newPool(f *Fleet, name string) *pool {
	return &pool{fleet: f, name: name, wake: make(chan struct{}, 1), instances: map[string]*instance{}}
}

// run begins requests and watches instances until ctx is cancelled, and returns when they have ended.
func (p *pool) run(ctx context.Context) {
	var children sync.WaitGroup
	defer children.Wait()
	for {
		for _, in := range p.takeStarted() {
			children.Go(func() { in.watch(ctx) })
		}
		for {
			r := p.next()
			if r == nil {
				break
			}
			children.Go(func() { r.run(ctx) })
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
	}
}

func (p *pool) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pool) takeStarted() []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	started := p.started
	p.started = nil
	return started
}

func (p *pool) submit(c *orca.Call) {
	p.mu.Lock()
	p.queue.push(&part{call: c, algorithms: c.Algorithms, solo: c.Solo})
	p.mu.Unlock()
	p.signal()
}

// sync makes the given announcements the instances of this pool.
func (p *pool) sync(announced []orca.Instance) {
	p.mu.Lock()
	gone := make(map[string]*instance, len(p.instances))
	for address, in := range p.instances {
		gone[address] = in
	}
	for _, a := range announced {
		in := p.instances[a.Address]
		if in == nil || in.connection != a.Connection {
			in = newInstance(p, a)
			p.instances[a.Address] = in
			p.started = append(p.started, in)
		} else {
			delete(gone, a.Address)
			in.announce(a)
		}
	}
	for address, in := range gone {
		if p.instances[address] == in {
			delete(p.instances, address)
		}
		in.retire()
	}
	p.mu.Unlock()
	p.signal()
}

// next takes the request that is to begin now, or returns nil.
func (p *pool) next() *request {
	if p.fleet.draining.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.nextReserved(); r != nil {
		return r
	}
	for {
		pt := p.queue.lowest(func(pt *part) bool { return p.choose(pt) != nil })
		if pt == nil {
			return nil
		}
		in := p.choose(pt)
		p.queue.take(pt)
		if !pt.solo || in.inFlight == 0 {
			return p.begin(in, pt)
		}
		in.reserved = pt // takes nothing more until the last request under way there has ended
	}
}

// nextReserved begins a solo part whose instance has become idle.
func (p *pool) nextReserved() *request {
	for _, in := range p.instances {
		if pt := in.reserved; pt != nil && in.inFlight == 0 {
			in.reserved = nil
			if in.state != orca.Serving || !in.runs(pt.first()) {
				p.queue.push(pt)
				continue
			}
			return p.begin(in, pt)
		}
	}
	return nil
}

// choose returns the instance that a part is to go to now, or nil: a serving one with a free place that announced the
// part's first algorithm. One that announced exactly the plan's definition is preferred, then one of the preferred
// runtime, then the least loaded, then the one whose last request began the longest ago.
func (p *pool) choose(pt *part) *instance {
	var best *instance
	first := pt.algorithms[0]
	for _, in := range p.instances {
		if in.free(pt.solo) && in.runs(first.ID) && (best == nil || in.better(best, first)) {
			best = in
		}
	}
	return best
}

// begin takes a place at the instance. What it cannot run of the part goes back to the queue.
func (p *pool) begin(in *instance, pt *part) *request {
	var rest []orca.CalledAlgorithm
	mine := pt.algorithms
	for i, a := range pt.algorithms {
		if !in.runs(a.ID) {
			mine, rest = split(pt.algorithms, i, in)
			break
		}
	}
	if len(rest) > 0 {
		p.queue.push(&part{call: pt.call, algorithms: rest, solo: pt.solo})
		pt = &part{call: pt.call, algorithms: mine, solo: pt.solo}
	}
	p.starts++
	in.lastStart = p.starts
	in.inFlight++
	in.soloing = pt.solo
	p.fleet.inFlight.add(1)
	return &request{pool: p, instance: in, part: pt, sent: p.fleet.cfg.Now(), served: in.served}
}

// split divides algorithms into those that the instance runs and the others; the first i are known to be its own.
func split(algorithms []orca.CalledAlgorithm, i int, in *instance) (mine, rest []orca.CalledAlgorithm) {
	mine = append(mine, algorithms[:i]...)
	for _, a := range algorithms[i:] {
		if in.runs(a.ID) {
			mine = append(mine, a)
		} else {
			rest = append(rest, a)
		}
	}
	return mine, rest
}

// waiting reports whether work waits for an instance.
func (p *pool) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.len > 0
}

func (p *pool) status() orca.ProcessorStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := orca.ProcessorStatus{Name: p.name, Queued: p.queue.len, Instances: make([]orca.InstanceStatus, 0, len(p.instances))}
	if oldest := p.queue.lowest(func(*part) bool { return true }); oldest != nil {
		s.Oldest = oldest.call.Position
	}
	for _, in := range p.instances {
		if in.reserved != nil {
			s.Queued++
		}
		s.Instances = append(s.Instances, orca.InstanceStatus{
			Address: in.address, State: in.state, Reason: in.reason, LastSeen: in.lastSeen,
			InFlight: in.inFlight, Metrics: in.metrics,
		})
	}
	slices.SortFunc(s.Instances, func(a, b orca.InstanceStatus) int { return strings.Compare(a.Address, b.Address) })
	return s
}
