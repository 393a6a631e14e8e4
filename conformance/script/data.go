package script

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Data is the data of a result, to the bit. At most one field is set; none stands for no data.
type Data struct {
	Value  *Value `json:"value,omitempty"`
	Array  *Array `json:"array,omitempty"`
	Struct Fields `json:"struct,omitzero"`
}

// Value is a number, written as the eight hexadecimal digits of its bits.
type Value float32

// MarshalText writes the bits.
func (v Value) MarshalText() ([]byte, error) { return Array{float32(v)}.MarshalText() }

// UnmarshalText reads the bits.
func (v *Value) UnmarshalText(text []byte) error {
	var a Array
	if err := a.UnmarshalText(text); err != nil {
		return err
	}
	if len(a) != 1 {
		return fmt.Errorf("the value %q is not eight hexadecimal digits", text)
	}
	*v = Value(a[0])
	return nil
}

// Array is a list of numbers, written as the bits of one after the other.
type Array []float32

// MarshalText writes the bits.
func (a Array) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 4*len(a))
	for _, v := range a {
		raw = binary.BigEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return hex.AppendEncode(nil, raw), nil
}

// UnmarshalText reads the bits.
func (a *Array) UnmarshalText(text []byte) error {
	raw, err := hex.AppendDecode(nil, text)
	if err != nil || len(raw)%4 != 0 {
		return fmt.Errorf("the array %.20q… is not eight hexadecimal digits a number", text)
	}
	*a = make(Array, 0, len(raw)/4)
	for ; len(raw) > 0; raw = raw[4:] {
		*a = append(*a, math.Float32frombits(binary.BigEndian.Uint32(raw)))
	}
	return nil
}

// Fields are an object: names with null, booleans, texts, float64s, lists and objects, as a map[string]any has them. In
// JSON a number is {"number": "3ff0000000000000"}, the bits of a float64, and an object in it is {"fields": {…}}.
type Fields map[string]any

// MarshalJSON writes the object.
func (f Fields) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(f))
	for name, v := range f {
		out[name] = tagged(v)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads the object.
func (f *Fields) UnmarshalJSON(text []byte) error {
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil || plain == nil {
		return err
	}
	fields, err := untagFields(plain)
	*f = fields
	return err
}

func tagged(v any) any {
	switch v := v.(type) {
	case float64:
		return map[string]string{"number": fmt.Sprintf("%016x", math.Float64bits(v))}
	case map[string]any:
		return map[string]Fields{"fields": v}
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = tagged(element)
		}
		return list
	}
	return v
}

func untagFields(plain map[string]any) (Fields, error) {
	out := make(Fields, len(plain))
	for name, v := range plain {
		value, err := untag(v)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		out[name] = value
	}
	return out, nil
}

func untag(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			value, err := untag(element)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			list[i] = value
		}
		return list, nil
	case map[string]any:
		if fields, ok := v["fields"].(map[string]any); ok && len(v) == 1 {
			inner, err := untagFields(fields)
			return map[string]any(inner), err
		}
		text, _ := v["number"].(string)
		raw, err := hex.DecodeString(text)
		if err == nil && len(raw) == 8 && len(v) == 1 {
			return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
		}
	}
	return nil, fmt.Errorf("%v is neither null, true, false, a text, a list, {\"number\": …} nor {\"fields\": …}", v)
}

// FieldsOf reads a message of the contract, to the bit.
func FieldsOf(s *structpb.Struct) Fields {
	out := make(Fields, len(s.GetFields()))
	for name, v := range s.GetFields() {
		out[name] = plainOf(v)
	}
	return out
}

func plainOf(v *structpb.Value) any {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return kind.BoolValue
	case *structpb.Value_StringValue:
		return kind.StringValue
	case *structpb.Value_NumberValue:
		return kind.NumberValue
	case *structpb.Value_StructValue:
		return map[string]any(FieldsOf(kind.StructValue))
	case *structpb.Value_ListValue:
		list := make([]any, len(kind.ListValue.GetValues()))
		for i, element := range kind.ListValue.GetValues() {
			list[i] = plainOf(element)
		}
		return list
	}
	return nil
}

// Proto is the message of the contract.
func (f Fields) Proto() (*structpb.Struct, error) {
	return structpb.NewStruct(f) // keeps NaN and infinities as numbers
}

// DataOf reads the data of a result.
func DataOf(r *pb.Result) Data {
	switch data := r.GetResultData().(type) {
	case *pb.Result_SingleValue:
		v := Value(data.SingleValue)
		return Data{Value: &v}
	case *pb.Result_FloatValues:
		a := append(Array{}, data.FloatValues.GetValues()...)
		return Data{Array: &a}
	case *pb.Result_StructValue:
		return Data{Struct: FieldsOf(data.StructValue)}
	}
	return Data{}
}

// WindowOf reads a window.
func WindowOf(w *pb.Window) Window {
	return Window{
		Type: w.GetWindowTypeName(), Version: w.GetWindowTypeVersion(), Origin: w.GetOrigin(),
		From: w.GetTimeFrom().AsTime().UnixNano(), To: w.GetTimeTo().AsTime().UnixNano(),
		Metadata: FieldsOf(w.GetMetadata()),
	}
}

// Kind says which type of result it is: value, array, struct or none.
func (d Data) Kind() string {
	switch {
	case d.Value != nil:
		return "value"
	case d.Array != nil:
		return "array"
	case d.Struct != nil:
		return "struct"
	}
	return "none"
}

// Any gives float32, []float32, map[string]any or nil.
func (d Data) Any() any {
	switch {
	case d.Value != nil:
		return float32(*d.Value)
	case d.Array != nil:
		return []float32(*d.Array)
	case d.Struct != nil:
		return map[string]any(d.Struct)
	}
	return nil
}

// NewData is the inverse of Any. What else there is stands for no data.
func NewData(v any) Data {
	switch v := v.(type) {
	case float32:
		value := Value(v)
		return Data{Value: &value}
	case []float32:
		array := append(Array{}, v...)
		return Data{Array: &array}
	case map[string]any:
		return Data{Struct: v}
	}
	return Data{}
}
