package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

// freshness returns what GetWindow says of the nodes of a window's revision that look back, as "NAME FRESHNESS".
func freshness(t *testing.T, core *orcatest.Core, id string, revision int32) string {
	t.Helper()
	w, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id, Revision: revision})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, n := range w.GetNodes() {
		if f := n.GetFreshness(); f != pb.Freshness_FRESHNESS_UNSPECIFIED {
			said = append(said, n.GetAlgorithm().GetName()+" "+strings.ToLower(strings.TrimPrefix(f.String(), "FRESHNESS_")))
		}
	}
	slices.Sort(said)
	return strings.Join(said, ", ")
}

// checkFresh compares what is said of the newest runs of windows, each like "Count current, Own stale".
func checkFresh(t *testing.T, core *orcatest.Core, when string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for id := range want {
		got[id] = freshness(t, core, id, 0)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// startFreshness starts a core on which windows of type S have Base, Plain, which takes Base alone, Count, which looks
// back at the last two of Base, and Own, which looks back at its last. Those of type M have Report, of the newest Base.
func startFreshness(t *testing.T) (*orcatest.Core, *historian) {
	t.Helper()
	h := &historian{given: map[string][]*pb.ExecuteAlgorithm{}}
	core := orcatest.Start(t)
	core.Processor("p",
		h.algorithm("S", "Base"),
		h.algorithm("S", "Plain", orcatest.On("p", "Base")),
		h.algorithm("S", "Count", last("Base", 2, 0)),
		self(h.algorithm("S", "Own"), last("", 1, 0)),
		h.algorithm("M", "Report", orcatest.On("p", "Base")),
	)
	return core, h
}

// done emits a window and waits for its end.
func (h *historian) done(core *orcatest.Core, typeName, fails string, i int) (id string) {
	id, _ = core.Emit(h.window(typeName, "a", fails, i, 1))
	core.Wait(id)
	return id
}

const (
	bothCurrent = "Count current, Own current"
	countStale  = "Count stale, Own current"
	bothStale   = "Count stale, Own stale"
)

// A window that comes late makes those stale that look back over its time, and nothing else. They stay as they are.
func TestALateWindowMakesResultsStale(t *testing.T) {
	t.Parallel()
	core, h := startFreshness(t)
	w0, w1, w3, w4, w6 := h.done(core, "S", "", 0), h.done(core, "S", "", 1), h.done(core, "S", "", 3), h.done(core, "S", "", 4), h.done(core, "S", "", 6)
	m5, m7 := h.done(core, "M", "", 5), h.done(core, "M", "", 7)
	checkFresh(t, core, "nothing came late", map[string]string{
		w0: bothCurrent, w1: bothCurrent, w3: bothCurrent, w4: bothCurrent, w6: bothCurrent, m5: "Report current", m7: "Report current",
	})
	before := core.Wait(w3).GetNodes()
	h.done(core, "S", "Base", 2)
	checkFresh(t, core, "one came late, and only its own past is there", map[string]string{w3: "Count current, Own stale", w4: bothCurrent, m5: "Report current"})
	other, _ := core.Emit(h.window("S", "b", "", 2, 1))
	core.Wait(other)
	checkFresh(t, core, "one of another asset came late", map[string]string{w3: "Count current, Own stale", w4: bothCurrent, m5: "Report current"})
	w2 := h.done(core, "S", "", 2)
	h.done(core, "S", "", 5)
	checkFresh(t, core, "two came late", map[string]string{
		w0: bothCurrent, w1: bothCurrent, w2: bothCurrent, w3: bothStale, w4: countStale, w6: bothStale, m5: "Report stale", m7: "Report current",
	})
	after := core.Wait(w3).GetNodes()
	for i := range before {
		if before[i].GetResult().GetSingleValue() != after[i].GetResult().GetSingleValue() || before[i].GetOutcome() != after[i].GetOutcome() {
			t.Errorf("%v has become %v", before[i], after[i])
		}
	}
	if _, err := core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: w3}); err != nil {
		t.Fatal(err)
	}
	core.Wait(w3)
	checkFresh(t, core, "run again", map[string]string{w3: bothCurrent, w4: bothStale})
	if got := freshness(t, core, w3, 1); got != bothStale {
		t.Errorf("its first run is %s", got)
	}
}

// The SDK reads both from a core.
func TestTheSDKReadsInputsAndFreshness(t *testing.T) {
	t.Parallel()
	core, h := startFreshness(t)
	client, err := orca.NewClient(orca.WithCore(core.Addresses.GRPC), orca.WithoutEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	w0, w2 := h.done(core, "S", "", 0), h.done(core, "S", "", 2)
	w1 := h.done(core, "S", "", 1)
	id := func(name string) orca.AlgorithmID {
		return orca.AlgorithmID{Processor: "p", Name: name, Version: "1.0.0"}
	}
	fresh, err := client.Freshness(t.Context(), w2, 0)
	if diff := cmp.Diff(map[orca.AlgorithmID]orca.Freshness{id("Count"): orca.InputsStale, id("Own"): orca.InputsStale}, fresh); diff != "" || err != nil {
		t.Errorf("freshness (-want +got):\n%s%v", diff, err)
	}
	var rows []string
	for _, of := range []string{w2, w1} {
		for in, err := range client.Inputs(t.Context(), of, 0, id("Count"), id("Own")) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, fmt.Sprintf("%s %d of %s: %s, %v", in.Algorithm.Name, in.Dependency, in.Of.Name, in.Row.Window.ID, in.Current))
		}
	}
	want := []string{
		"Own -1 of Own: " + w0 + ", false", "Count 0 of Base: " + w2 + ", true", "Count 0 of Base: " + w0 + ", false",
		"Own -1 of Own: " + w0 + ", false", "Count 0 of Base: " + w1 + ", true", "Count 0 of Base: " + w0 + ", false",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

// A later run of an older window makes those stale that were given another result of it, and not those whose row it
// has kept.
func TestALaterRunMakesResultsStale(t *testing.T) {
	t.Parallel()
	core, h := startFreshness(t)
	again := func(id string, reprocess bool) {
		t.Helper()
		_, err := core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id})
		if reprocess {
			_, err = core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: id})
		}
		if err != nil {
			t.Fatal(err)
		}
		core.Wait(id)
	}
	w0, w1, w2, w3 := h.done(core, "S", "Base", 0), h.done(core, "S", "Plain", 1), h.done(core, "S", "", 2), h.done(core, "S", "", 3)
	again(w1, false)
	checkFresh(t, core, "a retry kept what was looked at", map[string]string{w1: bothCurrent, w2: bothCurrent, w3: bothCurrent})
	again(w0, false)
	checkFresh(t, core, "a retry gave what had failed", map[string]string{w0: bothCurrent, w1: countStale, w2: countStale, w3: bothCurrent})
	again(w1, true)
	checkFresh(t, core, "reprocessed", map[string]string{w0: bothCurrent, w1: bothCurrent, w2: bothStale, w3: countStale})
}

// What a later run makes stale is stale when the run is settled, and not while it is open or when it was cancelled. What
// waits for it says so.
func TestWhatIsNotSettledMakesNothingStale(t *testing.T) {
	t.Parallel()
	core, h := startFreshness(t)
	var holding atomic.Bool
	begun, hold := make(chan struct{}, 10), make(chan struct{})
	held := self(h.algorithm("S", "Held"), last("", 1, 0))
	held.Run = func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		if holding.Load() {
			begun <- struct{}{}
			select {
			case <-hold:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return orcatest.Value(1), nil
	}
	core.Processor("q", held)
	w0, w3 := h.done(core, "S", "", 0), h.done(core, "S", "", 3)
	current, stale := "Count current, Held current, Own current", "Count stale, Held stale, Own stale"
	reprocess := func() {
		t.Helper()
		if _, err := core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: w0}); err != nil {
			t.Fatal(err)
		}
		receive(t, "the held algorithm runs", begun)
	}
	checkFresh(t, core, "nothing came later", map[string]string{w3: current})
	holding.Store(true)
	reprocess()
	eventually(t, "the others have settled", func() bool { return freshness(t, core, w0, 0) == bothCurrent })
	checkFresh(t, core, "a later run is open", map[string]string{w3: "Count stale, Held current, Own stale"})
	if _, err := core.CancelWindow(t.Context(), &pb.CancelWindowRequest{Id: w0}); err != nil {
		t.Fatal(err)
	}
	core.Wait(w0)
	checkFresh(t, core, "it was cancelled", map[string]string{w0: bothCurrent, w3: "Count stale, Held current, Own stale"})
	reprocess()
	w1, _ := core.Emit(h.window("S", "a", "", 1, 1))
	checkWait(t, core, w1, 4, w0)
	close(hold)
	core.Wait(w0)
	core.Wait(w1)
	checkFresh(t, core, "all is settled", map[string]string{w0: current, w1: current, w3: stale})
}

// checkWait compares what is shown of the node Held of a window, which waits for that of a run of another one.
func checkWait(t *testing.T, core *orcatest.Core, id string, position int64, window string) {
	t.Helper()
	w, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(w.GetNodes(), func(n *pb.NodeInfo) bool { return n.GetAlgorithm().GetName() == "Held" })
	of := w.GetNodes()[i].GetAlgorithm()
	want := fmt.Sprintf("waits for Held 1.0.0 in run %d, of window %s", position, window)
	if n := w.GetNodes()[i]; n.GetReason() != want || n.GetFreshness() != pb.Freshness_FRESHNESS_UNSPECIFIED {
		t.Errorf("the node that waits is shown as %v, want the reason %q", n, want)
	}
	inputs := []*pb.Input{{
		Algorithm: of, Of: of, WindowType: &pb.WindowTypeRef{Name: "S", Version: "1.0.0"}, Dependency: -1, LookbackNum: 1,
		Position: w.GetRun().GetPosition(), AwaitedPosition: position, AwaitedWindowId: window,
	}}
	got := inputsOf(t, core, &pb.ListInputsRequest{Id: id, Algorithms: []*pb.AlgorithmRef{of}})
	if diff := cmp.Diff(inputs, got, protocmp.Transform()); diff != "" {
		t.Errorf("inputs of the node that waits (-want +got):\n%s", diff)
	}
}
