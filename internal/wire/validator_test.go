package wire_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

func newValidator(t testing.TB) *wire.Validator {
	v, err := wire.NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// workingAnswer is what a processor streams back when it leaves nothing out.
func workingAnswer() *pb.ExecutionResult {
	w := workingRegistration().SupportedAlgorithms[0]
	return &pb.ExecutionResult{ExecId: "x", AlgorithmResult: &pb.AlgorithmResult{
		Algorithm: w,
		Result:    &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: 1},
		Window:    secondWindow(),
	}}
}

// What real peers send, beyond the rules.
func TestCheckTolerates(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	answer := func(change func(*pb.AlgorithmResult)) proto.Message {
		msg := workingAnswer()
		change(msg.AlgorithmResult)
		return msg
	}
	registered := func(change func(*pb.ProcessorRegistration)) proto.Message {
		msg := workingRegistration()
		change(msg)
		return msg
	}
	for _, tc := range []struct {
		what string
		msg  proto.Message
		want []string
	}{
		{"nothing", nil, nil},
		{"a window", secondWindow(), nil},
		{"a registration", workingRegistration(), nil},
		{"an answer", workingAnswer(), nil},
		{"no algorithms", registered(func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms = nil }), nil},
		{"python's runtime", registered(func(r *pb.ProcessorRegistration) {
			r.Runtime = "3.12.3 (main, Feb  4 2025, 14:48:35)\n[GCC 13.3.0]"
		}), nil},
		{"zero lookback", registered(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[1].Lookback = &pb.Algorithm_LookbackNum{}
		}), nil},
		{"no rows", &pb.AlgorithmDependencyResult{Algorithm: workingRegistration().SupportedAlgorithms[0]}, nil},
		{"empty algorithm description", registered(func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].Description = "" }),
			[]string{`supported_algorithms[0].description: "" breaks the rule "required": describe the algorithm`}},
		{"empty window type description", registered(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[1].WindowType.Description = ""
		}), []string{`supported_algorithms[1].window_type.description: "" breaks the rule "required": describe the window type`}},
		{"empty metadata field description", registered(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[0].WindowType.MetadataFields[0].Description = ""
		}), []string{`supported_algorithms[0].window_type.metadataFields[0].description: "" breaks the rule "required": describe the metadata field`}},
		{"handled failure", answer(func(r *pb.AlgorithmResult) { r.Result.Status = 0 }),
			[]string{`algorithm_result.result.status: RESULT_STATUS_HANDLED_FAILED breaks the rule "required": say whether the algorithm succeeded`}},
		{"triggering failed", &pb.WindowEmitStatus{},
			[]string{`status: TRIGGERING_FAILED breaks the rule "required": say what became of the window`}},
		{"unknown health", &pb.HealthCheckResponse{},
			[]string{`status: STATUS_UNKNOWN breaks the rule "required": say whether the processor is serving`}},
		{"no window", answer(func(r *pb.AlgorithmResult) { r.Window = nil }),
			[]string{`algorithm_result.window: unset breaks the rule "required": repeat the window`}},
		{"a window of nothing", answer(func(r *pb.AlgorithmResult) { r.Window = &pb.Window{} }), []string{
			`algorithm_result.window.time_from: unset breaks the rule "required": say when the window begins`,
			`algorithm_result.window.time_to: unset breaks the rule "required": say when the window ends`,
			`algorithm_result.window.window_type_name: "" breaks the rule "required": name the window's type`,
			`algorithm_result.window.window_type_version: "" breaks the rule "required": give the version of the window's type, such as "1.0.0"`,
			`algorithm_result.window.origin: "" breaks the rule "required": say who emits the window`,
		}},
		{"name and version alone", answer(func(r *pb.AlgorithmResult) {
			r.Algorithm = &pb.Algorithm{Name: "CPU", Version: "1.0.0"}
		}), []string{
			`algorithm_result.algorithm.window_type: unset breaks the rule "required": say which type of window triggers the algorithm`,
			`algorithm_result.algorithm.result_type: NOT_SPECIFIED breaks the rule "required": say STRUCT, VALUE, ARRAY or NONE`,
			`algorithm_result.algorithm.description: "" breaks the rule "required": describe the algorithm`,
		}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			got, err := v.Check(tc.msg)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("tolerated (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	windowed := func(change func(*pb.Window)) proto.Message {
		msg := secondWindow()
		change(msg)
		return msg
	}
	registered := func(change func(*pb.ProcessorRegistration)) proto.Message {
		msg := workingRegistration()
		change(msg)
		return msg
	}
	answered := func(change func(*pb.ExecutionResult)) proto.Message {
		msg := workingAnswer()
		change(msg)
		return msg
	}
	for _, tc := range []struct {
		what string
		msg  proto.Message
		want string
	}{
		{"window type without name", registered(func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[1].WindowType.Name = "" }),
			`supported_algorithms[1].window_type.name: "" breaks the rule "required": give the window type a name`},
		{"algorithm without result type", registered(func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[1].ResultType = 0 }),
			`supported_algorithms[1].result_type: NOT_SPECIFIED breaks the rule "required": say STRUCT, VALUE, ARRAY or NONE`},
		{"algorithm without window type", registered(func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].WindowType = nil }),
			`supported_algorithms[0].window_type: unset breaks the rule "required": say which type of window triggers the algorithm`},
		{"dependency without runtime", registered(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[1].Dependencies[0].ProcessorRuntime = ""
		}), `supported_algorithms[1].dependencies[0].processor_runtime: "" breaks the rule "required": say which runtime of that processor is preferred, as it registers it`},
		{"long description", registered(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[0].Description = strings.Repeat("é", 1001)
		}), `supported_algorithms[0].description: "` + strings.Repeat("é", 32) + `"… (1001 characters) breaks the rule "string.max_len": shorten it to 1000 characters`},
		{"window without origin", windowed(func(w *pb.Window) { w.Origin = "" }),
			`origin: "" breaks the rule "required": say who emits the window`},
		{"window backwards", windowed(func(w *pb.Window) { w.TimeFrom, w.TimeTo = w.TimeTo, w.TimeFrom }),
			`a window from 2023-11-14T22:13:21Z to 2023-11-14T22:13:20.000000001Z breaks the rule "window.time_ordering": let it end when it begins, or later`},
		{"window at the epoch", windowed(func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{} }),
			`time_from: 1970-01-01T00:00:00Z breaks the rule "timestamp.gt": use a time after 1970-01-01T00:00:00Z and up to 2262-04-11T23:47:16.854775807Z`},
		{"window at the end of numbers", windowed(func(w *pb.Window) { w.TimeTo = &timestamppb.Timestamp{Seconds: math.MinInt64} }),
			`a window from 2023-11-14T22:13:20.000000001Z to -9223372036854775808 seconds and 0 nanos breaks the rule "window.time_ordering": let it end when it begins, or later; ` +
				`time_to: -9223372036854775808 seconds and 0 nanos breaks the rule "timestamp.gt": use a time after 1970-01-01T00:00:00Z and up to 2262-04-11T23:47:16.854775807Z`},
		{"nested window backwards", &pb.AlgorithmDependencyResultRow{Result: &pb.Result{Status: 2, Timestamp: 1}, Window: &pb.Window{
			TimeFrom: &timestamppb.Timestamp{Seconds: 2}, TimeTo: &timestamppb.Timestamp{Seconds: 1},
			WindowTypeName: "A", WindowTypeVersion: "1.0.0", Origin: "o",
		}}, `window: a window from 1970-01-01T00:00:02Z to 1970-01-01T00:00:01Z breaks the rule "window.time_ordering": let it end when it begins, or later`},
		{"request for nothing", &pb.ExecutionRequest{ExecId: "x", Window: secondWindow()},
			`algorithm_executions: a list of 0 breaks the rule "required": name at least one algorithm to run`},
		{"health check without time", &pb.HealthCheckRequest{},
			`timestamp: 0 breaks the rule "required": say when it was sent, in milliseconds since the epoch`},
		{"answer of nobody", answered(func(r *pb.ExecutionResult) { r.ExecId = "" }),
			`exec_id: "" breaks the rule "required": repeat the exec_id of the request`},
		{"answer without algorithm name", answered(func(r *pb.ExecutionResult) {
			r.AlgorithmResult.Algorithm = &pb.Algorithm{Version: "1.0.0"}
		}), `algorithm_result.algorithm.name: "" breaks the rule "required": give the algorithm a name`},
		{"answer without algorithm version", answered(func(r *pb.ExecutionResult) {
			r.AlgorithmResult.Algorithm = &pb.Algorithm{Name: "CPU"}
		}), `algorithm_result.algorithm.version: "" breaks the rule "required": give the algorithm a version, such as "1.0.0"`},
		{"answer without result", answered(func(r *pb.ExecutionResult) { r.AlgorithmResult.Result = nil }),
			`algorithm_result.result: unset breaks the rule "required": send what the algorithm computed, or how it failed`},
		{"answer without time", answered(func(r *pb.ExecutionResult) { r.AlgorithmResult.Result.Timestamp = 0 }),
			`algorithm_result.result.timestamp: 0 breaks the rule "required": say when it was computed, in seconds since the epoch`},
		{"answer whose window is backwards", answered(func(r *pb.ExecutionResult) {
			w := r.AlgorithmResult.Window
			w.TimeFrom, w.TimeTo = w.TimeTo, w.TimeFrom
		}), `algorithm_result.window: a window from 2023-11-14T22:13:21Z to 2023-11-14T22:13:20.000000001Z breaks the rule "window.time_ordering": let it end when it begins, or later`},
		{"tolerated and not", registered(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[0].Description, r.Name = "", ""
		}), `name: "" breaks the rule "required": give the processor a name`},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			_, err := v.Check(tc.msg)
			if !errors.Is(err, orca.Invalid) {
				t.Fatalf("error %v, want one of kind invalid", err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("the message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckIsBounded(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	msg := workingRegistration()
	for range 47 {
		msg.SupportedAlgorithms = append(msg.SupportedAlgorithms, &pb.Algorithm{
			Name: "A", Version: "1.0.0", WindowType: msg.SupportedAlgorithms[0].WindowType, ResultType: pb.ResultType_NONE,
		})
	}
	tolerated, err := v.Check(msg)
	if err != nil {
		t.Fatal(err)
	}
	if len(tolerated) != 11 || tolerated[10] != "and 37 more" {
		t.Errorf("tolerated %q, want ten and the number of the others", tolerated)
	}
	for _, a := range msg.SupportedAlgorithms[2:] {
		a.Description = strings.Repeat("\x01", 1<<20)
	}
	_, err = v.Check(msg)
	if err == nil || strings.Count(err.Error(), "; ") != 10 || !strings.HasSuffix(err.Error(), "; and 37 more") {
		t.Errorf("error %v, want ten and the number of the others", err)
	}
	if n := len(err.Error()); n > 8<<10 {
		t.Errorf("the error has %d bytes", n)
	}
}

// Every required field has words of its own.
func TestEveryRequiredFieldHasAdvice(t *testing.T) {
	t.Parallel()
	var check func(messages protoreflect.MessageDescriptors)
	known := make(map[protoreflect.FullName]bool)
	check = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			fields := messages.Get(i).Fields()
			for j := range fields.Len() {
				f := fields.Get(j)
				rules, _ := proto.GetExtension(f.Options(), validate.E_Field).(*validate.FieldRules)
				if !rules.GetRequired() {
					continue
				}
				known[f.FullName()] = true
				if wire.RequiredAdvice[f.FullName()] == "" {
					t.Errorf("%s has no advice", f.FullName())
				}
			}
		}
	}
	check(pb.File_service_proto.Messages())
	check(pb.File_console_proto.Messages())
	for field := range wire.RequiredAdvice {
		if !known[field] {
			t.Errorf("%s has advice and is not a required field", field)
		}
	}
}
