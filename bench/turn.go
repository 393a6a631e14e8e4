package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Turn is what one turn of one subject gave. Times are in milliseconds.
type Turn struct {
	WindowsPerSecond float64 `json:"windows_per_second"`
	// Emit is from when a window was due to its answer, End to the last result that a processor sent for it.
	EmitP50 float64 `json:"emit_p50_ms"`
	EmitP99 float64 `json:"emit_p99_ms"`
	EndP50  float64 `json:"end_to_end_p50_ms"`
	EndP99  float64 `json:"end_to_end_p99_ms"`
	// CPU is time on CPUs, of all cores, in microseconds.
	CPUPerWindow float64 `json:"cpu_us_per_window"`
	// Only a core tells these.
	AllocationsPerWindow float64 `json:"allocations_per_window,omitempty"`
	KiBPerWindow         float64 `json:"allocated_kib_per_window,omitempty"`
	CommitsPerWindow     float64 `json:"commits_per_window,omitempty"`
	// Of the server of a database: time on CPUs in microseconds, and transactions that wrote, of everybody.
	ServerCPUPerWindow    float64 `json:"server_cpu_us_per_window,omitempty"`
	TransactionsPerWindow float64 `json:"transactions_per_window,omitempty"`
	PeakMiB               float64 `json:"peak_rss_mib"`
	// Windows is how many were accepted in the whole turn.
	Windows    int `json:"windows"`
	Refused    int `json:"refused,omitempty"`
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
}

// combination is what the turns of one row have in common.
type combination struct {
	shape       Shape
	loop        Loop
	concurrency int
	rate        float64 // windows per second; of an open loop
}

func (c combination) String() string {
	return fmt.Sprintf("%s %s %d", c.shape.Name, c.loop, c.concurrency)
}

func (c combination) run(ctx context.Context, l *load, stop <-chan struct{}) error {
	if c.loop == Open {
		return l.open(ctx, c.rate, stop)
	}
	return l.closed(ctx, stop)
}

// coreTurn measures a fresh core on a fresh store. profile, if any, is the file that its CPU profile goes to.
func (b *bench) coreTurn(ctx context.Context, c combination, profile string) (Turn, error) {
	dir, err := os.MkdirTemp(b.Dir, "turn-")
	if err != nil {
		return Turn{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var options []string
	if profile != "" {
		options = append(options, "--pprof")
	}
	s, err := startCore(ctx, b.Core, dir, options...)
	if err != nil {
		return Turn{}, err
	}
	return b.turn(ctx, s, c, profile)
}

func (b *bench) ceilingTurn(ctx context.Context, c combination) (Turn, error) {
	s, err := startCeiling(ctx, b.Ceiling)
	if err != nil {
		return Turn{}, err
	}
	return b.turn(ctx, s, c, "")
}

// turn measures a subject, and ends it.
func (b *bench) turn(ctx context.Context, s *subject, c combination, profile string) (Turn, error) {
	defer s.discard()
	t := newTally(c.shape)
	if err := s.serve(ctx, b.Processor, c.shape, t); err != nil {
		return Turn{}, err
	}
	l := &load{core: s, shape: c.shape, assets: b.Assets, concurrency: c.concurrency, tally: t}
	m, err := measure(ctx, s, t, b.Warm, b.For, profile, func(ctx context.Context, stop <-chan struct{}) error { return c.run(ctx, l, stop) })
	if err != nil {
		return Turn{}, err
	}
	if err := s.finish(ctx, c.shape, t, patience); err != nil {
		return Turn{}, err
	}
	_, peak, err := s.resident(ctx)
	if err != nil {
		return Turn{}, err
	}
	turn := m.turn(t)
	turn.PeakMiB = float64(peak) / (1 << 20)
	turn.Lost, turn.Duplicated = t.faults(s.console != nil)
	return turn, s.stop()
}

// measurement is a stretch of time under load, and what the subject used in it.
type measurement struct {
	from, to      instant
	before, after usage
}

// measure runs a load, and looks at the subject from when it is warm until the time is up. It returns when the load has ended.
func measure(ctx context.Context, s *subject, t *tally, warm, lasts time.Duration, profile string,
	run func(context.Context, <-chan struct{}) error) (m measurement, err error) {
	stop := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return run(ctx, stop) })
	group.Go(func() (err error) {
		defer close(stop)
		if err := pass(ctx, warm); err != nil {
			return err
		}
		if profile != "" {
			group.Go(func() error { return s.profile(ctx, lasts, profile) })
		}
		if m.before, err = s.used(ctx); err != nil {
			return err
		}
		m.from = now()
		if err := pass(ctx, lasts); err != nil {
			return err
		}
		m.to = now()
		m.after, err = s.used(ctx)
		return err
	})
	// A closed loop hangs when a window is lost: so long, and not longer.
	hang := time.AfterFunc(warm+lasts+patience, t.release)
	defer hang.Stop()
	return m, group.Wait()
}

// pass returns after some time.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// turn is what the windows of a measurement say, all but memory and faults.
func (m measurement) turn(t *tally) Turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	var turn Turn
	var emits, ends []time.Duration
	processed := 0.0
	for i := range t.windows {
		w := &t.windows[i]
		switch w.answer {
		case accepted:
			turn.Windows++
		case refused:
			turn.Refused++
			continue
		case unanswered:
			continue
		}
		if w.ended >= m.from && w.ended < m.to {
			processed++
		}
		if w.due < m.from || w.due >= m.to {
			continue
		}
		emits = append(emits, w.answered.since(w.due))
		if w.ended != 0 {
			ends = append(ends, w.ended.since(w.due))
		}
	}
	turn.WindowsPerSecond = processed / m.to.since(m.from).Seconds()
	turn.EmitP50, turn.EmitP99 = millis(percentile(emits, 50)), millis(percentile(emits, 99))
	turn.EndP50, turn.EndP99 = millis(percentile(ends, 50)), millis(percentile(ends, 99))
	if processed > 0 {
		turn.CPUPerWindow = float64((m.after.cpu - m.before.cpu).Microseconds()) / processed
		turn.AllocationsPerWindow = (m.after.allocations - m.before.allocations) / processed
		turn.KiBPerWindow = (m.after.bytes - m.before.bytes) / 1024 / processed
		turn.CommitsPerWindow = (m.after.commits - m.before.commits) / processed
		turn.ServerCPUPerWindow = float64((m.after.server - m.before.server).Microseconds()) / processed
		turn.TransactionsPerWindow = (m.after.transactions - m.before.transactions) / processed
	}
	return turn
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// profilePath is where the profile of a turn goes, or empty when none is wanted.
func (b *bench) profilePath(c combination, turn int) string {
	if b.Profiles == "" {
		return ""
	}
	return filepath.Join(b.Profiles, fmt.Sprintf("%s-%s-%d-%d.pprof", c.shape.Name, c.loop, c.concurrency, turn))
}
