package contract

import (
	"errors"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// The rules are written with our own small validate.proto; protovalidate reads them as if with the published one.
func TestRulesFire(t *testing.T) {
	t.Parallel()
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		msg  proto.Message
		// want are the broken rules, each as "field: rule".
		want []string
	}{
		{
			name: "an empty window lacks all but its metadata",
			msg:  &pb.Window{},
			want: []string{
				"time_from: required", "time_to: required",
				"window_type_name: required", "window_type_version: required", "origin: required",
			},
		},
		{name: "a window", msg: window(time.Unix(10, 0), time.Unix(20, 0))},
		{name: "a point window", msg: window(time.Unix(10, 5), time.Unix(10, 5))},
		{
			name: "a window that ends one nanosecond before it begins",
			msg:  window(time.Unix(10, 5), time.Unix(10, 4)),
			want: []string{": window.time_ordering"},
		},
		{
			name: "a window at the epoch",
			msg:  window(time.Unix(0, 0), time.Unix(10, 0)),
			want: []string{"time_from: timestamp.gt"},
		},
		{
			name: "a window before the epoch",
			msg:  window(time.Unix(-20, 0), time.Unix(-10, 0)),
			want: []string{"time_from: timestamp.gt", "time_to: timestamp.gt"},
		},
		{name: "a registration that withdraws all", msg: registration()},
		{
			name: "a registration in which things are missing at a depth",
			msg: registration(&pb.Algorithm{
				Name:         "Mean",
				Version:      "1.0.0",
				WindowType:   &pb.WindowType{Name: "Reading", Description: "d"},
				Dependencies: []*pb.AlgorithmDependency{{Name: "Raw", Version: "1.0.0", ProcessorName: "p"}},
				ResultType:   pb.ResultType_VALUE,
				Description:  "d",
			}),
			want: []string{
				"supported_algorithms[0].window_type.version: required",
				"supported_algorithms[0].dependencies[0].processor_runtime: required",
			},
		},
		{name: "a description of 1000 characters", msg: registration(described(strings.Repeat("é", 1000)))},
		{
			name: "a description of 1001 characters",
			msg:  registration(described(strings.Repeat("é", 1001))),
			want: []string{"supported_algorithms[0].description: string.max_len"},
		},
		{
			name: "a request with the deprecated fields alone",
			msg: &pb.ExecutionRequest{
				ExecId:     "1",
				Window:     window(time.Unix(1, 0), time.Unix(2, 0)),
				Algorithms: []*pb.Algorithm{described("d")}, //nolint:staticcheck // deprecated, and the point here
			},
			want: []string{"algorithm_executions: required"},
		},
		{
			name: "a dependency without rows",
			msg:  &pb.AlgorithmDependencyResult{Algorithm: described("d")},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, broken(t, validator, tc.msg)); diff != "" {
				t.Errorf("broken rules (-want +got):\n%s", diff)
			}
		})
	}
}

func broken(t *testing.T, validator protovalidate.Validator, msg proto.Message) []string {
	t.Helper()
	err := validator.Validate(msg)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("validate: %v", err)
	}
	var out []string
	for _, v := range invalid.Violations {
		out = append(out, protovalidate.FieldPathString(v.Proto.GetField())+": "+v.Proto.GetRuleId())
	}
	return out
}

func window(from, to time.Time) *pb.Window {
	return &pb.Window{
		TimeFrom:          timestamppb.New(from),
		TimeTo:            timestamppb.New(to),
		WindowTypeName:    "Reading",
		WindowTypeVersion: "1.0.0",
		Origin:            "test",
	}
}

func registration(algorithms ...*pb.Algorithm) *pb.ProcessorRegistration {
	return &pb.ProcessorRegistration{
		Name:                "p",
		Runtime:             "go1.26",
		ConnectionStr:       "127.0.0.1:5377",
		SupportedAlgorithms: algorithms,
	}
}

func described(text string) *pb.Algorithm {
	return &pb.Algorithm{
		Name:        "Mean",
		Version:     "1.0.0",
		WindowType:  &pb.WindowType{Name: "Reading", Version: "1.0.0", Description: "d"},
		ResultType:  pb.ResultType_VALUE,
		Description: text,
	}
}
