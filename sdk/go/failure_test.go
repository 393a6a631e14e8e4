package orca_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

func TestFailuresSayHowTheyHappened(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	for name, fail := range map[string]func() error{
		"Handled": func() error {
			return errors.Join(errors.New("lap 7"), orca.Fail("no signal", map[string]any{"sensor": 3}))
		},
		"Formed":   func() error { return orca.Failf("no %s", "signal") },
		"Secret":   func() error { return orca.Fail("no signal", map[string]any{"sensor": make(chan int)}) },
		"Broken":   func() error { return errors.New("disk \xff full") },
		"Panics":   func() error { panic("at the wall") },
		"PanicNil": func() error { var none *struct{ error }; return none.error },
		"BadError": func() error { var none *badError; return none },
		"Exits":    func() error { runtime.Goexit(); return nil },
	} {
		orca.None(p, name, "1.0.0", lap, func(context.Context, *orca.Run) error { return fail() })
	}
	orca.Struct(p, "BadJSON", "1.0.0", lap, func(context.Context, *orca.Run) (badJSON, error) { return badJSON{}, nil })
	orca.Array(p, "Huge", "1.0.0", lap, func(context.Context, *orca.Run) ([]float32, error) {
		return make([]float32, 16<<20), nil
	})
	s := serve(t, core, p)
	results, err := execute(t, s, request("Handled", "Formed", "Secret", "Broken", "Panics", "PanicNil", "BadError", "BadJSON", "Exits", "Huge"))
	if err != nil {
		t.Fatal(err)
	}

	type failure struct {
		Status         pb.ResultStatus
		Message        string
		Details        any
		StackOfThis    bool
		TimestampIsSet bool
	}
	got := map[string]failure{}
	for name, result := range results {
		r := result.GetAlgorithmResult().GetResult()
		fields := r.GetError().AsMap()
		stack, _ := fields["stack"].(string)
		message, _ := fields["message"].(string)
		got[name] = failure{r.GetStatus(), message, fields["details"], strings.Contains(stack, "failure_test.go"), r.GetTimestamp() > 0}
	}
	handled, unhandled := pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED, pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED
	want := map[string]failure{
		"Handled":  {handled, "lap 7\nno signal", map[string]any{"sensor": 3.0}, false, true},
		"Formed":   {handled, "no signal", nil, false, true},
		"Secret":   {handled, "no signal", `these details cannot be sent: field "sensor": json: unsupported type: chan int`, false, true},
		"Broken":   {unhandled, "disk \uFFFD full", nil, false, true},
		"Panics":   {unhandled, "panic: at the wall", nil, true, true},
		"PanicNil": {unhandled, "panic: runtime error: invalid memory address or nil pointer dereference", nil, true, true},
		"BadError": {unhandled, "panic: runtime error: invalid memory address or nil pointer dereference", nil, true, true},
		"BadJSON":  {unhandled, "panic: no JSON", nil, true, true},
		"Exits":    {unhandled, "the algorithm ended its goroutine instead of returning", nil, false, true},
		"Huge":     {unhandled, "the result is 67108876 bytes long, at most 66060288 are allowed", nil, false, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// badError is the usual mistake of returning a nil pointer as an error.
type badError struct{ text string }

func (e *badError) Error() string { return e.text }

type badJSON struct{}

func (badJSON) MarshalJSON() ([]byte, error) { panic("no JSON") }
func (*badJSON) UnmarshalJSON([]byte) error  { panic("no JSON") }

func TestInputsThatDoNotFitFailTheirAlgorithmAlone(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	grip := orca.Remote[float32](orca.AlgorithmID{Processor: "chassis", Name: "Grip", Version: "1.0.0"})
	orca.Value(p, "Needy", "1.0.0", lap, constant(1), orca.Needs(grip))
	orca.Value(p, "Fine", "1.0.0", lap, constant(1))
	s := serve(t, core, p)

	wrongType := request("Needy", "Fine")
	wrongType.AlgorithmExecutions[0].Dependencies = []*pb.AlgorithmDependencyResult{{
		Algorithm: &pb.Algorithm{Name: "Grip", Version: "1.0.0"},
		Result: []*pb.AlgorithmDependencyResultRow{
			{Result: &pb.Result{ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{}}}, Window: wireWindow()},
		},
	}}
	for want, r := range map[string]*pb.ExecutionRequest{
		"results of Grip 1.0.0 of chassis: row 0: the result is an array, not a value (float32)": wrongType,
		"this run was planned without the dependency Grip 1.0.0 of chassis":                      request("Needy", "Fine"),
	} {
		results, err := execute(t, s, r)
		if err != nil {
			t.Fatal(err)
		}
		needy, fine := results["Needy"].GetAlgorithmResult().GetResult(), results["Fine"].GetAlgorithmResult().GetResult()
		message := needy.GetError().AsMap()["message"].(string)
		if needy.GetStatus() != pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED || !strings.HasPrefix(message, want) {
			t.Errorf("Needy: %v %q, want an unhandled failure %q", needy.GetStatus(), message, want)
		}
		if fine.GetStatus() != pb.ResultStatus_RESULT_STATUS_SUCEEDED {
			t.Errorf("Fine: %v", fine)
		}
	}
}

func TestInputsThatPanicWhenReadFailTheirAlgorithmAlone(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	grip := orca.Remote[badJSON](orca.AlgorithmID{Processor: "chassis", Name: "Grip", Version: "1.0.0"})
	orca.Value(p, "Needy", "1.0.0", lap, constant(1), orca.Needs(grip))
	s := serve(t, core, p)
	r := request("Needy")
	r.AlgorithmExecutions[0].Dependencies = []*pb.AlgorithmDependencyResult{{
		Algorithm: &pb.Algorithm{Name: "Grip", Version: "1.0.0"},
		Result: []*pb.AlgorithmDependencyResultRow{
			{Result: &pb.Result{ResultData: &pb.Result_StructValue{StructValue: &structpb.Struct{}}}, Window: wireWindow()},
		},
	}}
	results, err := execute(t, s, r)
	if err != nil {
		t.Fatal(err)
	}
	if message := results["Needy"].GetAlgorithmResult().GetResult().GetError().AsMap()["message"]; message != "panic: no JSON" {
		t.Errorf("got %v", message)
	}
}
