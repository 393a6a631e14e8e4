package wire

import (
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxNesting is how many structs and lists may lie in each other, the outermost counted. Most protobuf readers stop at
// 100 nested messages; in a request a row's metadata or data is the fifth, and each struct inside adds three more.
const maxNesting = 32

const tooDeep = "more than %d structs and lists lie in each other: flatten it"

// form is what becomes of a value when it is encoded.
type form uint8

const (
	// asSent keeps every bit of a number, values of no kind, and fields that this contract does not know.
	asSent form = iota
	// stored keeps every bit of a number. A value of no kind is null, and unknown fields are left out.
	stored
	// comparing is stored with one encoding for numbers that count as equal: −0 is 0, and every NaN is the same NaN.
	comparing
)

// appendStruct appends the content of a Struct message, see appendFields.
func appendStruct(b []byte, s *structpb.Struct, f form, depth int) ([]byte, error) {
	b, err := appendFields(b, s.GetFields(), f, depth)
	if f == asSent {
		b = append(b, s.ProtoReflect().GetUnknown()...)
	}
	return b, err
}

// appendFields appends the fields of a Struct message sorted by name, so that equal structs have equal bytes. Depth is
// that of the struct itself, 1 for the outermost.
func appendFields(b []byte, fields map[string]*structpb.Value, f form, depth int) ([]byte, error) {
	if depth > maxNesting {
		return b, refuse("", tooDeep, maxNesting)
	}
	var space [16]string // keeps the names of most structs off the heap
	names := space[:0]
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	var err error
	for _, name := range names {
		if !utf8.ValidString(name) {
			return b, refuse(quote(name), "the name is not UTF-8: send text")
		}
		b = protowire.AppendTag(b, structFields, protowire.BytesType)
		b = append(b, 0)
		entry := len(b)
		b = protowire.AppendTag(b, entryKey, protowire.BytesType)
		b = protowire.AppendString(b, name)
		b = protowire.AppendTag(b, entryValue, protowire.BytesType)
		b = append(b, 0)
		value := len(b)
		if b, err = appendValue(b, fields[name], f, depth); err != nil {
			return b, inField(name, depth, err)
		}
		b = setLength(b, value)
		b = setLength(b, entry)
	}
	return b, nil
}

// inField names the outermost field in a refusal; a path of all of them could be too long to be answered.
func inField(name string, depth int, err error) error {
	if depth > 1 {
		return err
	}
	return within(quote(name), err)
}

// appendValue appends the content of a Value message that lies in a struct or list of the given depth.
func appendValue(b []byte, v *structpb.Value, f form, depth int) ([]byte, error) {
	b, err := appendKind(b, v, f, depth)
	if f == asSent {
		b = append(b, v.ProtoReflect().GetUnknown()...)
	}
	return b, err
}

func appendKind(b []byte, v *structpb.Value, f form, depth int) ([]byte, error) {
	switch kind := v.GetKind().(type) {
	case nil:
		if f == asSent {
			return b, nil
		}
		return appendNull(b, 0), nil
	case *structpb.Value_NullValue:
		if f == asSent {
			return appendNull(b, kind.NullValue), nil
		}
		return appendNull(b, 0), nil
	case *structpb.Value_NumberValue:
		b = protowire.AppendTag(b, valueNumber, protowire.Fixed64Type)
		return protowire.AppendFixed64(b, numberBits(kind.NumberValue, f)), nil
	case *structpb.Value_StringValue:
		if !utf8.ValidString(kind.StringValue) {
			return b, refuse("", "%s is not UTF-8: send text", quote(kind.StringValue))
		}
		b = protowire.AppendTag(b, valueString, protowire.BytesType)
		return protowire.AppendString(b, kind.StringValue), nil
	case *structpb.Value_BoolValue:
		b = protowire.AppendTag(b, valueBool, protowire.VarintType)
		return protowire.AppendVarint(b, protowire.EncodeBool(kind.BoolValue)), nil
	case *structpb.Value_StructValue:
		b = protowire.AppendTag(b, valueStruct, protowire.BytesType)
		b = append(b, 0)
		start := len(b)
		b, err := appendStruct(b, kind.StructValue, f, depth+1)
		return setLength(b, start), err
	case *structpb.Value_ListValue:
		b = protowire.AppendTag(b, valueList, protowire.BytesType)
		b = append(b, 0)
		start := len(b)
		b, err := appendList(b, kind.ListValue, f, depth+1)
		return setLength(b, start), err
	default:
		return b, refuse("", "a value of the unknown kind %T", kind)
	}
}

func appendNull(b []byte, null structpb.NullValue) []byte {
	b = protowire.AppendTag(b, valueNull, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(null))
}

// appendList appends the content of a ListValue message.
func appendList(b []byte, list *structpb.ListValue, f form, depth int) ([]byte, error) {
	if depth > maxNesting {
		return b, refuse("", tooDeep, maxNesting)
	}
	var err error
	for _, v := range list.GetValues() {
		b = protowire.AppendTag(b, listValues, protowire.BytesType)
		b = append(b, 0)
		start := len(b)
		if b, err = appendValue(b, v, f, depth); err != nil {
			return b, err
		}
		b = setLength(b, start)
	}
	if f == asSent {
		b = append(b, list.ProtoReflect().GetUnknown()...)
	}
	return b, nil
}

func numberBits(x float64, f form) uint64 {
	if f == comparing {
		switch {
		case x == 0:
			return 0
		case math.IsNaN(x):
			return math.Float64bits(math.NaN())
		}
	}
	return math.Float64bits(x)
}

// setLength writes the length of the message that begins at start into the byte kept free before it, and moves the
// message where the length needs more than that byte.
func setLength(b []byte, start int) []byte {
	n := len(b) - start
	if n < 1<<7 {
		b[start-1] = byte(n)
		return b
	}
	var room [9]byte
	more := protowire.SizeVarint(uint64(n)) - 1
	b = append(b, room[:more]...)
	copy(b[start+more:], b[start:start+n])
	protowire.AppendVarint(b[:start-1], uint64(n))
	return b
}
