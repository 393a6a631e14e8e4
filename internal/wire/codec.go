package wire

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Encoded is a message that is encoded already. It is handed to gRPC, which may hold on to it until the call has
// ended, so it is not changed any more.
type Encoded []byte

// Codec is gRPC's codec for protobuf, for grpc.ForceCodecV2, which sends Encoded as it is. Its zero value works, and
// it may be used by several goroutines.
type Codec struct{}

// Marshal returns the bytes of an Encoded or of a proto.Message.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(Encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return encoding.GetCodecV2(grpcproto.Name).Marshal(v)
}

// Unmarshal decodes into a proto.Message.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	return encoding.GetCodecV2(grpcproto.Name).Unmarshal(data, v)
}

// Name is the content subtype of protobuf: peers see no difference.
func (Codec) Name() string { return grpcproto.Name }
