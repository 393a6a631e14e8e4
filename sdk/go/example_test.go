package orca_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

// minute is the window type of the examples.
var minute = orca.WindowType{
	Name: "Minute", Version: "1.0.0", Description: "One minute of one machine",
	Fields: []orca.Field{{Name: "machine", Description: "Its serial number", Filter: true}},
}

// noonMinute is a window of that type.
var noonMinute = orca.Window{
	Type: minute, From: noon, To: noon.Add(time.Minute), Origin: "example", Metadata: map[string]any{"machine": "m-1"},
}

// read stands for whatever fetches the data of a window.
func read(context.Context, orca.Window) ([]float32, error) { return []float32{20, 22, 24}, nil }

func mean(values []float32) float32 {
	var sum float32
	for _, v := range values {
		sum += v
	}
	return sum / float32(len(values))
}

// An algorithm is a function; a test calls it without a core.
func ExampleAlgorithm_Call() {
	proc := orca.NewProcessor("plant")
	celsius := orca.Value(proc, "Celsius", "1.0.0", minute, func(ctx context.Context, run *orca.Run) (float32, error) {
		samples, err := read(ctx, run.Window)
		return mean(samples), err
	})
	kelvin := orca.Value(proc, "Kelvin", "1.0.0", minute, func(_ context.Context, run *orca.Run) (float32, error) {
		return celsius.From(run) + 273.15, nil
	}, orca.Needs(celsius))

	got, err := kelvin.Call(context.Background(), noonMinute, celsius.Given(22))
	fmt.Println(got, err)
	// Output: 295.15 <nil>
}

// A lookback brings past results along, newest first.
func ExampleAlgorithm_Over() {
	proc := orca.NewProcessor("plant")
	celsius := orca.Value(proc, "Celsius", "1.0.0", minute, constant(0))
	hour := celsius.Over(orca.Past(time.Hour))
	rise := orca.Value(proc, "Rise", "1.0.0", minute, func(_ context.Context, run *orca.Run) (float32, error) {
		past := hour.Past(run)
		if len(past) == 0 {
			return 0, orca.Failf("no result in the past hour")
		}
		return hour.From(run) - mean(orca.Values(past)), nil
	}, orca.Needs(hour))

	older := orca.Row[float32]{Value: 21, Window: orca.Window{From: noon.Add(-time.Minute), To: noon}}
	fmt.Println(rise.Call(context.Background(), noonMinute, hour.Given(24, older)))
	fmt.Println(rise.Call(context.Background(), noonMinute, hour.Given(24)))
	// Output:
	// 3 <nil>
	// 0 no result in the past hour
}

// An algorithm can look back over its own results.
func ExampleNeedsSelf() {
	proc := orca.NewProcessor("plant")
	celsius := orca.Value(proc, "Celsius", "1.0.0", minute, constant(0))
	smooth := orca.Value(proc, "Smooth", "1.0.0", minute, func(_ context.Context, run *orca.Run) (float32, error) {
		value := celsius.From(run)
		for _, before := range orca.Self[float32](run) {
			value = 0.5*value + 0.5*before.Value
		}
		return value, nil
	}, orca.Needs(celsius), orca.NeedsSelf(orca.Last(1)))

	before := orca.Row[float32]{Value: 20, Window: orca.Window{From: noon.Add(-time.Minute), To: noon}}
	fmt.Println(smooth.Call(context.Background(), noonMinute, celsius.Given(24), orca.GivenSelf(before)))
	// Output: 22 <nil>
}

// A result can be a Go struct. Results of another window type are read with Latest: there may be none yet.
func ExampleStruct() {
	type report struct {
		Mean float32 `json:"mean"`
		Note string  `json:"note,omitempty"`
	}
	day := orca.WindowType{Name: "Day", Version: "1.0.0", Description: "One day of one machine"}
	proc := orca.NewProcessor("plant")
	celsius := orca.Value(proc, "Celsius", "1.0.0", minute, constant(0))
	daily := orca.Struct(proc, "Daily", "1.0.0", day, func(_ context.Context, run *orca.Run) (report, error) {
		newest, ok := celsius.Latest(run)
		if !ok {
			return report{Note: "nothing measured"}, nil
		}
		return report{Mean: newest.Value}, nil
	}, orca.Needs(celsius), orca.Describe("What the day was like"))

	got, err := daily.Call(context.Background(), orca.Window{From: noon, To: noon.AddDate(0, 0, 1)})
	fmt.Printf("%+v %v\n", got, err)
	// Output: {Mean:0 Note:nothing measured} <nil>
}

// An algorithm of another processor is named, with the type of its results.
func ExampleRemote() {
	vibration := orca.Remote[[]float32](orca.AlgorithmID{Processor: "bearings", Name: "Vibration", Version: "2.1.0"})
	proc := orca.NewProcessor("plant")
	wear := orca.Value(proc, "Wear", "1.0.0", minute, func(_ context.Context, run *orca.Run) (float32, error) {
		return mean(vibration.From(run)), nil
	}, orca.Needs(vibration.OnRuntime("python3.12")))

	fmt.Println(wear.Call(context.Background(), noonMinute, vibration.Given([]float32{1, 3})))
	// Output: 2 <nil>
}

// Fail says that there can be no result: the core stores that and does not try again.
func ExampleFail() {
	proc := orca.NewProcessor("plant")
	celsius := orca.Value(proc, "Celsius", "1.0.0", minute, func(_ context.Context, run *orca.Run) (float32, error) {
		return 0, orca.Fail("sensor is off", map[string]any{"machine": run.Window.Metadata["machine"]})
	})

	_, err := celsius.Call(context.Background(), noonMinute)
	var failure *orca.Failure
	if errors.As(err, &failure) {
		fmt.Println(failure.Reason, failure.Details)
	}
	// Output: sensor is off map[machine:m-1]
}

// A client emits a window and waits for its outcome.
func ExampleClient() {
	core := exampleCore()
	defer core.Close()
	celsius := orca.Remote[float32](orca.AlgorithmID{Processor: "plant", Name: "Celsius", Version: "1.0.0"})

	client, err := orca.NewClient(orca.WithCore(core.Addr))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	emission, err := client.Emit(ctx, noonMinute)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := client.Wait(ctx, emission.WindowID)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := celsius.In(outcome)
	fmt.Println(emission.Status, outcome.State, value, err)
	// Output: processing triggered succeeded 22 <nil>
}

// The results of an algorithm are read in a loop.
func ExampleAlgorithm_Results() {
	core := exampleCore()
	defer core.Close()
	celsius := orca.Remote[float32](orca.AlgorithmID{Processor: "plant", Name: "Celsius", Version: "1.0.0"})
	client, err := orca.NewClient(orca.WithCore(core.Addr))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	today := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ofOne := orca.Where(map[string]any{"machine": "m-1"})
	for row, err := range celsius.Results(context.Background(), client, today, today.AddDate(0, 0, 1), ofOne) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Window.From.Format(time.Kitchen), row.Value)
	}
	// Output: 12:00PM 22
}

// exampleCore stands for a core that has run the windows of the examples.
func exampleCore() *fakecore.Core {
	result := &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: 22}}
	node := succeeded("Celsius", result)
	node.Algorithm.Processor = "plant"
	stored := wireWindow()
	core, err := fakecore.New(fakecore.Script{
		Emit: func(ctx context.Context, _ *pb.Window) (*pb.WindowEmitStatus, error) {
			err := grpc.SetHeader(ctx, metadata.Pairs("orca-window-id", "w-1"))
			return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_PROCESSING_TRIGGERED}, err
		},
		Watch: func(_ *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			return errors.Join(stream.Send(nodeEvent(node)), stream.Send(finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED)))
		},
		Results: func(*pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
			return &pb.ListResultsResponse{Results: []*pb.ResultInfo{{WindowId: "w-1", Window: stored, Node: node}}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	return core
}
