package app_test

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// Of a request under way each result counts as it comes: what needs it runs before the rest of the request is there.
func TestResultsCountWhileTheirRequestGoesOn(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	dependentRan := make(chan struct{})
	p := serveProgram(t, "", func(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
		if err := stream.Send(resultOf(req.GetExecId(), "A", orcatest.Value(7))); err != nil {
			return err
		}
		select {
		case <-dependentRan:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		return stream.Send(resultOf(req.GetExecId(), "B", orcatest.Value(8)))
	})
	announced(t, core, "p", p.address, orcatest.Define("W", "A"), orcatest.Define("W", "B"))
	core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "C", orcatest.On("p", "A")),
		Run: func(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
			defer close(dependentRan)
			return twice(ctx, req, x)
		}})
	id, _ := core.Emit(window("W", 0))
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1", "C succeeded of 1")
	if n := len(p.requests()); n != 1 {
		t.Errorf("A and B came in %d requests, want one", n)
	}
}

// A request, whole: the definitions as registered, the dependencies in the order of the registration each with its row
// and the stored window, and the same again in the deprecated fields. Each request has an id of its own.
func TestWhatARequestCarries(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	fields := []*pb.MetadataField{{Name: "car"}, {Name: "token", NoStore: true}}
	a, b, c := typed("A", fields...), typed("B", fields...), typed("C", fields...)
	b.Dependencies = []*pb.AlgorithmDependency{orcatest.On("p", "A")}
	c.Dependencies = []*pb.AlgorithmDependency{orcatest.On("q", "B"), orcatest.On("p", "A")}
	d := proto.CloneOf(c)
	d.Name, d.Version, d.Description = "D", "3.1.4", "what else"
	d.Dependencies = []*pb.AlgorithmDependency{orcatest.On("p", "A"), orcatest.On("q", "B")}
	p := core.Processor("p", orcatest.Algorithm{Algorithm: a, Run: fixed(2)}, orcatest.Algorithm{Algorithm: c}, orcatest.Algorithm{Algorithm: d})
	core.Processor("q", orcatest.Algorithm{Algorithm: b, Run: fixed(3)})
	sent := orcatest.Window("W", "1.0.0", 0, map[string]any{"car": 7, "token": "secret", "extra": []any{1, nil}})
	id, _ := core.Emit(sent)
	keptWindow := core.Wait(id).GetWindow().GetWindow()

	row := func(v float32) []*pb.AlgorithmDependencyResultRow {
		return []*pb.AlgorithmDependencyResultRow{{Result: fixedResult(v), Window: keptWindow}}
	}
	ofA, ofB := &pb.AlgorithmDependencyResult{Algorithm: a, Result: row(2)}, &pb.AlgorithmDependencyResult{Algorithm: b, Result: row(3)}
	requests := p.Requests()
	if len(requests) != 2 || requests[0].GetExecId() == requests[1].GetExecId() || requests[0].GetExecId() == "" {
		t.Fatalf("%d requests, want two with ids of their own", len(requests))
	}
	want := &pb.ExecutionRequest{
		ExecId: requests[1].GetExecId(), Window: sent,
		AlgorithmExecutions: []*pb.ExecuteAlgorithm{
			{Algorithm: c, Dependencies: []*pb.AlgorithmDependencyResult{ofB, ofA}},
			{Algorithm: d, Dependencies: []*pb.AlgorithmDependencyResult{ofA, ofB}},
		},
		Algorithms: []*pb.Algorithm{c, d}, //nolint:staticcheck // older processors read it
		AlgorithmResults: []*pb.AlgorithmResult{ //nolint:staticcheck // older processors read it
			{Algorithm: b, Result: fixedResult(3), Window: keptWindow}, {Algorithm: a, Result: fixedResult(2), Window: keptWindow},
		},
	}
	if diff := cmp.Diff(want, requests[1], protocmp.Transform()); diff != "" {
		t.Errorf("the request of C and D (-want +got):\n%s", diff)
	}
}

// fixedResult is a value that is the same each time, its timestamp included.
func fixedResult(v float32) *pb.Result {
	r := orcatest.Value(v)
	r.Timestamp = 1767225600
	return r
}

func fixed(v float32) runFunc {
	return func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
		return fixedResult(v), nil
	}
}

// What a processor returned comes back as it was, from the ledger and to a dependent, also after a restart.
func TestResultsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	nested, err := structpb.NewStruct(map[string]any{
		"": "empty name", "null": nil, "list": []any{}, "struct": map[string]any{"deep": []any{map[string]any{}, math.Copysign(0, -1), math.MaxFloat64}},
		"text": "日本語 \x00 \U0001F40B", "nan": math.NaN(),
	})
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]*pb.Result{
		"Tiny":    {ResultData: &pb.Result_SingleValue{SingleValue: math.SmallestNonzeroFloat32}},
		"Nan":     {ResultData: &pb.Result_SingleValue{SingleValue: math.Float32frombits(0x7fc12345)}},
		"Inf":     {ResultData: &pb.Result_SingleValue{SingleValue: float32(math.Inf(-1))}},
		"Zero":    {ResultData: &pb.Result_SingleValue{SingleValue: float32(math.Copysign(0, -1))}},
		"Array":   {ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{1, float32(math.NaN()), 0.1}}}},
		"NoArray": {ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{}}},
		"Struct":  {ResultData: &pb.Result_StructValue{StructValue: nested}},
		"Bare":    {ResultData: &pb.Result_StructValue{StructValue: &structpb.Struct{}}},
		"None":    {},
	}
	var algorithms []orcatest.Algorithm
	var needs []*pb.AlgorithmDependency
	for name, r := range results {
		r.Status, r.Timestamp = pb.ResultStatus_RESULT_STATUS_SUCEEDED, 1767225600
		a := orcatest.Define("W", name)
		a.ResultType = typeOf(r)
		algorithms = append(algorithms, orcatest.Algorithm{Algorithm: a,
			Run: func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) { return r, nil }})
		needs = append(needs, orcatest.On("p", name))
	}
	core.Processor("p", algorithms...)
	q := core.Processor("q", plain("W", "Dependent", needs...))
	id, _ := core.Emit(window("W", 0))
	core.Wait(id)
	given := map[string]*pb.Result{}
	for _, d := range q.Requests()[0].GetAlgorithmExecutions()[0].GetDependencies() {
		given[d.GetAlgorithm().GetName()] = d.GetResult()[0].GetResult()
	}
	checkBits(t, "given to a dependent", results, given)
	core.Restart()
	kept := map[string]*pb.Result{}
	for _, n := range core.Wait(id).GetNodes() {
		kept[n.GetAlgorithm().GetName()] = n.GetResult()
	}
	delete(kept, "Dependent")
	checkBits(t, "kept", results, kept)
}

func typeOf(r *pb.Result) pb.ResultType {
	switch r.GetResultData().(type) {
	case *pb.Result_SingleValue:
		return pb.ResultType_VALUE
	case *pb.Result_FloatValues:
		return pb.ResultType_ARRAY
	case *pb.Result_StructValue:
		return pb.ResultType_STRUCT
	}
	return pb.ResultType_NONE
}

// checkBits compares results by their bytes, so that NaN and −0 have to be the same ones.
func checkBits(t *testing.T, what string, want, got map[string]*pb.Result) {
	t.Helper()
	bits := func(results map[string]*pb.Result) map[string][]byte {
		all := map[string][]byte{}
		for name, r := range results {
			b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = b
		}
		return all
	}
	if diff := cmp.Diff(bits(want), bits(got)); diff != "" {
		t.Errorf("results as %s (-want +got):\n%s", what, diff)
	}
}

// A processor that is away holds back what needs it and nothing else, and the status names it with how many runs wait.
// When it is back they go on.
func TestAbsentProcessorHoldsBackItsOwnNodes(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	away := core.Processor("away", plain("W", "Gone"))
	away.Kill()
	core.Processor("p", plain("W", "A"), plain("W", "B", orcatest.On("away", "Gone")), plain("W", "C", orcatest.On("p", "A")))
	id, _ := core.Emit(window("W", 0))
	eventually(t, "everything else has run", func() bool {
		w, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id})
		return err == nil && w.GetRun().GetSettled() == 2
	})
	w, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]pb.Outcome{}
	for _, n := range w.GetNodes() {
		outcomes[n.GetAlgorithm().GetName()] = n.GetOutcome()
	}
	want := map[string]pb.Outcome{
		"A": pb.Outcome_OUTCOME_SUCCEEDED, "B": pb.Outcome_OUTCOME_OPEN, "C": pb.Outcome_OUTCOME_SUCCEEDED, "Gone": pb.Outcome_OUTCOME_OPEN,
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	var waiting []*pb.Waiting
	eventually(t, "the status names who is waited for", func() bool {
		status, err := core.GetStatus(t.Context(), &pb.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		waiting = status.GetWaiting()
		return len(waiting) > 0
	})
	if diff := cmp.Diff([]*pb.Waiting{{Processor: "away", Runs: 1, Oldest: 1}}, waiting, protocmp.Transform()); diff != "" {
		t.Errorf("what is waited for (-want +got):\n%s", diff)
	}
	serveProgram(t, away.Address, succeed) // back, without registering again
	checkNodes(t, core.Wait(id), pb.RunState_RUN_STATE_SUCCEEDED,
		"A succeeded of 1", "B succeeded of 1", "C succeeded of 1", "Gone succeeded of 1")
}
