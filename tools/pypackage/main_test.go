package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestRun(t *testing.T) {
	t.Parallel()
	// An option that this program does not know: field 1159 with the bytes 01.
	options := &descriptorpb.FieldOptions{}
	options.ProtoReflect().SetUnknown([]byte{0xba, 0x48, 0x01, 0x01})
	field := &descriptorpb.FieldDescriptorProto{Name: proto.String("name"), Options: options}
	messages := []*descriptorpb.DescriptorProto{{Name: proto.String("M"), Field: []*descriptorpb.FieldDescriptorProto{field}}}

	in := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: proto.String("google/protobuf/struct.proto")},
		{Name: proto.String("vendor/validate.proto")},
		{
			Name:        proto.String("service.proto"),
			Dependency:  []string{"google/protobuf/struct.proto", "vendor/validate.proto"},
			MessageType: messages,
		},
		{Name: proto.String("console.proto"), Dependency: []string{"service.proto"}},
	}}
	want := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: proto.String("google/protobuf/struct.proto")},
		{
			Name:        proto.String("orca_contract/service.proto"),
			Dependency:  []string{"google/protobuf/struct.proto"},
			MessageType: messages,
		},
		{Name: proto.String("orca_contract/console.proto"), Dependency: []string{"orca_contract/service.proto"}},
	}}

	raw, err := proto.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(bytes.NewReader(raw), &out, "orca_contract", "vendor/"); err != nil {
		t.Fatal(err)
	}
	var got descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Errorf("descriptor set (-want +got):\n%s", diff)
	}
}

func TestRunRefusesWhatItWouldBreak(t *testing.T) {
	t.Parallel()
	raw, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name:             proto.String("service.proto"),
		Dependency:       []string{"vendor/validate.proto"},
		PublicDependency: []int32{0},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := run(bytes.NewReader(raw), &bytes.Buffer{}, "orca_contract", "vendor/"); err == nil {
		t.Error("a public import, which counts imports by place, went through")
	}
}
