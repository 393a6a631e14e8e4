package stubs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/project"
)

var update = flag.Bool("update", false, "write the expected files instead of checking them")

// golden is where the stubs of the sample lie.
func golden(l project.Language) string { return filepath.Join("testdata", string(l)) }

func TestStubsOfTheSample(t *testing.T) {
	t.Parallel()
	for _, l := range project.Languages {
		s := Generate(l, sample())
		changes, err := Compare(golden(l), s)
		if err == nil && *update {
			err = Write(golden(l), s, changes)
			changes = nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Change(nil), changes); diff != "" {
			t.Errorf("the stubs in %s are not what is written now; go test ./internal/stubs -update writes them (-want +got):\n%s", golden(l), diff)
		}
	}
}

func TestWhatTheSDKsCannotNameIsLeftOut(t *testing.T) {
	t.Parallel()
	const name, version = "the name is not PascalCase, which the SDKs want", "the version is not plain semver, which the SDKs want"
	want := Stubs{WindowTypes: 3, Algorithms: 21, LeftOut: []string{
		`window type odd name 1.0.0: ` + name,
		`algorithm no name 1.0.0 of processor "nameless": ` + name,
		`algorithm Speed 1.0 of processor "pit-wall": ` + version,
		`algorithm lap speed 1.0.0 of processor "pit-wall": ` + name,
	}}
	for _, l := range project.Languages {
		got := Generate(l, sample())
		got.Files, got.Extension = nil, ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", l, diff)
		}
	}
}

func TestNothingExposedGivesNoFiles(t *testing.T) {
	t.Parallel()
	for _, l := range project.Languages {
		if diff := cmp.Diff(Stubs{Extension: dialects[l].extension}, Generate(l, []Processor{{Name: "empty"}})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", l, diff)
		}
	}
}

// The same registry in another order, or cut into other entries, gives the same bytes.
func TestTheOrderDoesNotCount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(project.Languages).Draw(t, "language")
		var cut []Processor
		for _, p := range sample() {
			for _, a := range p.Algorithms {
				cut = append(cut, Processor{Name: p.Name, Project: p.Project, Algorithms: []orca.Algorithm{a}})
			}
		}
		if diff := cmp.Diff(Generate(l, sample()), Generate(l, rapid.Permutation(cut).Draw(t, "entries"))); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", l, diff)
		}
	})
}

// Whatever algorithms and processors are called, no two identifiers of a module and no two modules are the same, and
// all of them can be written.
func TestNamesAreUniqueIdentifiers(t *testing.T) {
	t.Parallel()
	identifier := regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`)
	modules := map[project.Language]*regexp.Regexp{
		project.Go: regexp.MustCompile(`^[a-z][a-z0-9]*$`), project.Python: regexp.MustCompile(`^[a-z][a-z0-9_]*$`),
		project.TypeScript: regexp.MustCompile(`^[a-z][a-z0-9-]*$`),
	}
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"Speed", "SpeedV1", "Any", "ANY", "Type", "URL", "Url", "URLs", "V1", "X", "Lambda", "Orca", "HTTPRate", "HttpRate"}),
		rapid.StringMatching(`[A-Z][a-zA-Z0-9]{0,5}`))
	version := rapid.SampledFrom([]string{"1.0.0", "1.0.1", "10.0.0", "0.1.0"})
	processor := rapid.OneOf(
		rapid.SampledFrom([]string{"a-b", "a_b", "AB", "aB", "ab", "a b", "windows", "windows_processor", "windows-processor", "type", "class"}),
		rapid.StringN(1, 8, 255), rapid.StringMatching(`[a-z]{200}`))
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(project.Languages).Draw(t, "language")
		d := dialects[l]
		ids := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) versioned {
			return versioned{name.Draw(t, "name"), version.Draw(t, "version")}
		}), func(id versioned) versioned { return id }).Draw(t, "algorithms")
		var processors []Processor
		for _, p := range rapid.SliceOfDistinct(processor, func(p string) string { return p }).Draw(t, "processors") {
			processors = append(processors, Processor{Name: p})
		}
		names := d.identifiers(ids)
		var all []string
		for _, id := range ids {
			all = append(all, names[id])
		}
		allUnlike(t, d, identifier, all)
		allUnlike(t, d, modules[l], append(d.modules(processors), windowsModule))
	})
}

func allUnlike(t *rapid.T, d dialect, form *regexp.Regexp, names []string) {
	slices.Sort(names)
	for i, n := range names {
		if !form.MatchString(n) || d.words[n] {
			t.Fatalf("%q cannot be written", n)
		}
		if i > 0 && n == names[i-1] {
			t.Fatalf("%q is there twice", n)
		}
	}
}

// A processor that comes or goes changes no other module, unless their names collide.
func TestModulesKeepTheirNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		language project.Language
		want     map[string]string
	}{
		{project.Go, map[string]string{
			"racing": "racing", "pit-wall": "pitwall", "PitWall": "pitwall", "windows": "windowsprocessor", "internal": "internalprocessor", "3d": "processor3d",
		}},
		{project.Python, map[string]string{
			"racing": "racing", "pit-wall": "pit_wall", "PitWall": "pit_wall", "windows": "windows_processor", "class": "class_processor", "3d": "processor_3d",
		}},
		{project.TypeScript, map[string]string{
			"racing": "racing", "pit_wall": "pit-wall", "PitWall": "pit-wall", "windows": "windows-processor", "index": "index-processor", "3d": "processor-3d",
		}},
	} {
		d := dialects[test.language]
		got := map[string]string{}
		for name := range test.want {
			got[name] = d.modules([]Processor{{Name: name}})[0]
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.language, diff)
		}
	}
	want := []string{"pit_wall_" + digits("pit-wall"), "pit_wall"}
	if diff := cmp.Diff(want, pythonDialect.modules([]Processor{{Name: "pit-wall"}, {Name: "pit_wall"}})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompareAndWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there yet")
	all := Generate(project.Python, sample())
	changes := mustCompare(t, dir, all)
	for _, c := range changes {
		if c.Kind != Missing {
			t.Errorf("%s is %s in a folder that is not there", c.Path, c.Kind)
		}
	}
	if err := Write(dir, all, changes); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "mine.py")
	write(t, own, "# mine\n")
	if got := mustCompare(t, dir, all); got != nil {
		t.Errorf("just written, and %v differs", got)
	}

	// One processor goes, one of its files is edited by hand.
	fewer := sample()[:1]
	write(t, filepath.Join(dir, "racing.py"), "# "+mark+"\nimport orca\nedited = 1\n")
	some := Generate(project.Python, fewer)
	kinds := map[string]ChangeKind{}
	for _, c := range mustCompare(t, dir, some) {
		kinds[c.Path] = c.Kind
		if c.Path == "racing.py" && (!slices.Contains(c.Lines, "- edited = 1") || slices.Contains(c.Lines, "- import orca")) {
			t.Errorf("racing.py differs by %q; want the edited line among them, and not the import", c.Lines)
		}
	}
	want := map[string]ChangeKind{"racing.py": Stale, "windows.py": Stale}
	for _, f := range all.Files {
		if f.Path != "racing.py" && f.Path != "windows.py" && f.Path != "__init__.py" {
			want[f.Path] = Leftover
		}
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := Write(dir, some, mustCompare(t, dir, some)); err != nil {
		t.Fatal(err)
	}
	if got := mustCompare(t, dir, some); got != nil {
		t.Errorf("just written, and %v differs", got)
	}
	if _, err := os.Stat(own); err != nil {
		t.Errorf("a file of the user's is gone: %v", err)
	}
}

// The stubs of two languages get along in one folder.
func TestOtherLanguagesAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, l := range project.Languages {
		if err := Write(dir, Generate(l, sample()), mustCompare(t, dir, Generate(l, sample()))); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range project.Languages {
		if got := mustCompare(t, dir, Generate(l, sample())); got != nil {
			t.Errorf("%s: %v differs", l, got)
		}
	}
}

// A core takes longer descriptions of window types and fields than the SDKs do.
func TestLongDescriptionsAreCut(t *testing.T) {
	t.Parallel()
	if got := shorten(strings.Repeat("é", 1000)); got != strings.Repeat("é", 1000) {
		t.Errorf("1,000 characters become %d", len([]rune(got)))
	}
	if got := shorten(strings.Repeat("é", 1001)); got != strings.Repeat("é", 999)+"…" {
		t.Errorf("1,001 characters become %q", got)
	}
}

func TestAFileInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "__init__.py"), "# mine, and as good\n")
	if got := mustCompare(t, dir, Generate(project.Python, sample()[:1])); len(got) != 2 {
		t.Errorf("beside an __init__.py of the user's %v differs, want racing.py and windows.py", got)
	}
	write(t, filepath.Join(dir, "racing.py"), "# mine\n")
	_, err := Compare(dir, Generate(project.Python, sample()))
	if want := fmt.Sprintf("%s is in the way: it was not made by orca sync", filepath.Join(dir, "racing.py")); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func mustCompare(t *testing.T, dir string, s Stubs) []Change {
	t.Helper()
	changes, err := Compare(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
