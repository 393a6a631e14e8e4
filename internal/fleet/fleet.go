// Package fleet owns everything about processors that is alive: their instances, one long-lived connection to each,
// heartbeats, the queue of calls per processor, and the requests under way. It decides where and when a call goes, and
// reports what came back; what that means for a run, the engine decides.
//
// Each processor is a pool: one mutex guards its queue and the state of its instances. What can change whether a
// request may begin (a call, an announcement, a health check, the end of a request) happens under that mutex and is
// followed by a look at the queue, so that no change goes unnoticed. A part of a call is always in exactly one place:
// in the queue, put off, reserved at an instance, or in a request.
//
// Goroutines: Run has one for each pool, and pools have one for each instance, which checks its health, and one for
// each request. All end before Run returns.
//
// The package knows the contract's messages only to send and receive them. It must not read the ledger or the
// registry: inputs come from Call.Build, instances from Sync.
package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// Config of a Fleet. The zero value works.
type Config struct {
	// Log receives what instances do wrong; default none.
	Log *slog.Logger
	// Now is the clock of LastSeen, Sent and Served; default the system's.
	Now func() orca.Time
	// Heartbeat is the time from one health check of a serving instance to the next, and the limit of each; default 5 s.
	Heartbeat time.Duration
	// Probe is the time from one health check to the next of an instance that answers and does not serve, while work
	// waits. A request that an idle instance had no room for is put off for as long. Default 1 s.
	Probe time.Duration
	// MaxInFlight bounds the requests under way at one instance; default 32.
	MaxInFlight int
	// ExecutionTimeout bounds the wait for the next result of a request; default 15 min.
	ExecutionTimeout time.Duration
	// CloseGrace is how long a stream may stay open after it gave every result; default 5 s.
	CloseGrace time.Duration
	// MaxMessageSize bounds one message in bytes, both ways; default 64 MiB.
	MaxMessageSize int
	// OmitLegacyFields leaves the deprecated request fields out; default false.
	OmitLegacyFields bool
	// OnChange is told that Serving may say something else now, of any algorithm. It must not block, nor call the fleet.
	OnChange func()
	// DialOptions are added to those of every connection.
	DialOptions []grpc.DialOption
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = func() orca.Time { return orca.TimeOf(time.Now()) }
	}
	setDefault(&c.Heartbeat, 5*time.Second)
	setDefault(&c.Probe, time.Second)
	setDefault(&c.MaxInFlight, 32)
	setDefault(&c.ExecutionTimeout, 15*time.Minute)
	setDefault(&c.CloseGrace, 5*time.Second)
	setDefault(&c.MaxMessageSize, 64<<20)
	return c
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Fleet carries out calls. Make it with New; all methods are safe for concurrent use.
type Fleet struct {
	cfg     Config
	begun   time.Time // heartbeats are counted from it
	encoder wire.Encoder
	execs   execIDs
	gate    gate
	idle    atomic.Int32 // goroutines that wait for a request, see pool.rest

	mu    sync.Mutex
	pools map[string]*pool // by processor name; a pool stays once it is there
	// started gets each new pool, for Run to serve it. Bounded by the number of processors, guarded by mu.
	started []*pool
	wake    chan struct{} // holds a token while started is not empty

	peers atomic.Pointer[peers]     // see Share; nil when this core is alone
	lease atomic.Pointer[time.Time] // see Lease; nil when there is none
}

// New returns a fleet without instances that does nothing until Run.
func New(cfg Config) *Fleet {
	return &Fleet{cfg: cfg.withDefaults(), begun: time.Now(), execs: newExecIDs(), pools: map[string]*pool{}, wake: make(chan struct{}, 1)}
}

func (f *Fleet) changed() {
	if f.cfg.OnChange != nil {
		f.cfg.OnChange()
	}
}

// Run serves until ctx is cancelled, which also cancels the requests under way, and returns when nothing of the fleet
// runs any more. Calls that are still queued then are not reported. It is called once.
func (f *Fleet) Run(ctx context.Context) error {
	var pools sync.WaitGroup
	defer pools.Wait()
	for {
		for _, p := range f.takeStarted() {
			pools.Go(func() { p.run(ctx) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		}
	}
}

func (f *Fleet) takeStarted() []*pool {
	f.mu.Lock()
	defer f.mu.Unlock()
	started := f.started
	f.started = nil
	return started
}

// Submit queues a call. It never waits. A call of no algorithms is none.
func (f *Fleet) Submit(c *orca.Call) {
	if len(c.Algorithms) > 0 {
		f.pool(c.Processor).submit(c)
	}
}

// Sync makes the given instances the fleet. Those that are gone get no new work and finish what they have. An instance
// with a new RegisteredAt has registered again: it is checked at once, and what it denied or refused before is forgotten.
func (f *Fleet) Sync(instances []orca.Instance) {
	byProcessor := map[string][]orca.Instance{}
	for _, in := range instances {
		byProcessor[in.Processor] = append(byProcessor[in.Processor], in)
	}
	for name := range byProcessor {
		f.pool(name)
	}
	for _, p := range f.sorted() {
		p.sync(byProcessor[p.name])
	}
}

// Drain lets no further request begin, ever, and returns when none is under way, or with ctx's error.
func (f *Fleet) Drain(ctx context.Context) error {
	empty := f.gate.shut()
	select {
	case <-empty:
		return nil
	default: // ctx may be done as well
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d requests are still under way: %w", f.gate.count(), ctx.Err())
	}
}

// Status returns what is known of every processor, by name.
func (f *Fleet) Status() []orca.ProcessorStatus {
	pools := f.sorted()
	status := make([]orca.ProcessorStatus, len(pools))
	for i, p := range pools {
		status[i] = p.status()
	}
	return status
}

func (f *Fleet) pool(name string) *pool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pools[name]
	if p == nil {
		p = newPool(f, name)
		f.pools[name] = p
		f.started = append(f.started, p)
		token(f.wake)
	}
	return p
}

// sorted returns the pools by name.
func (f *Fleet) sorted() []*pool {
	f.mu.Lock()
	pools := make([]*pool, 0, len(f.pools))
	for _, p := range f.pools {
		pools = append(pools, p)
	}
	f.mu.Unlock()
	slices.SortFunc(pools, func(a, b *pool) int { return strings.Compare(a.name, b.name) })
	return pools
}

// token puts a token into a channel that holds at most one.
func token(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// execIDs gives each request an id that no other one has, of this core or another, now or later.
type execIDs struct {
	core string
	next atomic.Uint64
}

func newExecIDs() execIDs {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return execIDs{core: hex.EncodeToString(b[:]) + "-"}
}

func (x *execIDs) new() string { return x.core + strconv.FormatUint(x.next.Add(1), 36) }
