package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// sdk is a test processor, and how to start it.
type sdk struct {
	name    string
	core    string // path of the core's program
	needs   string // a file that is there once all is installed
	command []string
	env     []string // more variables for the command
	// exclusions are the scenarios that it does not pass, with the reason.
	exclusions map[string]string
}

// TestConformance plays every scenario with every SDK.
func TestConformance(t *testing.T) {
	t.Parallel()
	scenarios, err := load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	programs := build(t)
	for _, make := range sdks {
		with := make(t, programs)
		with.core = filepath.Join(programs, "orca")
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			if unknown := with.unknown(scenarios); len(unknown) > 0 {
				t.Errorf("its exclusions name %s, and there is no such scenario", strings.Join(unknown, ", "))
			}
			needFile(t, with.needs)
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					with.try(t, s)
				})
			}
		})
	}
}

// try plays a scenario, which goes well unless it is excluded.
func (with sdk) try(t *testing.T, s scenario) {
	reason, excluded := with.exclusions[s.name]
	wait := patience
	if excluded {
		wait = briefly
	}
	err := play(t.Context(), s, with, t.TempDir(), wait)
	switch {
	case excluded && err == nil:
		t.Errorf("it passes, although exclusions.yaml says: %s", reason)
	case excluded:
		t.Skipf("excluded: %s; it fails with: %.500v", reason, err)
	case err != nil:
		t.Error(err)
	}
}

// unknown are the exclusions that stand for no scenario.
func (with sdk) unknown(scenarios []scenario) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(with.exclusions)) {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			names = append(names, name)
		}
	}
	return names
}

// sdks make the test processors.
var sdks = []func(t *testing.T, programs string) sdk{
	func(t *testing.T, programs string) sdk {
		return sdk{name: "go", command: []string{filepath.Join(programs, "go")}, exclusions: exclusions(t, "processors/go")}
	},
	func(t *testing.T, programs string) sdk {
		command := []string{filepath.Join(programs, "bare"), "--fields", "new"}
		return sdk{name: "bare", command: command, exclusions: exclusions(t, "processors/bare")}
	},
	func(t *testing.T, programs string) sdk {
		command := []string{filepath.Join(programs, "bare"), "--fields", "old"}
		return sdk{name: "bare-old", command: command, exclusions: exclusions(t, "processors/bare-old")}
	},
	python("python", "sdk/python"),
	python("python-oldest", "sdk/python-oldest"),
	nodejs,
}

// nodejs is the TypeScript SDK, as make built it.
func nodejs(t *testing.T, _ string) sdk {
	t.Helper()
	program, err := filepath.Abs("../sdk/nodejs/build/programs/conformance/processors/nodejs/processor.js")
	if err != nil {
		t.Fatal(err)
	}
	return sdk{
		name: "nodejs", needs: program, command: []string{"node", program}, exclusions: exclusions(t, "processors/nodejs"),
	}
}

// python is the Python SDK with the packages of an environment that make installs.
func python(name, environment string) func(*testing.T, string) sdk {
	return func(t *testing.T, _ string) sdk {
		t.Helper()
		root, err := filepath.Abs("..")
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(root, ".cache", filepath.FromSlash(environment))
		return sdk{
			name:  name,
			needs: filepath.Join(folder, ".installed"),
			command: []string{
				filepath.Join(folder, "bin", "python"),
				filepath.Join(root, "conformance", "processors", "python", "processor.py"),
			},
			env:        []string{"PYTHONPATH=" + filepath.Join(root, "sdk", "python", "src")},
			exclusions: exclusions(t, "processors/python"),
		}
	}
}

// exclusions reads what a test processor does not pass: the names of scenarios, with the reason.
func exclusions(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "exclusions.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", dir, err)
	}
	for name, reason := range out {
		if reason == "" {
			t.Errorf("%s: %s is excluded without a reason", dir, name)
		}
	}
	return out
}

// build builds the core and the test processors in Go, into a folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../cmd/orca", "./processors/...")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return dir
}

// needFile skips a test whose program is not installed, and fails it where everything has to be.
func needFile(t *testing.T, path string) {
	t.Helper()
	_, err := os.Stat(path)
	if path == "" || err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(fmt.Errorf("run make test, which installs it: %w", err))
	}
	t.Skipf("run make test, which installs it: %v", err)
}
