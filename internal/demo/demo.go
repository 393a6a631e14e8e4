// Package demo shows Orca at work on live telemetry: it starts a core on a temporary store and two processors made
// with the Go SDK, samples this machine, emits one window a second, now and then one of a minute, and shows what the algorithms make of them.
//
// It is a user of Orca like any other. It starts the core through package app, and beyond that uses the public SDK
// alone.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

// Config of a demo.
type Config struct {
	// For is how long windows are emitted; zero means until the context ends.
	For time.Duration
	// Out gets the view and the summary.
	Out io.Writer
	// Terminal: Out is a terminal, and shows a table that changes in place; otherwise it gets one line per window.
	Terminal bool
	// Width of the terminal in columns; zero means that lines may have any length.
	Width int
	// Interval is what the demo takes for a second: the length of a window, and a sixtieth of that of the long ones. Zero
	// means one second.
	Interval time.Duration
}

// settleTime is how long the last windows get to finish once no more are emitted.
const settleTime = 30 * time.Second

// Run shows the demo until its time is over or ctx ends, both of which are fine, and prints a summary. It returns an
// error when something cannot be started, when a window was lost, or when one ended otherwise than planned.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	dir, err := os.MkdirTemp("", "orca-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	logFile, err := os.Create(filepath.Join(dir, "orca.log"))
	if err != nil {
		return fmt.Errorf("make the demo's log: %w", err)
	}
	defer func() { _ = logFile.Close() }()

	parts, err := startParts(ctx, dir, slog.New(slog.NewTextHandler(logFile, nil)), cfg.Interval)
	if err != nil {
		return err
	}
	s, err := play(ctx, cfg, parts)
	return errors.Join(err, parts.stop(), s.err())
}

// parts are what the demo starts: a core, a sampler and two processors.
type parts struct {
	addresses app.Addresses
	algorithms
	client *orca.Client
	cancel []context.CancelFunc // in the order of the start
	wait   []func() error
}

func startParts(ctx context.Context, dir string, log *slog.Logger, interval time.Duration) (_ *parts, err error) {
	// The parts outlive ctx, so that the last windows can finish; stop ends them.
	ctx = context.WithoutCancel(ctx)
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	sampler, err := newSampler(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.startCore(ctx, dir, log); err != nil {
		return nil, err
	}
	p.start(ctx, func(ctx context.Context) error { sampler.run(ctx, interval/10); return nil })
	options := []orca.ProcessorOption{
		orca.WithCore(p.addresses.GRPC), orca.WithListen("127.0.0.1:0"), orca.WithoutEnvironment(), orca.WithLogger(log), orca.WithProject("demo"),
	}
	metrics, health := orca.NewProcessor("host-metrics", options...), orca.NewProcessor("host-health", options...)
	p.algorithms = define(metrics, health, sampler, interval)
	for _, proc := range []*orca.Processor{metrics, health} {
		failed := p.start(ctx, proc.Run)
		select {
		case <-proc.Registered():
		case err := <-failed:
			return nil, fmt.Errorf("processor %s: %w", proc.Name(), err)
		}
	}
	p.client, err = orca.NewClient(orca.WithCore(p.addresses.GRPC), orca.WithoutEnvironment(), orca.WithLogger(log))
	return p, err
}

func (p *parts) startCore(ctx context.Context, dir string, log *slog.Logger) error {
	cfg := config.Default()
	cfg.GRPC, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Store = "sqlite:" + filepath.Join(dir, "orca.db")
	cfg.DiskReserve = config.MiB
	ready := make(chan app.Addresses, 1)
	failed := p.start(ctx, func(ctx context.Context) error {
		return app.Run(ctx, cfg, log, func(a app.Addresses) { ready <- a })
	})
	select {
	case p.addresses = <-ready:
		return nil
	case err := <-failed:
		return fmt.Errorf("start a core: %w", err)
	}
}

// start runs a part in a goroutine until stop. The channel gets its error when it ends early.
func (p *parts) start(ctx context.Context, run func(context.Context) error) <-chan error {
	ctx, cancel := context.WithCancel(ctx)
	done, failed := make(chan error, 1), make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			failed <- err
		}
		done <- err
	}()
	p.cancel = append(p.cancel, cancel)
	p.wait = append(p.wait, func() error { return <-done })
	return failed
}

// stop ends the parts, those that were started last first.
func (p *parts) stop() error {
	var errs []error
	if p.client != nil {
		errs = append(errs, p.client.Close())
	}
	for i := len(p.cancel) - 1; i >= 0; i-- {
		p.cancel[i]()
		errs = append(errs, p.wait[i]())
	}
	return errors.Join(errs...)
}

// maxDue bounds the windows that wait to be emitted. Beyond it, time passes without windows.
const maxDue = 64

// play emits windows as they end and shows what becomes of them.
func play(ctx context.Context, cfg Config, p *parts) (*summary, error) {
	if cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	s := &summary{planned: p.algorithms.planned}
	v := newView(cfg, p)
	v.begin()
	settle, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	due, finished := make(chan orca.Window, maxDue), make(chan finishedWindow, 16)
	go p.follow(settle, due, finished)
	emit := func(windows []orca.Window) {
		for _, w := range windows {
			s.emitted++
			due <- w
		}
		v.emitted(s)
	}
	windows := newSchedule(time.Now(), cfg.Interval)
	tick := time.NewTicker(cfg.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			emit(windows.due(now))
		case f := <-finished:
			s.add(f)
			v.show(s, f)
		}
	}
	emit(windows.rest())
	close(due)
	timeout := time.AfterFunc(settleTime, giveUp)
	defer timeout.Stop()
	for f := range finished {
		s.add(f)
		v.show(s, f)
	}
	return s, s.print(cfg.Out)
}

// finishedWindow is a window with what became of it.
type finishedWindow struct {
	window  orca.Window
	outcome *orca.Outcome // nil when err is not
	err     error
	emit    time.Duration // until the core answered
	total   time.Duration // until the last result was there
}

// follow emits windows one after the other, so that they are accepted in the order of time, and waits for the outcomes
// of all that are under way. It closes finished when all are there.
func (p *parts) follow(ctx context.Context, due <-chan orca.Window, finished chan<- finishedWindow) {
	var waiting sync.WaitGroup
	for w := range due {
		f := finishedWindow{window: w}
		begun := time.Now()
		emission, err := p.client.Emit(ctx, w)
		f.emit = time.Since(begun)
		waiting.Go(func() {
			if err != nil {
				f.err = fmt.Errorf("emit: %w", err)
			} else if f.outcome, err = p.client.Wait(ctx, emission.WindowID); err != nil {
				f.err = fmt.Errorf("wait for window %s: %w", emission.WindowID, err)
			}
			f.total = time.Since(begun)
			finished <- f
		})
	}
	waiting.Wait()
	close(finished)
}
