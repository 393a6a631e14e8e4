// Package usertest helps tests with folders as users of the SDKs have them: it makes the SDKs of this repository
// available in such a folder, and has the type checkers look at what is in it. Where the tools of a language are not
// installed, it skips the test and says how to install them.
package usertest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Root returns the folder of the repository.
func Root(tb testing.TB) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("the test does not know where it was built")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// GoModule makes a folder a module of its own that uses the Go SDK of this repository, without a network.
func GoModule(tb testing.TB, dir string) {
	tb.Helper()
	root := Root(tb)
	text := read(tb, filepath.Join(root, "go.mod"))
	_, rest, _ := strings.Cut(text, "\n")
	write(tb, filepath.Join(dir, "go.mod"), "module example.com/user\n"+rest+
		"\nrequire github.com/orca-telemetry/orca v0.0.0\n\nreplace github.com/orca-telemetry/orca => "+root+"\n")
	write(tb, filepath.Join(dir, "go.sum"), read(tb, filepath.Join(root, "go.sum")))
}

// Python returns the Python that the Python SDK's tests run with, and the variables that make it find the SDK.
func Python(tb testing.TB) (program string, env []string) {
	tb.Helper()
	program = installed(tb, "make sdk-python", ".cache", "sdk", "python", "bin", "python")
	return program, []string{"PYTHONPATH=" + filepath.Join(Root(tb), "sdk", "python", "src"), "PYTHONDONTWRITEBYTECODE=1"}
}

// NodePackage makes the TypeScript SDK of this repository a package that is installed in a folder.
func NodePackage(tb testing.TB, dir string) {
	tb.Helper()
	installed(tb, "make sdk-nodejs", "sdk", "nodejs", "dist", "esm", "index.js")
	packages := filepath.Join(Root(tb), "sdk", "nodejs")
	for name, target := range map[string]string{
		"@orca-telemetry/sdk": packages,
		"@types/node":         filepath.Join(packages, "node_modules", "@types", "node"),
	} {
		link := filepath.Join(dir, "node_modules", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			tb.Fatal(err)
		}
	}
}

// TypeScript returns the compiler, a program for Node.
func TypeScript(tb testing.TB) string {
	tb.Helper()
	return installed(tb, "make sdk-nodejs", "sdk", "nodejs", "node_modules", "typescript", "bin", "tsc")
}

// installed returns the path of what a target of the Makefile installs, and skips the test where it is not there.
func installed(tb testing.TB, target string, path ...string) string {
	tb.Helper()
	file := filepath.Join(append([]string{Root(tb)}, path...)...)
	if _, err := os.Stat(file); err != nil {
		tb.Skipf("%v; run %s", err, target)
	}
	return file
}

// CheckGo builds and vets the packages of a folder that GoModule has prepared, and returns the lines that are wrong.
func CheckGo(tb testing.TB, dir string) []string {
	tb.Helper()
	var found []string
	for _, args := range [][]string{{"build", "-gcflags=-e", "./..."}, {"vet", "./..."}} { // vet stops at the first error of a type
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		lines := findings(string(out), regexp.MustCompile(`(?m)^(?:vet: )?(?:\./)?(\S+\.go:\d+):`))
		if err != nil && lines == nil {
			tb.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
		found = append(found, lines...)
	}
	return unique(found)
}

// CheckPython has pyright look at a folder, in its strict mode, and returns the lines that are wrong.
func CheckPython(tb testing.TB, dir string) []string {
	tb.Helper()
	pyright := installed(tb, "make sdk-python", ".cache", "npm", "node_modules", ".bin", "pyright")
	python, _ := Python(tb)
	settings, err := json.Marshal(map[string]any{
		"include": []string{"."}, "exclude": []string{"**/.*"}, "typeCheckingMode": "strict", "pythonVersion": "3.10",
		"extraPaths": []string{filepath.Join(Root(tb), "sdk", "python", "src")},
	})
	if err != nil {
		tb.Fatal(err)
	}
	write(tb, filepath.Join(dir, "pyrightconfig.json"), string(settings))
	cmd := exec.Command(pyright, "--pythonpath", python, "--outputjson")
	cmd.Dir = dir
	out, err := cmd.Output()
	var report struct {
		GeneralDiagnostics []struct {
			File, Severity string
			Range          struct{ Start struct{ Line int } }
		}
		Summary struct{ FilesAnalyzed int }
	}
	if json.Unmarshal(out, &report) != nil || report.Summary.FilesAnalyzed == 0 {
		tb.Fatalf("pyright: %v\n%s", err, out)
	}
	var found []string
	for _, d := range report.GeneralDiagnostics {
		found = append(found, place(tb, dir, d.File, d.Range.Start.Line+1))
	}
	return unique(found)
}

// CheckTypeScript compiles a folder that NodePackage has prepared, as strictly as the compiler can, and returns the lines
// that are wrong. The JavaScript is in the folder dist.
func CheckTypeScript(tb testing.TB, dir string) []string {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(dir, "tsconfig.json")); err != nil {
		write(tb, filepath.Join(dir, "tsconfig.json"), `{"compilerOptions": {"target": "es2022", "module": "nodenext", "strict": true,
			"exactOptionalPropertyTypes": true, "noUncheckedIndexedAccess": true, "noPropertyAccessFromIndexSignature": true,
			"noUnusedLocals": true, "verbatimModuleSyntax": true, "isolatedModules": true, "declaration": true,
			"types": ["node"], "rootDir": ".", "outDir": "dist"}}`)
		write(tb, filepath.Join(dir, "package.json"), `{"type": "module"}`)
	}
	cmd := exec.Command("node", TypeScript(tb), "-p", ".", "--pretty", "false")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	found := findings(string(out), regexp.MustCompile(`(?m)^(\S+\.ts\(\d+),\d+\)`))
	if err != nil && found == nil {
		tb.Fatalf("tsc: %v\n%s", err, out)
	}
	for i, f := range found {
		found[i] = strings.Replace(f, "(", ":", 1)
	}
	return found
}

// Marked returns the lines of a folder's files that have a mark, as the checkers name lines that are wrong.
func Marked(tb testing.TB, dir, mark string) []string {
	tb.Helper()
	var marked []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		for i, line := range strings.Split(read(tb, path), "\n") {
			if strings.Contains(line, mark) {
				marked = append(marked, place(tb, dir, path, i+1))
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return unique(marked)
}

func findings(output string, pattern *regexp.Regexp) []string {
	var found []string
	for _, m := range pattern.FindAllStringSubmatch(output, -1) {
		found = append(found, m[1])
	}
	return unique(found)
}

// place names a line of a file below a folder.
func place(tb testing.TB, dir, file string, line int) string {
	tb.Helper()
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, base := range []string{dir, real} {
		if below, err := filepath.Rel(base, file); err == nil && filepath.IsLocal(below) {
			file = below
			break
		}
	}
	return filepath.ToSlash(file) + ":" + strconv.Itoa(line)
}

func unique(places []string) []string {
	slices.Sort(places)
	return slices.Compact(places)
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}
