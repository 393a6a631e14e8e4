package app

import (
	"context"
	"time"
)

// forgetInterval is how often silent instances are looked for.
const forgetInterval = 10 * time.Second

// forgetSilent makes the registry forget instances that have not answered for the instance TTL, until ctx is
// cancelled. What was silent while the core was down gets the whole time again.
func (c *core) forgetSilent(ctx context.Context) error {
	tick := time.NewTicker(min(forgetInterval, c.cfg.InstanceTTL))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			for _, address := range c.silentFor(c.cfg.InstanceTTL) {
				if err := c.registry.Forget(ctx, address); err != nil {
					c.log.Warn("a silent instance could not be forgotten", "instance", address, "error", err)
				}
			}
		}
	}
}

// silentFor returns the addresses of instances without a sign of life for longer than ttl.
func (c *core) silentFor(ttl time.Duration) (silent []string) {
	for _, p := range c.fleet.Status() {
		for _, in := range p.Instances {
			if in.Silent > ttl {
				silent = append(silent, in.Address)
			}
		}
	}
	return silent
}
