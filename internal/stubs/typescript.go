package stubs

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/orca-telemetry/orca/internal/orca"
)

// In TypeScript every processor has a module. They import the SDK as a whole, so that no name of it is in the way.
var typeScriptDialect = dialect{
	spell:         camel,
	versionPrefix: "V",
	words: set("break case catch class const continue debugger default delete do else enum export extends false finally for function if",
		"import in instanceof new null return super switch this throw true try typeof var void while with",            // keywords
		"implements interface let package private protected public static yield await async arguments eval undefined", // in strict mode
		"require exports module globalThis", // what a module has by itself
		"orca"),                             // what the modules import
	notModules: set(windowsModule, "index"),
	separator:  "-",
	extension:  ".ts",
	windows:    typeScriptWindows,
	processor:  typeScriptProcessor,
}

func typeScriptWindows(types []windowType) File {
	var b strings.Builder
	typeScriptHead(&b, "The window types of other projects.")
	for _, t := range types {
		typeScriptComment(&b, "Window t"+strings.TrimPrefix(t.summary(), "window t"), t.of.Description)
		args := []string{quotedJSON(t.of.ID.Name), quotedJSON(t.of.ID.Version)}
		var options []string
		if t.of.Description != "" {
			options = append(options, "description: "+quotedJSON(t.of.Description))
		}
		if len(t.of.Fields) > 0 {
			options = append(options, typeScriptFields(t.of.Fields))
		}
		if options != nil {
			args = append(args, "{\n  "+strings.Join(options, ",\n  ")+",\n}")
		}
		fmt.Fprintf(&b, "export const %s = new orca.WindowType(%s);\n", t.name, strings.Join(args, ", "))
	}
	return File{Path: windowsModule + ".ts", Text: b.String()}
}

func typeScriptFields(fields []orca.MetadataField) string {
	var b strings.Builder
	b.WriteString("fields: [\n")
	for _, f := range fields {
		var options []string
		if f.Description != "" {
			options = append(options, "description: "+quotedJSON(f.Description))
		}
		if f.Filter {
			options = append(options, "filter: true")
		}
		if f.NoStore {
			options = append(options, "noStore: true")
		}
		text := quotedJSON(f.Name)
		if options != nil {
			text += ", undefined, { " + strings.Join(options, ", ") + " }"
		}
		fmt.Fprintf(&b, "    orca.field(%s),\n", text)
	}
	return b.String() + "  ]"
}

func typeScriptProcessor(m module) File {
	var b strings.Builder
	typeScriptHead(&b, "N"+strings.TrimPrefix(m.title(), "n"))
	for _, a := range m.algorithms {
		typeScriptComment(&b, a.summary(), a.of.Description)
		args := []string{quotedJSON(a.of.ID.Processor), quotedJSON(a.of.ID.Name), quotedJSON(a.of.ID.Version)}
		if kind := typeScriptResult(a.of.ResultType); kind != "" {
			args = append(args, kind)
		}
		b.WriteString(typeScriptCall("export const "+a.name+" = orca.remote", args) + ";\n")
	}
	return File{Path: m.name + ".ts", Text: b.String()}
}

// typeScriptResult is the kind of results. A struct's fields are not announced.
func typeScriptResult(t orca.ResultType) string {
	switch t {
	case orca.ResultValue:
		return "orca.value"
	case orca.ResultArray:
		return "orca.array"
	case orca.ResultStruct:
		return "orca.struct()"
	case orca.ResultNone:
		return "orca.none"
	}
	return "" // of a core that knows more types than this program
}

// typeScriptWidth is how long a line of formatted TypeScript may be.
const typeScriptWidth = 80

// typeScriptCall writes a call as formatters do: on one line if it fits, else an argument a line.
func typeScriptCall(function string, args []string) string {
	one := function + "(" + strings.Join(args, ", ") + ")"
	if utf8.RuneCountInString(one) < typeScriptWidth {
		return one
	}
	return function + "(\n  " + strings.Join(args, ",\n  ") + ",\n)"
}

func typeScriptHead(b *strings.Builder, title string) {
	fmt.Fprintf(b, "// %s\n// %s\n\nimport * as orca from \"@orca-telemetry/sdk\";\n", mark, title)
}

func typeScriptComment(b *strings.Builder, summary, description string) {
	all := comment(summary, description)
	for i, l := range all {
		all[i] = strings.ReplaceAll(l, "*/", "*\\/")
	}
	if len(all) == 1 {
		fmt.Fprintf(b, "\n/** %s */\n", all[0])
		return
	}
	b.WriteString("\n/**\n")
	for _, l := range all {
		b.WriteString(strings.TrimRight(" * "+l, " ") + "\n")
	}
	b.WriteString(" */\n")
}
