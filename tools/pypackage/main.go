// Command pypackage prepares a descriptor set of the contract for Python's generators. It reads a serialized
// FileDescriptorSet from standard input and writes the changed one to standard output. It knows files and imports,
// and nothing of what the messages mean.
//
// Python keeps every generated file of a process in one pool, by file name and by symbol. So the contract's files
// move into the folder of their package (service.proto becomes orca_contract/service.proto), which also makes the
// generated imports those of the package; and the vendored validation rules go, because their symbols are those that
// the protovalidate package brings. The options written with these rules stay, byte by byte, as fields that a pool
// without the rules does not know: a process that has protovalidate reads them, any other passes over them.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	folder := flag.String("package", "", "the `folder` that the files move into")
	vendored := flag.String("vendored", "vendor/", "the `prefix` of the files that are left out, and their imports with them")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *folder, *vendored); err != nil {
		fmt.Fprintln(os.Stderr, "pypackage:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, folder, vendored string) error {
	if folder == "" {
		return fmt.Errorf("-package is empty; give the folder of the Python package")
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read the descriptor set: %w", err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return fmt.Errorf("read the descriptor set: %w", err)
	}
	if err := repackage(&set, folder, vendored); err != nil {
		return err
	}
	raw, err = proto.MarshalOptions{Deterministic: true}.Marshal(&set)
	if err != nil {
		return fmt.Errorf("write the descriptor set: %w", err)
	}
	_, err = out.Write(raw)
	return err
}

// repackage changes the set in place. Files of google/ keep their names: the protobuf package brings them.
func repackage(set *descriptorpb.FileDescriptorSet, folder, vendored string) error {
	set.File = slices.DeleteFunc(set.File, func(f *descriptorpb.FileDescriptorProto) bool {
		return strings.HasPrefix(f.GetName(), vendored)
	})
	for _, f := range set.File {
		if len(f.PublicDependency)+len(f.WeakDependency) > 0 {
			return fmt.Errorf("%s has public or weak imports, which count imports by place; import plainly", f.GetName())
		}
		f.Name = proto.String(rename(f.GetName(), folder))
		f.Dependency = slices.DeleteFunc(f.Dependency, func(name string) bool {
			return strings.HasPrefix(name, vendored)
		})
		for i, name := range f.Dependency {
			f.Dependency[i] = rename(name, folder)
		}
	}
	return nil
}

func rename(name, folder string) string {
	if strings.HasPrefix(name, "google/") {
		return name
	}
	return folder + "/" + name
}
