package e2e

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/pgserver"
	"github.com/orca-telemetry/orca/internal/torture"
)

// The core and its processors are killed, stopped and paused at random moments under load: nothing answered is lost,
// no algorithm has two outcomes in a run, nothing settled runs again, every algorithm is given what it has to be, and the
// core says truly whether it is ready. `make torture` does the same for as long as asked.
func TestTorture(t *testing.T) {
	t.Parallel()
	torment(t, torture.Config{For: 35 * time.Second})
}

// While writes and synchronisations of its files fail, the core answers nothing that is not on disk, says that it is not
// ready, and goes on by itself when they go well again.
func TestTortureWithDiskErrors(t *testing.T) {
	t.Parallel()
	errors, err := torture.DiskErrors()
	if err != nil {
		t.Skip(err)
	}
	torment(t, torture.Config{For: 6 * time.Second, Open: 60, Troubles: []*torture.Trouble{errors}})
}

// While there is no room on its disk, the core refuses windows, says that it is not ready and keeps what runs, and goes
// on by itself when there is room again.
func TestTortureWithFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	torment(t, torture.Config{For: 6 * time.Second, Open: 60, Prefix: disk.Prefix(), Store: disk.Inside(), StoreOutside: disk.Outside(),
		Troubles: []*torture.Trouble{disk.Full()}})
}

// While connections to processors are cut, delayed or silent, everything is still done once.
func TestTortureWithNetwork(t *testing.T) {
	t.Parallel()
	torment(t, torture.Config{For: 8 * time.Second, Open: 60, Network: true})
}

// Three cores over one database, with a synchronous standby: cores are killed, stopped and paused for longer than their lease, any
// two hosts hear nothing of each other for a while, and the database ends at once or its standby takes its place. Nothing answered
// is lost, no algorithm has two outcomes in a run, and every algorithm is given what it has to be. Where there can be no networks
// of one's own, all is on this machine, and connections to processors fail instead. `make torture WITH=Cores` does so for longer.
func TestTortureWithCores(t *testing.T) {
	t.Parallel()
	cores := &torture.Cores{Number: 3, Lease: 2 * time.Second}
	cfg := torture.Config{For: 20 * time.Second, Open: 100, Cores: cores}
	names := slices.Concat(torture.CoreHosts(cores.Number), torture.ProcessorHosts(), []string{"database-a", "database-b"})
	fabric, err := torture.NewFabric(names...)
	if err != nil {
		t.Logf("nothing is parted: %v", err)
		cfg.Network = true
	} else {
		cores.Fabric = fabric
		t.Cleanup(func() {
			if err := fabric.Close(); err != nil {
				t.Error(err)
			}
		})
		cfg.Troubles = append(cfg.Troubles, fabric.Partitions(3*time.Second, 4*time.Second))
	}
	cores.Database, err = torture.NewDatabase(t.Context(), fabric.Host("database-a"), fabric.Host("database-b"))
	switch {
	case errors.Is(err, pgserver.ErrNone) && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cores.Database.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg.Troubles = append(cfg.Troubles, cores.Database.Faults(6*time.Second))
	fromEnvironment(t, "ORCA_TORTURE_WITHIN", time.ParseDuration, &cfg.Within)
	torment(t, cfg)
}

// The processors of one DAG are a pool of Go and TypeScript, and Python: whatever is killed, every row is right. Their
// starts take longer than the other tests have: `make torture WITH=Languages`.
func TestTortureWithLanguages(t *testing.T) {
	t.Parallel()
	if os.Getenv("ORCA_TORTURE_FOR") == "" {
		t.Skip("it runs with `make torture WITH=Languages`")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root, ".cache", "sdk", "python", "bin", "python")
	nodejs := filepath.Join(root, "sdk", "nodejs", "build", "programs", "internal", "torture", "processor", "nodejs", "processor.js")
	for target, path := range map[string]string{"sdk-python": python, "sdk-nodejs": nodejs} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%v; run make %s", err, target)
		}
	}
	torment(t, torture.Config{Others: map[string][]string{
		"press-b": {"node", nodejs},
		"paint-a": {"env", "PYTHONPATH=" + filepath.Join(root, "sdk", "python", "src"), python,
			filepath.Join(root, "internal", "torture", "processor", "python", "processor.py")},
	}})
}

// All of it at once, which takes longer than the other tests have: `make torture WITH=Everything`.
func TestTortureWithEverything(t *testing.T) {
	t.Parallel()
	if os.Getenv("ORCA_TORTURE_FOR") == "" {
		t.Skip("it runs with `make torture WITH=Everything`")
	}
	errors, err := torture.DiskErrors()
	if err != nil {
		t.Skip(err)
	}
	disk := smallDisk(t)
	torment(t, torture.Config{Network: true, Prefix: disk.Prefix(), Store: disk.Inside(), StoreOutside: disk.Outside(),
		Troubles: []*torture.Trouble{errors, disk.Full()}})
}

// smallDisk returns a filesystem of 64 MiB, and skips the test where there can be none.
func smallDisk(t *testing.T) *torture.Disk {
	t.Helper()
	disk, err := torture.NewDisk(t.TempDir(), 64)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// torment tortures a core and checks what came of it. The variables of `make torture` change the session.
func torment(t *testing.T, cfg torture.Config) {
	t.Helper()
	cfg.Core, cfg.Dir, cfg.Seed = binary, folder(t), rand.Uint64()
	fromEnvironment(t, "ORCA_TORTURE_FOR", time.ParseDuration, &cfg.For)
	fromEnvironment(t, "ORCA_TORTURE_KILLS", strconv.Atoi, &cfg.Kills)
	fromEnvironment(t, "ORCA_TORTURE_SEED", func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }, &cfg.Seed)
	t.Logf("%v of torture, seed %d", cfg.For, cfg.Seed)
	cfg.Processor = filepath.Join(t.TempDir(), "processor")
	if out, err := exec.Command("go", "build", "-o", cfg.Processor, "github.com/orca-telemetry/orca/internal/torture/processor").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	record, err := torture.Run(t.Context(), cfg)
	if err != nil {
		t.Fatalf("seed %d: %v", cfg.Seed, err)
	}
	t.Log(record.Summary())
	defects := torture.Check(record)
	if os.Getenv("ORCA_TORTURE_DIR") != "" {
		if err := os.WriteFile(filepath.Join(cfg.Dir, "defects.txt"), []byte(strings.Join(defects, "\n")), 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, defect := range defects[:min(len(defects), 20)] {
		t.Error(defect)
	}
	if n := len(defects); n > 0 {
		t.Errorf("%d defects with seed %d", n, cfg.Seed)
	}
}

// fromEnvironment sets a value from a variable that is not empty.
func fromEnvironment[T any](t *testing.T, name string, parse func(string) (T, error), value *T) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return
	}
	v, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	*value = v
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
