package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Health checks among several cores. One core asks an instance that serves, and the others take its word: each tells what it
// found (Checked), and hears of what the others did (Heard). The word of another core stands in for a heartbeat and for nothing
// else:
//
//   - Only an instance that this core itself found serving is taken to serve still. One that has just been announced, that a
//     request found broken down or that does not serve is asked by every core itself, as if it was alone, so that none of
//     them gives it work later than it would alone.
//   - News that an instance does not serve, or does again, has this core ask at once.
//   - Where there is no word for as long as others take to pass it on, this core asks.
//   - At times it asks anyhow, so that a connection which has died of silence is found before a request.
const (
	// patience is how much later than a heartbeat this core asks an instance that another one is to ask: cores tell each
	// other once a second at least, of what they found in the last seconds.
	patience = 3 * time.Second
	// heartbeatsOnTrust is how many heartbeats another core's word stands in for at most.
	heartbeatsOnTrust = 36
)

// Checked returns what this core found with its last health check of each instance, of those that ended within the last
// moments, by address.
func (f *Fleet) Checked(within time.Duration) []orca.HealthCheck {
	var checks []orca.HealthCheck
	for _, p := range f.sorted() {
		checks = p.checked(within, checks)
	}
	slices.SortFunc(checks, func(a, b orca.HealthCheck) int { return strings.Compare(a.Address, b.Address) })
	return checks
}

func (p *pool) checked(within time.Duration, checks []orca.HealthCheck) []orca.HealthCheck {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.instances {
		if age := time.Since(in.checkedAt); age <= within && !in.checkedAt.IsZero() {
			c := in.checked
			c.Age = age
			checks = append(checks, c)
		}
	}
	return checks
}

// Heard takes what other cores found at a moment ago. It may be told of the same check again. It does not block.
func (f *Fleet) Heard(checks []orca.HealthCheck) {
	if len(checks) == 0 {
		return
	}
	byAddress, now := map[string][]orca.HealthCheck{}, time.Now()
	for _, c := range checks {
		byAddress[c.Address] = append(byAddress[c.Address], c)
	}
	for _, of := range byAddress {
		slices.SortFunc(of, func(a, b orca.HealthCheck) int { return cmp.Compare(b.Age, a.Age) })
	}
	for _, p := range f.sorted() {
		p.heard(byAddress, now)
	}
}

func (p *pool) heard(checks map[string][]orca.HealthCheck, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for address, in := range p.instances {
		for _, c := range checks[address] {
			in.heard(c, now.Add(-c.Age))
		}
	}
}

// heard takes what another core found. The pool's lock is held.
func (in *instance) heard(c orca.HealthCheck, at time.Time) {
	if c.Serving && at.After(in.vouched) {
		in.vouched = at
		if at.After(in.alive) {
			in.alive, in.lastSeen = at, in.pool.fleet.cfg.Now()-orca.Time(c.Age)
			in.metrics = c.Metrics
		}
	}
	if c.Serving != (in.state == orca.Serving) && at.After(in.checkedAt) {
		token(in.kick)
	}
}

// noteCheck keeps what a health check of this core found, for the others. The pool's lock is held.
func (in *instance) noteCheck(answer *pb.HealthCheckResponse, err error) {
	in.checkedAt = time.Now()
	in.checked = orca.HealthCheck{Address: in.address}
	if err == nil {
		in.checked.Serving = answer.GetStatus() == pb.HealthCheckResponse_STATUS_SERVING
		in.checked.Metrics = metricsOf(answer.GetMetrics())
	}
}

// due is when the next heartbeat is, after a health check that began at a time.
func (in *instance) due(begun time.Time) time.Time {
	in.pool.mu.Lock()
	defer in.pool.mu.Unlock()
	heartbeat := in.pool.fleet.cfg.Heartbeat
	if in.state != orca.Serving || in.failures > 0 || in.pool.fleet.asks(in.address) {
		return begun.Add(heartbeat)
	}
	last := begun
	if in.vouched.After(last) {
		last = in.vouched
	}
	at, limit := last.Add(heartbeat+patience), begun.Add(heartbeatsOnTrust*heartbeat)
	if at.After(limit) {
		return limit
	}
	return at
}
