package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/orcatest"
)

// The code in README.md is the example, to the letter, of at most 30 lines.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "first-processor", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if block == nil || !bytes.Equal(block[1], example) {
		t.Error("README.md does not show examples/first-processor/main.go as it is")
	}
	if n := bytes.Count(example, []byte("\n")); n > 30 {
		t.Errorf("the first processor has %d lines, want at most 30", n)
	}
}

// What README.md says to type gives what it promises: a core, the first processor, an emit that waits, and the verbs
// that show what happened.
func TestReadmeWorks(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	processor := filepath.Join(t.TempDir(), "first-processor")
	if out, err := exec.Command("go", "build", "-o", processor, "github.com/orca-telemetry/orca/examples/first-processor").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	env := []string{"ORCA_CORE=" + c.grpc, "PROCESSOR_PORT=0"}
	startProgram(t, env, processor)

	var code int
	var out, errs string
	for deadline := time.Now().Add(orcatest.Patience); ; { // the processor registers when it can
		code, out, errs = run(t, env, "emit", "--type", "Lap@1.0.0", "--from", "-88s", "--to", "now", "--origin", "me", "--wait")
		if code == 0 || !strings.Contains(errs, "is not registered") || time.Now().After(deadline) {
			break
		}
	}
	if code != 0 || !strings.Contains(out, "SpeedKmh") || !strings.Contains(out, "240.9") {
		t.Errorf("orca emit exits with %d and prints\n%s%s\nwant SpeedKmh 240.9…", code, out, errs)
	}
	for verb, want := range map[string]string{
		"graph": "SpeedKmh", "windows": "succeeded", "results Speed@1.0.0 --from -1h --to now": "66.9",
		"status": "ready", "algorithms": "Speed", "processors": "racing",
	} {
		if code, out, errs := run(t, env, strings.Fields(verb)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("orca %s exits with %d and prints\n%s%s\nwant %q in it", verb, code, out, errs, want)
		}
	}
}

// startProgram runs a program until the test ends.
func startProgram(tb testing.TB, env []string, name string, args ...string) {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	output := &tail{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("%s wrote:\n%s", filepath.Base(name), output)
		}
	})
}
