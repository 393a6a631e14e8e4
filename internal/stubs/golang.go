package stubs

import (
	"fmt"
	"go/format"
	"strconv"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// In Go every module is a package, in a folder of its own.
var goDialect = dialect{
	spell:         func(name string) string { return name }, // exported as it is, and never a keyword
	versionPrefix: "V",
	words: set("break case chan const continue default defer else fallthrough for func go goto if import interface map package range",
		"return select struct switch type var", // keywords
		"any bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8 uint16",
		"uint32 uint64 uintptr true false iota nil append cap clear close complex copy delete imag len make max min new panic print",
		"println real recover"), // what a package of that name would hide
	notModules: set(windowsModule, "orca main init internal vendor testdata"),
	extension:  ".go",
	windows:    goWindows,
	processor:  goProcessor,
}

func goWindows(types []windowType) File {
	var b strings.Builder
	goHead(&b, windowsModule, "names the window types of other projects.")
	for _, t := range types {
		goComment(&b, t.name+" is "+t.summary(), t.of.Description)
		fmt.Fprintf(&b, "var %s = orca.WindowType{\nName: %q, Version: %q,\n", t.name, t.of.ID.Name, t.of.ID.Version)
		if t.of.Description != "" {
			fmt.Fprintf(&b, "Description: %s,\n", strconv.Quote(t.of.Description))
		}
		if len(t.of.Fields) > 0 {
			b.WriteString("Fields: []orca.Field{\n")
			for _, f := range t.of.Fields {
				fmt.Fprintf(&b, "{%s},\n", goField(f))
			}
			b.WriteString("},\n")
		}
		b.WriteString("}\n")
	}
	return goFile(windowsModule, b.String())
}

func goField(f orca.MetadataField) string {
	text := "Name: " + strconv.Quote(f.Name)
	if f.Description != "" {
		text += ", Description: " + strconv.Quote(f.Description)
	}
	if f.Filter {
		text += ", Filter: true"
	}
	if f.NoStore {
		text += ", NoStore: true"
	}
	return text
}

func goProcessor(m module) File {
	var b strings.Builder
	goHead(&b, m.name, m.title())
	for _, a := range m.algorithms {
		goComment(&b, a.name+" is "+a.summary(), a.of.Description)
		fmt.Fprintf(&b, "var %s = orca.Remote[%s](orca.AlgorithmID{Processor: %s, Name: %q, Version: %q})\n",
			a.name, goResult(a.of.ResultType), strconv.Quote(a.of.ID.Processor), a.of.ID.Name, a.of.ID.Version)
	}
	return goFile(m.name, b.String())
}

// goResult is the type of results. A struct's fields are not announced.
func goResult(t orca.ResultType) string {
	switch t {
	case orca.ResultValue:
		return "float32"
	case orca.ResultArray:
		return "[]float32"
	case orca.ResultStruct:
		return "map[string]any"
	case orca.ResultNone:
		return "orca.Nothing"
	}
	return "any" // of a core that knows more types than this program
}

func goHead(b *strings.Builder, name, title string) {
	fmt.Fprintf(b, "// %s\n\n// Package %s %s\npackage %s\n\nimport orca \"github.com/orca-telemetry/orca/sdk/go\"\n", mark, name, title, name)
}

func goComment(b *strings.Builder, summary, description string) {
	b.WriteString("\n")
	for _, l := range comment(summary, description) {
		b.WriteString(strings.TrimRight("// "+l, " ") + "\n")
	}
}

func goFile(name, source string) File {
	text, err := format.Source([]byte(source))
	if err != nil {
		panic(fmt.Sprintf("stubs of %s: %v\n%s", name, err, source)) // what is written here is Go whatever is announced
	}
	return File{Path: name + "/" + name + ".go", Text: string(text)}
}
