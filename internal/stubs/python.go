package stubs

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/orca-telemetry/orca/internal/orca"
)

// In Python the stubs are a package with a module for each processor.
var pythonDialect = dialect{
	spell:         snake,
	versionPrefix: "_v",
	words: set("False None True and as assert async await break class continue def del elif else except finally for from global if",
		"import in is lambda nonlocal not or pass raise return try while with yield", // keywords
		"match case type", // soft ones
		"abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex copyright credits",
		"delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr globals hasattr hash help hex id input",
		"int isinstance issubclass iter len license list locals map max memoryview min next object oct open ord pow print property quit",
		"range repr reversed round set setattr slice sorted staticmethod str sum super tuple vars zip", // builtins
		"orca Any"), // what the modules import
	notModules: set(windowsModule),
	separator:  "_",
	extension:  ".py",
	windows:    pythonWindows,
	processor:  pythonProcessor,
	also: []File{{
		Path: "__init__.py", Optional: true,
		Text: "# " + mark + "\n\"\"\"The algorithms of other projects, a module for each processor, and their window types.\"\"\"\n",
	}},
}

func pythonWindows(types []windowType) File {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\"\"\"The window types of other projects.\"\"\"\n\nimport orca\n", mark)
	for _, t := range types {
		args := []string{quotedPython(t.of.ID.Name), quotedPython(t.of.ID.Version)}
		if t.of.Description != "" {
			args = append(args, "description="+quotedPython(t.of.Description))
		}
		if len(t.of.Fields) > 0 {
			args = append(args, pythonFields(t.of.Fields))
		}
		b.WriteString("\n" + pythonCall("", t.name+" = orca.WindowType", args) + "\n")
		pythonComment(&b, "Window t"+strings.TrimPrefix(t.summary(), "window t"), t.of.Description)
	}
	return File{Path: windowsModule + ".py", Text: b.String()}
}

func pythonFields(fields []orca.MetadataField) string {
	var b strings.Builder
	b.WriteString("fields=[\n")
	for _, f := range fields {
		args := []string{quotedPython(f.Name)}
		if f.Description != "" {
			args = append(args, "description="+quotedPython(f.Description))
		}
		if f.Filter {
			args = append(args, "filter=True")
		}
		if f.NoStore {
			args = append(args, "no_store=True")
		}
		b.WriteString(pythonCall("        ", "orca.Field", args) + ",\n")
	}
	return b.String() + "    ]"
}

func pythonProcessor(m module) File {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", mark)
	fmt.Fprintf(&b, "\"\"\"%s\"\"\"\n", docstring("N"+strings.TrimPrefix(m.title(), "n")))
	for _, a := range m.algorithms {
		if strings.Contains(pythonResult(a.of.ResultType), "Any") {
			b.WriteString("\nfrom typing import Any\n")
			break
		}
	}
	b.WriteString("\nimport orca\n")
	for _, a := range m.algorithms {
		args := []string{quotedPython(a.of.ID.Processor), quotedPython(a.of.ID.Name), quotedPython(a.of.ID.Version)}
		if result := pythonResult(a.of.ResultType); result != "" {
			args = append(args, result)
		}
		b.WriteString("\n" + pythonCall("", a.name+" = orca.remote", args) + "\n")
		pythonComment(&b, a.summary(), a.of.Description)
	}
	return File{Path: m.name + ".py", Text: b.String()}
}

// pythonResult is the type of results. A struct's fields are not announced.
func pythonResult(t orca.ResultType) string {
	switch t {
	case orca.ResultValue:
		return "float"
	case orca.ResultArray:
		return "list[float]"
	case orca.ResultStruct:
		return "dict[str, Any]"
	case orca.ResultNone:
		return "None"
	}
	return "" // of a core that knows more types than this program
}

// pythonWidth is how long a line of formatted Python may be.
const pythonWidth = 88

// pythonCall writes a call as formatters do: on one line if it fits, else an argument a line.
func pythonCall(indent, function string, args []string) string {
	one := indent + function + "(" + strings.Join(args, ", ") + ")"
	if utf8.RuneCountInString(one) < pythonWidth && !strings.Contains(one, "\n") {
		return one
	}
	var b strings.Builder
	b.WriteString(indent + function + "(\n")
	for _, a := range args {
		b.WriteString(indent + "    " + a + ",\n")
	}
	return b.String() + indent + ")"
}

// pythonComment writes the text below a variable that tools show for it.
func pythonComment(b *strings.Builder, summary, description string) {
	all := comment(summary, description)
	for i, l := range all {
		all[i] = docstring(l)
	}
	if len(all) == 1 {
		fmt.Fprintf(b, "\"\"\"%s\"\"\"\n", all[0])
		return
	}
	fmt.Fprintf(b, "\"\"\"%s\n\"\"\"\n", strings.Join(all, "\n"))
}

// docstring makes a line fit to stand between triple quotes.
func docstring(l string) string {
	l = strings.ReplaceAll(l, `\`, `\\`)
	if strings.HasSuffix(l, `"`) || strings.Contains(l, `"""`) {
		l = strings.ReplaceAll(l, `"`, `\"`)
	}
	return l
}
