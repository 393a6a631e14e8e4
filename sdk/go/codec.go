package orca

import (
	"encoding/json"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Nothing is the result of an algorithm that gives none.
type Nothing = struct{}

// maxMessageBytes bounds a message in either direction.
const maxMessageBytes = 64 << 20

// maxResultBytes leaves room for what travels with a result.
const maxResultBytes = maxMessageBytes - 1<<20

// kindOf says which kind of result a Go type stands for. NOT_SPECIFIED means any kind (the empty interface).
func kindOf[T any]() pb.ResultType {
	switch any((*T)(nil)).(type) {
	case *float32:
		return pb.ResultType_VALUE
	case *[]float32:
		return pb.ResultType_ARRAY
	case *Nothing:
		return pb.ResultType_NONE
	case *any:
		return pb.ResultType_NOT_SPECIFIED
	}
	return pb.ResultType_STRUCT
}

// kindOfValue is for results of any kind.
func kindOfValue(v any) pb.ResultType {
	switch v.(type) {
	case nil:
		return pb.ResultType_NONE
	case float32:
		return pb.ResultType_VALUE
	case []float32:
		return pb.ResultType_ARRAY
	}
	return pb.ResultType_STRUCT
}

// checkStructType refuses the types that can never be a struct result.
func checkStructType[T any]() error {
	t := reflect.TypeFor[T]()
	switch kind := t.Kind(); {
	case kindOf[T]() == pb.ResultType_STRUCT &&
		(kind == reflect.Struct || kind == reflect.Map || kind == reflect.Pointer || kind == reflect.Interface):
		return nil
	}
	return invalid("result type %v: a struct result must be a Go struct, or a map with string keys", t)
}

// encode makes a succeeded result.
func encode(kind pb.ResultType, v any) (*pb.Result, error) {
	result := &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED}
	switch kind {
	case pb.ResultType_VALUE:
		result.ResultData = &pb.Result_SingleValue{SingleValue: v.(float32)}
	case pb.ResultType_ARRAY:
		result.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: v.([]float32)}}
	case pb.ResultType_STRUCT:
		data, err := encodeStruct(v)
		if err != nil {
			return nil, fmt.Errorf("struct result: %w", err)
		}
		result.ResultData = data
	case pb.ResultType_NONE:
	case pb.ResultType_NOT_SPECIFIED: // any kind
		return encode(kindOfValue(v), v)
	default:
		return nil, fmt.Errorf("result of unknown kind %v", kind)
	}
	if size := proto.Size(result); size > maxResultBytes {
		return nil, fmt.Errorf("the result is %d bytes long, at most %d are allowed", size, maxResultBytes)
	}
	return result, nil
}

func encodeStruct(v any) (*pb.Result_StructValue, error) {
	if fields, ok := v.(map[string]any); ok {
		data, err := structOf(fields)
		return &pb.Result_StructValue{StructValue: data}, err
	}
	value, err := valueByJSON(v)
	if err != nil {
		return nil, err
	}
	if value.GetStructValue() == nil {
		return nil, fmt.Errorf("%T became %v, not an object", v, value)
	}
	return &pb.Result_StructValue{StructValue: value.GetStructValue()}, nil
}

// decode reads the data of a succeeded result. What it returns is the caller's own.
func decode[T any](result *pb.Result) (T, error) {
	var out T
	switch target := any(&out).(type) {
	case *float32:
		data, ok := result.GetResultData().(*pb.Result_SingleValue)
		if !ok {
			return out, mismatch(result, "a value (float32)")
		}
		*target = data.SingleValue
	case *[]float32:
		data, ok := result.GetResultData().(*pb.Result_FloatValues)
		if !ok {
			return out, mismatch(result, "an array ([]float32)")
		}
		*target = append([]float32{}, data.FloatValues.GetValues()...)
	case *Nothing:
	case *any:
		*target = decodeAny(result)
	default:
		return out, decodeStruct(result, &out)
	}
	return out, nil
}

func decodeStruct(result *pb.Result, target any) error {
	data, ok := result.GetResultData().(*pb.Result_StructValue)
	if !ok {
		return mismatch(result, fmt.Sprintf("a struct (%v)", reflect.TypeOf(target).Elem()))
	}
	if target, ok := target.(*map[string]any); ok {
		*target = mapOf(data.StructValue)
		return nil
	}
	text, err := jsonOf(data.StructValue)
	if err != nil {
		return fmt.Errorf("read the struct as map[string]any: %w", err)
	}
	return json.Unmarshal(text, target)
}

// decodeAny gives float32, []float32, map[string]any or nil.
func decodeAny(result *pb.Result) any {
	switch data := result.GetResultData().(type) {
	case *pb.Result_SingleValue:
		return data.SingleValue
	case *pb.Result_FloatValues:
		return append([]float32{}, data.FloatValues.GetValues()...)
	case *pb.Result_StructValue:
		return mapOf(data.StructValue)
	}
	return nil
}

func mismatch(result *pb.Result, want string) error {
	return fmt.Errorf("the result is %s, not %s", dataName(result), want)
}

func dataName(result *pb.Result) string {
	switch result.GetResultData().(type) {
	case *pb.Result_SingleValue:
		return "a value"
	case *pb.Result_FloatValues:
		return "an array"
	case *pb.Result_StructValue:
		return "a struct"
	}
	return "without data"
}
