package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// result draws a message as a processor may send it, with fields that this contract does not know.
var result = rapid.Custom(func(t *rapid.T) *pb.Result {
	msg := &pb.Result{
		Status:    pb.ResultStatus(rapid.Int32Range(0, 2).Draw(t, "status")),
		Timestamp: rapid.Int64().Draw(t, "timestamp"),
	}
	switch rapid.IntRange(0, 3).Draw(t, "data") {
	case 1:
		msg.ResultData = &pb.Result_SingleValue{SingleValue: number32.Draw(t, "value")}
	case 2:
		array := &pb.FloatArray{Values: rapid.SliceOfN(number32, 0, 40).Draw(t, "array")}
		if rapid.Bool().Draw(t, "unknown in array") {
			array.ProtoReflect().SetUnknown(unknown.Draw(t, "unknown"))
		}
		msg.ResultData = &pb.Result_FloatValues{FloatValues: array}
	case 3:
		msg.ResultData = &pb.Result_StructValue{StructValue: structOf(3).Draw(t, "struct")}
		if rapid.Bool().Draw(t, "unknown in struct") {
			msg.GetStructValue().ProtoReflect().SetUnknown(unknown.Draw(t, "unknown"))
		}
	}
	if rapid.Bool().Draw(t, "has error") {
		msg.Error = structOf(2).Draw(t, "error")
	}
	if rapid.Bool().Draw(t, "unknown in result") {
		msg.ProtoReflect().SetUnknown(unknown.Draw(t, "unknown"))
	}
	return msg
})

// What is written out by hand must know all that the contract has.
func TestHandWrittenEncodersKnowEveryField(t *testing.T) {
	t.Parallel()
	want := map[protoreflect.FullName]int{"Result": 6, "FloatArray": 1,
		"google.protobuf.Struct": 1, "google.protobuf.Value": 6, "google.protobuf.ListValue": 1,
		"Window": 6, "google.protobuf.Timestamp": 2, "ExecutionRequest": 5, "ExecuteAlgorithm": 3,
		"AlgorithmDependencyResult": 2, "AlgorithmDependencyResultRow": 2, "AlgorithmResult": 3}
	got := make(map[protoreflect.FullName]int)
	for _, msg := range []proto.Message{
		&pb.Result{}, &pb.FloatArray{}, &structpb.Struct{}, &structpb.Value{}, &structpb.ListValue{},
		&pb.Window{}, &timestamppb.Timestamp{}, &pb.ExecutionRequest{}, &pb.ExecuteAlgorithm{},
		&pb.AlgorithmDependencyResult{}, &pb.AlgorithmDependencyResultRow{}, &pb.AlgorithmResult{},
	} {
		d := msg.ProtoReflect().Descriptor()
		got[d.FullName()] = d.Fields().Len()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages with another number of fields; encode the new ones by hand too (-want +got):\n%s", diff)
	}
}

var unknown = rapid.Map(rapid.String(), func(s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), s)
})

func TestResultComesBackToTheBit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sent := result.Draw(t, "result")
		r, err := wire.Result(overTheWire(t, sent))
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.ResultMessage(r.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		if err := sameResult(sent, got); err != nil {
			t.Fatalf("sent %v, got %v: %v", sent, got, err)
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, r.Encoded) {
			t.Fatalf("encoded as %x, protobuf makes %x", r.Encoded, want)
		}
	})
}

func sameResult(a, b *pb.Result) error {
	if a.Status != b.Status || a.Timestamp != b.Timestamp {
		return errors.New("status or timestamp")
	}
	if ta, tb := fmt.Sprintf("%T", a.ResultData), fmt.Sprintf("%T", b.ResultData); ta != tb {
		return fmt.Errorf("%s, %s", ta, tb)
	}
	if math.Float32bits(a.GetSingleValue()) != math.Float32bits(b.GetSingleValue()) {
		return errors.New("single value")
	}
	if diff := cmp.Diff(bits(a.GetFloatValues()), bits(b.GetFloatValues())); diff != "" {
		return fmt.Errorf("array: %s", diff)
	}
	if diff := cmp.Diff(unknowns(a), unknowns(b)); diff != "" {
		return fmt.Errorf("unknown fields: %s", diff)
	}
	return errors.Join(sameStruct(a.GetStructValue(), b.GetStructValue()), sameStruct(a.Error, b.Error))
}

func bits(array *pb.FloatArray) []uint32 {
	all := []uint32{}
	for _, v := range array.GetValues() {
		all = append(all, math.Float32bits(v))
	}
	return all
}

func unknowns(r *pb.Result) []string {
	var all []string
	for _, msg := range []proto.Message{r, r.GetStructValue(), r.GetFloatValues()} {
		all = append(all, string(msg.ProtoReflect().GetUnknown()))
	}
	return all
}

func TestResult(t *testing.T) {
	t.Parallel()
	details := &structpb.Struct{Fields: map[string]*structpb.Value{"message": structpb.NewStringValue("no sensor")}}
	data := &structpb.Struct{Fields: map[string]*structpb.Value{
		"b": structpb.NewNumberValue(math.Inf(-1)), "a": structpb.NewNullValue(), "c\n\x01": {},
		"d": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
			structpb.NewBoolValue(true), structpb.NewNumberValue(1e21), structpb.NewNumberValue(1e6), structpb.NewStringValue(`"<é`),
		}}),
		"e": structpb.NewStructValue(&structpb.Struct{}),
	}}
	const dataJSON = `{"a":null,"b":"-Infinity","c\n\u0001":null,"d":[true,1e+21,1000000,"\"<é"],"e":{}}`
	for _, tc := range []struct {
		what string
		msg  *pb.Result
		want orca.Result
	}{
		{"none", &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: 5},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultNone, Timestamp: 5}},
		{"value", &pb.Result{Status: 2, ResultData: &pb.Result_SingleValue{SingleValue: 0.5}},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: 0.5}},
		{"zero", &pb.Result{Status: 2, ResultData: &pb.Result_SingleValue{}},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue}},
		{"array", &pb.Result{Status: 2, ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{
			Values: []float32{0.1, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), 1e-7}}}},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultArray, JSON: `[0.1,-0,"NaN","Infinity",1e-07]`}},
		{"empty array", &pb.Result{Status: 2, ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{}}},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultArray, JSON: `[]`}},
		{"struct", &pb.Result{Status: 2, ResultData: &pb.Result_StructValue{StructValue: data}},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultStruct, JSON: dataJSON}},
		{"empty struct", &pb.Result{Status: 2, ResultData: &pb.Result_StructValue{StructValue: &structpb.Struct{}}},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultStruct, JSON: `{}`}},
		{"handled failure", &pb.Result{Status: 0, Error: details},
			orca.Result{Status: orca.StatusHandledFailed, Type: orca.ResultNone, Error: `{"message":"no sensor"}`, Failure: "no sensor"}},
		{"older SDK's failure", &pb.Result{Status: 1, ResultData: &pb.Result_StructValue{StructValue: details}},
			orca.Result{Status: orca.StatusUnhandledFailed, Type: orca.ResultStruct,
				JSON: `{"message":"no sensor"}`, Error: `{"message":"no sensor"}`, Failure: "no sensor"}},
		{"failure with both", &pb.Result{Status: 1, Error: details, ResultData: &pb.Result_StructValue{StructValue: data}},
			orca.Result{Status: orca.StatusUnhandledFailed, Type: orca.ResultStruct, JSON: dataJSON, Error: `{"message":"no sensor"}`, Failure: "no sensor"}},
		{"failure with an empty error", &pb.Result{Status: 1, Error: &structpb.Struct{}, ResultData: &pb.Result_StructValue{StructValue: details}},
			orca.Result{Status: orca.StatusUnhandledFailed, Type: orca.ResultStruct,
				JSON: `{"message":"no sensor"}`, Error: `{"message":"no sensor"}`, Failure: "no sensor"}},
		{"failure without details", &pb.Result{Status: 1},
			orca.Result{Status: orca.StatusUnhandledFailed, Type: orca.ResultNone}},
		{"failure without a message", &pb.Result{Status: 1, Error: &structpb.Struct{Fields: map[string]*structpb.Value{"code": structpb.NewNumberValue(7)}}},
			orca.Result{Status: orca.StatusUnhandledFailed, Type: orca.ResultNone, Error: `{"code":7}`, Failure: `{"code":7}`}},
		{"success with details", &pb.Result{Status: 2, Error: details},
			orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultNone}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			got, err := wire.Result(tc.msg)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Encoded = got.Encoded
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the result (-want +got):\n%s", diff)
			}
			back, err := wire.ResultMessage(got.Encoded)
			if err != nil {
				t.Fatal(err)
			}
			if err := sameResult(tc.msg, back); err != nil {
				t.Error("encoded:", err)
			}
		})
	}
}

func TestResultRefused(t *testing.T) {
	t.Parallel()
	deep := &structpb.Struct{Fields: map[string]*structpb.Value{"d": deepList(32)}}
	for _, tc := range []struct {
		msg  *pb.Result
		want string
	}{
		{nil, `no result: send one for each algorithm`},
		{&pb.Result{Status: 3}, `status: 3 is no status: send 0 (handled failure), 1 (unhandled failure) or 2 (success)`},
		{&pb.Result{Status: -1}, `status: -1 is no status: send 0 (handled failure), 1 (unhandled failure) or 2 (success)`},
		{&pb.Result{ResultData: &pb.Result_StructValue{StructValue: deep}},
			`struct_value."d": more than 32 structs and lists lie in each other: flatten it`},
		{&pb.Result{ResultData: &pb.Result_StructValue{StructValue: deepStruct(33).GetStructValue()}},
			`struct_value."d": more than 32 structs and lists lie in each other: flatten it`},
		{&pb.Result{Error: deep}, `error."d": more than 32 structs and lists lie in each other: flatten it`},
	} {
		_, err := wire.Result(tc.msg)
		if !errors.Is(err, orca.Invalid) || err.Error() != tc.want {
			t.Errorf("Result(%v): error %v, want %q", tc.msg, err, tc.want)
		}
	}
	for _, fits := range []*structpb.Struct{
		deepStruct(32).GetStructValue(),
		{Fields: map[string]*structpb.Value{"d": deepList(31)}},
	} {
		if _, err := wire.Result(&pb.Result{Error: fits}); err != nil {
			t.Error(err)
		}
	}
	broken := &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewStringValue("\xff")}}
	if _, err := wire.Result(&pb.Result{Error: broken}); !errors.Is(err, orca.Invalid) {
		t.Errorf("error %v for text that is not UTF-8", err)
	}
	if _, err := wire.ResultMessage([]byte{0xff}); err == nil {
		t.Error("broken bytes were decoded")
	}
}

// The JSON of a result says what the struct says, as far as JSON can.
func TestResultJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := structOf(3).Draw(t, "struct")
		r, err := wire.Result(&pb.Result{Status: 2, ResultData: &pb.Result_StructValue{StructValue: data}})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(r.JSON), &got); err != nil {
			t.Fatalf("%s: %v", r.JSON, err)
		}
		want := named(data.AsMap()).(map[string]any)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("the JSON %s (-want +got):\n%s", r.JSON, diff)
		}
	})
}

// named puts names where JSON has no number.
func named(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return "NaN"
		}
		if math.IsInf(v, 0) {
			return strings.TrimPrefix(fmt.Sprintf("%+f", v), "+") + "inity"
		}
	case map[string]any:
		for k, e := range v {
			v[k] = named(e)
		}
	case []any:
		for i, e := range v {
			v[i] = named(e)
		}
	}
	return v
}

func TestEveryCharacterHasJSON(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for r := rune(0); r < 0x180; r++ {
		all.WriteRune(r)
	}
	data := &structpb.Struct{Fields: map[string]*structpb.Value{all.String(): structpb.NewStringValue(all.String())}}
	r, err := wire.Result(&pb.Result{Status: 2, ResultData: &pb.Result_StructValue{StructValue: data}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(r.JSON), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{all.String(): all.String()}, got); diff != "" {
		t.Errorf("the characters (-want +got):\n%s", diff)
	}
}

func TestLongResultsHaveNoJSON(t *testing.T) {
	t.Parallel()
	for what, size := range map[string]int{"just fits": 64<<10 - 8, "one byte more": 64<<10 - 7, "much more": 1 << 20} {
		long := &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewStringValue(strings.Repeat("x", size))}}
		r, err := wire.Result(&pb.Result{Status: 2, ResultData: &pb.Result_StructValue{StructValue: long}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(r.JSON), size+8; want <= 64<<10 && got != want || want > 64<<10 && got != 0 {
			t.Errorf("%s: %d bytes of JSON", what, got)
		}
	}
	for _, n := range []int{32767, 32768, 8_000_000} {
		r, err := wire.Result(&pb.Result{Status: 2, ResultData: &pb.Result_FloatValues{
			FloatValues: &pb.FloatArray{Values: make([]float32, n)}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, fits := len(r.JSON), 2*n+1 <= 64<<10; fits && got != 2*n+1 || !fits && got != 0 {
			t.Errorf("%d numbers: %d bytes of JSON", n, got)
		}
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	t.Parallel()
	stack := strings.Repeat("é", 50_000)
	one := &structpb.Struct{Fields: map[string]*structpb.Value{
		"message": structpb.NewStringValue("broke"), "stack": structpb.NewStringValue(stack)}}
	r, err := wire.Result(&pb.Result{Status: 1, Error: one})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"message":"broke","stack":"` + stack[:4096] + `…"}`
	if diff := cmp.Diff(want, r.Error); diff != "" {
		t.Errorf("the error (-want +got):\n%s", diff)
	}

	many := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := range 100 {
		many.Fields[fmt.Sprint(i)] = structpb.NewStringValue(stack)
	}
	if r, err = wire.Result(&pb.Result{Status: 1, Error: many}); err != nil {
		t.Fatal(err)
	}
	if want := `{"omitted":"error details of more than 65536 bytes"}`; r.Error != want {
		t.Errorf("error %s, want %s", r.Error, want)
	}
}

func TestAnswerOf(t *testing.T) {
	t.Parallel()
	type answer struct {
		ExecID, Name, Version string
		Result                bool
	}
	for _, tc := range []struct {
		msg  *pb.ExecutionResult
		want answer
	}{
		{nil, answer{}},
		{&pb.ExecutionResult{ExecId: "x"}, answer{ExecID: "x"}},
		{&pb.ExecutionResult{AlgorithmResult: &pb.AlgorithmResult{}}, answer{}},
		{&pb.ExecutionResult{ExecId: "x", AlgorithmResult: &pb.AlgorithmResult{
			Algorithm: &pb.Algorithm{Name: "CPU", Version: "1.0.0"}, Result: &pb.Result{},
		}}, answer{"x", "CPU", "1.0.0", true}},
	} {
		var got answer
		var result *pb.Result
		got.ExecID, got.Name, got.Version, result = wire.AnswerOf(tc.msg)
		got.Result = result != nil
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("AnswerOf(%v) (-want +got):\n%s", tc.msg, diff)
		}
	}
}
