package app

import (
	"context"
	"slices"

	"github.com/orca-telemetry/orca/internal/cluster"
	"github.com/orca-telemetry/orca/internal/engine"
	"github.com/orca-telemetry/orca/internal/orca"
)

// forEngine returns what the engine asks of a store that is shared, nil when it is not.
func (s *store) forEngine() engine.Shared {
	if s.shared == nil {
		return nil
	}
	return s.shared
}

// join takes this core's place among those that share the store, if it can be shared.
func (c *core) join(ctx context.Context) error {
	if c.store.shared == nil {
		return nil
	}
	c.member = cluster.New(cluster.Config{
		Ledger: c.store.shared, Self: orca.Core{Address: c.listeners.addresses().GRPC, Version: Version()}, Lease: c.cfg.Lease,
		Load: c.load, OnLeftover: c.engine.Leftover, OnFreed: c.engine.Freed, OnRenewed: c.fleet.Lease,
		Checks: c.fleet.Checked, OnChecks: c.fleet.Heard, OnPeers: c.fleet.Share,
		OnNews: c.engine.News, Refresh: c.registry.Refresh, Log: c.log,
	})
	return c.member.Join(ctx)
}

func (c *core) load() orca.CoreLoad {
	s := c.stats()
	return orca.CoreLoad{ActiveRuns: s.ActiveRuns, Calls: s.CallsInFlight}
}

// keepLease keeps the core's place until ctx ends.
func (c *core) keepLease(ctx context.Context) error {
	if c.member == nil {
		<-ctx.Done()
		return nil
	}
	return c.member.Run(ctx)
}

// leave gives the core's place up.
func (c *core) leave(ctx context.Context) {
	if c.member != nil {
		c.member.Leave(ctx)
	}
}

// cores returns what tells those that share the store, nil when nobody can.
func (c *core) cores() func() []orca.Core {
	if c.store.shared == nil {
		return nil
	}
	return func() []orca.Core {
		if c.member == nil {
			return nil // it has not joined yet
		}
		cores := slices.Clone(c.member.Peers())
		for i := range cores {
			if cores[i].ID == c.member.Self() {
				cores[i].CoreLoad = c.load() // others say it once a second
			}
		}
		return cores
	}
}
