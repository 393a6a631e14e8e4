package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Drain is what cores that share a PostgreSQL do with a backlog for a processor that is away. Rates are windows per second.
type Drain struct {
	Version string `json:"version"`
	Cores   int    `json:"cores"`
	// Windows is how many waited.
	Windows int64 `json:"windows"`
	// Memory of the largest of the cores: idle, with the backlog, and at most.
	IdleMiB    float64 `json:"idle_rss_mib"`
	BacklogMiB float64 `json:"backlog_rss_mib"`
	PeakMiB    float64 `json:"peak_rss_mib"`
	// Emit is the emitting of the backlog, 64 at once, and Drained its processing.
	Emit    DrainStep `json:"emit"`
	Drained DrainStep `json:"drained"`
	// FirstWork is from when the processor began to register until it had sent its first result, in milliseconds.
	FirstWork float64 `json:"first_work_ms"`
	// Shares is how many windows each core had processed.
	Shares     []int64 `json:"shares"`
	Lost       int     `json:"lost"`
	Duplicated int     `json:"duplicated"`
}

// DrainStep is what a part of it took of everybody. Times are in microseconds.
type DrainStep struct {
	WindowsPerSecond      float64 `json:"windows_per_second"`
	CPUPerWindow          float64 `json:"cpu_us_per_window"`
	ServerCPUPerWindow    float64 `json:"server_cpu_us_per_window"`
	TransactionsPerWindow float64 `json:"transactions_per_window"`
}

// drain is such a run, while it goes on.
type drain struct {
	*bench
	result Drain
	server *server
	cores  *subject
	shape  Shape
	tally  *tally
}

// RunDrain lets so many windows wait for a processor that is away, with so many cores on a PostgreSQL that lives as long as the
// run, and has them processed when it returns.
func RunDrain(ctx context.Context, cfg Config, cores int, windows int64) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	d := &drain{bench: b, result: Drain{Cores: cores, Windows: windows}}
	if d.shape, err = ShapeNamed(awayName); err != nil {
		return nil, err
	}
	d.tally = newTally(d.shape)
	if d.server, err = startServer(ctx); err != nil {
		return nil, err
	}
	defer d.server.stop() //nolint:contextcheck // it has a time limit of its own
	d.result.Version = d.server.version
	if d.cores, err = b.startCores(ctx, d.server, cores); err != nil {
		return nil, err
	}
	defer d.cores.discard()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{{"start", d.start}, {"emit the backlog", d.emit}, {"return", d.comeBack}} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(b.Progress, "%s: done after %v\n", step.what, time.Since(report.Begun).Round(time.Second))
	}
	report.Drain, report.Took = &d.result, time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

// start lets the processor announce itself and go away.
func (d *drain) start(ctx context.Context) (err error) {
	if err := d.cores.serve(ctx, d.Processor, d.shape, d.tally); err != nil {
		return err
	}
	for _, p := range d.cores.workers {
		p.kill()
	}
	d.cores.workers = nil
	d.result.IdleMiB, err = d.memory(ctx)
	return err
}

// memory is that of the largest of the cores. It takes note of the most that one ever had.
func (d *drain) memory(ctx context.Context) (most float64, err error) {
	for _, core := range d.cores.all() {
		present, peak, err := core.resident(ctx)
		if err != nil {
			return 0, err
		}
		most = max(most, float64(present)/(1<<20))
		d.result.PeakMiB = max(d.result.PeakMiB, float64(peak)/(1<<20))
	}
	return most, nil
}

func (d *drain) emit(ctx context.Context) error {
	before, err := d.cores.used(ctx)
	if err != nil {
		return err
	}
	load := &load{core: d.cores, shape: d.shape, assets: d.Assets, concurrency: emitters, tally: d.tally}
	begun := now()
	if err := load.number(ctx, d.result.Windows); err != nil {
		return err
	}
	if d.result.Emit, err = d.step(ctx, before, now().since(begun)); err != nil {
		return err
	}
	d.result.BacklogMiB, err = d.memory(ctx)
	return err
}

// step is what was used since before, for each of the windows.
func (d *drain) step(ctx context.Context, before usage, took time.Duration) (DrainStep, error) {
	after, err := d.cores.used(ctx)
	n := float64(d.result.Windows)
	return DrainStep{
		WindowsPerSecond:      ratio(n, took.Seconds()),
		CPUPerWindow:          float64((after.cpu - before.cpu).Microseconds()) / n,
		ServerCPUPerWindow:    float64((after.server - before.server).Microseconds()) / n,
		TransactionsPerWindow: (after.transactions - before.transactions) / n,
	}, err
}

// comeBack starts the processor again, waits until everything is processed, and checks the ledger.
func (d *drain) comeBack(ctx context.Context) error {
	before, err := d.cores.used(ctx)
	if err != nil {
		return err
	}
	p, err := d.cores.startWorker(ctx, d.Processor, d.shape, d.shape.processors()[0], d.tally)
	if err != nil {
		return err
	}
	returned, err := p.known(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience+time.Duration(d.result.Windows)*drainPerWindow)
	defer cancel()
	if err := d.tally.settle(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err // what does not come in time is counted as lost
	}
	first, last, _ := d.tally.ends()
	if first == 0 {
		return errors.New("the processor was given nothing")
	}
	d.result.FirstWork = millis(first.since(returned))
	if d.result.Drained, err = d.step(ctx, before, last.since(returned)); err != nil {
		return err
	}
	return d.check(ctx)
}

// check compares what has run with the ledger, and ends the cores.
func (d *drain) check(ctx context.Context) error {
	if err := d.cores.finish(ctx, d.shape, d.tally, patience); err != nil {
		return err
	}
	d.result.Lost, d.result.Duplicated = d.tally.faults(true)
	for _, core := range d.cores.all() {
		n, err := core.outcomes(ctx)
		if err != nil {
			return err
		}
		d.result.Shares = append(d.result.Shares, n)
	}
	if _, err := d.memory(ctx); err != nil {
		return err
	}
	return d.cores.stop()
}

// all are the cores of a ledger.
func (s *subject) all() []*subject { return slices.Concat([]*subject{s}, s.others) }

// outcomes is how many nodes a core has settled.
func (s *subject) outcomes(ctx context.Context) (n int64, err error) {
	metrics, err := s.metrics(ctx)
	for name, v := range metrics {
		if strings.HasPrefix(name, "orca_outcomes_total") {
			n += int64(v)
		}
	}
	return n, err
}

func (d *Drain) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d windows wait for a processor that is away, %d cores on PostgreSQL %s\n", d.Windows, d.Cores, d.Version)
	fmt.Fprintf(out, "  memory    %.0f MiB idle, %.0f with the backlog, %.0f at most, of the largest core\n", d.IdleMiB, d.BacklogMiB, d.PeakMiB)
	for _, s := range []struct {
		what string
		DrainStep
	}{{"emitting", d.Emit}, {"draining", d.Drained}} {
		fmt.Fprintf(out, "  %s  %.0f windows/s; CPU of the cores %.0f µs, of the server %.0f µs; %.2f transactions a window\n",
			s.what, s.WindowsPerSecond, s.CPUPerWindow, s.ServerCPUPerWindow, s.TransactionsPerWindow)
	}
	fmt.Fprintf(out, "  return    first result after %.0f ms; windows processed by each core: %d\n", d.FirstWork, d.Shares)
	fmt.Fprintf(out, "  lost %d, duplicated %d\n", d.Lost, d.Duplicated)
}
