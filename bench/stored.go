package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Stored is what a large ledger costs. Rates are windows per second, times in milliseconds.
type Stored struct {
	Sizes
	// Empty and Full are closed loops of 64 on a fresh store and on the large one: medians of turns that alternate, and that
	// begin when a core has seen twelve windows of each asset.
	Empty Turn    `json:"empty"`
	Full  Turn    `json:"full"`
	Ratio float64 `json:"ratio"`
	// EmptyFirst and FullFirst are the rates of those twelve, emitted 64 at once, until which a core reads from its store
	// what they look back at.
	EmptyFirst float64 `json:"empty_first"`
	FullFirst  float64 `json:"full_first"`
	// Ready is from the start of the core on the large store until it says that it is ready; after the core had ended in
	// order, and after it was killed under load.
	Ready       float64 `json:"ready_ms"`
	ReadyKilled float64 `json:"ready_after_kill_ms"`
}

// Sizes are those of a ledger, in bytes of its file: of all that there is of windows and their runs, of what is there
// once more for lookbacks by filters, and of results.
type Sizes struct {
	Windows     int64 `json:"windows"`
	Results     int64 `json:"results"`
	WindowBytes int64 `json:"window_bytes"`
	PastBytes   int64 `json:"past_bytes"`
	ResultBytes int64 `json:"result_bytes"`
}

// Grow makes the store at a path large by copying what it has, in random order, until it has so many windows.
type Grow func(ctx context.Context, path string, windows int64, progress func(windows int64)) (Sizes, error)

// storedName is the shape of a large ledger: a single algorithm that looks back at ten of its own results.
const storedName = "stored"

// stored is a run on a large ledger, while it goes on.
type stored struct {
	*bench
	shape Shape
	dir   string
	next  int64 // the number of the next window
}

// RunStored measures the same load on an empty store and on one of so many windows, which grow makes, and how soon a core
// starts on it. The windows are of cfg.Assets assets in random order.
func RunStored(ctx context.Context, cfg Config, windows int64, grow Grow) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	s := &stored{bench: b}
	if s.shape, err = ShapeNamed(storedName); err != nil {
		return nil, err
	}
	if s.dir = b.Kept; s.dir == "" {
		if s.dir, err = os.MkdirTemp(b.Dir, "stored-"); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(s.dir) }()
	}
	report.Stored = &Stored{}
	if report.Stored.Sizes, err = s.make(ctx, windows, grow); err != nil {
		return nil, fmt.Errorf("make a store of %d windows: %w", windows, err)
	}
	fmt.Fprintf(b.Progress, "made after %v\n", time.Since(report.Begun).Round(time.Second))
	if err := s.compare(ctx, report.Stored); err != nil {
		return nil, err
	}
	report.Took = time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

// make lets a core process a window of each asset, and copies these. Where there is a store already it is as it was left.
func (s *stored) make(ctx context.Context, windows int64, grow Grow) (Sizes, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return Sizes{}, err
	}
	path := filepath.Join(s.dir, "orca.db")
	s.next = int64(s.Assets)
	progress := func(n int64) { fmt.Fprintf(s.Progress, "  %d windows\n", n) }
	if _, err := os.Stat(path); err == nil {
		return grow(ctx, path, 0, progress)
	}
	core, err := startCore(ctx, s.Core, s.dir)
	if err != nil {
		return Sizes{}, err
	}
	defer core.discard()
	t := newTally(s.shape)
	if err := core.serve(ctx, s.Processor, s.shape, t); err != nil {
		return Sizes{}, err
	}
	l := &load{core: core, shape: s.shape, assets: s.Assets, concurrency: emitters, tally: t}
	if err := l.number(ctx, int64(s.Assets)); err != nil {
		return Sizes{}, err
	}
	if err := core.finish(ctx, s.shape, t, patience); err != nil {
		return Sizes{}, err
	}
	if err := core.stop(); err != nil {
		return Sizes{}, err
	}
	return grow(ctx, path, windows, progress)
}

// compare lets the empty and the large store take turns. The core of the last turn is killed.
func (s *stored) compare(ctx context.Context, r *Stored) error {
	var empty, full []Turn
	var emptyFirst, fullFirst, ready []float64
	for i := range s.Turns {
		fresh := *s
		var err error
		if fresh.dir, err = os.MkdirTemp(s.Dir, "turn-"); err != nil {
			return err
		}
		e, err := fresh.turn(ctx, false)
		if err := errors.Join(err, os.RemoveAll(fresh.dir)); err != nil {
			return fmt.Errorf("on an empty store: %w", err)
		}
		f, err := s.turn(ctx, i == s.Turns-1)
		if err != nil {
			return fmt.Errorf("on a large store: %w", err)
		}
		empty, full, ready = append(empty, e.Turn), append(full, f.Turn), append(ready, millis(f.ready))
		emptyFirst, fullFirst = append(emptyFirst, e.first), append(fullFirst, f.first)
		fmt.Fprintf(s.Progress, "  %.0f windows/s on an empty store, %.0f on the large one; the first %.0f and %.0f; ready after %.0f ms\n",
			e.WindowsPerSecond, f.WindowsPerSecond, e.first, f.first, millis(f.ready))
	}
	r.Empty, r.Full, r.EmptyFirst, r.FullFirst, r.Ready = medians(empty), medians(full), median(emptyFirst), median(fullFirst), median(ready)
	r.Ratio = ratio(r.Full.WindowsPerSecond, r.Empty.WindowsPerSecond)
	core, took, err := s.start(ctx)
	if err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	defer core.discard()
	r.ReadyKilled = millis(took)
	// What was under way is processed now, so that a kept store is as others are.
	if err := core.serve(ctx, s.Processor, s.shape, newTally(s.shape)); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := core.idle(limited); err != nil {
		return err
	}
	return core.stop()
}

// start starts a core on the large store, and returns after how long it said that it is ready.
func (s *stored) start(ctx context.Context, options ...string) (*subject, time.Duration, error) {
	begun := now()
	core, err := startCore(ctx, s.Core, s.dir, options...)
	if err != nil {
		return nil, 0, err
	}
	if err := core.get(ctx, "/readyz", func(io.Reader) error { return nil }); err != nil {
		core.discard()
		return nil, 0, fmt.Errorf("it says that it is ready, and: %w", err)
	}
	return core, now().since(begun), nil
}

// storedTurn is a turn with how it began.
type storedTurn struct {
	Turn
	ready time.Duration
	first float64 // windows per second
}

// firstWindows of each asset come before a turn.
const firstWindows = 12

// turn is a turn on a store. Nobody reads the whole ledger for it: what is lost is what no processor was given.
func (s *stored) turn(ctx context.Context, kill bool) (turn storedTurn, err error) {
	profile := s.profilePath(combination{shape: s.shape, loop: Closed, concurrency: emitters}, int(s.next))
	var options []string
	if profile != "" {
		options = append(options, "--pprof")
	}
	core, ready, err := s.start(ctx, options...)
	if err != nil {
		return turn, err
	}
	defer core.discard()
	turn.ready = ready
	t := newTally(s.shape)
	if err := core.serve(ctx, s.Processor, s.shape, t); err != nil {
		return turn, err
	}
	l := &load{core: core, shape: s.shape, assets: s.Assets, concurrency: emitters, tally: t}
	l.next.Store(s.next)
	begun, first := now(), int64(firstWindows*s.Assets)
	if err := l.number(ctx, first); err != nil {
		return turn, err
	}
	if err := s.settle(ctx, t); err != nil {
		return turn, err
	}
	turn.first = ratio(float64(first), now().since(begun).Seconds())
	m, err := measure(ctx, core, t, s.Warm, s.For, profile, l.closed)
	if err != nil {
		return turn, err
	}
	s.next = l.next.Load()
	if err := s.settle(ctx, t); err != nil {
		return turn, err
	}
	turn.Turn = m.turn(t)
	_, peak, err := core.resident(ctx)
	turn.PeakMiB = float64(peak) / (1 << 20)
	turn.Lost, turn.Duplicated = t.faults(false)
	if kill {
		core.process.kill()
		return turn, err
	}
	return turn, errors.Join(err, core.stop())
}

// settle waits until what was accepted is processed; what does not come in time is counted as lost.
func (s *stored) settle(ctx context.Context, t *tally) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := t.settle(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (s *Stored) print(out io.Writer) {
	each := func(bytes, n int64) float64 { return ratio(float64(bytes), float64(n)) }
	fmt.Fprintf(out, "\n%d windows with %d results are stored\n", s.Windows, s.Results)
	fmt.Fprintf(out, "  bytes      %.0f per window, %.0f per result; for lookbacks by filters %.0f more per window\n",
		each(s.WindowBytes, s.Windows), each(s.ResultBytes, s.Results), each(s.PastBytes, s.Windows))
	fmt.Fprintf(out, "  windows/s  %.0f on an empty store, %.0f on this one (%.2f); CPU %.0f and %.0f µs; emit p99 %.2f and %.2f ms\n",
		s.Empty.WindowsPerSecond, s.Full.WindowsPerSecond, s.Ratio, s.Empty.CPUPerWindow, s.Full.CPUPerWindow, s.Empty.EmitP99, s.Full.EmitP99)
	fmt.Fprintf(out, "  at first   %.0f and %.0f windows/s, while lookbacks are read from the store\n", s.EmptyFirst, s.FullFirst)
	fmt.Fprintf(out, "  start      ready after %.0f ms, and %.0f after it was killed\n", s.Ready, s.ReadyKilled)
	fmt.Fprintf(out, "  lost %d, duplicated %d\n", s.Empty.Lost+s.Full.Lost, s.Empty.Duplicated+s.Full.Duplicated)
}
