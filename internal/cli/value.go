package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	// shownValues is how many values of an array a table shows.
	shownValues = 4
	// shownText is how many characters of a struct, or of another long cell, a table shows.
	shownText = 60
	// shownReason is how many characters of a reason people see; a reason may hold a whole stack.
	shownReason = 160
)

// valueText is a result's value in the cell of a table.
func valueText(r *pb.Result) string {
	switch d := r.GetResultData().(type) {
	case *pb.Result_SingleValue:
		return string(appendFloat(nil, float64(d.SingleValue), 32))
	case *pb.Result_FloatValues:
		return arrayText(d.FloatValues.GetValues())
	case *pb.Result_StructValue:
		return shorten(string(structJSON(d.StructValue)), shownText)
	}
	return ""
}

func arrayText(values []float32) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, v := range values[:min(len(values), shownValues)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.Write(appendFloat(nil, float64(v), 32))
	}
	if len(values) > shownValues {
		fmt.Fprintf(&b, ", … %d values", len(values))
	}
	b.WriteByte(']')
	return b.String()
}

// valueJSON is a result's value: a number, an array, an object, or null for a success without one. It is nil where
// there is nothing to say.
func valueJSON(r *pb.Result) json.RawMessage {
	switch d := r.GetResultData().(type) {
	case *pb.Result_SingleValue:
		return appendNumber(nil, float64(d.SingleValue), 32)
	case *pb.Result_FloatValues:
		b := []byte{'['}
		for i, v := range d.FloatValues.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendNumber(b, float64(v), 32)
		}
		return append(b, ']')
	case *pb.Result_StructValue:
		return structJSON(d.StructValue)
	}
	if r != nil && r.GetStatus() == pb.ResultStatus_RESULT_STATUS_SUCEEDED {
		return json.RawMessage("null")
	}
	return nil
}

// appendFloat writes a number of that many bits so that it reads back the same, without an exponent where people
// would write none.
func appendFloat(b []byte, v float64, bits int) []byte {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case math.IsInf(v, 1):
		return append(b, "Infinity"...)
	case math.IsInf(v, -1):
		return append(b, "-Infinity"...)
	case abs == 0 || abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(b, v, 'f', -1, bits)
	}
	return strconv.AppendFloat(b, v, 'e', -1, bits)
}

// appendNumber writes a number as JSON; what JSON has no number for becomes a string.
func appendNumber(b []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(appendFloat(append(b, '"'), v, bits), '"')
	}
	return appendFloat(b, v, bits)
}

// structJSON writes a struct as compact JSON with its fields in order of name; {} for none.
func structJSON(s *structpb.Struct) json.RawMessage {
	return appendStruct(nil, s)
}

func appendStruct(b []byte, s *structpb.Struct) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(s.GetFields())) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = appendValue(b, s.GetFields()[name])
	}
	return append(b, '}')
}

func appendValue(b []byte, v *structpb.Value) []byte {
	switch k := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return strconv.AppendBool(b, k.BoolValue)
	case *structpb.Value_NumberValue:
		return appendNumber(b, k.NumberValue, 64)
	case *structpb.Value_StringValue:
		return appendText(b, k.StringValue)
	case *structpb.Value_StructValue:
		return appendStruct(b, k.StructValue)
	case *structpb.Value_ListValue:
		b = append(b, '[')
		for i, item := range k.ListValue.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, item)
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

// appendText writes a string as JSON, without escaping what only HTML would trip over.
func appendText(b []byte, s string) []byte {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string and a strings.Builder cannot fail
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}
