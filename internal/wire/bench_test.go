package wire_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

func BenchmarkCheck(b *testing.B) {
	validator, msg := newValidator(b), secondWindow()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := validator.Check(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWindow(b *testing.B) {
	stored := second
	stored.Fields = []orca.MetadataField{{Name: "unit"}, {Name: "token"}, {Name: "patient"}, {Name: "host", Filter: true}}
	plain := second
	plain.Fields = nil
	for what, typ := range map[string]orca.WindowType{"noStore": second, "filter": stored, "plain": plain} {
		b.Run(what, func(b *testing.B) {
			msg := secondWindow()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.Window(msg, typ, secret); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	msg := secondWindow()
	plain := second
	plain.Fields = nil
	for what, typ := range map[string]orca.WindowType{"noStore": second, "plain": plain} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				wire.Digest(msg, typ, secret)
			}
		})
	}
}

func BenchmarkResult(b *testing.B) {
	for what, msg := range map[string]*pb.Result{
		"value":  {Status: 2, ResultData: &pb.Result_SingleValue{SingleValue: 0.5}, Timestamp: 1_700_000_000},
		"struct": {Status: 2, ResultData: &pb.Result_StructValue{StructValue: secondWindow().Metadata}, Timestamp: 1_700_000_000},
		"array": {Status: 2, ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: make([]float32, 1000)}},
			Timestamp: 1_700_000_000},
		"failed": {Status: 1, Error: &structpb.Struct{Fields: map[string]*structpb.Value{"message": structpb.NewStringValue("broke")}}},
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.Result(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRequest builds the request of one algorithm with two dependencies and the given number of past rows.
func BenchmarkRequest(b *testing.B) {
	for _, rows := range []int{0, 60, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			var encoder wire.Encoder
			x := benchExecution(b, rows)
			b.ReportAllocs()
			for b.Loop() {
				encoded, err := encoder.Request("0123456789abcdef", x, true)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(encoded)))
			}
		})
	}
}

func benchExecution(b *testing.B, rows int) *orca.Execution {
	e, err := wire.Window(secondWindow(), second, secret)
	if err != nil {
		b.Fatal(err)
	}
	result, err := proto.Marshal(&pb.Result{Status: 2, ResultData: &pb.Result_SingleValue{SingleValue: 0.5}, Timestamp: 1_700_000_000})
	if err != nil {
		b.Fatal(err)
	}
	r, err := wire.Registration(workingRegistration())
	if err != nil {
		b.Fatal(err)
	}
	input := e.Window
	input.Metadata = e.FullMetadata
	one, two := &r.Algorithms[0], &r.Algorithms[1]
	sum := *two
	sum.Dependencies = make([]orca.Dependency, 2)
	past := make([]orca.Row, rows)
	for i := range past {
		past[i] = orca.Row{Window: e.Window, Result: result}
	}
	return &orca.Execution{Input: input, Stored: e.Window, Algorithms: []orca.AlgorithmExecution{{
		Algorithm: &sum,
		Dependencies: []orca.DependencyRows{
			{Algorithm: one, Current: result}, {Algorithm: two, Current: result, Past: past},
		},
	}}}
}
