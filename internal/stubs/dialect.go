package stubs

import "github.com/orca-telemetry/orca/internal/project"

// dialect is how stubs read in one language.
type dialect struct {
	// spell makes an identifier of a PascalCase name.
	spell func(string) string
	// versionPrefix stands between a name and its version.
	versionPrefix string
	// words are what the language, or the module itself, keeps: no identifier or module is called so.
	words map[string]bool
	// notModules are further names that no module of a processor has.
	notModules map[string]bool
	// separator stands between the words of a module's name.
	separator string
	// extension is what the names of files end with.
	extension string

	windows   func([]windowType) File
	processor func(module) File
	// also are files that are there besides.
	also []File
}

// windowsModule declares the window types.
const windowsModule = "windows"

var dialects = map[project.Language]dialect{
	project.Go:         goDialect,
	project.Python:     pythonDialect,
	project.TypeScript: typeScriptDialect,
}
