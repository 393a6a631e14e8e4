package app_test

import (
	"context"
	"sync"
	"testing"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// A fast branch never waits for a slow one: the slow branch does not end until the whole fast branch, which is deeper,
// has run.
func TestFastBranchDoesNotWait(t *testing.T) {
	t.Parallel()
	fastDone := make(chan struct{})
	slow := func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		select {
		case <-fastDone:
			return orcatest.Value(1), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	last := func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
		close(fastDone)
		return orcatest.Value(1), nil
	}
	core := orcatest.Start(t)
	core.Processor("p",
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Root")},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Slow", orcatest.On("p", "Root")), Run: slow},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Fast1", orcatest.On("p", "Root"))},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Fast2", orcatest.On("p", "Fast1"))},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Fast3", orcatest.On("p", "Fast2")), Run: last},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Join", orcatest.On("p", "Slow"), orcatest.On("p", "Fast3"))},
	)
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	if got := core.Wait(id).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
		t.Errorf("the run is %v", got)
	}
}

// Two processors work at the same time on one window: each waits for the other to have begun.
func TestProcessorsWorkAtTheSameTime(t *testing.T) {
	t.Parallel()
	var begun sync.WaitGroup
	begun.Add(2)
	meet := func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		begun.Done()
		both := make(chan struct{})
		go func() { begun.Wait(); close(both) }()
		select {
		case <-both:
			return orcatest.Value(1), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: meet})
	core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "B"), Run: meet})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	if got := core.Wait(id).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
		t.Errorf("the run is %v", got)
	}
}

// A stop in order and a start on the same store: what was registered is known without being registered again, and a
// window emitted then runs.
func TestRestartRemembersTheRegistry(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	first, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	core.Wait(first)
	core.Restart()
	second, _ := core.Emit(orcatest.Window("W", "1.0.0", 1, nil))
	for _, id := range []string{first, second} {
		if got := core.Wait(id).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("window %s: the run is %v", id, got)
		}
	}
}
