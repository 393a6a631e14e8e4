package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// A registration with one thing wrong is refused with all that it brings along.
func TestRefusedRegistrationLeavesNothing(t *testing.T) { //nolint:tparallel // the subtests share a core and look at all of it
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "A"), plain("W", "B", orcatest.On("p", "A")))
	first := p.Registration()
	first.ProjectName = "plant"
	if _, err := core.RegisterProcessor(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	otherType, otherResult := orcatest.Define("V", "A"), orcatest.Define("W", "A")
	otherResult.ResultType = pb.ResultType_ARRAY
	moreFields := orcatest.Define("W", "A")
	moreFields.WindowType.MetadataFields = []*pb.MetadataField{{Name: "car", Description: "car"}}
	const bump = "give what has changed a new version"
	for name, test := range map[string]struct {
		change *pb.ProcessorRegistration
		code   codes.Code
		words  string
	}{
		"another window type":  {&pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{otherType}}, codes.FailedPrecondition, bump},
		"another result type":  {&pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{otherResult}}, codes.FailedPrecondition, bump},
		"other fields":         {&pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{moreFields}}, codes.FailedPrecondition, bump},
		"an algorithm twice":   {&pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{orcatest.Define("W", "C"), orcatest.Define("W", "C")}}, codes.InvalidArgument, "twice"},
		"a cycle":              {&pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{orcatest.Define("W", "A", orcatest.On("p", "B")), orcatest.Define("W", "B", orcatest.On("p", "A"))}}, codes.FailedPrecondition, "A 1.0.0 → B 1.0.0 → A 1.0.0"},
		"a cycle with oneself": {&pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{orcatest.Define("W", "C", orcatest.On("p", "C"))}}, codes.FailedPrecondition, "self lookback"},
		"another project":      {&pb.ProcessorRegistration{ProjectName: "garden", SupportedAlgorithms: []*pb.Algorithm{orcatest.Define("W", "C")}}, codes.AlreadyExists, `"plant"`},
	} {
		t.Run(name, func(t *testing.T) {
			before := exposed(t, core, "")
			test.change.Name, test.change.Runtime, test.change.ConnectionStr = "p", "go-test", p.Address
			test.change.SupportedAlgorithms = append([]*pb.Algorithm{orcatest.Define("New", "Fresh")}, test.change.SupportedAlgorithms...)
			_, err := core.RegisterProcessor(t.Context(), test.change)
			checkRefused(t, "it", err, test.code, test.words)
			if diff := cmp.Diff(before, exposed(t, core, ""), protocmp.Transform()); diff != "" {
				t.Errorf("it left something (-before +after):\n%s", diff)
			}
		})
	}
	_, err := core.EmitWindow(t.Context(), window("New", 0))
	checkRefused(t, "a window of a type that was refused", err, codes.NotFound, "New")
	id, _ := core.Emit(window("W", 0))
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1")
}

func exposed(t *testing.T, core *orcatest.Core, without string) []*pb.ProcessorRegistration {
	t.Helper()
	state, err := core.Expose(t.Context(), &pb.ExposeSettings{ExcludeProject: without})
	if err != nil {
		t.Fatal(err)
	}
	return state.GetProcessors()
}

// Processors whose algorithms need each other start in either order. Until the second is there, what needs it waits and
// triggers nothing, and everybody is told; the runtime in a dependency does not matter for that.
func TestProcessorsThatNeedEachOther(t *testing.T) {
	t.Parallel()
	clean := orcatest.On("right", "Clean")
	clean.ProcessorRuntime = "python3.13" // a wish, and nobody has it
	algorithms := map[string][]orcatest.Algorithm{
		"left":  {plain("W", "Raw"), {Algorithm: orcatest.Define("W", "Score", clean), Run: twice}},
		"right": {{Algorithm: orcatest.Define("W", "Clean", orcatest.On("left", "Raw")), Run: twice}},
	}
	for name, test := range map[string]struct {
		first, second string
		alone         map[string]string
		answer        pb.WindowEmitStatus_StatusEnum // to a window while only the first is there
		awaited       string
	}{
		"left first": {"left", "right", map[string]string{"left/Raw": "active", "left/Score": "waiting"}, pb.WindowEmitStatus_PROCESSING_TRIGGERED,
			`Score 1.0.0 needs Clean 1.0.0 of processor "right"`},
		"right first": {"right", "left", map[string]string{"right/Clean": "waiting"}, pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS,
			`Clean 1.0.0 needs Raw 1.0.0 of processor "left"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := orcatest.Start(t)
			status, err := core.Register(orcatest.NewProcessor(t, test.first, algorithms[test.first]...))
			if err != nil || !status.GetReceived() || !strings.Contains(status.GetMessage(), test.awaited) {
				t.Errorf("the first is told %v, %v; want %q", status, err, test.awaited)
			}
			if diff := cmp.Diff(test.alone, states(t, core)); diff != "" {
				t.Errorf("states with one processor (-want +got):\n%s", diff)
			}
			if _, answer := core.Emit(window("W", 0)); answer != test.answer {
				t.Errorf("emit with one processor answers %v, want %v", answer, test.answer)
			}
			core.Processor(test.second, algorithms[test.second]...)
			id, _ := core.Emit(window("W", 1))
			w := core.Wait(id)
			checkNodes(t, w, pb.RunState_RUN_STATE_SUCCEEDED, "Clean succeeded of 2", "Raw succeeded of 2", "Score succeeded of 2")
			if got := w.GetNodes()[2].GetResult().GetSingleValue(); got != 4 {
				t.Errorf("Score gave %v, want twice twice the 1 of Raw", got)
			}
		})
	}
}

// twice doubles the first dependency's newest row.
func twice(_ context.Context, _ *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
	return orcatest.Value(2 * x.GetDependencies()[0].GetResult()[0].GetResult().GetSingleValue()), nil
}

// In a rolling upgrade an instance registers without an algorithm that another one still has: that one goes on with it.
// When nobody has it any more it triggers nothing, its results stay, and it comes back when it is announced again.
func TestAlgorithmThatOneInstanceStillHas(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	a, b := plain("W", "A"), plain("W", "B")
	older := core.Processor("p", a, b)
	newer := core.Processor("p", a, b)
	announced(t, core, "p", newer.Address, a.Algorithm)
	first, _ := core.Emit(window("W", 0))
	checkNodes(t, core.Wait(first), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1")
	if n := executed(newer)["B"]; n != 0 || executed(older)["B"] != 1 {
		t.Errorf("B ran %d times where it was withdrawn and %d times where it was not", n, executed(older)["B"])
	}

	message := announced(t, core, "p", older.Address, a.Algorithm)
	if !strings.Contains(message, `B 1.0.0`) {
		t.Errorf("the last to withdraw B is told %q", message)
	}
	second, _ := core.Emit(window("W", 1))
	checkNodes(t, core.Wait(second), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 2")
	page, err := core.ListResults(t.Context(), &pb.ListResultsRequest{Name: "B", Version: "1.0.0"})
	if err != nil || len(page.GetResults()) != 1 || page.GetResults()[0].GetWindowId() != first {
		t.Errorf("the results of a retired algorithm are %v, %v", page.GetResults(), err)
	}

	announced(t, core, "p", newer.Address, a.Algorithm, b.Algorithm)
	third, _ := core.Emit(window("W", 2))
	checkNodes(t, core.Wait(third), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 3", "B succeeded of 3")
}

// A processor that announces nothing any more triggers nothing, and the type of its windows stays known.
func TestEmptyRegistration(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "A"))
	announced(t, core, "p", p.Address)
	if diff := cmp.Diff(map[string]string{"p/A": "retired"}, states(t, core)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if _, answer := core.Emit(window("W", 0)); answer != pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS {
		t.Errorf("emit answers %v", answer)
	}
}

// Silence retires nothing: windows go on to trigger an absent processor's algorithms, which wait.
func TestAbsentProcessorsAlgorithmsStillTrigger(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "A"))
	core.Processor("q", plain("W", "B"))
	p.Kill()
	core.Restart() // nor does a restart
	id, answer := core.Emit(window("W", 0))
	if answer != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
		t.Errorf("emit answers %v", answer)
	}
	if diff := cmp.Diff(map[string]string{"p/A": "active", "q/B": "active"}, states(t, core)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	core.Processor("p", plain("W", "A")) // elsewhere
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1")
}

// An instance that is silent for the TTL is forgotten, one that answers is not. What only the forgotten one announced is
// retired; what the newest registration of its processor has is not.
func TestSilentInstanceIsForgotten(t *testing.T) {
	t.Parallel()
	const heartbeat, ttl = 100 * time.Millisecond, 3 * time.Second
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Heartbeat, cfg.InstanceTTL = heartbeat, ttl })
	older := core.Processor("p", plain("W", "A"), plain("W", "Old"))
	living, beats := serveProgram(t, "", succeed), make(chan struct{}, 10_000)
	living.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
		beats <- struct{}{}
		return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
	})
	announced(t, core, "p", living.address, orcatest.Define("W", "A"))
	lone := core.Processor("q", plain("W", "B"))
	older.Kill()
	lone.Kill()
	eventually(t, "both silent instances are forgotten", func() bool { return len(instances(t, core)) == 1 })
	if diff := cmp.Diff(map[string]string{"p/A": "active", "p/Old": "retired", "q/B": "active"}, states(t, core)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	for range ttl / heartbeat { // it has lived for longer than the TTL then
		receive(t, "the instance that lives is asked", beats)
	}
	if diff := cmp.Diff([]string{living.address}, instances(t, core)); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
}

// instances returns the addresses of all instances that a core knows.
func instances(t *testing.T, core *orcatest.Core) (addresses []string) {
	t.Helper()
	list, err := core.ListProcessors(t.Context(), &pb.ListProcessorsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.GetProcessors() {
		for _, in := range p.GetInstances() {
			addresses = append(addresses, in.GetConnectionStr())
		}
	}
	return addresses
}

// Twin instances share the work, and what one had under way when it died runs on the other.
func TestTwinsShareWorkAndOneDies(t *testing.T) {
	t.Parallel()
	const each = 4
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.MaxInFlight = each })
	arrived, free := make(chan struct{}, 1000), make(chan struct{})
	work := orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		arrived <- struct{}{}
		select {
		case <-free:
			return orcatest.Value(1), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	one, two := core.Processor("p", work), core.Processor("p", work)
	ids := make([]string, 5*each)
	for i := range ids {
		ids[i], _ = core.Emit(window("W", i))
	}
	for range 2 * each {
		receive(t, "both are busy", arrived)
	}
	if a, b := len(one.Requests()), len(two.Requests()); a != each || b != each {
		t.Errorf("the twins have %d and %d requests, want %d each", a, b, each)
	}
	one.Kill()
	close(free)
	for _, id := range ids {
		if w := core.Wait(id); w.GetRun().GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("window %s: %v", id, nodesOf(w))
		}
	}
	if n := len(two.Requests()); n != len(ids) {
		t.Errorf("the one that lived ran %d windows, want all %d", n, len(ids))
	}
}

// Expose returns what was registered: an entry per processor and runtime, each algorithm under the runtime that
// announced it last, without what is retired, and without a project on request.
func TestExposeReturnsEverything(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	full := &pb.Algorithm{
		Name: "Full", Version: "2.1.0", Description: "everything", ResultType: pb.ResultType_STRUCT,
		WindowType: &pb.WindowType{Name: "W", Version: "1.0.0", Description: "W", MetadataFields: []*pb.MetadataField{
			{Name: "asset", Description: "which", Filter: true}, {Name: "token", Description: "secret", NoStore: true},
		}},
		Lookback: &pb.Algorithm_LookbackNum{LookbackNum: 3}, LookbackGap: &pb.Algorithm_LookbackGapNum{LookbackGapNum: 1},
		Dependencies: []*pb.AlgorithmDependency{
			{Name: "Base", Version: "1.0.0", ProcessorName: "p", ProcessorRuntime: "go-test",
				Lookback: &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: 60e9}, LookbackGap: &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: 5e9}},
		},
	}
	base := orcatest.Define("V", "Base")
	sent := []*pb.ProcessorRegistration{
		{Name: "p", Runtime: "go-test", ConnectionStr: "grpc://127.0.0.1:1", ProjectName: "plant", SupportedAlgorithms: []*pb.Algorithm{base, full}},
		{Name: "p", Runtime: "python3.13", ConnectionStr: "127.0.0.1:2", ProjectName: "plant", SupportedAlgorithms: []*pb.Algorithm{base, orcatest.Define("V", "Gone")}},
		{Name: "q", Runtime: "go-test", ConnectionStr: "127.0.0.1:3", ProjectName: "garden", SupportedAlgorithms: []*pb.Algorithm{orcatest.Define("V", "Grow")}},
	}
	for _, r := range sent {
		if _, err := core.RegisterProcessor(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	again := sent[1]
	again.SupportedAlgorithms = again.SupportedAlgorithms[:1] // Gone is retired
	if _, err := core.RegisterProcessor(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	sent[0].SupportedAlgorithms = []*pb.Algorithm{full} // Base was announced last under the other runtime
	if diff := cmp.Diff(sent, exposed(t, core, ""), protocmp.Transform()); diff != "" {
		t.Errorf("exposed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sent[2:], exposed(t, core, "plant"), protocmp.Transform()); diff != "" {
		t.Errorf("exposed without a project (-want +got):\n%s", diff)
	}
}

// An address that another processor registers is that one's alone; who had it before waits for an instance elsewhere.
func TestAddressChangesHands(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	before := core.Processor("p", plain("W", "A"))
	before.Kill()
	waiting, _ := core.Emit(window("W", 0))
	now := serveProgram(t, before.Address, succeed)
	message := announced(t, core, "q", "grpc://"+now.address, orcatest.Define("V", "B"))
	if want := `address ` + now.address + ` was taken from processor "p"`; !strings.Contains(message, want) {
		t.Errorf("the message is %q, want %q", message, want)
	}
	other, _ := core.Emit(window("V", 0))
	checkNodes(t, core.Wait(other), pb.RunState_RUN_STATE_SUCCEEDED, "B succeeded of 2")
	core.Processor("p", plain("W", "A"))
	checkNodes(t, core.Wait(waiting), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1")
	for _, r := range now.requests() {
		if name := r.GetAlgorithmExecutions()[0].GetAlgorithm().GetName(); name != "B" {
			t.Errorf("the new owner of the address was asked for %s", name)
		}
	}
}
