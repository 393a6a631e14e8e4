package app_test

import (
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// A window triggers the algorithms of exactly its type and version. Neither those of another version, nor those of
// another type that they need, nor those that need them from another type run.
func TestOnlyTheWindowsTypeTriggers(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	newer := plain("W", "Newer")
	newer.WindowType.Version = "2.0.0"
	needsOther, needed := plain("W", "A"), plain("V", "Daily")
	needsOther.Dependencies = []*pb.AlgorithmDependency{orcatest.On("p", "Daily")}
	report := plain("U", "Report", orcatest.On("p", "A"))
	p := core.Processor("p", needsOther, plain("W", "B"), newer, needed, report)
	id, _ := core.Emit(window("W", 0))
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1")
	if diff := cmp.Diff(map[string]int{"A": 1, "B": 1}, executed(p)); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
}

// What needs a retired algorithm is skipped, with what needs that; the rest of the window runs.
func TestDependencyOnARetiredAlgorithm(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "Base"), plain("W", "A"))
	core.Processor("q", plain("W", "B", orcatest.On("p", "Base"), orcatest.On("p", "A")), plain("W", "C", orcatest.On("q", "B")))
	announced(t, core, "p", p.Address, orcatest.Define("W", "A"))
	id, answer := core.Emit(window("W", 0))
	if answer != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
		t.Errorf("emit answers %v", answer)
	}
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_INCOMPLETE, "A succeeded of 1",
		`B skipped of 1: needs Base 1.0.0 of processor "p", which is retired`, "C skipped of 1: needs B 1.0.0, which was skipped")
}

// Windows of one type share a plan, and one that comes after a registration has the new one, while those before keep
// theirs: a retry takes it up again.
func TestRunsKeepTheirPlan(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	broken := orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: counted(new(atomic.Int32), func(n int32) *pb.Result {
		if n == 1 {
			return handled()
		}
		return orcatest.Value(1)
	})}
	p := core.Processor("p", broken, plain("W", "B"))
	id, _ := core.Emit(window("W", 0))
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_FAILED,
		"A handled_failed of 1: the algorithm reported a failure without details", "B succeeded of 1")
	changed := orcatest.Define("W", "A", orcatest.On("p", "C"))
	changed.Description = "changed"
	announced(t, core, "p", p.Address, changed, orcatest.Define("W", "B"), orcatest.Define("W", "C"))
	if _, err := core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 2", "B succeeded of 1")
	requests := p.Requests()
	last := requests[len(requests)-1].GetAlgorithmExecutions()[0]
	if last.GetAlgorithm().GetDescription() != "A" || len(last.GetDependencies()) != 0 {
		t.Errorf("the retry asked for %v, want the definition that its run began with", last)
	}
	after, _ := core.Emit(window("W", 1))
	checkNodes(t, core.Wait(after), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 3", "B succeeded of 3", "C succeeded of 3")
}
