package httpapi

import "github.com/prometheus/client_golang/prometheus"

// Stats is how a core stands at one moment. Totals count since the core started and never fall.
type Stats struct {
	// PendingRuns are unfinished runs that are rows only and wait to be loaded.
	PendingRuns int64
	// ActiveRuns are unfinished runs in memory.
	ActiveRuns int64
	// ParkedRuns are unfinished runs that wait, as rows, for an absent processor or a lookback.
	ParkedRuns int64
	// ActiveBytes is what the active runs hold in memory, in bytes.
	ActiveBytes int64

	// WindowsAccepted is how many windows were written and answered. Total.
	WindowsAccepted uint64
	// Outcomes are the nodes that were settled, by outcome. Totals.
	Outcomes OutcomeCounts

	// CallsInFlight are calls to processors under way.
	CallsInFlight int64
	// CallsQueued are calls that wait for a place at an instance.
	CallsQueued int64

	// StoreCommits is how many transactions the store has committed. Total.
	StoreCommits uint64
}

// OutcomeCounts is a number of settled nodes per outcome.
type OutcomeCounts struct {
	Succeeded, HandledFailed, UnhandledFailed, Skipped, Cancelled uint64
}

// Names of metrics that are not part of Stats, because their owner observes them as they happen.
const (
	// StoreCommitSeconds is the histogram of how long a commit takes, fsync included, in seconds.
	StoreCommitSeconds = "orca_store_commit_seconds"
)

// The metrics that are made of Stats.
var (
	runsDesc      = prometheus.NewDesc("orca_runs", "Runs that are not finished, by state.", []string{"state"}, nil)
	bytesDesc     = prometheus.NewDesc("orca_active_bytes", "Memory held by active runs, in bytes.", nil, nil)
	acceptedDesc  = prometheus.NewDesc("orca_windows_accepted_total", "Windows written and answered since the core started.", nil, nil)
	outcomesDesc  = prometheus.NewDesc("orca_outcomes_total", "Nodes settled since the core started, by outcome.", []string{"outcome"}, nil)
	inFlightDesc  = prometheus.NewDesc("orca_calls_in_flight", "Calls to processors under way.", nil, nil)
	queuedDesc    = prometheus.NewDesc("orca_calls_queued", "Calls that wait for a place at a processor instance.", nil, nil)
	commitsDesc   = prometheus.NewDesc("orca_store_commits_total", "Transactions committed since the core started.", nil, nil)
	allStatsDescs = []*prometheus.Desc{runsDesc, bytesDesc, acceptedDesc, outcomesDesc, inFlightDesc, queuedDesc, commitsDesc}
)

// NewCollector returns the metrics of a core. stats is called with every collection, by several goroutines at once; it
// returns one consistent moment and does not wait for the disk.
func NewCollector(stats func() Stats) prometheus.Collector { return collector(stats) }

type collector func() Stats

func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range allStatsDescs {
		to <- d
	}
}

func (stats collector) Collect(to chan<- prometheus.Metric) {
	s := stats()
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	total := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(runsDesc, s.PendingRuns, "pending")
	gauge(runsDesc, s.ActiveRuns, "active")
	gauge(runsDesc, s.ParkedRuns, "parked")
	gauge(bytesDesc, s.ActiveBytes)
	total(acceptedDesc, s.WindowsAccepted)
	total(outcomesDesc, s.Outcomes.Succeeded, "succeeded")
	total(outcomesDesc, s.Outcomes.HandledFailed, "handled-failed")
	total(outcomesDesc, s.Outcomes.UnhandledFailed, "unhandled-failed")
	total(outcomesDesc, s.Outcomes.Skipped, "skipped")
	total(outcomesDesc, s.Outcomes.Cancelled, "cancelled")
	gauge(inFlightDesc, s.CallsInFlight)
	gauge(queuedDesc, s.CallsQueued)
	total(commitsDesc, s.StoreCommits)
}
