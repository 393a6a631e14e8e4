package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// exposing is a core that exposes two projects, and leaves one out when asked to.
type exposing struct {
	fakeCore
	processors []*pb.ProcessorRegistration
}

func (e *exposing) Expose(_ context.Context, q *pb.ExposeSettings) (*pb.InternalState, error) {
	state := &pb.InternalState{}
	for _, p := range e.processors {
		if q.GetExcludeProject() == "" || p.GetProjectName() != q.GetExcludeProject() {
			state.Processors = append(state.Processors, p)
		}
	}
	return state, nil
}

// algorithm is one that a Lap triggers.
func exposedAlgorithm(name, version string, result pb.ResultType) *pb.Algorithm {
	return &pb.Algorithm{
		Name: name, Version: version, ResultType: result, Description: "What " + name + " is.",
		WindowType: &pb.WindowType{Name: "Lap", Version: "1.0.0", MetadataFields: []*pb.MetadataField{{Name: "car", Filter: true}}},
	}
}

func startExposing(t *testing.T) (*exposing, string) {
	t.Helper()
	e := &exposing{processors: []*pb.ProcessorRegistration{
		{Name: "racing", ProjectName: "track", SupportedAlgorithms: []*pb.Algorithm{
			exposedAlgorithm("Speed", "1.0.0", pb.ResultType_VALUE), exposedAlgorithm("top speed", "1.0.0", pb.ResultType_VALUE),
		}},
		{Name: "pit-wall", ProjectName: "strategy", SupportedAlgorithms: []*pb.Algorithm{exposedAlgorithm("Plan", "1.0.0", pb.ResultType_STRUCT)}},
	}}
	return e, startCore(t, e)
}

// script runs command lines in a folder, and returns what they say.
func script(t *testing.T, dir, core string, lines ...string) string {
	t.Helper()
	var b strings.Builder
	for _, l := range lines {
		x := terminal{env: map[string]string{"ORCA_CORE": core}, dir: dir}
		got := x.orca(t.Context(), strings.Fields(l)...)
		fmt.Fprintf(&b, "$ orca %s\n%s", l, got.Out)
		for errs := range strings.Lines(got.Err) {
			b.WriteString("stderr: " + errs)
		}
		fmt.Fprintf(&b, "exit %d\n\n", got.Code)
	}
	return strings.NewReplacer(core, "CORE:PORT", dir, "DIR").Replace(b.String())
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	e, core := startExposing(t)
	dir := t.TempDir()
	writeFile(t, dir, "orca.json", `{"projectName": "strategy"}`)
	writeFile(t, dir, "pyproject.toml", "")
	said := script(t, dir, core, "sync --check", "sync", "sync", "sync --check")
	writeFile(t, dir, "stubs/mine.py", "# mine\n")

	e.processors[0].SupportedAlgorithms[0].ResultType = pb.ResultType_ARRAY
	said += "# Speed gives an array now, and a processor comes\n\n"
	e.processors = append(e.processors, &pb.ProcessorRegistration{
		Name: "weather", SupportedAlgorithms: []*pb.Algorithm{exposedAlgorithm("Rain", "1.0.0", pb.ResultType_NONE)},
	})
	said += script(t, dir, core, "sync --check", "sync", "sync --check")

	e.processors = e.processors[1:]
	said += "# racing is gone\n\n"
	said += script(t, dir, core, "sync --check", "sync", "sync --all --sdk go --out internal/others", "sync --project nobody --sdk go --out internal/others --check",
		"sync --all --processor weather --out one", "sync --all --processor weather --out one --check", "sync --processor wether")
	compareFile(t, filepath.Join("testdata", "sync.txt"), said)
	if _, err := os.Stat(filepath.Join(dir, "stubs", "mine.py")); err != nil {
		t.Errorf("a file of the user's is gone: %v", err)
	}
}

func TestWrongSync(t *testing.T) {
	t.Parallel()
	_, core := startExposing(t)
	dir := t.TempDir()
	said := script(t, dir, core, "sync", "sync --sdk java", "sync --all --project p", "sync stubs")
	writeFile(t, dir, "go.mod", "")
	writeFile(t, dir, "tsconfig.json", "")
	writeFile(t, dir, "package.json", "")
	said += "# a Go module and a TypeScript project\n\n" + script(t, dir, core, "sync", "sync --sdk python --out o")
	writeFile(t, dir, "stubs/racing/racing.go", "package racing\n")
	said += "# a file in the way\n\n" + script(t, dir, core, "sync --sdk go")
	writeFile(t, dir, "orca.json", "{\n  \"projectName\": 7\n}")
	said += "# orca.json is wrong\n\n" + script(t, dir, core, "sync --sdk go", "sync --sdk go --project p --out p")
	compareFile(t, filepath.Join("testdata", "sync_wrong.txt"), said)
}

func TestWhereOrcaJSONSaysTheCoreIs(t *testing.T) {
	t.Parallel()
	f := &fakeCore{status: &pb.GetStatusResponse{Version: "v1", Store: "sqlite:a"}}
	core := f.start(t)
	for _, test := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string // in what is said
	}{
		{"file", fmt.Sprintf(`{"orcaConnectionString": %q}`, core), nil, nil, "version v1"},
		{"file with scheme", fmt.Sprintf(`{"orcaConnectionString": "grpc://%s"}`, core), nil, nil, "version v1"},
		{"variable beats file", `{"orcaConnectionString": "127.0.0.1:1"}`, map[string]string{"ORCA_CORE": core}, nil, "version v1"},
		{"flag beats a broken file", `{`, nil, []string{"--core", core}, "version v1"},
		{"wrong address", `{"orcaConnectionString": "here"}`, nil, nil,
			`orcaConnectionString in orca.json "here": want host:port, grpc://host:port or grpcs://host:port`},
		{"no JSON", "{\n  \"projectName\": \"racing\",\n}", nil, nil,
			`orca: orca.json: line 3 is not JSON: invalid character '}' looking for beginning of object key string; mend it, or write a new one with "orca init --force", or say where the core is with --core`},
		{"no object", `["127.0.0.1:33670"]`, nil, nil, `orca.json: want a JSON object such as {"projectName": "racing"}; mend it`},
		{"no text", `{"orcaConnectionString": 33670}`, nil, nil, "orca.json: orcaConnectionString is 33670: want text; mend it"},
	} {
		dir := t.TempDir()
		writeFile(t, dir, "orca.json", test.file)
		got := terminal{env: test.env, dir: dir}.orca(t.Context(), append([]string{"status"}, test.args...)...)
		if !strings.Contains(got.Out+got.Err, test.want) {
			t.Errorf("%s: stdout %q, stderr %q; want %q in it", test.name, got.Out, got.Err, test.want)
		}
	}
}
