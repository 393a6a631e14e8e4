// Package cluster keeps a core's place among those that share a ledger: it holds the core's lease, makes the runs of cores
// that lost theirs nobody's, and tells the engine of runs that nobody works on.
//
//	join ──▶ renewing ──▶ left        the core stops in order, and gives its runs back
//	            │
//	            └────────▶ fenced     another core has taken over: nothing more is written, and the core begins anew
//
// It knows neither SQL nor what a run is. That a fenced core writes nothing is the ledger's to see to, in every transaction;
// a lease that has run out means only that others may take over.
package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Ledger is the shared one.
type Ledger interface {
	// Join takes a lease, and Leave gives it back with the runs of this core.
	Join(ctx context.Context, self orca.Core, lasts time.Duration) error
	Leave(ctx context.Context) error
	// Renew makes the lease last from now on, and tells what goes on around. It is refused with orca.Fenced after a take-over.
	Renew(ctx context.Context, load orca.CoreLoad, checks []orca.HealthCheck, lasts time.Duration) (orca.Surroundings, error)
	// Fenced is closed when the ledger sees that another core has taken over.
	Fenced() <-chan struct{}
	// Freed gets a token when this core has freed runs, which it need not wait for a renewal to hear of.
	Freed() <-chan struct{}
	// Told gets a token when there are News of other cores, which come between two renewals where the ledger can do that.
	Told() <-chan struct{}
	News() orca.News
	// TakeOver makes the runs of cores nobody's whose leases have run out.
	TakeOver(ctx context.Context) (runs int64, cores []int32, err error)
}

// Config of a Member. All fields but Log are required.
type Config struct {
	Ledger Ledger
	// Self says where the core listens and which version it is.
	Self orca.Core
	// Lease is how long it may be silent.
	Lease time.Duration
	// Load is what the core has in hand.
	Load func() orca.CoreLoad
	// OnLeftover is told with each renewal what no core works on. It must not block.
	OnLeftover func(orca.Leftover)
	// OnFreed is told when this core has freed runs that waited. It must not block.
	OnFreed func()
	// Checks are the health checks that the core made within the last moments, and OnChecks is told of those of the others, of
	// some of them again. It must not block.
	Checks   func(within time.Duration) []orca.HealthCheck
	OnChecks func([]orca.HealthCheck)
	// OnNews is told what is heard of the other cores as it happens. It must not block.
	OnNews func(orca.News)
	// OnPeers is told which cores are alive, and which of them this one is, when that changes. It must not block.
	OnPeers func(self int32, alive []int32)
	// OnRenewed is told until when nobody takes over, by this process' clock. It must not block.
	OnRenewed func(until time.Time)
	// Refresh looks at the newest registry. It is called when its version is not the one that was last seen.
	Refresh func(context.Context) error
	// Log is told of take-overs and of a lease that cannot be renewed; default none.
	Log *slog.Logger
}

// Member is a core among others. Its methods are called by one goroutine after the other, but for Peers and Self.
type Member struct {
	cfg Config
	// around is what the last renewal told, until somebody has looked at it.
	around chan orca.Surroundings
	// due holds a token when others say that a renewal has something new to tell.
	due chan struct{}
	// alive are the cores that OnPeers was told of. It belongs to Run.
	alive []int32

	mu    sync.Mutex
	self  int32
	peers []orca.Core
}

// New returns a member that has no lease yet.
func New(cfg Config) *Member {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Member{cfg: cfg, around: make(chan orca.Surroundings, 1), due: make(chan struct{}, 1)}
}

// tellFor is for how long what the core found is told: three renewals of the others hear of it.
const tellFor = 3 * time.Second

// interval between two renewals: three fit into a lease, and others learn within a second of what this core does.
func (m *Member) interval() time.Duration { return min(time.Second, m.cfg.Lease/3) }

// Join takes the lease. The core's parts may start when it has returned.
func (m *Member) Join(ctx context.Context) error {
	begun := time.Now()
	err := m.cfg.Ledger.Join(ctx, m.cfg.Self, m.cfg.Lease)
	if err == nil {
		m.cfg.OnRenewed(begun.Add(m.cfg.Lease))
	}
	return err
}

// Leave gives the lease and the core's runs back, once nothing is written any more. If that fails others wait for the end
// of the lease.
func (m *Member) Leave(ctx context.Context) {
	if err := m.cfg.Ledger.Leave(ctx); err != nil {
		m.cfg.Log.Warn("the lease could not be given back; others take over when it has run out", "error", err)
	}
}

// Run renews the lease, and looks after what others have left, until ctx ends. It returns orca.Fenced when another core has
// taken over.
func (m *Member) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer cancel()
	looking.Go(func() { m.look(ctx) })
	looking.Go(func() { m.listen(ctx) })
	tick := time.NewTicker(m.interval())
	defer tick.Stop()
	for due, failed := true, false; ; {
		if due {
			err := m.renew(ctx)
			switch {
			case errors.Is(err, orca.Fenced):
				return err
			case err != nil && ctx.Err() == nil && !failed:
				m.cfg.Log.Warn("the lease could not be renewed; trying again", "error", err)
			}
			failed = err != nil
		}
		due = false
		select {
		case <-ctx.Done():
			return nil
		case <-m.cfg.Ledger.Fenced():
			return orca.Errorf(orca.Fenced, "another core has taken over")
		case <-m.cfg.Ledger.Freed():
			m.cfg.OnFreed()
		case <-m.due:
			due = true
		case <-tick.C:
			due = true
		}
	}
}

// renew renews the lease once, and passes on what it hears.
func (m *Member) renew(ctx context.Context) error {
	begun := time.Now() // others count from later on
	var checks []orca.HealthCheck
	if len(m.Peers()) > 1 {
		checks = m.cfg.Checks(tellFor)
	}
	around, err := m.cfg.Ledger.Renew(ctx, m.cfg.Load(), checks, m.cfg.Lease)
	if err != nil {
		return err
	}
	m.cfg.OnRenewed(begun.Add(m.cfg.Lease))
	m.meet(around)
	m.cfg.OnLeftover(around.Leftover)
	select {
	case <-m.around: // nobody has looked at it
	default:
	}
	m.around <- around
	return nil
}

// listen passes on what is heard of others, until ctx ends. A renewal that takes its time does not hold it up.
func (m *Member) listen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.cfg.Ledger.Told():
		}
		n := m.cfg.Ledger.News()
		if n.Around {
			select {
			case m.due <- struct{}{}:
			default:
			}
		}
		m.cfg.OnNews(n)
	}
}

// look does what takes longer than a renewal may wait for, until ctx ends.
func (m *Member) look(ctx context.Context) {
	registry := int64(-1)
	for {
		var around orca.Surroundings
		select {
		case <-ctx.Done():
			return
		case around = <-m.around:
		}
		var err error
		if around.Registry != registry {
			if err = m.cfg.Refresh(ctx); err == nil {
				registry = around.Registry
			}
		}
		if around.Expired && err == nil {
			err = m.takeOver(ctx)
		}
		if err != nil && ctx.Err() == nil {
			m.cfg.Log.Warn("the other cores could not be looked after; trying again", "error", err)
		}
	}
}

func (m *Member) takeOver(ctx context.Context) error {
	runs, cores, err := m.cfg.Ledger.TakeOver(ctx)
	if len(cores) > 0 {
		m.cfg.Log.Warn("leases have run out; the runs of these cores are anybody's now", "cores", cores, "runs", runs)
	}
	return err
}

// meet passes on which other cores there are, and what they have found.
func (m *Member) meet(around orca.Surroundings) {
	var alive []int32
	var checks []orca.HealthCheck
	for _, c := range around.Cores {
		alive = append(alive, c.ID)
		if c.ID != around.Self {
			checks = append(checks, c.Checks...)
		}
	}
	m.mu.Lock()
	m.self, m.peers = around.Self, around.Cores
	m.mu.Unlock()
	if !slices.Equal(alive, m.alive) {
		m.alive = alive
		m.cfg.Log.Info("cores that share the ledger", "alive", len(alive))
		m.cfg.OnPeers(around.Self, alive)
	}
	m.cfg.OnChecks(checks)
}

// Self returns this core's id, zero before the first renewal.
func (m *Member) Self() int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self
}

// Peers returns the cores that were alive a moment ago, this one among them.
func (m *Member) Peers() []orca.Core {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers
}
