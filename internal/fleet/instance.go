package fleet

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/orca-telemetry/orca/internal/orca"
)

// retired is the state of an instance that is no longer announced. It is not in its pool any more, so nobody sees it.
const retired orca.InstanceState = 0

// instance is one address of a processor.
type instance struct {
	pool       *pool
	address    string
	connection string         // as announced
	kick       chan struct{}  // holds a token when a health check is wanted now
	work       sync.WaitGroup // the requests under way; none is added once it is retired

	// All below is guarded by pool.mu.

	conn *grpc.ClientConn   // nil until watch begins
	stop context.CancelFunc // ends watch; nil until it begins

	algorithms map[orca.AlgorithmID]orca.DefinitionHash
	// denied algorithms are those that it answered UNIMPLEMENTED for since it registered.
	denied       map[orca.AlgorithmID]bool
	runtime      string
	registeredAt orca.Time
	// registrations since the core started; a request that went out before the last of them says nothing of it.
	registrations uint64

	state    orca.InstanceState
	reason   string    // why it is not serving
	served   orca.Time // its last SERVING
	lastSeen orca.Time
	alive    time.Time // its last sign of life, or its begin, by the monotonic clock
	metrics  *orca.ProcessorMetrics
	failures int // health checks in a row
	// checked is what the last health check found, and checkedAt when; zero before the first.
	checked   orca.HealthCheck
	checkedAt time.Time
	vouched   time.Time // when another core last found it serving, see heard
	breaks    uint64    // how often requests found it broken down

	inFlight int
	// limit of inFlight: MaxInFlight, and fewer after the instance said that it has too much.
	limit     int
	calm      int    // requests that were worked on since the limit changed
	soloing   bool   // a solo request is under way
	reserved  *part  // begins when inFlight is zero; nothing else does until then
	lastBegun uint64 // pool.begun when its last request began
}

func newInstance(p *pool, a orca.Instance) *instance {
	in := &instance{
		pool: p, address: a.Address, connection: a.Connection, kick: make(chan struct{}, 1),
		state: orca.Connecting, reason: "it has not answered yet", limit: p.fleet.cfg.MaxInFlight, alive: time.Now(),
	}
	in.take(a)
	return in
}

// take makes an announcement the instance's own. The pool's lock is held.
func (in *instance) take(a orca.Instance) {
	in.algorithms, in.runtime, in.registeredAt = a.Algorithms, a.Runtime, a.RegisteredAt
}

// forgive forgets what the instance refused, and has it checked at once: it has registered, so often it has just been
// started, perhaps with other limits. The pool's lock is held.
func (in *instance) forgive() {
	in.registrations++
	in.denied = nil
	in.pool.announced()
	in.limit, in.calm = in.pool.fleet.cfg.MaxInFlight, 0
	in.releaseReserved()
	// The connection's backoff is short enough to be waited for; setting it back races with a dial in grpc-go.
	token(in.kick)
}

// announce takes a repeated announcement, if it is a new one, and has the instance checked at once. The pool's lock is
// held.
func (in *instance) announce(a orca.Instance) {
	if a.RegisteredAt == in.registeredAt {
		return
	}
	in.take(a)
	in.forgive()
}

// retire keeps new requests away for good. The connection is closed when those under way have ended. The pool's lock
// is held.
func (in *instance) retire() {
	in.state = retired
	in.releaseReserved()
	if in.stop != nil {
		in.stop()
	}
}

// releaseReserved queues the reserved part again, if any. The pool's lock is held.
func (in *instance) releaseReserved() {
	if in.reserved != nil {
		in.pool.queue.push(in.pool.unreserve(in))
	}
}

// setState reports whether that is a change. The pool's lock is held.
func (in *instance) setState(s orca.InstanceState, reason string) bool {
	changed := in.state != s
	in.state, in.reason = s, reason
	if s != orca.Serving {
		in.releaseReserved()
	}
	if changed {
		in.pool.fleet.changed()
	}
	return changed
}

// log writes down a change of state. The pool's lock is not held: writing may take time.
func (in *instance) log(s orca.InstanceState, reason string) {
	log := in.pool.fleet.cfg.Log.With("processor", in.pool.name, "instance", in.address, "state", s.String())
	if s == orca.Serving {
		log.Info("a processor instance takes work")
		return
	}
	log.Warn("a processor instance takes no work", "reason", reason)
}

// runs reports whether it announced the algorithm and has not denied it since. The pool's lock is held.
func (in *instance) runs(id orca.AlgorithmID) bool {
	_, announced := in.algorithms[id]
	return announced && !in.denied[id]
}

// deny keeps algorithms away from the instance that it says it does not have, until it registers again. The pool's
// lock is held.
func (in *instance) deny(algorithms []orca.CalledAlgorithm) {
	if in.denied == nil {
		in.denied = map[orca.AlgorithmID]bool{}
	}
	for _, a := range algorithms {
		in.denied[a.ID] = true
	}
	in.releaseReserved()
	in.pool.announced()
}

// rank says how well it suits the algorithms. The pool's lock is held.
func (in *instance) rank(algorithms []orca.CalledAlgorithm) rank {
	var k rank
	for _, a := range algorithms {
		if !in.runs(a.ID) {
			continue
		}
		k.runs++
		if in.algorithms[a.ID] == a.Definition {
			k.exact++
		}
		if a.Runtime != "" && a.Runtime == in.runtime {
			k.runtime++
		}
	}
	return k
}

// free reports whether a request may go to the instance; a solo one may when it can be reserved. The pool's lock is held.
func (in *instance) free(solo bool) bool {
	if in.state != orca.Serving || in.soloing || in.reserved != nil || !in.pool.fleet.leased() {
		return false
	}
	return solo || in.inFlight < min(in.limit, in.pool.fleet.ownShare())
}

// lessLoaded orders instances that suit equally. The pool's lock is held.
func (in *instance) lessLoaded(than *instance) bool {
	if in.inFlight != than.inFlight {
		return in.inFlight < than.inFlight
	}
	return in.lastBegun < than.lastBegun
}

// restrain lowers the limit to the requests that are under way beside one that was refused. The pool's lock is held.
func (in *instance) restrain() {
	if in.inFlight > 0 {
		in.limit, in.calm = min(in.limit, in.inFlight), 0
	}
}

// calmPerPlace is how many requests for each place must go well before one place more is tried.
const calmPerPlace = 8

// relax lets the limit grow back slowly: an instance that takes no more than it does would otherwise refuse all the
// time, and a request that is refused twice stops all others. The pool's lock is held.
func (in *instance) relax() {
	in.calm++
	if in.limit < in.pool.fleet.cfg.MaxInFlight && in.calm >= calmPerPlace*in.limit {
		in.limit, in.calm = in.limit+1, 0
	}
}

// status returns what is known of it. The pool's lock is held.
func (in *instance) status() orca.InstanceStatus {
	return orca.InstanceStatus{
		Address: in.address, State: in.state, Reason: in.reason, LastSeen: in.lastSeen,
		Silent: time.Since(in.alive), InFlight: in.inFlight, Metrics: in.metrics,
	}
}
