package postgres

import (
	"sync"
	"time"
)

// latencyBounds are the upper bounds of the histogram of commit latency, in seconds.
var latencyBounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// Stats is what the store has done since it was opened.
type Stats struct {
	// Commits and FailedCommits count batches, Rows the emissions and settlements of the committed ones.
	Commits, FailedCommits, Rows uint64
	// QueuedRows and QueuedBytes wait for the writer now.
	QueuedRows, QueuedBytes int
	// CommitSeconds is the sum of the times from taking a batch to the end of its last transaction.
	CommitSeconds float64
	// CommitLatency counts commits by their upper bound in seconds, cumulative as Prometheus has them; Commits is the
	// count without a bound.
	CommitLatency map[float64]uint64
}

// counters collects Stats.
type counters struct {
	mu                    sync.Mutex
	commits, faults, rows uint64
	seconds               float64
	buckets               [len(latencyBounds)]uint64
}

func (c *counters) committed(rows int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits++
	c.rows += uint64(rows)
	c.seconds += took.Seconds()
	for i, bound := range latencyBounds {
		if took.Seconds() <= bound {
			c.buckets[i]++
		}
	}
}

func (c *counters) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults++
}

// Stats returns what the store has done so far.
func (s *Store) Stats() Stats {
	queued, bytes := s.queue.waiting()
	c := &s.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	latency := make(map[float64]uint64, len(latencyBounds))
	for i, bound := range latencyBounds {
		latency[bound] = c.buckets[i]
	}
	return Stats{Commits: c.commits, FailedCommits: c.faults, Rows: c.rows, QueuedRows: queued, QueuedBytes: bytes,
		CommitSeconds: c.seconds, CommitLatency: latency}
}
