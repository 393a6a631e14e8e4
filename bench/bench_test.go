package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/store/sqlite"
)

// Programs, built once by TestMain.
var coreBinary, ceilingBinary, goProcessor string

func TestMain(m *testing.M) {
	os.Exit(build(m.Run))
}

func build(run func() int) int {
	dir, err := os.MkdirTemp("", "orca-bench-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	coreBinary, ceilingBinary, goProcessor = filepath.Join(dir, "orca"), filepath.Join(dir, "ceiling"), filepath.Join(dir, "go")
	for path, from := range map[string]string{coreBinary: "cmd/orca", ceilingBinary: "bench/ceiling", goProcessor: "bench/processors/go"} {
		if out, err := exec.Command("go", "build", "-o", path, "github.com/orca-telemetry/orca/"+from).CombinedOutput(); err != nil {
			panic(fmt.Sprintf("go build: %v\n%s", err, out))
		}
	}
	return run()
}

func short(t *testing.T) Config {
	t.Helper()
	return Config{
		Core: coreBinary, Ceiling: ceilingBinary, Dir: t.TempDir(), anyDisk: true, Turns: 1, For: 200 * time.Millisecond, Concurrency: []int{4},
	}
}

// sane checks what is true of every turn on any machine.
func sane(t *testing.T, what string, turn Turn) {
	t.Helper()
	if turn.Windows == 0 || turn.PeakMiB <= 0 || turn.Lost != 0 || turn.Duplicated != 0 {
		t.Errorf("%s: %+v; want windows, memory, and none lost or duplicated", what, turn)
	}
}

// Every shape and loop comes to its end beside the ceiling, with nothing lost and nothing twice.
func TestRun(t *testing.T) {
	t.Parallel()
	report, err := Run(t.Context(), short(t))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, s := range Shapes() {
		want = append(want, s.Name+" closed", s.Name+" open")
	}
	for _, row := range report.Rows {
		name := row.Shape + " " + string(row.Loop)
		got = append(got, name)
		sane(t, name, row.Core)
		sane(t, name+", ceiling", *row.Ceiling)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	var text, plot bytes.Buffer
	if err := report.Print(&text); err != nil {
		t.Error(err)
	}
	if err := report.Plot(&plot); err != nil {
		t.Error(err)
	}
	for _, s := range Shapes() {
		if !strings.Contains(text.String(), s.Name+" ") || !strings.Contains(plot.String(), s.Name+", 4 at once") {
			t.Errorf("%s is not shown in\n%s%s", s.Name, &text, &plot)
		}
	}
}

// Windows that wait for a processor that is away come out once it is back, after a restart of the core.
func TestRunWaiting(t *testing.T) {
	t.Parallel()
	report, err := RunWaiting(t.Context(), short(t), 500)
	if err != nil {
		t.Fatal(err)
	}
	w := report.Waiting
	if w.Windows != 500 || w.Lost != 0 || w.Duplicated != 0 || w.OutOfPlace > 500 || w.Ready <= 0 {
		t.Errorf("got %+v; want 500 windows, none lost or duplicated", w)
	}
	sane(t, "others before", w.OthersBefore)
	sane(t, "others with", w.OthersWith)
}

// The command prints one document, and keeps it with a plot.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(coreBinary, "bench", "--shape", "single", "--loop", "closed", "--concurrency", "2", "--turns", "1", "--for", "100ms",
		"--ceiling", ceilingBinary, "--dir", dir, "--save", filepath.Join(dir, "kept"), "--commit", "c0ffee", "--json")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); strings.Contains(errs.String(), "is memory") {
		t.Skip(errs.String())
	} else if err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var report Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	if len(report.Rows) != 1 || report.Rows[0].Core.Windows == 0 || report.Commit != "c0ffee" {
		t.Errorf("got %s, want one row with windows, and the commit", &out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "kept" {
		t.Errorf("left in the folder: %v, %v; want only what is kept", left, err)
	}
	name := filepath.Join(dir, "kept", report.Begun.Format("2006-01-02T1504")+"-c0ffee")
	for _, ending := range []string{".json", ".svg"} {
		if b, err := os.ReadFile(name + ending); err != nil || !bytes.Contains(b, []byte("c0ffee")) {
			t.Errorf("kept in %s: %q, %v; want the commit in it", ending, b, err)
		}
	}
}

// What is accepted under overload is processed.
func TestRunOverload(t *testing.T) {
	t.Parallel()
	cfg := short(t)
	cfg.Shapes = Shapes()[:1]
	report, err := RunOverload(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range report.Overloads {
		sane(t, o.Shape, o.Under)
		if o.Lost != 0 || o.Duplicated != 0 {
			t.Errorf("got %+v, want nothing lost or duplicated", o)
		}
	}
	if len(report.Overloads) != 1 {
		t.Errorf("got %d overloads, want 1", len(report.Overloads))
	}
}

// A store that was made large takes windows as an empty one does, and a core starts on it.
func TestRunStored(t *testing.T) {
	t.Parallel()
	cfg := short(t)
	cfg.Assets, cfg.Kept = 10, t.TempDir()
	grow := func(ctx context.Context, path string, windows int64, progress func(int64)) (Sizes, error) {
		g, err := sqlite.Grow(ctx, path, windows, progress)
		return Sizes(g), err
	}
	var made []int64
	for range 2 { // the second time it is there
		report, err := RunStored(t.Context(), cfg, 500, grow)
		if err != nil {
			t.Fatal(err)
		}
		s := report.Stored
		sane(t, "empty", s.Empty)
		sane(t, "full", s.Full)
		if s.Windows != s.Results || s.WindowBytes <= 0 || s.PastBytes <= 0 || s.ResultBytes <= 0 || s.Ready <= 0 || s.ReadyKilled <= 0 {
			t.Errorf("got %+v, want a result of each window, sizes and times", s)
		}
		made = append(made, s.Windows)
	}
	if made[0] != 500 || made[1] <= 500 {
		t.Errorf("made %v windows, want 500, and then what the first run left", made)
	}
}

// Many processors are registered and found idle.
func TestRunMany(t *testing.T) {
	t.Parallel()
	cfg := short(t)
	cfg.Idle = 100 * time.Millisecond
	report, err := RunMany(t.Context(), cfg, 5)
	if err != nil {
		t.Fatal(err)
	}
	m := report.Many
	sane(t, "small", Turn{Windows: m.Small.Windows, PeakMiB: 1, Lost: m.Small.Lost, Duplicated: m.Small.Duplicated})
	sane(t, "large", Turn{Windows: m.Large.Windows, PeakMiB: 1, Lost: m.Large.Lost, Duplicated: m.Large.Duplicated})
	if m.Algorithms != 50 || m.Register <= 0 || m.RegisterMost < m.Register || m.Ready <= 0 {
		t.Errorf("got %+v, want 50 algorithms and times", m)
	}
}
