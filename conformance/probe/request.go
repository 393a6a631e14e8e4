package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// maker makes requests as a core does.
type maker struct {
	algorithms []*pb.Algorithm
	results    map[string]pb.ResultType // of the algorithms that are known, by processor, name and version
}

func newMaker(announced *pb.ProcessorRegistration) maker {
	m := maker{algorithms: announced.GetSupportedAlgorithms(), results: map[string]pb.ResultType{}}
	for _, a := range m.algorithms {
		m.results[announced.GetName()+"\n"+a.GetName()+"\n"+a.GetVersion()] = a.GetResultType()
	}
	return m
}

// calls gives each call an exec_id of its own.
var calls atomic.Int64

// request asks for algorithms of one window type. The metadata has a text in each field that the type declares.
func (m maker) request(algorithms ...*pb.Algorithm) *pb.ExecutionRequest {
	on := algorithms[0].GetWindowType()
	w := window(on)
	r := &pb.ExecutionRequest{ExecId: fmt.Sprintf("orca-conform-%d", calls.Add(1)), Window: w}
	for _, a := range algorithms {
		x := &pb.ExecuteAlgorithm{Algorithm: a}
		for _, d := range a.GetDependencies() {
			kind := m.results[d.GetProcessorName()+"\n"+d.GetName()+"\n"+d.GetVersion()]
			row := &pb.AlgorithmDependencyResultRow{Result: sample(kind), Window: w}
			of := &pb.Algorithm{Name: d.GetName(), Version: d.GetVersion(), ResultType: kind, WindowType: on}
			x.Dependencies = append(x.Dependencies, &pb.AlgorithmDependencyResult{Algorithm: of, Result: []*pb.AlgorithmDependencyResultRow{row}})
			r.AlgorithmResults = append(r.AlgorithmResults, &pb.AlgorithmResult{Algorithm: of, Result: row.GetResult(), Window: w}) //nolint:staticcheck // deprecated, and read by old processors
		}
		r.AlgorithmExecutions = append(r.AlgorithmExecutions, x)
		r.Algorithms = append(r.Algorithms, a) //nolint:staticcheck // deprecated, and read by old processors
	}
	return r
}

// window is one of a minute.
func window(t *pb.WindowType) *pb.Window {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fields := map[string]*structpb.Value{}
	for _, f := range t.GetMetadataFields() {
		fields[f.GetName()] = structpb.NewStringValue("orca-conform")
	}
	return &pb.Window{
		TimeFrom: timestamppb.New(from), TimeTo: timestamppb.New(from.Add(time.Minute)), Origin: "orca-conform",
		WindowTypeName: t.GetName(), WindowTypeVersion: t.GetVersion(), Metadata: &structpb.Struct{Fields: fields},
	}
}

// sample is a result of a type, and a value where the type is not known.
func sample(kind pb.ResultType) *pb.Result {
	r := &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: time.Now().Unix()}
	switch kind {
	case pb.ResultType_ARRAY:
		r.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{1, 2}}}
	case pb.ResultType_STRUCT:
		r.ResultData = &pb.Result_StructValue{StructValue: &structpb.Struct{Fields: map[string]*structpb.Value{"value": structpb.NewNumberValue(1)}}}
	case pb.ResultType_NONE:
	case pb.ResultType_VALUE, pb.ResultType_NOT_SPECIFIED:
		r.ResultData = &pb.Result_SingleValue{SingleValue: 1}
	}
	return r
}

// byWindowType are the algorithms that one request may ask for together.
func (m maker) byWindowType() (groups [][]*pb.Algorithm) {
	at := map[string]int{}
	for _, a := range m.algorithms {
		key := a.GetWindowType().GetName() + "\n" + a.GetWindowType().GetVersion()
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

// execute makes a call and returns all results, and how it ended.
func (p *prober) execute(ctx context.Context, r *pb.ExecutionRequest) (results []*pb.ExecutionResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	stream, err := p.processor.ExecuteDagPart(ctx, r)
	for err == nil {
		var result *pb.ExecutionResult
		if result, err = stream.Recv(); err == nil {
			results = append(results, result)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return results, err
}

// answered makes a call and checks that each algorithm has exactly one result that a core can use. It returns how many
// of them succeeded.
func (p *prober) answered(ctx context.Context, r *pb.ExecutionRequest) (succeeded int, err error) {
	results, err := p.execute(ctx, r)
	if err != nil {
		return 0, fmt.Errorf("the call for %s ended with %w; a failure of an algorithm belongs into its result", asked(r), err)
	}
	open := map[string]*pb.Algorithm{}
	for _, x := range r.GetAlgorithmExecutions() {
		open[x.GetAlgorithm().GetName()+" "+x.GetAlgorithm().GetVersion()] = x.GetAlgorithm()
	}
	for _, result := range results {
		name := result.GetAlgorithmResult().GetAlgorithm().GetName() + " " + result.GetAlgorithmResult().GetAlgorithm().GetVersion()
		a := open[name]
		if a == nil {
			return 0, fmt.Errorf("a result names the algorithm %q, which was not asked for or had its result before", name)
		}
		delete(open, name)
		if err := usable(r, a, result); err != nil {
			return 0, fmt.Errorf("the result of %s: %w", name, err)
		}
		if result.GetAlgorithmResult().GetResult().GetStatus() == pb.ResultStatus_RESULT_STATUS_SUCEEDED {
			succeeded++
		}
	}
	for name := range open {
		return 0, fmt.Errorf("the stream ended without a result of %s; send one for each algorithm, or a failed one", name)
	}
	return succeeded, nil
}

func asked(r *pb.ExecutionRequest) string {
	var names []string
	for _, x := range r.GetAlgorithmExecutions() {
		names = append(names, x.GetAlgorithm().GetName()+" "+x.GetAlgorithm().GetVersion())
	}
	return strings.Join(names, ", ")
}

// usable says what a core would not take of a result.
func usable(r *pb.ExecutionRequest, a *pb.Algorithm, result *pb.ExecutionResult) error {
	out := result.GetAlgorithmResult().GetResult()
	if result.GetExecId() != r.GetExecId() {
		return fmt.Errorf("its exec_id is %q; repeat that of the request, %q", result.GetExecId(), r.GetExecId())
	}
	if out == nil || out.GetTimestamp() == 0 {
		return errors.New("it has no timestamp; set the seconds since the epoch")
	}
	if out.GetStatus() != pb.ResultStatus_RESULT_STATUS_SUCEEDED {
		if len(out.GetError().GetFields()) == 0 && out.GetStructValue() == nil {
			return fmt.Errorf("it is %v and does not say why; set error", out.GetStatus())
		}
		return nil
	}
	if got := kindOf(out); got != a.GetResultType() {
		return fmt.Errorf("it is of type %v, and %v was announced", got, a.GetResultType())
	}
	return nil
}

func kindOf(r *pb.Result) pb.ResultType {
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
