package e2e

import (
	"cmp"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/torture"
)

// The core and its processors are killed, stopped and paused at random moments under load: nothing answered is lost,
// no algorithm has two outcomes in a run, nothing settled runs again, and every result is the right one.
// `make torture` does the same for as long as asked.
func TestTorture(t *testing.T) {
	t.Parallel()
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("ORCA_TORTURE_FOR"), "35s"))
	if err != nil {
		t.Fatalf("ORCA_TORTURE_FOR: %v", err)
	}
	seed := rand.Uint64()
	if text := os.Getenv("ORCA_TORTURE_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ORCA_TORTURE_SEED: %v", err)
		}
	}
	kills := 0
	if text := os.Getenv("ORCA_TORTURE_KILLS"); text != "" {
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("ORCA_TORTURE_KILLS: %v", err)
		}
	}
	t.Logf("%v of torture, seed %d", lasts, seed)
	processor := filepath.Join(t.TempDir(), "processor")
	if out, err := exec.Command("go", "build", "-o", processor, "github.com/orca-telemetry/orca/internal/torture/processor").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	record, err := torture.Run(t.Context(), torture.Config{
		Core: binary, Processor: processor, Dir: folder(t), For: lasts, Seed: seed, Kills: kills,
	})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	t.Log(record.Summary())
	defects := torture.Check(record)
	for _, defect := range defects[:min(len(defects), 20)] {
		t.Error(defect)
	}
	if n := len(defects); n > 0 {
		t.Errorf("%d defects with seed %d", n, seed)
	}
}

// folder is where a session leaves its store, journals and logs: one that is removed, unless one was asked for.
func folder(t *testing.T) string {
	dir := os.Getenv("ORCA_TORTURE_DIR")
	if dir == "" {
		return t.TempDir()
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatalf("ORCA_TORTURE_DIR: %v; want a folder that does not exist yet", err)
	}
	return dir
}
