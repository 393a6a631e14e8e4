package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orcatest"
)

// recorded is the time of the recordings that the tests make.
var recorded = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// TestMachineHealth replays two recordings, with a daily rhythm and noise, of which one has two failures, through
// examples/machine-health: both failures raise alarms, nothing else does, and a replay with another concurrency, random
// delays and a core that is killed on the way prints the same bytes.
func TestMachineHealth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	failures := [][2]time.Time{
		{recorded.Add(6*24*time.Hour + 3*time.Hour), recorded.Add(6*24*time.Hour + 15*time.Hour)},
		{recorded.Add(9*24*time.Hour + 10*time.Hour), recorded.Add(9*24*time.Hour + 22*time.Hour)},
	}
	press := record(t, dir, "press.csv", 1, failures)
	pump := record(t, dir, "pump.csv", 2, nil)
	labels := filepath.Join(dir, "labels.json")
	content, err := json.Marshal(map[string][][2]time.Time{"press.csv": failures, "pump.csv": {}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(labels, content, 0o600); err != nil {
		t.Fatal(err)
	}
	printed := replayTwice(t, "-show=hours", "-labels="+labels, press, pump)
	for _, want := range []string{
		"labelled times with an alarm inside: 2 of 2; false episodes of alarm: 0 of 2\n\npump: 1584 readings in 264 hours of 11 days",
		"  no alarms\n  labelled times with an alarm inside: 0 of 0; false episodes of alarm: 0 of 0\n",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("the replay does not print %q; it ends so:\n%s", want, printed[max(0, len(printed)-4096):])
		}
	}
}

// TestMachineHealthOnARecording holds examples/machine-health against a real recording of four failures, which is no part
// of this repository.
func TestMachineHealthOnARecording(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("ORCA_RECORDINGS")
	if dir == "" {
		t.Skip("ORCA_RECORDINGS does not say which folder has machine_temperature_system_failure.csv and labels.json, " +
			"which is labels/combined_windows.json of the Numenta Anomaly Benchmark")
	}
	printed := replayTwice(t, "-show=hours", "-labels="+filepath.Join(dir, "labels.json"), filepath.Join(dir, "machine_temperature_system_failure.csv"))
	verdict := regexp.MustCompile(`labelled times with an alarm inside: (\d+) of 4; false episodes of alarm: (\d+) of \d+\n$`).FindStringSubmatch(printed)
	if verdict == nil {
		t.Fatalf("there is no verdict on four labelled times:\n%s", printed[max(0, len(printed)-4096):])
	}
	t.Log(verdict[0])
	if verdict[1] < "3" || len(verdict[2]) > 1 || verdict[2] > "6" {
		t.Errorf("at least three of four labelled times should have an alarm, and at most six episodes be false: %s", verdict[0])
	}
}

// record writes eleven days of readings, one every ten minutes: a daily rhythm and noise, 24 degrees off in failures.
func record(t *testing.T, dir, name string, seed uint64, failures [][2]time.Time) string {
	t.Helper()
	noise := rand.New(rand.NewPCG(seed, 0))
	var b bytes.Buffer
	fmt.Fprintln(&b, "timestamp,value")
	for i := range 11 * 24 * 6 {
		at := recorded.Add(time.Duration(i) * 10 * time.Minute)
		value := 60 + 8*math.Sin(2*math.Pi*float64(i)/(24*6)) + noise.NormFloat64()
		for n, failure := range failures {
			if !at.Before(failure[0]) && at.Before(failure[1]) {
				value += 48*float64(n) - 24 // down, then up
			}
		}
		fmt.Fprintf(&b, "%s,%.3f\n", at.Format(time.DateTime), value)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replayTwice runs the example twice, each time on a core with an empty ledger: once one algorithm at a time, and once
// many at a time, each after a random delay, with a core that is killed half way. It returns what they print.
func replayTwice(t *testing.T, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "machine-health")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/orca-telemetry/orca/examples/machine-health").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	calm := replay(t, startCore(t), program, func() {}, append([]string{"-concurrency=1"}, args...)...)
	crashing, kills := startCore(t), 0
	stormy := replay(t, crashing, program, func() {
		kills++
		crashing.kill()
		crashing.start()
	}, append([]string{"-concurrency=64", "-jitter=20ms"}, args...)...)
	if kills != 1 {
		t.Errorf("the core was killed %d times", kills)
	}
	if calm != stormy {
		t.Errorf("the two replays print different bytes:\n%s", cmp.Diff(strings.Split(calm, "\n"), strings.Split(stormy, "\n")))
	}
	return calm
}

// replay runs the example until it ends and returns what it prints. It tells its progress in tenths of the windows.
func replay(t *testing.T, c *core, program string, halfWay func(), args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*orcatest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "ORCA_CORE="+c.grpc, "PROCESSOR_PORT=0")
	var printed bytes.Buffer
	cmd.Stdout = &printed
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var told tail
	tenths := 0
	for lines := bufio.NewScanner(io.TeeReader(stderr, &told)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "emitted ") {
			if tenths++; tenths == 5 {
				halfWay()
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("machine-health: %v\n%s", err, &told)
	}
	return printed.String()
}
