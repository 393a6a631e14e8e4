package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/usertest"
)

// userFolder is a folder where somebody works, with a core that no variable names.
type userFolder struct {
	t   *testing.T
	dir string
	env []string
}

// orca runs a verb in the folder, which must succeed, and returns what it says.
func (u *userFolder) orca(args ...string) string {
	u.t.Helper()
	return u.run(binary, args...)
}

// run runs a program in the folder, which must succeed, and returns what it says.
func (u *userFolder) run(name string, args ...string) string {
	u.t.Helper()
	out, err := u.command(name, args...).CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (u *userFolder) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = u.dir, append(os.Environ(), u.env...)
	return cmd
}

// start runs a program in the folder until the test ends.
func (u *userFolder) start(name string, args ...string) {
	u.t.Helper()
	cmd := u.command(name, args...)
	output := &tail{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the test has found out
		_ = cmd.Wait()
		if u.t.Failed() {
			u.t.Logf("%s wrote:\n%s", name, output)
		}
	})
}

// awaitProcessor returns when a core knows a processor.
func awaitProcessor(t *testing.T, c *core, name string) {
	t.Helper()
	for deadline := time.Now().Add(orcatest.Patience); ; {
		state, err := c.Expose(t.Context(), &pb.ExposeSettings{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range state.GetProcessors() {
			if p.GetName() == name {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("processor %s does not register", name)
		}
	}
}

// What orca init writes runs as it is, in every language, against the core that its orca.json names.
func TestTemplatesRun(t *testing.T) {
	t.Parallel()
	for language, start := range map[string]func(*userFolder){
		"go": func(u *userFolder) {
			u.env = append(u.env, "GOFLAGS=-mod=mod", "GOPROXY=off", "GONOSUMDB=*")
			u.run("go", "build", "-o", "processor", ".")
			u.start(filepath.Join(u.dir, "processor"))
		},
		"python": func(u *userFolder) {
			python, env := usertest.Python(u.t)
			u.env = append(u.env, env...)
			u.start(python, "processor.py")
		},
		"typescript": func(u *userFolder) {
			usertest.NodePackage(u.t, u.dir)
			u.run("node", usertest.TypeScript(u.t))
			u.start("node", "dist/processor.js")
		},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			c := startCore(t)
			u := &userFolder{t: t, dir: filepath.Join(t.TempDir(), "my plant"), env: []string{"ORCA_CORE=", "PROCESSOR_PORT=0"}}
			if err := os.Mkdir(u.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			u.orca("init", "--template", language, "--core", c.grpc, "--sdk-path", usertest.Root(t))
			start(u)
			awaitProcessor(t, c, "my-plant")
			said := u.orca("emit", "--type", "Lap@1.0.0", "--from", "-88s", "--to", "now", "--origin", "me", "--wait")
			if !strings.Contains(said, "SpeedKmh") || !strings.Contains(said, "240.9") {
				t.Errorf("emit says\n%s\nwant SpeedKmh 240.9…", said)
			}
		})
	}
}

// The example of three teams: Go features, Python scores on them, TypeScript alerts on both. Each team's stubs are what
// sync writes, its program passes its language's strict checks with them, and the DAG gives what it should.
func TestThreeLanguages(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	env := []string{"ORCA_CORE=" + c.grpc, "PROCESSOR_PORT=0"}
	root := filepath.Join(usertest.Root(t), "examples", "three-languages")
	team := func(name string) *userFolder {
		u := &userFolder{t: t, dir: filepath.Join(t.TempDir(), name), env: env}
		for _, part := range []string{"", "stubs", "src", "src/stubs"} { // and not what a user's npm left there
			files, err := filepath.Glob(filepath.Join(root, name, part, "*.*"))
			if err != nil {
				t.Fatal(err)
			}
			copyFiles(t, files, filepath.Join(u.dir, part))
		}
		return u
	}

	features := &userFolder{t: t, dir: t.TempDir(), env: env}
	features.run("go", "build", "-C", usertest.Root(t), "-o", filepath.Join(features.dir, "features"), "./examples/three-languages/features")
	features.start(filepath.Join(features.dir, "features"))
	awaitProcessor(t, c, "features")

	scoring := team("scoring")
	scoring.orca("sync", "--check", "--processor", "features")
	if found := usertest.CheckPython(t, scoring.dir); found != nil {
		t.Errorf("pyright finds %q in scoring", found)
	}
	python, pythonEnv := usertest.Python(t)
	scoring.env = append(scoring.env, pythonEnv...)
	scoring.start(python, "processor.py")
	awaitProcessor(t, c, "scoring")

	alerting := team("alerting")
	alerting.orca("sync", "--check", "--processor", "features", "--processor", "scoring", "--out", "src/stubs")
	usertest.NodePackage(t, alerting.dir)
	if found := usertest.CheckTypeScript(t, alerting.dir); found != nil {
		t.Errorf("tsc finds %q in alerting", found)
	}
	alerting.start("node", "dist/processor.js")
	awaitProcessor(t, c, "alerting")

	for i, samples := range []string{"[1,-1]", "[1,-1]", "[3,-3]"} {
		from := time.Date(2026, 3, 1, 14, 0, i, 0, time.UTC)
		alerting.orca("emit", "--type", "Burst@1.0.0", "--from", from.Format(time.RFC3339), "--to", from.Add(time.Second).Format(time.RFC3339),
			"--origin", "test", "--meta", "machine=m-1", "--meta", "samples:="+samples, "--wait")
	}
	const calm = `{"raised":false,"text":"as before"}`
	want := []string{`{"raised":true,"text":"shakes with 3.0 g, 3.0 times as much as before"}`, calm, calm}
	if diff := cmp.Diff(want, values(t, alerting.orca("results", "Alert@1.0.0", "--json"))); diff != "" {
		t.Errorf("alerts, the newest first (-want +got):\n%s", diff)
	}
}

// values returns the values of results in JSON, with their fields in order.
func values(t *testing.T, lines string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(lines) {
		var result struct{ Value map[string]any }
		if err := json.Unmarshal([]byte(line), &result); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		text, err := json.Marshal(result.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(bytes.TrimSpace(text)))
	}
	return all
}

func copyFiles(t *testing.T, files []string, dir string) {
	t.Helper()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
