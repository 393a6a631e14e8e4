package project

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/usertest"
)

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tree returns the files below a folder with their texts.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path) // it lies below
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTheLanguageOfAFolder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		files string
		want  Language
	}{
		{"go.mod", Go}, {"pyproject.toml", Python}, {"package.json", TypeScript}, {"tsconfig.json", TypeScript},
		{"package.json tsconfig.json", TypeScript}, {"", ""}, {"go.mod package.json", ""}, {"pyproject.toml go.mod", ""},
	} {
		dir := t.TempDir()
		for _, f := range strings.Fields(test.files) {
			put(t, dir, map[string]string{f: ""})
		}
		got, err := FindLanguage(dir)
		if got != test.want || (err == nil) != (test.want != "") || err != nil && !errors.Is(err, ErrNoLanguage) {
			t.Errorf("with %q: %q, %v; want %q", test.files, got, err, test.want)
		}
	}
}

func TestTheNameOfAProject(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, text, want string }{
		{"go.mod", "// why\nmodule example.com/teams/pit-wall/v2\n\ngo 1.26\n", "pit-wall"},
		{"go.mod", "module \"racing\"\n", "racing"},
		{"pyproject.toml", "[build-system]\nname = \"other\"\n\n[project]\nversion = \"1\"\nname = \"pit_wall\"\n\n[tool.x]\nname = \"y\"\n", "pit_wall"},
		{"pyproject.toml", "[tool.x]\nname = \"y\"\n", "folder"},
		{"package.json", `{"name": "@team/alerts"}`, "alerts"},
		{"package.json", `{`, "folder"},
		{"README", "", "folder"},
	} {
		dir := filepath.Join(t.TempDir(), "folder")
		put(t, dir, map[string]string{test.file: test.text})
		if got, err := InferName(dir); got != test.want || err != nil {
			t.Errorf("with %s\n%s: %q, %v; want %q", test.file, test.text, got, err, test.want)
		}
	}
}

func TestReadingWhatWasWritten(t *testing.T) {
	t.Parallel()
	for _, p := range []Project{
		{Name: "a \"quoted\" name", Core: "grpcs://core.example:33670", ProcessorPort: "0", ProcessorAddress: "worker:5377"}, {Name: "x"},
	} {
		dir := t.TempDir()
		put(t, dir, map[string]string{File: p.text()})
		got, err := Read(dir)
		if diff := cmp.Diff(p, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if got, err := Read(t.TempDir()); got != (Project{}) || err != nil {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	dir := t.TempDir()
	put(t, dir, map[string]string{File: `{"processorPort": "5378", "projectName": null, "theirs": [1]}`})
	if got, err := Read(dir); got != (Project{ProcessorPort: "5378"}) || err != nil {
		t.Errorf("a port as text and a field of others: %+v, %v", got, err)
	}
}

func TestInitWritesOverNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, map[string]string{"processor.py": "# mine\n"})
	before := tree(t, dir)
	plan := Plan{Dir: dir, Project: Project{Name: "Plant 7", ProcessorPort: "5377"}, Template: Python}
	if _, err := Init(plan); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want %v", err, ErrExists)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("a refused init changed (-before +after):\n%s", diff)
	}

	put(t, dir, map[string]string{"pyproject.toml": "# theirs\n", File: "{}"})
	plan.Force = true
	w, err := Init(plan)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Written{Files: []string{"orca.json", "processor.py"}, Kept: []string{"pyproject.toml"}, Next: plan.next(nil)}, w); diff != "" {
		t.Errorf("forced (-want +got):\n%s", diff)
	}
	after := tree(t, dir)
	if after["pyproject.toml"] != "# theirs\n" || !strings.Contains(after["processor.py"], `orca.Processor("plant-7")`) ||
		after[File] != "{\n  \"projectName\": \"Plant 7\",\n  \"processorPort\": 5377\n}\n" {
		t.Errorf("forced, there is %v", after)
	}
}

// Templates pass the strictest checks of their language as they are written.
func TestTemplatesAreChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		language Language
		prepare  func(testing.TB, string)
		check    func(testing.TB, string) []string
	}{
		{Go, usertest.GoModule, usertest.CheckGo},
		{Python, func(testing.TB, string) {}, usertest.CheckPython},
		{TypeScript, usertest.NodePackage, usertest.CheckTypeScript},
	} {
		t.Run(string(test.language), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if _, err := Init(Plan{Dir: dir, Project: Project{Name: "plant"}, Template: test.language}); err != nil {
				t.Fatal(err)
			}
			test.prepare(t, dir)
			if found := test.check(t, dir); found != nil {
				t.Errorf("wrong are %q", found)
			}
		})
	}
}

func TestTheCloneOfAProgram(t *testing.T) {
	t.Parallel()
	root := usertest.Root(t)
	other := t.TempDir()
	put(t, other, map[string]string{"go.mod": "module example.com/other\n"})
	for program, want := range map[string]string{
		filepath.Join(root, "bin", "orca"):  root,
		filepath.Join(root, "orca"):         "",
		filepath.Join(other, "bin", "orca"): "",
		"/usr/local/bin/orca":               "",
	} {
		if got := CloneOf(program); got != want {
			t.Errorf("%s: %q, want %q", program, got, want)
		}
	}
}
