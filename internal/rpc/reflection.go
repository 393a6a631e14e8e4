package rpc

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Where our files import the validation rules from, and where the linked Go package registers them.
const (
	importedRules   = "vendor/validate.proto"
	registeredRules = "buf/validate/validate.proto"
)

// registerReflection adds gRPC reflection, both versions of it, with descriptors whose imports a client can follow.
func registerReflection(s *grpc.Server) error {
	files, err := reflectedFiles()
	if err != nil {
		return fmt.Errorf("prepare reflection: %w", err)
	}
	options := reflection.ServerOptions{Services: s, DescriptorResolver: files}
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(options))
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(options))
	return nil
}

// overlay finds files and names in own first, then among those linked into the program.
type overlay struct{ own *protoregistry.Files }

// reflectedFiles rebuilds our files with the rules under the name by which they import them: in the descriptors
// linked into the program that import leads nowhere.
func reflectedFiles() (overlay, error) {
	o := overlay{own: new(protoregistry.Files)}
	rules, err := protoregistry.GlobalFiles.FindFileByPath(registeredRules)
	if err != nil {
		return o, err
	}
	for _, f := range []struct {
		path string
		file protoreflect.FileDescriptor
	}{
		{importedRules, rules},
		{pb.File_service_proto.Path(), pb.File_service_proto},
		{pb.File_console_proto.Path(), pb.File_console_proto},
	} {
		definition := protodesc.ToFileDescriptorProto(f.file)
		definition.Name = &f.path
		rebuilt, err := protodesc.NewFile(definition, o)
		if err != nil {
			return o, fmt.Errorf("%s: %w", f.path, err)
		}
		if err := o.own.RegisterFile(rebuilt); err != nil {
			return o, fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return o, nil
}

func (o overlay) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if f, err := o.own.FindFileByPath(path); err == nil {
		return f, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (o overlay) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := o.own.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}
