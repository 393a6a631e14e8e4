package contract

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// The README has one table for each service, message and enum of both files, and a row for each thing in it.
func TestReadmeTablesMatchTheProtos(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, f := range []protoreflect.FileDescriptor{pb.File_service_proto, pb.File_console_proto} {
		for heading, rows := range tables(f) {
			want[f.Path()+" "+heading] = rows
		}
	}
	if diff := cmp.Diff(want, readmeTables(string(readme))); diff != "" {
		t.Errorf("README.md does not say what the protos do (- protos, + README.md):\n%s", diff)
	}
}

// tables gives the rows that the README owes a file, without the meanings in the last column.
func tables(f protoreflect.FileDescriptor) map[string][]string {
	out := map[string][]string{}
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		heading := "Service " + string(s.Name())
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			response := string(m.Output().Name())
			if m.IsStreamingServer() {
				response = "stream " + response
			}
			out[heading] = append(out[heading], row(string(m.Name()), string(m.Input().Name()), response))
		}
	}
	enumTables(out, "", f.Enums())
	for m := range allMessages(f.Messages()) {
		name := string(m.Name())
		out[name] = nil
		for i := range m.Fields().Len() {
			out[name] = append(out[name], fieldRow(m.Fields().Get(i)))
		}
		enumTables(out, name+".", m.Enums())
	}
	return out
}

func enumTables(out map[string][]string, prefix string, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		heading := "Enum " + prefix + string(e.Name())
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			out[heading] = append(out[heading], row(code(v.Name()), fmt.Sprint(v.Number())))
		}
	}
}

func fieldRow(fd protoreflect.FieldDescriptor) string {
	typ := fd.Kind().String()
	switch {
	case fd.Message() != nil:
		typ = string(fd.Message().Name())
	case fd.Enum() != nil:
		typ = string(fd.Enum().Name())
	}
	typ = label(fd) + typ
	if oneof := fd.ContainingOneof(); oneof != nil {
		typ += " (oneof " + string(oneof.Name()) + ")"
	}
	return row(code(fd.Name()), fmt.Sprint(fd.Number()), typ, ruleText(fd))
}

// ruleText is how the README words the rules of a field.
func ruleText(fd protoreflect.FieldDescriptor) string {
	var words []string
	rules := fieldRules(fd)
	if rules.GetRequired() {
		words = append(words, "required")
	}
	if s := rules.GetString(); s != nil && s.MinLen != nil {
		words = append(words, fmt.Sprintf("min_len %d", s.GetMinLen()))
	}
	if s := rules.GetString(); s != nil && s.MaxLen != nil {
		words = append(words, fmt.Sprintf("max_len %d", s.GetMaxLen()))
	}
	if rules.GetTimestamp() != nil {
		words = append(words, "after the epoch")
	}
	if fd.Options().(*descriptorpb.FieldOptions).GetDeprecated() {
		words = append(words, "deprecated")
	}
	return strings.Join(words, ", ")
}

func code(name protoreflect.Name) string { return "`" + string(name) + "`" }

func row(cells ...string) string { return strings.Join(cells, " | ") }

var (
	fileHeading  = regexp.MustCompile("^## `(.*)`$")
	tableHeading = regexp.MustCompile(`^### (.*)$`)
	tableRow     = regexp.MustCompile(`^\| (.*) \|$`)
)

// readmeTables reads the tables below the headings that name a file, by "file heading"; it leaves out their first
// rows, which name the columns, and the last column.
func readmeTables(readme string) map[string][]string {
	out := map[string][]string{}
	var file, heading string
	header := true
	for line := range strings.Lines(readme) {
		line = strings.TrimRight(line, "\n")
		switch {
		case fileHeading.MatchString(line):
			file, heading = fileHeading.FindStringSubmatch(line)[1], ""
		case strings.HasPrefix(line, "## "):
			file, heading = "", ""
		case tableHeading.MatchString(line) && file != "":
			heading, header = file+" "+tableHeading.FindStringSubmatch(line)[1], true
			out[heading] = nil
		case strings.HasPrefix(line, "|---"):
			header = false
		case tableRow.MatchString(line) && heading != "" && !header:
			out[heading] = append(out[heading], withoutMeaning(tableRow.FindStringSubmatch(line)[1]))
		}
	}
	return out
}

func withoutMeaning(cells string) string {
	columns := strings.Split(cells, "|")
	for i, c := range columns {
		columns[i] = strings.TrimSpace(c)
	}
	return row(columns[:len(columns)-1]...)
}
