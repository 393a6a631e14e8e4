package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

// BenchmarkRuns measures the engine alone: from emit to the end of the run, with a ledger in memory and processors
// that answer at once.
func BenchmarkRuns(b *testing.B) {
	fan := []string{"Source"}
	sink := "Sink <"
	for i := range 20 {
		fan = append(fan, fmt.Sprintf("Fan%02d < Source", i))
		sink += fmt.Sprintf(" Fan%02d", i)
	}
	for _, shape := range []struct {
		name string
		dag  []string
	}{
		{"single", []string{"A"}},
		{"chain5", []string{"A", "B < A", "C < B", "D < C", "E < D"}},
		{"fan20", append(fan, sink)},
	} {
		b.Run(shape.name, func(b *testing.B) { benchmarkRuns(b, shape.dag) })
	}
}

func benchmarkRuns(b *testing.B, lines []string) {
	l := newLedger()
	var left sync.WaitGroup
	left.Add(b.N)
	l.finished = func(orca.Position) { left.Done() }
	s := l.session()
	var calls prompt
	e := New(Config{Ledger: s, Fleet: &calls, Planner: planner{dag(b, lines...)}})
	ctx, cancel := context.WithCancel(b.Context())
	var parts sync.WaitGroup
	parts.Go(func() { s.serve(ctx) })
	parts.Go(func() {
		if err := e.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	defer parts.Wait()
	defer cancel()
	b.ReportAllocs()
	b.ResetTimer()
	emitters := make(chan struct{}, b.N)
	for range b.N {
		emitters <- struct{}{}
	}
	close(emitters)
	for range 64 {
		parts.Go(func() {
			for range emitters {
				if _, err := e.Emit(ctx, orca.Emission{Window: orca.Window{Type: windowType.ID, From: 1, To: 2}}); err != nil {
					b.Error(err)
					left.Done()
				}
			}
		})
	}
	left.Wait()
	b.StopTimer()
	calls.done.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
}

// prompt is a fleet whose processors answer at once.
type prompt struct{ done sync.WaitGroup }

func (f *prompt) Submit(c *orca.Call) {
	f.done.Go(func() {
		ctx := context.Background()
		x, err := c.Build(ctx, c.Algorithms)
		if err != nil {
			panic(err)
		}
		for i := range x.Algorithms {
			c.Result(ctx, c.Algorithms[i].ID, orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Encoded: encoded})
		}
	})
}

// Withdraw does nothing: every call is under way.
func (f *prompt) Withdraw(string, orca.Position, func(orca.AlgorithmID) bool) []orca.AlgorithmID {
	return nil
}

func (f *prompt) Serving(orca.AlgorithmID) orca.InstanceState { return orca.Serving }

func (f *prompt) Expect(map[string]bool) {}

var encoded = []byte("0123456789")
