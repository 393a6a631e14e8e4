package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// pool is one processor: the queue of its calls and the instances that serve it.
type pool struct {
	fleet *Fleet
	name  string
	wake  chan struct{} // holds a token when something changed that may let a request begin
	idle  chan *request // goroutines that have carried out a request wait here for another one

	mu        sync.Mutex
	queue     queue
	putOff    map[*part]bool       // parts that a timer will queue again
	instances map[string]*instance // by address
	reserved  []*instance          // those with a reserved part, the oldest first
	started   []*instance          // to be watched by run; bounded by the instances announced
	// announcements counts the changes of what instances run. Candidates of lines are as of one of them.
	announcements uint64
	expected      bool   // work waits for this processor outside of the fleet
	begun         uint64 // requests, for taking turns between equals
}

func newPool(f *Fleet, name string) *pool {
	return &pool{fleet: f, name: name, wake: make(chan struct{}, 1), idle: make(chan *request), putOff: map[*part]bool{}, instances: map[string]*instance{}}
}

// run begins requests and watches instances until ctx is cancelled, and returns when they have ended.
func (p *pool) run(ctx context.Context) {
	var children sync.WaitGroup
	defer children.Wait()
	for ctx.Err() == nil {
		p.startWatches(ctx, &children)
		p.beginAll(ctx, &children)
		select {
		case <-ctx.Done():
		case <-p.wake:
		}
	}
}

func (p *pool) startWatches(ctx context.Context, children *sync.WaitGroup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.started {
		announced, stop := context.WithCancel(ctx)
		in.stop = stop
		children.Go(func() {
			defer stop()
			in.watch(announced)
		})
	}
	p.started = nil
}

// beginAll begins all requests that may, each in a goroutine of its own.
func (p *pool) beginAll(ctx context.Context, children *sync.WaitGroup) {
	for r := p.next(ctx); r != nil; r = p.next(ctx) {
		select {
		case p.idle <- r:
		default:
			children.Go(func() { p.work(ctx, children, r) })
		}
	}
}

// work carries out a request, and in the same goroutine those that get its place.
func (p *pool) work(ctx context.Context, children *sync.WaitGroup, r *request) {
	for r != nil {
		p.ended(r, r.execute(ctx))
		if r = p.next(ctx); r != nil {
			p.beginAll(ctx, children) // the end may have made room for several
		} else {
			r = p.rest(ctx)
		}
	}
}

// maxIdle bounds the goroutines of all pools that wait for a request.
const maxIdle = 64

// rest waits for a request, so that a goroutine whose stack has grown is used again: growing it was 4 % of the CPU time of
// a chain. It returns nil when enough others wait.
func (p *pool) rest(ctx context.Context) *request {
	idle := &p.fleet.idle
	defer idle.Add(-1)
	if idle.Add(1) > maxIdle {
		return nil
	}
	select {
	case r := <-p.idle:
		return r
	case <-ctx.Done():
		return nil
	}
}

func (p *pool) submit(c *orca.Call) {
	p.mu.Lock()
	p.queue.push(&part{call: c, algorithms: c.Algorithms, solo: c.Solo})
	p.mu.Unlock()
	token(p.wake)
}

// sync makes the given announcements the instances of this pool.
func (p *pool) sync(announced []orca.Instance) {
	p.mu.Lock()
	gone := p.instances
	p.instances = make(map[string]*instance, len(announced))
	for _, a := range announced {
		in := gone[a.Address]
		if in != nil && in.connection == a.Connection {
			delete(gone, a.Address)
			in.announce(a)
		} else {
			in = newInstance(p, a)
			p.started = append(p.started, in)
		}
		p.instances[a.Address] = in
	}
	for _, in := range gone {
		in.retire()
	}
	p.started = slices.DeleteFunc(p.started, func(in *instance) bool { return in.state == retired })
	p.announced()
	p.mu.Unlock()
	token(p.wake)
}

// announced takes note that what instances run has changed. The lock is held.
func (p *pool) announced() {
	p.announcements++
	p.fleet.changed()
}

// next takes the request that is to begin now, or returns nil.
func (p *pool) next(ctx context.Context) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.len+len(p.reserved) == 0 || ctx.Err() != nil || !p.fleet.gate.enter() {
		return nil
	}
	in, pt := p.take()
	if pt == nil {
		p.fleet.gate.leave()
		return nil
	}
	return p.begin(in, pt)
}

// take removes the part that is to begin now from where it waits. The lock is held.
func (p *pool) take() (*instance, *part) {
	for _, in := range p.reserved {
		if in.inFlight == 0 && p.fleet.leased() {
			return in, p.unreserve(in)
		}
	}
	for {
		var in *instance
		l := p.queue.first(func(l *line) bool {
			chosen := p.choose(l)
			if chosen == nil {
				return false
			}
			in = chosen
			return true
		})
		if l == nil {
			return nil, nil
		}
		pt := p.queue.pop(l)
		if !pt.solo || in.inFlight == 0 {
			return in, pt
		}
		in.reserved = pt // takes nothing more until the last request under way there has ended
		p.reserved = append(p.reserved, in)
	}
}

// unreserve takes back the part that is reserved at an instance. The lock is held.
func (p *pool) unreserve(in *instance) *part {
	pt := in.reserved
	in.reserved = nil
	p.reserved = slices.DeleteFunc(p.reserved, func(o *instance) bool { return o == in })
	return pt
}

// candidate is an instance that runs some of the algorithms of a line.
type candidate struct {
	instance *instance
	rank     rank
}

// rank says how well an instance suits a line, apart from its load. More is better, earlier fields first.
type rank struct {
	exact   int // algorithms that it announced with exactly the plan's definition
	runs    int // algorithms that it runs at all
	runtime int // algorithms that prefer its runtime
}

func (a rank) compare(b rank) int {
	return cmp.Or(cmp.Compare(b.exact, a.exact), cmp.Compare(b.runs, a.runs), cmp.Compare(b.runtime, a.runtime))
}

// choose returns the instance that the head of a line is to go to now, or nil: of those that may take it, one of the
// best rank, of these the least loaded, and of these the one whose last request began the longest ago.
func (p *pool) choose(l *line) *instance {
	if l.known != p.announcements {
		l.candidates, l.known = p.candidates(l.algorithms), p.announcements
	}
	var best candidate
	for _, c := range l.candidates {
		if best.instance != nil && c.rank != best.rank {
			break
		}
		if c.instance.free(l.parts[0].solo) && (best.instance == nil || c.instance.lessLoaded(best.instance)) {
			best = c
		}
	}
	return best.instance
}

// candidates returns the instances that run any of the algorithms, the best first.
func (p *pool) candidates(algorithms []orca.CalledAlgorithm) []candidate {
	var candidates []candidate
	for _, in := range p.instances {
		if k := in.rank(algorithms); k.runs > 0 {
			candidates = append(candidates, candidate{in, k})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(a.rank.compare(b.rank), strings.Compare(a.instance.address, b.instance.address))
	})
	return candidates
}

// begin takes a place at the instance. What it cannot run of the part goes back to the queue.
func (p *pool) begin(in *instance, pt *part) *request {
	if mine, rest := split(pt.algorithms, in); len(rest) > 0 {
		p.queue.push(&part{call: pt.call, algorithms: rest, solo: pt.solo})
		pt = &part{call: pt.call, algorithms: mine, solo: pt.solo}
	}
	p.begun++
	in.lastBegun = p.begun
	in.inFlight++
	in.work.Add(1)
	in.soloing = pt.solo
	return newRequest(p, in, pt)
}

// split divides algorithms into those that the instance runs and the others.
func split(algorithms []orca.CalledAlgorithm, in *instance) (mine, rest []orca.CalledAlgorithm) {
	foreign := func(a orca.CalledAlgorithm) bool { return !in.runs(a.ID) }
	if !slices.ContainsFunc(algorithms, foreign) {
		return algorithms, nil
	}
	for _, a := range algorithms {
		if foreign(a) {
			rest = append(rest, a)
		} else {
			mine = append(mine, a)
		}
	}
	return mine, rest
}

// later queues a part again after the time of a probe. The lock is held.
func (p *pool) later(pt *part) {
	p.putOff[pt] = true
	time.AfterFunc(p.fleet.cfg.Probe, func() {
		p.mu.Lock()
		if p.putOff[pt] { // else it was withdrawn
			delete(p.putOff, pt)
			p.queue.push(pt)
		}
		p.mu.Unlock()
		token(p.wake)
	})
}

// waiting reports whether work waits for an instance.
func (p *pool) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.len > 0 || p.expected
}

func (p *pool) status() orca.ProcessorStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := orca.ProcessorStatus{
		Name: p.name, Queued: p.queue.len + len(p.putOff) + len(p.reserved),
		Oldest: p.oldest(), Instances: make([]orca.InstanceStatus, 0, len(p.instances)),
	}
	for _, in := range p.instances {
		s.Instances = append(s.Instances, in.status())
	}
	slices.SortFunc(s.Instances, func(a, b orca.InstanceStatus) int { return strings.Compare(a.Address, b.Address) })
	return s
}

// oldest returns the lowest position that has not begun, zero when there is none. The lock is held.
func (p *pool) oldest() orca.Position {
	var oldest orca.Position
	see := func(pt *part) {
		if at := pt.call.Position; oldest == 0 || at < oldest {
			oldest = at
		}
	}
	if l := p.queue.first(func(*line) bool { return true }); l != nil {
		see(l.parts[0])
	}
	for pt := range p.putOff {
		see(pt)
	}
	for _, in := range p.reserved {
		see(in.reserved)
	}
	return oldest
}
