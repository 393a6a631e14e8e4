package app

import (
	"context"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// forgetInterval is how often silent instances are looked for.
const forgetInterval = 10 * time.Second

// forgetSilent makes the registry forget instances that have not answered for the instance TTL, until ctx is
// cancelled. What was silent while the core was down gets the whole time again.
func (c *core) forgetSilent(ctx context.Context) error {
	started := orca.TimeOf(time.Now())
	tick := time.NewTicker(min(forgetInterval, c.cfg.InstanceTTL))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, address := range c.silentSince(started, orca.TimeOf(now).Back(uint64(c.cfg.InstanceTTL))) {
				if err := c.registry.Forget(ctx, address); err != nil {
					c.log.Warn("a silent instance could not be forgotten", "instance", address, "error", err)
				}
			}
		}
	}
}

// silentSince returns the addresses of instances whose last sign of life lies before the limit.
func (c *core) silentSince(started, limit orca.Time) []string {
	seen := map[string]orca.Time{}
	for _, p := range c.fleet.Status() {
		for _, in := range p.Instances {
			seen[in.Address] = in.LastSeen
		}
	}
	var silent []string
	for _, in := range c.registry.Snapshot().Instances() {
		if max(started, in.RegisteredAt, seen[in.Address]) < limit {
			silent = append(silent, in.Address)
		}
	}
	return silent
}
