// Package app puts a core together from its parts, starts them in order and stops them in order. It is the one place
// that knows every concrete type, and the one that starts the long-lived parts.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/orca-telemetry/orca/internal/cluster"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/engine"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/httpapi"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/registry"
	"github.com/orca-telemetry/orca/internal/rpc"
)

// The parts fit where they are used.
var (
	_ engine.Fleet   = (*fleet.Fleet)(nil)
	_ engine.Planner = (*registry.Registry)(nil)
	_ rpc.Registry   = announcements{}
	_ rpc.Engine     = (*engine.Engine)(nil)
	_ rpc.Fleet      = (*fleet.Fleet)(nil)
)

// Addresses are where a core listens.
type Addresses struct {
	// GRPC is host:port with the actual port.
	GRPC string
	// HTTP is host:port with the actual port; empty when HTTP is switched off.
	HTTP string
}

// Run runs a core until ctx ends, and then stops it in order: no window is lost, and requests under way may finish
// within cfg.Drain. It calls ready once, when the core takes windows. It returns an error when the core cannot start
// or a part of it fails.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(Addresses)) error {
	cfg = cfg.WithDefaults()
	a, err := newAccess(cfg, log)
	if err != nil {
		return err
	}
	for again := false; ; again = true {
		c, err := begin(ctx, cfg, log, a)
		switch {
		case err != nil && again && ctx.Err() == nil:
			log.Warn("the core cannot begin anew; trying again", "error", err)
			pause(ctx, beginAgain)
			continue
		case err != nil:
			return err
		}
		at := c.listeners.addresses()
		err = c.run(ctx, func() { ready(at) })
		if ctx.Err() != nil || !errors.Is(err, orca.Fenced) {
			return err
		}
		log.Warn("another core took over the runs of this one, which was silent for longer than its lease; it begins anew", "lease", cfg.Lease)
		cfg.GRPC, cfg.HTTP = at.GRPC, at.HTTP
		ready = func(Addresses) {}
	}
}

// beginAgain is when a core tries again to begin anew that could not, such as when the database is away at that moment.
const beginAgain = 500 * time.Millisecond

// begin makes a core that listens.
func begin(ctx context.Context, cfg config.Config, log *slog.Logger, a access) (*core, error) {
	l, err := listen(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c, err := newCore(ctx, cfg, log, l, a)
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return c, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// listeners are bound before anything else, so that a port in use is found before a store is touched.
type listeners struct {
	grpc net.Listener
	http net.Listener // nil when switched off
}

func listen(ctx context.Context, cfg config.Config) (listeners, error) {
	var l listeners
	var lc net.ListenConfig
	var err error
	if l.grpc, err = lc.Listen(ctx, "tcp", cfg.GRPC); err != nil {
		return l, fmt.Errorf("--grpc: %w", err)
	}
	if cfg.HTTP == "" {
		return l, nil
	}
	if l.http, err = lc.Listen(ctx, "tcp", cfg.HTTP); err != nil {
		return l, errors.Join(fmt.Errorf("--http: %w", err), l.grpc.Close())
	}
	return l, nil
}

func (l listeners) addresses() Addresses {
	a := Addresses{GRPC: l.grpc.Addr().String()}
	if l.http != nil {
		a.HTTP = l.http.Addr().String()
	}
	return a
}

func (l listeners) close() error {
	err := l.grpc.Close()
	if l.http != nil {
		err = errors.Join(err, l.http.Close())
	}
	return err
}

// core is the parts of one core.
type core struct {
	cfg       config.Config
	log       *slog.Logger
	listeners listeners
	access    access
	store     *store
	registry  *registry.Registry
	fleet     *fleet.Fleet
	engine    *engine.Engine
	rpc       *rpc.Server
	readiness *readiness
	member    *cluster.Member // nil when the store is this core's alone
}

func newCore(ctx context.Context, cfg config.Config, log *slog.Logger, l listeners, a access) (*core, error) {
	c := &core{cfg: cfg, log: log, listeners: l, access: a}
	var err error
	if c.store, err = openStore(ctx, cfg, log); err != nil {
		return nil, err
	}
	if err := c.build(ctx); err != nil {
		return nil, errors.Join(err, c.store.Close())
	}
	if err := c.join(ctx); err != nil {
		return nil, errors.Join(err, c.store.Close())
	}
	return c, nil
}

func (c *core) build(ctx context.Context) (err error) {
	cfg, now := c.cfg, clock(c.cfg.Now)
	c.readiness = newReadiness(ctx, c.store.path, int64(cfg.DiskReserve), c.store.Failing)
	c.fleet = fleet.New(fleet.Config{
		Log: c.log, Heartbeat: cfg.Heartbeat, MaxInFlight: cfg.MaxInFlight, ExecutionTimeout: cfg.ExecutionTimeout,
		MaxMessageSize: int(cfg.MaxMessageSize), OmitLegacyFields: !cfg.LegacyRequestFields,
		OnChange: func() { c.engine.Served() }, Now: now,
	})
	c.registry = registry.New(registry.Config{
		Store: c.store, Log: c.log, Now: now,
		OnChange: func(s *registry.Snapshot) {
			c.fleet.Sync(s.Instances())
			c.engine.Retired(s.Retired())
		},
	})
	c.engine = engine.New(engine.Config{
		Poll:   cfg.Poll,
		Ledger: c.store, Shared: c.store.forEngine(), Fleet: c.fleet, Planner: c.registry, Log: c.log, MayAccept: c.readiness.mayAccept,
		MaxAccept: cfg.MaxAccept, MaxActiveRuns: cfg.MaxActiveRuns, MaxBacklog: int64(cfg.MaxBacklog),
		MaxAttempts: cfg.MaxAttempts, RetryHandled: cfg.RetryHandled, RetiredWait: cfg.RetiredWait,
		MaxRequestBytes: int64(cfg.MaxMessageSize), Available: cfg.Lookback == config.LookbackAvailable, Now: now,
	})
	if err := c.registry.Load(ctx); err != nil {
		return fmt.Errorf("load the registry: %w", err)
	}
	c.rpc, err = rpc.New(rpc.Config{
		Registry: announcements{c.registry, c.fleet}, Engine: c.engine, Ledger: c.store, Fleet: c.fleet, Log: c.log,
		Version: Version(), Store: c.store.name, StartedAt: time.Now(),
		Available:      cfg.Lookback == config.LookbackAvailable,
		MaxMessageSize: int(cfg.MaxMessageSize), Ready: c.readiness.err, Cores: c.cores(),
		TLS: c.access.tls, Authorize: c.access.authorize,
	})
	return err
}

// clock returns what the parts take for the system's clock; nil is the real one.
func clock(now func() time.Time) func() orca.Time {
	if now == nil {
		return nil
	}
	return func() orca.Time { return orca.TimeOf(now()) }
}

// announcements is the registry with the fleet told of every registration: one that changes nothing in the registry is
// still a sign of life.
type announcements struct {
	*registry.Registry
	fleet *fleet.Fleet
}

func (a announcements) Register(ctx context.Context, r orca.Registration) (message string, err error) {
	if message, err = a.Registry.Register(ctx, r); err == nil {
		a.fleet.Registered(orca.AddressOf(r.Connection))
	}
	return message, err
}

// run serves until ctx ends or a part fails. Parts are started from the inside out, so that whoever is asked finds
// what it needs, and stopped from the outside in.
func (c *core) run(ctx context.Context, ready func()) error {
	inner := context.WithoutCancel(ctx) // parts end when stop says so, not all at once with ctx
	store := start(inner, "store", c.store.Serve)
	fleet := start(inner, "fleet", c.fleet.Run)
	engine := start(inner, "engine", c.engine.Run)
	watch := start(inner, "readiness", c.readiness.run)
	forget := start(inner, "forgetting", c.forgetSilent)
	grpc := start(inner, "grpc", func(context.Context) error { return c.rpc.Serve(c.listeners.grpc) })
	http := start(inner, "http", c.serveHTTP)
	lease := start(inner, "lease", c.keepLease)
	parts := []*part{http, grpc, forget, watch, fleet, engine, store, lease} // in the order of their end
	ready()

	failure := firstFailure(ctx, parts)
	c.log.Info("stopping", "drain", c.cfg.Drain)
	c.readiness.stop()
	c.engine.StopAccepting()
	patience := c.cfg.Drain
	if lease.failed(orca.Fenced) {
		patience = 0 // what is in flight is run again by others
	}
	c.drain(inner, patience)
	for _, p := range parts {
		err := p.end()
		if errors.Is(err, orca.Fenced) && ctx.Err() != nil {
			c.log.Warn("another core has taken over while this one stopped", "error", err)
			continue
		}
		failure = errors.Join(failure, err)
	}
	c.leave(inner)
	return errors.Join(failure, c.store.Close())
}

// stopGrace is how long reads and watches may go on once the work is done.
const stopGrace = time.Second

// drain lets what is in flight finish, within the time for it, and then ends the gRPC server.
func (c *core) drain(ctx context.Context, patience time.Duration) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.fleet.Drain(within); err != nil {
		c.log.Warn("not everything in flight has finished; it runs again after the next start", "error", err)
	}
	grace, cancelGrace := context.WithTimeout(ctx, stopGrace)
	defer cancelGrace()
	c.rpc.Stop(grace)
}

func (c *core) serveHTTP(ctx context.Context) error {
	if c.listeners.http == nil {
		<-ctx.Done()
		return nil
	}
	h := httpapi.New(httpapi.Config{Ready: c.readiness.err, Metrics: c.metrics(), Authorize: c.access.authorize, Profiles: c.cfg.Pprof})
	return httpapi.Serve(ctx, c.access.overTLS(c.listeners.http), h, c.log)
}
