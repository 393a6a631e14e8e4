package project

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// InferName returns what the project in a folder is called: what its go.mod, pyproject.toml or package.json says, else
// the folder's own name.
func InferName(dir string) (string, error) {
	for _, from := range []struct {
		file string
		name func(text string) string
	}{
		{"go.mod", moduleName}, {"pyproject.toml", pythonName}, {"package.json", packageName},
	} {
		text, err := os.ReadFile(filepath.Join(dir, from.file))
		if err != nil {
			continue // it is not there, or says nothing to us
		}
		if name := from.name(string(text)); name != "" {
			return name, nil
		}
	}
	whole, err := filepath.Abs(dir)
	return filepath.Base(whole), err
}

var (
	moduleLine  = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)
	majorSuffix = regexp.MustCompile(`/v[0-9]+$`)
	pythonTable = regexp.MustCompile(`(?s)(?:^|\n)\[project\]\s*\n(.*?)(?:\n\[|$)`)
	nameLine    = regexp.MustCompile(`(?m)^name\s*=\s*["']([^"']+)["']`)
)

// moduleName is the last word of a module's path, without its major version.
func moduleName(text string) string {
	m := moduleLine.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	words := strings.Split(majorSuffix.ReplaceAllString(m[1], ""), "/")
	return words[len(words)-1]
}

func pythonName(text string) string {
	table := pythonTable.FindStringSubmatch(text)
	if table == nil {
		return ""
	}
	if m := nameLine.FindStringSubmatch(table[1]); m != nil {
		return m[1]
	}
	return ""
}

// packageName is a package's name without its scope.
func packageName(text string) string {
	var p struct{ Name string }
	if json.Unmarshal([]byte(text), &p) != nil {
		return ""
	}
	words := strings.Split(p.Name, "/")
	return words[len(words)-1]
}

// CloneOf returns the clone of Orca's repository that a program was built in, as "make build" does, into its folder bin;
// empty if it was not.
func CloneOf(program string) string {
	clone := filepath.Dir(filepath.Dir(program))
	if filepath.Base(filepath.Dir(program)) != "bin" {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(clone, "go.mod"))
	if m := moduleLine.FindStringSubmatch(string(text)); err != nil || m == nil || m[1] != "github.com/orca-telemetry/orca" {
		return ""
	}
	return clone
}
