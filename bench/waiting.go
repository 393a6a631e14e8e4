package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Waiting is what a backlog for a processor that is away costs, and what its return looks like. Rates are windows per
// second, times in milliseconds.
type Waiting struct {
	// Windows is how many waited.
	Windows int64 `json:"windows"`
	// Memory of the core's process: idle, with the backlog, at most, and after a restart with the backlog.
	IdleMiB      float64 `json:"idle_rss_mib"`
	BacklogMiB   float64 `json:"backlog_rss_mib"`
	PeakMiB      float64 `json:"peak_rss_mib"`
	RestartedMiB float64 `json:"restarted_rss_mib"`
	// EmitFirst and EmitLast are the rates of emitting the first and the last tenth of the backlog, 64 at once.
	EmitFirst float64 `json:"emit_first_tenth"`
	EmitLast  float64 `json:"emit_last_tenth"`
	// EmitCPUFirst and EmitCPULast are the core's time on CPUs for one of these emits, in microseconds: what the rates would
	// say if the machine were the same all the time.
	EmitCPUFirst float64 `json:"emit_cpu_us_first_tenth"`
	EmitCPULast  float64 `json:"emit_cpu_us_last_tenth"`
	// OthersBefore and OthersWith are a closed loop of 16 on another processor, without the backlog and with it.
	OthersBefore Turn `json:"others_before"`
	OthersWith   Turn `json:"others_with"`
	// Ready is from the start of the core to its line that it is ready, with the backlog.
	Ready float64 `json:"ready_ms"`
	// FirstWork is from when the processor began to register until it had sent its first result.
	FirstWork float64 `json:"first_work_ms"`
	// OutOfPlace is the most that one of the first 10,000 windows was from its place in the order of emits. The 64 that are
	// emitted at once and the 32 that are executed at once make it about 100 at most.
	OutOfPlace int64 `json:"out_of_place"`
	// Drained is the rate at which the backlog was processed.
	Drained    float64 `json:"drained"`
	Lost       int     `json:"lost"`
	Duplicated int     `json:"duplicated"`
}

// waiting is a run with a backlog, while it goes on.
type waiting struct {
	*bench
	result     Waiting
	dir        string
	core       *subject
	away, here struct {
		shape Shape
		tally *tally
		load  *load
	}
}

const (
	// emitters emit the backlog, and others are the windows of the other processor at once.
	emitters, others = 64, 16
	// drainPerWindow bounds how long the backlog may take to be processed.
	drainPerWindow = 5 * time.Millisecond
)

// RunWaiting lets so many windows wait for a processor that is away, restarts the core, and lets the processor return.
func RunWaiting(ctx context.Context, cfg Config, windows int64) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	w := &waiting{bench: b, result: Waiting{Windows: windows}}
	if w.away.shape, err = ShapeNamed(awayName); err != nil {
		return nil, err
	}
	if w.here.shape, err = ShapeNamed("single"); err != nil {
		return nil, err
	}
	w.away.tally, w.here.tally = newTally(w.away.shape), newTally(w.here.shape)
	if w.dir, err = os.MkdirTemp(b.Dir, "waiting-"); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(w.dir) }()
	defer func() {
		if w.core != nil {
			w.core.discard()
		}
	}()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start", w.start}, {"others alone", w.othersBefore}, {"emit the backlog", w.emit}, {"others beside it", w.othersWith},
		{"restart", w.restart}, {"return", w.comeBack},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(b.Progress, "%s: done after %v\n", step.what, time.Since(report.Begun).Round(time.Second))
	}
	report.Waiting, report.Took = &w.result, time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

// start starts a core, and lets the one processor announce itself and go away. The other one stays.
func (w *waiting) start(ctx context.Context) (err error) {
	var options []string
	if w.Profiles != "" {
		options = append(options, "--pprof")
	}
	if w.core, err = startCore(ctx, w.Core, w.dir, options...); err != nil {
		return err
	}
	if err := w.core.serve(ctx, w.Processor, w.away.shape, w.away.tally); err != nil {
		return err
	}
	for _, p := range w.core.workers {
		p.kill()
	}
	w.core.workers = nil
	w.connect()
	if err := w.core.serve(ctx, w.Processor, w.here.shape, w.here.tally); err != nil {
		return err
	}
	w.result.IdleMiB, _, err = w.memory(ctx)
	return err
}

// connect makes the loads.
func (w *waiting) connect() {
	w.away.load = &load{core: w.core, shape: w.away.shape, assets: w.Assets, concurrency: emitters, tally: w.away.tally}
	w.here.load = &load{core: w.core, shape: w.here.shape, assets: w.Assets, concurrency: others, tally: w.here.tally}
}

func (w *waiting) memory(ctx context.Context) (present, peak float64, err error) {
	p, m, err := w.core.resident(ctx)
	return float64(p) / (1 << 20), float64(m) / (1 << 20), err
}

func (w *waiting) othersBefore(ctx context.Context) (err error) {
	w.result.OthersBefore, err = w.others(ctx, "alone")
	return err
}

func (w *waiting) othersWith(ctx context.Context) (err error) {
	w.result.OthersWith, err = w.others(ctx, "beside")
	return err
}

// others measures the other processor, and writes a profile of that name if any are wanted.
func (w *waiting) others(ctx context.Context, name string) (Turn, error) {
	profile := ""
	if w.Profiles != "" {
		profile = filepath.Join(w.Profiles, "waiting-"+name+".pprof")
	}
	m, err := measure(ctx, w.core, w.here.tally, w.Warm, w.For, profile, w.here.load.closed)
	if err != nil {
		return Turn{}, err
	}
	turn := m.turn(w.here.tally)
	_, turn.PeakMiB, err = w.memory(ctx)
	return turn, err
}

// emit emits the backlog in tenths.
func (w *waiting) emit(ctx context.Context) (err error) {
	r := &w.result
	left := r.Windows
	for tenth := range int64(10) {
		n := left / (10 - tenth)
		left -= n
		if r.EmitLast, r.EmitCPULast, err = w.emitSome(ctx, n); err != nil {
			return err
		}
		if tenth == 0 {
			r.EmitFirst, r.EmitCPUFirst = r.EmitLast, r.EmitCPULast
		}
		fmt.Fprintf(w.Progress, "  %d emitted, the last at %.0f windows/s\n", r.Windows-left, r.EmitLast)
	}
	r.BacklogMiB, r.PeakMiB, err = w.memory(ctx)
	return err
}

// emitSome emits so many windows, and returns their rate and the core's time on CPUs for each, in microseconds.
func (w *waiting) emitSome(ctx context.Context, windows int64) (rate, cpu float64, err error) {
	before, err := w.core.used(ctx)
	if err != nil {
		return 0, 0, err
	}
	begun := now()
	if err := w.away.load.number(ctx, windows); err != nil {
		return 0, 0, err
	}
	took := now().since(begun)
	after, err := w.core.used(ctx)
	return ratio(float64(windows), took.Seconds()), ratio(float64((after.cpu - before.cpu).Microseconds()), float64(windows)), err
}

// restart ends the core and starts it again on the same store. The processor that is here lives on, the core finds it.
func (w *waiting) restart(ctx context.Context) error {
	others := w.core.workers
	w.core.workers = nil
	defer func() { w.core.workers = append(w.core.workers, others...) }()
	if err := w.core.stop(); err != nil {
		return err
	}
	begun := now()
	core, err := startCore(ctx, w.Core, w.dir)
	if err != nil {
		return err
	}
	w.core = core
	w.result.Ready = millis(now().since(begun))
	if _, err := w.core.console.GetStatus(ctx, &pb.GetStatusRequest{}); err != nil {
		return err
	}
	w.result.RestartedMiB, _, err = w.memory(ctx)
	return err
}

// comeBack starts the processor again, waits until everything is processed, and checks the ledger.
func (w *waiting) comeBack(ctx context.Context) error {
	r := &w.result
	p, err := w.core.startWorker(ctx, w.Processor, w.away.shape, w.away.shape.processors()[0], w.away.tally)
	if err != nil {
		return err
	}
	returned, err := p.known(ctx)
	if err != nil {
		return err
	}
	within := patience + time.Duration(r.Windows)*drainPerWindow
	if err := w.core.finish(ctx, w.away.shape, w.away.tally, within); err != nil {
		return err
	}
	r.Lost, r.Duplicated = w.away.tally.faults(true)
	first, last, out := w.away.tally.ends()
	if first == 0 {
		return errors.New("the processor was given nothing")
	}
	r.FirstWork, r.OutOfPlace = millis(first.since(returned)), out
	r.Drained = float64(r.Windows) / last.since(returned).Seconds()
	_, peak, err := w.memory(ctx)
	r.PeakMiB = max(r.PeakMiB, peak)
	return errors.Join(err, w.core.stop())
}

// ends returns when the first and the last window ended, and how far out of place one of the first was.
func (t *tally) ends() (first, last instant, out int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.windows {
		if at := t.windows[i].ended; at != 0 {
			if first == 0 || at < first {
				first = at
			}
			last = max(last, at)
		}
	}
	for place, number := range t.order {
		out = max(out, number-int64(place), int64(place)-number)
	}
	return first, last, out
}

func (w *Waiting) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d windows wait for a processor that is away\n", w.Windows)
	fmt.Fprintf(out, "  memory            %.0f MiB idle, %.0f with the backlog, %.0f at most, %.0f after a restart\n", w.IdleMiB, w.BacklogMiB, w.PeakMiB, w.RestartedMiB)
	fmt.Fprintf(out, "  emitting          %.0f windows/s for the first tenth, %.0f for the last (%.2f); CPU %.0f and %.0f µs\n",
		w.EmitFirst, w.EmitLast, ratio(w.EmitLast, w.EmitFirst), w.EmitCPUFirst, w.EmitCPULast)
	fmt.Fprintf(out, "  other processors  %.0f windows/s without it, %.0f with it (%.2f); end to end p99 %.2f and %.2f ms, CPU %.0f and %.0f µs\n",
		w.OthersBefore.WindowsPerSecond, w.OthersWith.WindowsPerSecond, ratio(w.OthersWith.WindowsPerSecond, w.OthersBefore.WindowsPerSecond),
		w.OthersBefore.EndP99, w.OthersWith.EndP99, w.OthersBefore.CPUPerWindow, w.OthersWith.CPUPerWindow)
	fmt.Fprintf(out, "  restart           ready after %.0f ms\n", w.Ready)
	fmt.Fprintf(out, "  return            first result after %.0f ms; at most %d places out of order; %.0f windows/s\n", w.FirstWork, w.OutOfPlace, w.Drained)
	fmt.Fprintf(out, "  lost %d, duplicated %d\n", w.Lost, w.Duplicated)
}
