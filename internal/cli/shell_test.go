package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
)

var update = flag.Bool("update", false, "write the expected files instead of checking them")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said is what a command left behind.
type said struct {
	Code     int
	Out, Err string
}

// terminal is where commands run in a test: no variables but its own, at noon.
type terminal struct {
	env     map[string]string
	now     func() time.Time // nil means noon, always
	dir     string           // the working directory
	runCore func(context.Context, config.Config, *slog.Logger, func(app.Addresses)) error
}

func (x terminal) orca(ctx context.Context, args ...string) said {
	var out, errs bytes.Buffer
	if x.runCore == nil {
		x.runCore = func(context.Context, config.Config, *slog.Logger, func(app.Addresses)) error {
			return errors.New("no core in this test")
		}
	}
	s := &shell{
		in: strings.NewReader(""), out: &out, errs: &errs, runCore: x.runCore,
		getenv: func(name string) string { return x.env[name] },
		now:    x.now, dir: x.dir,
	}
	if s.now == nil {
		s.now = func() time.Time { return at("12:00:00").AsTime() }
	}
	code := s.run(ctx, args)
	return said{code, out.String(), errs.String()}
}

// orca runs one command against a core.
func orca(t *testing.T, core string, args ...string) said {
	t.Helper()
	return terminal{env: map[string]string{"ORCA_CORE": core}}.orca(t.Context(), args...)
}

// transcript runs command lines against a core, and compares what they say with the file testdata/NAME.txt.
func transcript(t *testing.T, name, core string, lines ...string) {
	t.Helper()
	var b strings.Builder
	for _, line := range lines {
		got := orca(t, core, strings.Fields(line)...)
		fmt.Fprintf(&b, "$ orca %s\n%s", line, got.Out)
		for errs := range strings.Lines(got.Err) {
			b.WriteString("stderr: " + errs)
		}
		fmt.Fprintf(&b, "exit %d\n\n", got.Code)
	}
	compareFile(t, filepath.Join("testdata", name+".txt"), strings.ReplaceAll(b.String(), core, "CORE:PORT"))
}

// compareFile compares got with a file, or writes the file when asked to.
func compareFile(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what is said now; go test ./internal/cli -update writes it (-want +got):\n%s", file, diff)
	}
}

// compare runs nothing; it holds what a command said against what it should say.
func compare(t *testing.T, what string, want, got said) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
