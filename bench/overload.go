package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// Overload is what a core does with more windows than it can take. Rates are windows per second.
type Overload struct {
	Shape string `json:"shape"`
	// Best is a closed loop of 64 on a fresh core.
	Best float64 `json:"best"`
	// Asked is the rate at which windows were due, Sent that at which emitters came to send them.
	Asked float64 `json:"asked"`
	Sent  float64 `json:"sent"`
	// Lasted is how long windows were emitted, in seconds.
	Lasted float64 `json:"lasted_s"`
	// Under is what happened meanwhile; its emits count from when they were sent.
	Under Turn `json:"under"`
	// Ratio is that of windows processed per second, under load to best.
	Ratio float64 `json:"ratio"`
	// Finished is how long it took, after the last emit, until everything that was accepted was processed, in seconds.
	Finished   float64 `json:"finished_after_s"`
	Lost       int     `json:"lost"`
	Duplicated int     `json:"duplicated"`
}

const (
	overloadFactor = 3
	// overloadEmitters is how many emits may be unanswered: more than a core has open by default, so that it must refuse some.
	overloadEmitters = 2048
)

// RunOverload emits three times as many windows as the core can take, for cfg.For, and waits until all that were
// accepted are processed.
func RunOverload(ctx context.Context, cfg Config) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	for _, shape := range b.Shapes {
		o, err := b.overload(ctx, shape)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", shape.Name, err)
		}
		report.Overloads = append(report.Overloads, o)
	}
	report.Took = time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

func (b *bench) overload(ctx context.Context, shape Shape) (Overload, error) {
	o := Overload{Shape: shape.Name}
	calm := &bench{b.Config}
	calm.For = min(b.For, 5*time.Second)
	best, err := calm.coreTurn(ctx, combination{shape: shape, loop: Closed, concurrency: 64}, "")
	if err != nil {
		return o, err
	}
	o.Best, o.Asked = best.WindowsPerSecond, max(1, overloadFactor*best.WindowsPerSecond)
	o.Lost, o.Duplicated = best.Lost, best.Duplicated
	fmt.Fprintf(b.Progress, "%s: %.0f windows/s at best\n", shape.Name, o.Best)
	dir, err := os.MkdirTemp(b.Dir, "overload-")
	if err != nil {
		return o, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := startCore(ctx, b.Core, dir)
	if err != nil {
		return o, err
	}
	defer s.discard()
	t := newTally(shape)
	if err := s.serve(ctx, b.Processor, shape, t); err != nil {
		return o, err
	}
	if err := b.drown(ctx, s, t, shape, &o); err != nil {
		return o, err
	}
	return o, s.stop()
}

// drown emits too much, and waits until the core has worked it off.
func (b *bench) drown(ctx context.Context, s *subject, t *tally, shape Shape, o *Overload) error {
	l := &load{core: s, shape: shape, assets: b.Assets, concurrency: overloadEmitters, tally: t, fromSent: true}
	m, err := measure(ctx, s, t, b.Warm, b.For, "", func(ctx context.Context, stop <-chan struct{}) error { return l.open(ctx, o.Asked, stop) })
	if err != nil {
		return err
	}
	ended := now()
	o.Under, o.Lasted = m.turn(t), m.to.since(m.from).Seconds()
	o.Sent = float64(o.Under.Windows+o.Under.Refused) / (b.Warm + b.For).Seconds()
	o.Ratio = ratio(o.Under.WindowsPerSecond, o.Best)
	fmt.Fprintf(b.Progress, "%s: %d accepted, %d refused\n", shape.Name, o.Under.Windows, o.Under.Refused)
	within := patience + time.Duration(o.Under.Windows)*drainPerWindow
	if err := s.finish(ctx, shape, t, within); err != nil {
		return err
	}
	_, last, _ := t.ends()
	o.Finished = max(0, last.since(ended).Seconds())
	lost, duplicated := t.faults(true)
	o.Lost, o.Duplicated = o.Lost+lost, o.Duplicated+duplicated
	_, peak, err := s.resident(ctx)
	o.Under.PeakMiB = float64(peak) / (1 << 20)
	return err
}

func (o *Overload) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s under three times what the core does at best, for %.0f s\n", o.Shape, o.Lasted)
	fmt.Fprintf(out, "  windows/s  %.0f at best, %.0f under %.0f sent (%.2f); %d accepted, %d refused\n",
		o.Best, o.Under.WindowsPerSecond, o.Sent, o.Ratio, o.Under.Windows, o.Under.Refused)
	fmt.Fprintf(out, "  emit       p50 %.2f ms, p99 %.2f ms\n", o.Under.EmitP50, o.Under.EmitP99)
	fmt.Fprintf(out, "  memory     %.0f MiB at most\n", o.Under.PeakMiB)
	fmt.Fprintf(out, "  finished   %.1f s after the last emit; lost %d, duplicated %d\n", o.Finished, o.Lost, o.Duplicated)
}
