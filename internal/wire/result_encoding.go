package wire

import (
	"bytes"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// encodeResult encodes all that was sent, unknown fields too, with equal bytes for equal messages. It is written out
// because a deterministic proto.Marshal of structs takes ten times as long.
func encodeResult(msg *pb.Result) ([]byte, error) {
	if array := msg.GetFloatValues(); array != nil {
		return appendResult(make([]byte, 0, 4*len(array.GetValues())+64), msg)
	}
	s := takeScratch()
	defer s.giveBack()
	var err error
	s.buf, err = appendResult(s.buf[:0], msg)
	return bytes.Clone(s.buf), err
}

// appendResult appends the fields in the order of proto.Marshal, which puts those of a oneof last.
func appendResult(b []byte, msg *pb.Result) ([]byte, error) {
	b = appendNumberField(b, resultStatusField, int64(msg.GetStatus()))
	b = appendNumberField(b, resultTimestampField, msg.GetTimestamp())
	var err error
	if msg.GetError() != nil {
		if b, err = appendStructField(b, resultErrorField, msg.GetError()); err != nil {
			return b, within("error", err)
		}
	}
	if b, err = appendData(b, msg); err != nil {
		return b, within("struct_value", err)
	}
	return append(b, msg.ProtoReflect().GetUnknown()...), nil
}

func appendData(b []byte, msg *pb.Result) ([]byte, error) {
	switch data := msg.GetResultData().(type) {
	case *pb.Result_SingleValue:
		b = protowire.AppendTag(b, resultValueField, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(data.SingleValue))
	case *pb.Result_FloatValues:
		b = appendArrayField(b, data.FloatValues)
	case *pb.Result_StructValue:
		return appendStructField(b, resultStructField, data.StructValue)
	}
	return b, nil
}

// appendArrayField appends a FloatArray with its numbers packed.
func appendArrayField(b []byte, array *pb.FloatArray) []byte {
	values, unknown := array.GetValues(), array.ProtoReflect().GetUnknown()
	packed := 4 * len(values)
	size := len(unknown)
	if packed > 0 {
		size += protowire.SizeTag(arrayValues) + protowire.SizeBytes(packed)
	}
	b = protowire.AppendTag(b, resultArrayField, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	if packed > 0 {
		b = protowire.AppendTag(b, arrayValues, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(packed))
	}
	for _, v := range values {
		b = protowire.AppendFixed32(b, math.Float32bits(v))
	}
	return append(b, unknown...)
}

func appendStructField(b []byte, field protowire.Number, s *structpb.Struct) ([]byte, error) {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = append(b, 0)
	start := len(b)
	b, err := appendStruct(b, s, asSent, 1)
	return setLength(b, start), err
}

// appendNumberField appends an integer that is left out when it is zero.
func appendNumberField(b []byte, field protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(v))
}
