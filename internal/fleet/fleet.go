// Package fleet owns everything about processors that is alive: their instances, one long-lived connection to each,
// heartbeats, the queue of calls per processor, and the requests under way. It decides where and when a call goes, and
// reports what came back; what that means for a run, the engine decides.
//
// It knows the contract's messages only to send and receive them. It must not read the ledger or the registry: inputs
// come from Call.Build, instances from Sync.
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
)

// Config of a Fleet. The zero value works.
type Config struct {
	// Log receives what instances do wrong; default none.
	Log *slog.Logger
	// Now is the clock of LastSeen; default the system's.
	Now func() orca.Time
	// Heartbeat is the pause between two health checks of a serving instance; default 5 s.
	Heartbeat time.Duration
	// Probe is the pause between two health checks of an instance that does not serve while work waits; default 1 s.
	Probe time.Duration
	// MaxInFlight bounds the requests under way at one instance; default 32.
	MaxInFlight int
	// ExecutionTimeout bounds the wait for the next result of a request; default 15 min.
	ExecutionTimeout time.Duration
	// MaxMessageSize bounds one message in bytes, both ways; default 64 MiB.
	MaxMessageSize int
	// OmitLegacyFields leaves the deprecated request fields out; default false.
	OmitLegacyFields bool
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
	if c.Heartbeat <= 0 {
		c.Heartbeat = 5 * time.Second
	}
	if c.Probe <= 0 {
		c.Probe = time.Second
	}
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 32
	}
	if c.ExecutionTimeout <= 0 {
		c.ExecutionTimeout = 15 * time.Minute
	}
	if c.MaxMessageSize <= 0 {
		c.MaxMessageSize = 64 << 20
	}
	return c
}

// Fleet carries out calls. Make it with New; all methods are safe for concurrent use.
type Fleet struct {
	cfg      Config
	execs    execIDs
	draining atomic.Bool
	inFlight inFlight

	mu    sync.Mutex
	pools map[string]*pool // by processor name; a pool stays once it is there
	// started gets each new pool, for Run to serve it. Bounded by the number of processors, guarded by mu.
	started []*pool
	wake    chan struct{} // holds a token while started is not empty
}

// New returns a fleet without instances that does nothing until Run.
func New(cfg Config) *Fleet {
	return &Fleet{
		cfg: cfg.withDefaults(), execs: newExecIDs(), inFlight: newInFlight(),
		pools: map[string]*pool{}, wake: make(chan struct{}, 1),
	}
}

// Run serves until ctx is cancelled, which also cancels the requests under way, and returns when nothing of the fleet
// runs any more.
func (f *Fleet) Run(ctx context.Context) error {
	var pools sync.WaitGroup
	defer pools.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		}
		for _, p := range f.takeStarted() {
			pools.Go(func() { p.run(ctx) })
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

// Submit queues a call. It never waits.
func (f *Fleet) Submit(c *orca.Call) {
	f.pool(c.Processor).submit(c)
}

// Sync makes the given instances the fleet. Those that are gone get no new work and finish what they have.
func (f *Fleet) Sync(instances []orca.Instance) {
	byProcessor := map[string][]orca.Instance{}
	for _, in := range instances {
		byProcessor[in.Processor] = append(byProcessor[in.Processor], in)
	}
	for name := range byProcessor {
		f.pool(name)
	}
	f.mu.Lock()
	pools := make([]*pool, 0, len(f.pools))
	for _, p := range f.pools {
		pools = append(pools, p)
	}
	f.mu.Unlock()
	for _, p := range pools {
		p.sync(byProcessor[p.name])
	}
}

// Drain lets no further request begin and returns when none is under way, or with ctx's error.
func (f *Fleet) Drain(ctx context.Context) error {
	f.draining.Store(true)
	select {
	case <-f.inFlight.whenIdle():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d requests are still under way: %w", f.inFlight.count(), ctx.Err())
	}
}

// Status returns what is known of every processor, by name.
func (f *Fleet) Status() []orca.ProcessorStatus {
	f.mu.Lock()
	pools := make([]*pool, 0, len(f.pools))
	for _, p := range f.pools {
		pools = append(pools, p)
	}
	f.mu.Unlock()
	slices.SortFunc(pools, func(a, b *pool) int { return strings.Compare(a.name, b.name) })
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
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	return p
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

// inFlight counts the requests under way over all processors.
type inFlight struct {
	mu   *sync.Mutex
	n    int
	idle chan struct{} // closed while n is zero
}

func newInFlight() inFlight {
	idle := make(chan struct{})
	close(idle)
	return inFlight{mu: new(sync.Mutex), idle: idle}
}

func (c *inFlight) add(d int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 && d > 0 {
		c.idle = make(chan struct{})
	}
	c.n += d
	if c.n == 0 && d < 0 {
		close(c.idle)
	}
}

func (c *inFlight) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *inFlight) whenIdle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle
}
