package bare

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestProcessorRegistersAndServes(t *testing.T) {
	t.Parallel()
	forEachLanguage(t, func(t *testing.T, l language) {
		core := startCore(t)
		p := start(t, l, "processor", "--core", core.address, "--name", "bare")
		listening, _ := p.line(t)["listening"].(string)
		r := <-core.registrations
		if got := strings.TrimPrefix(r.GetConnectionStr(), "grpc://"); got != listening || got == "" {
			t.Errorf("listens on %q, but registered %q", listening, r.GetConnectionStr())
		}
		if r.GetRuntime() == "" {
			t.Error("registered without a runtime")
		}
		want := &pb.ProcessorRegistration{
			Name:                "bare",
			Runtime:             r.GetRuntime(),
			ConnectionStr:       r.GetConnectionStr(),
			SupportedAlgorithms: algorithms("bare", r.GetRuntime()),
		}
		if diff := cmp.Diff(want, r, protocmp.Transform()); diff != "" {
			t.Errorf("registration (-want +got):\n%s", diff)
		}

		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		health, err := dial(t, r).HealthCheck(ctx, &pb.HealthCheckRequest{Timestamp: time.Now().UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		if health.GetStatus() != pb.HealthCheckResponse_STATUS_SERVING || health.GetMetrics() == nil {
			t.Errorf("health is %v; want SERVING with metrics", health)
		}
		if err := p.terminate(t); err != nil {
			t.Errorf("after SIGTERM the processor ended with %v", err)
		}
	})
}

// Each generation of fields carries other numbers, so that the results show which one was read.
func TestProcessorExecutes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fields string
		want   []*pb.Result
	}{
		{fields: "new", want: []*pb.Result{value(10), array(19, 21), report(t, "pump-1", 40)}},
		{fields: "old", want: []*pb.Result{value(10), array(109, 111), report(t, "pump-1", 310)}},
	} {
		t.Run(tc.fields, func(t *testing.T) {
			t.Parallel()
			forEachLanguage(t, func(t *testing.T, l language) {
				core := startCore(t)
				p := start(t, l, "processor", "--core", core.address, "--name", "bare", "--fields", tc.fields)
				p.line(t) // listening
				r := <-core.registrations

				request := request(r.GetRuntime())
				var want []*pb.ExecutionResult
				for i, e := range request.GetAlgorithmExecutions() {
					want = append(want, &pb.ExecutionResult{ExecId: "exec-1", AlgorithmResult: &pb.AlgorithmResult{
						Algorithm: &pb.Algorithm{Name: e.GetAlgorithm().GetName(), Version: "1.0.0"},
						Result:    tc.want[i],
					}})
				}
				got := execute(t, dial(t, r), request)
				ignoreTime := protocmp.IgnoreFields(&pb.Result{}, "timestamp")
				if diff := cmp.Diff(want, got, protocmp.Transform(), ignoreTime); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				for i, line := range given(tc.fields) {
					if diff := cmp.Diff(line, p.line(t)); diff != "" {
						t.Errorf("line %d (-want +got):\n%s", i, diff)
					}
				}
				if err := p.terminate(t); err != nil {
					t.Errorf("after SIGTERM the processor ended with %v", err)
				}
			})
		})
	}
}

// A result that a processor was not given is its own failure, told in the error.
func TestProcessorLacksADependency(t *testing.T) {
	t.Parallel()
	forEachLanguage(t, func(t *testing.T, l language) {
		core := startCore(t)
		p := start(t, l, "processor", "--core", core.address)
		p.line(t) // listening
		r := <-core.registrations
		request := request(r.GetRuntime())
		request.AlgorithmExecutions = request.AlgorithmExecutions[1:2]
		request.AlgorithmExecutions[0].Dependencies[0].Result = nil

		got := execute(t, dial(t, r), request)
		want := []*pb.ExecutionResult{{ExecId: "exec-1", AlgorithmResult: &pb.AlgorithmResult{
			Algorithm: &pb.Algorithm{Name: "Spread", Version: "1.0.0"},
			Result: &pb.Result{
				Status: pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED,
				Error:  structOf(t, map[string]any{"message": "Spread was given no result of Mean"}),
			},
		}}}
		ignoreTime := protocmp.IgnoreFields(&pb.Result{}, "timestamp")
		if diff := cmp.Diff(want, got, protocmp.Transform(), ignoreTime); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	})
}

// A mistake in the flags ends the program at once.
func TestProcessorRefusesWrongFlags(t *testing.T) {
	t.Parallel()
	forEachLanguage(t, func(t *testing.T, l language) {
		core := startCore(t)
		p := start(t, l, "processor", "--core", core.address, "--fields", "neither")
		if err := p.wait(t); err == nil {
			t.Error("the processor ended well although --fields is wrong")
		}
	})
}

func execute(t *testing.T, processor pb.OrcaProcessorClient, r *pb.ExecutionRequest) []*pb.ExecutionResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := processor.ExecuteDagPart(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	var out []*pb.ExecutionResult
	for {
		result, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if result.GetAlgorithmResult().GetResult().GetTimestamp() == 0 {
			t.Errorf("the result of %s has no timestamp", result.GetAlgorithmResult().GetAlgorithm().GetName())
		}
		out = append(out, result)
	}
}

// algorithms are what every program registers: Report needs Mean and Spread, and Spread needs Mean.
func algorithms(processor, runtime string) []*pb.Algorithm {
	reading := &pb.WindowType{
		Name:           "Reading",
		Version:        "1.0.0",
		Description:    "A stretch of readings of one asset",
		MetadataFields: []*pb.MetadataField{{Name: "asset", Description: "The asset that was read"}},
	}
	on := func(name string) *pb.AlgorithmDependency {
		return &pb.AlgorithmDependency{
			Name: name, Version: "1.0.0", ProcessorName: processor, ProcessorRuntime: runtime,
		}
	}
	return []*pb.Algorithm{
		{
			Name: "Mean", Version: "1.0.0", WindowType: reading, ResultType: pb.ResultType_VALUE,
			Description: "The mean of the readings",
		},
		{
			Name: "Spread", Version: "1.0.0", WindowType: reading, ResultType: pb.ResultType_ARRAY,
			Description:  "The lowest and the highest reading",
			Dependencies: []*pb.AlgorithmDependency{on("Mean")},
		},
		{
			Name: "Report", Version: "1.0.0", WindowType: reading, ResultType: pb.ResultType_STRUCT,
			Description:  "A report for people",
			Dependencies: []*pb.AlgorithmDependency{on("Mean"), on("Spread")},
		},
	}
}

// request asks for all three algorithms for a window of ten seconds. The new fields say that Mean was 10 and Spread
// 9 and 11; the deprecated ones say ten times as much.
func request(runtime string) *pb.ExecutionRequest {
	all := algorithms("bare", runtime)
	mean, spread := all[0], all[1]
	w := &pb.Window{
		TimeFrom:          &timestamppb.Timestamp{Seconds: 1700000000, Nanos: 1},
		TimeTo:            &timestamppb.Timestamp{Seconds: 1700000010, Nanos: 1},
		WindowTypeName:    "Reading",
		WindowTypeVersion: "1.0.0",
		Origin:            "test",
		Metadata:          &structpb.Struct{Fields: map[string]*structpb.Value{"asset": structpb.NewStringValue("pump-1")}},
	}
	row := func(r *pb.Result) []*pb.AlgorithmDependencyResultRow {
		return []*pb.AlgorithmDependencyResultRow{{Result: r, Window: w}}
	}
	return &pb.ExecutionRequest{
		ExecId: "exec-1",
		Window: w,
		AlgorithmExecutions: []*pb.ExecuteAlgorithm{
			{Algorithm: all[0]},
			{Algorithm: all[1], Dependencies: []*pb.AlgorithmDependencyResult{
				{Algorithm: mean, Result: row(value(10))},
			}},
			{Algorithm: all[2], Dependencies: []*pb.AlgorithmDependencyResult{
				{Algorithm: mean, Result: row(value(10))},
				{Algorithm: spread, Result: row(array(9, 11))},
			}},
		},
		Algorithms: all, //nolint:staticcheck // deprecated, and read by old processors
		AlgorithmResults: []*pb.AlgorithmResult{ //nolint:staticcheck // deprecated, and read by old processors
			{Algorithm: mean, Result: value(100), Window: w},
			{Algorithm: spread, Result: array(99, 101), Window: w},
		},
	}
}

// given are the lines that a processor prints for the request.
func given(fields string) []map[string]any {
	meanWas, spreadWas := 10.0, []any{9.0, 11.0}
	if fields == "old" {
		meanWas, spreadWas = 100.0, []any{99.0, 101.0}
	}
	window := map[string]any{
		"type":     "Reading",
		"version":  "1.0.0",
		"origin":   "test",
		"from":     "1700000000000000001",
		"to":       "1700000010000000001",
		"metadata": map[string]any{"asset": "pump-1"},
	}
	line := func(name string, dependencies ...any) map[string]any {
		if dependencies == nil {
			dependencies = []any{}
		}
		return map[string]any{
			"executed": name, "version": "1.0.0", "execId": "exec-1", "window": window,
			"dependencies": dependencies, "self": []any{},
		}
	}
	dependency := func(name, key string, data any) map[string]any {
		row := map[string]any{"window": window, "status": 2.0, key: data}
		return map[string]any{"name": name, "version": "1.0.0", "rows": []any{row}}
	}
	mean, spread := dependency("Mean", "value", meanWas), dependency("Spread", "array", spreadWas)
	return []map[string]any{line("Mean"), line("Spread", mean), line("Report", mean, spread)}
}

func value(v float32) *pb.Result {
	return &pb.Result{
		Status:     pb.ResultStatus_RESULT_STATUS_SUCEEDED,
		Timestamp:  1700000000,
		ResultData: &pb.Result_SingleValue{SingleValue: v},
	}
}

func array(values ...float32) *pb.Result {
	return &pb.Result{
		Status:     pb.ResultStatus_RESULT_STATUS_SUCEEDED,
		Timestamp:  1700000000,
		ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: values}},
	}
}

func report(t *testing.T, asset string, v float64) *pb.Result {
	t.Helper()
	return &pb.Result{
		Status:     pb.ResultStatus_RESULT_STATUS_SUCEEDED,
		Timestamp:  1700000000,
		ResultData: &pb.Result_StructValue{StructValue: structOf(t, map[string]any{"asset": asset, "value": v})},
	}
}
