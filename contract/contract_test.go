// Package contract holds the wire contract in place: service.proto against a table of what peers in the field rely
// on, the README against both .proto files, and the validation rules against protovalidate. It knows the generated
// Go code, and nothing of the core.
package contract

import (
	"slices"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestServiceProtoIsAsPublished(t *testing.T) {
	t.Parallel()
	got := declared(pb.File_service_proto)
	if diff := cmp.Diff(published(), got, protocmp.Transform()); diff != "" {
		t.Errorf("service.proto breaks peers in the field (- published, + service.proto):\n%s", diff)
	}
}

// Extensions and rules on oneofs or whole files have no place in the table, and there are none.
func TestServiceProtoDeclaresNothingElse(t *testing.T) {
	t.Parallel()
	f := pb.File_service_proto
	if n := f.Extensions().Len(); n != 0 {
		t.Errorf("service.proto declares %d extensions; it has none", n)
	}
	for m := range allMessages(f.Messages()) {
		if n := m.Extensions().Len() + m.ReservedRanges().Len() + m.ReservedNames().Len(); n != 0 {
			t.Errorf("%s has %d extensions or reservations; it has none", m.FullName(), n)
		}
		for i := range m.Oneofs().Len() {
			oneof := m.Oneofs().Get(i)
			if opts := oneof.Options().(*descriptorpb.OneofOptions); proto.Size(opts) > 0 {
				t.Errorf("%s has options %v; every oneof may be left out", oneof.FullName(), opts)
			}
		}
	}
}

// declared reads a file's descriptor into the shape of the table.
func declared(f protoreflect.FileDescriptor) file {
	out := file{
		Package:   string(f.Package()),
		Syntax:    f.Syntax().String(),
		GoPackage: f.Options().(*descriptorpb.FileOptions).GetGoPackage(),
		Services:  map[string]map[string]method{},
		Messages:  map[string]message{},
		Enums:     map[string]map[int32]string{},
	}
	for i := range f.Imports().Len() {
		out.Imports = append(out.Imports, f.Imports().Get(i).Path())
	}
	slices.Sort(out.Imports)
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		out.Services[string(s.FullName())] = methods(s)
	}
	declareEnums(out.Enums, f.Enums())
	for m := range allMessages(f.Messages()) {
		out.Messages[string(m.FullName())] = message{Fields: fields(m), Rules: messageRules(m)}
		declareEnums(out.Enums, m.Enums())
	}
	return out
}

func methods(s protoreflect.ServiceDescriptor) map[string]method {
	out := map[string]method{}
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		out[string(m.Name())] = method{
			Path:            "/" + string(s.FullName()) + "/" + string(m.Name()),
			Request:         string(m.Input().FullName()),
			Response:        string(m.Output().FullName()),
			ClientStreaming: m.IsStreamingClient(),
			ServerStreaming: m.IsStreamingServer(),
		}
	}
	return out
}

func fields(m protoreflect.MessageDescriptor) map[int32]field {
	out := map[int32]field{}
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		f := field{
			Name:       string(fd.Name()),
			Type:       label(fd) + typeName(fd),
			Deprecated: fd.Options().(*descriptorpb.FieldOptions).GetDeprecated(),
			Rules:      fieldRules(fd),
		}
		if oneof := fd.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			f.Oneof = string(oneof.Name())
		}
		out[int32(fd.Number())] = f
	}
	return out
}

func label(fd protoreflect.FieldDescriptor) string {
	packable := fd.Kind() != protoreflect.StringKind && fd.Kind() != protoreflect.BytesKind && fd.Message() == nil
	switch {
	case fd.IsMap():
		return "map "
	case fd.IsList() && packable && !fd.IsPacked():
		return "repeated unpacked "
	case fd.IsList():
		return "repeated "
	case fd.HasOptionalKeyword():
		return "optional "
	}
	return ""
}

func typeName(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.Message() != nil:
		return string(fd.Message().FullName())
	case fd.Enum() != nil:
		return string(fd.Enum().FullName())
	}
	return fd.Kind().String()
}

func declareEnums(into map[string]map[int32]string, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		values := map[int32]string{}
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			values[int32(v.Number())] = string(v.Name())
		}
		into[string(e.FullName())] = values
	}
}

// allMessages yields the messages and those nested in them.
func allMessages(messages protoreflect.MessageDescriptors) func(yield func(protoreflect.MessageDescriptor) bool) {
	return func(yield func(protoreflect.MessageDescriptor) bool) {
		for i := range messages.Len() {
			if !yield(messages.Get(i)) {
				return
			}
			for nested := range allMessages(messages.Get(i).Messages()) {
				if !yield(nested) {
					return
				}
			}
		}
	}
}

func fieldRules(fd protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

func messageRules(m protoreflect.MessageDescriptor) *validate.MessageRules {
	rules, _ := proto.GetExtension(m.Options(), validate.E_Message).(*validate.MessageRules)
	return rules
}
