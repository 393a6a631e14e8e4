package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/orca-telemetry/orca/internal/httpapi"
	"github.com/orca-telemetry/orca/internal/orca"
)

// metrics gathers what /metrics shows.
func (c *core) metrics() prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(
		httpapi.NewCollector(c.stats),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

func (c *core) stats() httpapi.Stats {
	e := c.engine.Stats()
	out := httpapi.Stats{
		PendingRuns: max(0, e.Open-e.Active-e.Parked), ActiveRuns: e.Active, ParkedRuns: e.Parked, ActiveBytes: e.HeldBytes,
		WindowsAccepted: uint64(e.Accepted),
		Outcomes: httpapi.OutcomeCounts{
			Succeeded: uint64(e.Outcomes[orca.Succeeded]), HandledFailed: uint64(e.Outcomes[orca.HandledFailed]),
			UnhandledFailed: uint64(e.Outcomes[orca.UnhandledFailed]), Skipped: uint64(e.Outcomes[orca.Skipped]),
			Cancelled: uint64(e.Outcomes[orca.Cancelled]),
		},
		StoreCommits: c.store.commits(),
	}
	for _, p := range c.fleet.Status() {
		out.CallsQueued += int64(p.Queued)
		for _, in := range p.Instances {
			out.CallsInFlight += int64(in.InFlight)
		}
	}
	return out
}
