package app_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// held is an algorithm that returns when the test lets it, each time.
type held struct{ begun, free chan struct{} }

func newHeld() *held { return &held{begun: make(chan struct{}, 100), free: make(chan struct{}, 100)} }

func (h *held) run(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
	h.begun <- struct{}{}
	select {
	case <-h.free:
		return orcatest.Value(1), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// emitter emits to a core over a connection that outlives the core.
func emitter(t *testing.T, core *orcatest.Core) func(*pb.Window) error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+core.Addresses.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := pb.NewOrcaCoreClient(conn)
	return func(w *pb.Window) error {
		ctx, cancel := context.WithTimeout(context.Background(), orcatest.Patience)
		defer cancel()
		_, err := client.EmitWindow(ctx, w)
		return err
	}
}

// A core that is told to stop accepts nothing more, lets what is under way finish and keeps its outcome, begins nothing,
// and leaves the rest to the next start, which runs it and nothing twice.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	a := newHeld()
	p := core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: a.run}, plain("W", "B", orcatest.On("p", "A")))
	emit := emitter(t, core)
	if err := emit(window("W", 0)); err != nil {
		t.Fatal(err)
	}
	receive(t, "A is under way", a.begun)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		core.Stop()
	}()
	accepted := 1 // until it has heard that it is to stop
	eventually(t, "emits are refused", func() bool {
		err := emit(window("W", accepted))
		if err == nil {
			accepted++
			return false
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("an emit to a core that stops: %v, want UNAVAILABLE", err)
		}
		return true
	})
	select {
	case <-stopped:
		t.Fatal("the core has stopped while a request is under way")
	case <-time.After(200 * time.Millisecond): // that it does not cannot be waited for otherwise
	}
	for range 100 {
		a.free <- struct{}{}
	}
	receive(t, "the core stops", stopped)
	before := executed(p)
	if before["B"] != 0 {
		t.Errorf("B was begun %d times by a core that stops", before["B"])
	}
	core.Restart()
	var states []string
	for _, id := range stored(t, core) {
		states = append(states, core.Wait(id).GetRun().GetState().String())
	}
	if diff := cmp.Diff(slices.Repeat([]string{"RUN_STATE_SUCCEEDED"}, accepted), states); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"A": accepted, "B": accepted}, executed(p)); diff != "" {
		t.Errorf("executions, before and after (-want +got):\n%s", diff)
	}
}

// What does not finish within --drain is cut off, and runs again after the next start.
func TestStopGivesUpAfterTheDrain(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Drain = 50 * time.Millisecond })
	a := newHeld()
	p := core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: a.run}, plain("W", "B"))
	id, _ := core.Emit(window("W", 0))
	receive(t, "A is under way", a.begun)
	core.Restart() // which fails when the core does not stop
	receive(t, "A is under way again", a.begun)
	a.free <- struct{}{}
	w := core.Wait(id)
	checkNodes(t, w, pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1")
	for _, n := range w.GetNodes() {
		if n.GetAttempts() != 1 {
			t.Errorf("%s has %d attempts: being stopped is none", n.GetAlgorithm().GetName(), n.GetAttempts())
		}
	}
	if n := executed(p)["A"]; n != 2 {
		t.Errorf("A ran %d times, want twice", n)
	}
}

// A chain that is cut off again and again goes on from its durable outcomes: nothing that is settled runs again.
func TestRestartGoesOnFromDurableOutcomes(t *testing.T) {
	t.Parallel()
	const long = 5
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Drain = time.Millisecond })
	a := newHeld()
	var chain []orcatest.Algorithm
	for i := range long {
		var needs []*pb.AlgorithmDependency
		if i > 0 {
			needs = append(needs, orcatest.On("p", fmt.Sprint("C", i-1)))
		}
		chain = append(chain, orcatest.Algorithm{Algorithm: orcatest.Define("W", fmt.Sprint("C", i), needs...), Run: a.run})
	}
	p := core.Processor("p", chain...)
	id, _ := core.Emit(window("W", 0))
	want := map[string]int{}
	for i := range long {
		receive(t, "the next begins", a.begun)
		core.Restart()
		receive(t, "it begins again", a.begun)
		a.free <- struct{}{}
		want[fmt.Sprint("C", i)] = 2
	}
	if got := core.Wait(id).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
		t.Errorf("the run is %v", got)
	}
	if diff := cmp.Diff(want, executed(p)); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
}
