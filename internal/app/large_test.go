package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// size is how large a registration is: layers of one width, where each algorithm needs the next few of the layer before.
type size struct{ depth, width, needs int }

func (s size) algorithms(processor string) []orcatest.Algorithm {
	name := func(layer, i int) string { return fmt.Sprintf("A%d", layer*s.width+i%s.width) }
	var all []orcatest.Algorithm
	for layer := range s.depth {
		for i := range s.width {
			var on []*pb.AlgorithmDependency
			for k := range s.needs {
				if layer > 0 {
					on = append(on, orcatest.On(processor, name(layer-1, i+k)))
				}
			}
			all = append(all, orcatest.Algorithm{Algorithm: orcatest.Define("W", name(layer, i), on...)})
		}
	}
	return all
}

// Ten times the algorithms, layers or dependencies take about ten times the time in every step of their life, and ten
// thousand algorithms run to the end. The log has the times; a quadratic step would show as a factor of a hundred. Not
// parallel, so that the other tests of this package do not count.
func TestLargeRegistrations(t *testing.T) {
	for _, tt := range []struct {
		name         string
		small, large size
		// quadratic by the contract: with each dependency goes its definition, which lists its own dependencies.
		quadratic map[string]bool
	}{
		{name: "10,000 algorithms of one layer", small: size{1, 1_000 / fewer, 0}, large: size{1, 10_000 / fewer, 0}},
		{name: "10,000 algorithms in 1,000 layers", small: size{100 / fewer, 10, 3}, large: size{1_000 / fewer, 10, 3}},
		{
			name: "500 algorithms with 50 dependencies each", small: size{5, 100, 5}, large: size{5, 100, 50},
			quadratic: map[string]bool{"run": true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const tries = 3 // what else the machine does may spoil one
			var problem string
			for range tries {
				small, large := live(t, tt.small), live(t, tt.large)
				if problem = slower(small, large, tt.quadratic); problem == "" {
					return
				}
			}
			t.Errorf("in each of %d tries a step took far more than ten times as long; in the last: %s", tries, problem)
		})
	}
}

// slower names the first step that took far more than ten times as long, unless that was still short.
func slower(small, large map[string]time.Duration, quadratic map[string]bool) string {
	const most, short = 50, 200 * time.Millisecond
	for what, took := range large {
		if took > short && took > most*small[what] && !quadratic[what] {
			return fmt.Sprintf("%s: %v after %v", what, took, small[what])
		}
	}
	return ""
}

// live takes a registration through its life and returns how long each step took.
func live(t *testing.T, s size) map[string]time.Duration {
	t.Helper()
	core := orcatest.Start(t)
	defer core.Stop()
	registration := orcatest.NewProcessor(t, "p", s.algorithms("p")...).Forget().Registration()
	took := map[string]time.Duration{}
	step := func(what string, do func() error) {
		t.Helper()
		begin := time.Now()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		took[what] = time.Since(begin)
		t.Logf("%v: %s: %v", s, what, took[what].Round(time.Millisecond))
	}
	register := func() error { _, err := core.RegisterProcessor(t.Context(), registration); return err }
	step("register", register)
	step("register again", register)
	step("expose", func() error {
		state, err := core.Expose(t.Context(), &pb.ExposeSettings{})
		if n := len(state.GetProcessors()[0].GetSupportedAlgorithms()); n != s.depth*s.width {
			t.Errorf("%d algorithms are exposed, want %d", n, s.depth*s.width)
		}
		return err
	})
	var id string
	step("emit", func() error { id, _ = core.Emit(orcatest.Window("W", "1.0.0", 0, nil)); return nil })
	step("run", func() error {
		run, err := finished(t.Context(), core, id)
		if run.GetState() != pb.RunState_RUN_STATE_SUCCEEDED || int(run.GetNodes()) != s.depth*s.width {
			t.Errorf("the run is %v", run)
		}
		return err
	})
	step("show", func() error { _, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id}); return err })
	step("emit the next", func() error { id, _ = core.Emit(orcatest.Window("W", "1.0.0", 1, nil)); return nil })
	if _, err := finished(t.Context(), core, id); err != nil {
		t.Fatal(err)
	}
	return took
}

// finished returns a run when it has ended, without an end to its patience: a large one takes long on a busy machine.
func finished(ctx context.Context, core *orcatest.Core, id string) (*pb.RunInfo, error) {
	stream, err := core.WatchWindow(ctx, &pb.WatchWindowRequest{Id: id})
	for err == nil {
		var event *pb.WatchWindowResponse
		if event, err = stream.Recv(); event.GetFinished() != nil {
			return event.GetFinished(), nil
		}
	}
	return nil, err
}
