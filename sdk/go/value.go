package orca

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
)

// structOf turns a map into the wire's struct. Numbers become float64 there, NaN and infinities included. Values of
// other Go types go through encoding/json. A nil map is an empty struct.
func structOf(fields map[string]any) (*structpb.Struct, error) {
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(fields))}
	for name, field := range fields {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("field name %q is not valid UTF-8", name)
		}
		value, err := valueOf(field)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		out.Fields[name] = value
	}
	return out, nil
}

func valueOf(v any) (*structpb.Value, error) {
	switch v := v.(type) {
	case nil:
		return structpb.NewNullValue(), nil
	case bool:
		return structpb.NewBoolValue(v), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%q is not valid UTF-8", v)
		}
		return structpb.NewStringValue(v), nil
	case float64:
		return structpb.NewNumberValue(v), nil
	case float32:
		return structpb.NewNumberValue(float64(v)), nil
	case json.Number:
		return numberOf(v.String())
	case int:
		return numberOf(strconv.Itoa(v))
	case int64:
		return numberOf(strconv.FormatInt(v, 10))
	case uint64:
		return numberOf(strconv.FormatUint(v, 10))
	case map[string]any:
		fields, err := structOf(v)
		return structpb.NewStructValue(fields), err
	case []any:
		return listOf(v)
	case []float64:
		return listOf(v)
	case []float32:
		return listOf(v)
	}
	return valueByJSON(v)
}

func listOf[E any](elements []E) (*structpb.Value, error) {
	list := &structpb.ListValue{Values: make([]*structpb.Value, len(elements))}
	for i, element := range elements {
		value, err := valueOf(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list.Values[i] = value
	}
	return structpb.NewListValue(list), nil
}

// numberOf reads a number. A whole number that a float64 cannot hold is refused rather than changed.
func numberOf(text string) (*structpb.Value, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("number %s does not fit a float64; send it as a string", text)
	}
	whole := !strings.ContainsAny(text, ".eE")
	if whole && text != strconv.FormatFloat(f, 'f', 0, 64) && text != strconv.FormatFloat(f, 'f', -1, 64) {
		return nil, fmt.Errorf("number %s does not fit a float64; send it as a string", text)
	}
	return structpb.NewNumberValue(f), nil
}

// valueByJSON turns anything else into a value as encoding/json sees it.
func valueByJSON(v any) (*structpb.Value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return nil, err
	}
	return valueOf(plain)
}

// mapOf is the inverse of structOf. Unlike structpb's AsMap it keeps NaN and infinities as numbers.
func mapOf(s *structpb.Struct) map[string]any {
	return fieldsOf(s, func(f float64) any { return f })
}

// jsonOf writes a struct for encoding/json to read into a Go struct.
func jsonOf(s *structpb.Struct) ([]byte, error) {
	return json.Marshal(fieldsOf(s, func(f float64) any {
		if f == math.Trunc(f) && math.Abs(f) < 1<<64 {
			return json.Number(strconv.FormatFloat(f, 'f', 0, 64)) // all digits, for integer fields
		}
		return f
	}))
}

// fieldsOf turns a struct into plain Go values, numbers as the given function has them.
func fieldsOf(s *structpb.Struct, number func(float64) any) map[string]any {
	fields := make(map[string]any, len(s.GetFields()))
	for name, value := range s.GetFields() {
		fields[name] = anyOf(value, number)
	}
	return fields
}

func anyOf(v *structpb.Value, number func(float64) any) any {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return kind.BoolValue
	case *structpb.Value_NumberValue:
		return number(kind.NumberValue)
	case *structpb.Value_StringValue:
		return kind.StringValue
	case *structpb.Value_StructValue:
		return fieldsOf(kind.StructValue, number)
	case *structpb.Value_ListValue:
		list := make([]any, len(kind.ListValue.GetValues()))
		for i, element := range kind.ListValue.GetValues() {
			list[i] = anyOf(element, number)
		}
		return list
	}
	return nil
}
