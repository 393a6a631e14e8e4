package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/orcatest"
)

// rhythm is a recording of some days with a reading every 20 minutes: a daily rhythm of ±10 and some noise, from which a
// failure takes away 25 in some hours, counted from midnight.
func rhythm(asset string, days, failsFrom, failsTo int) *recording {
	r := &recording{asset: asset, digest: "of " + asset}
	for i := range days * 24 * 3 {
		at := midnight.Add(time.Duration(i) * 20 * time.Minute)
		value := 50 + 10*math.Sin(float64(i)*math.Pi/36) + float64(i*7919%13-6)/10
		if h := i / 3; h >= failsFrom && h < failsTo {
			value -= 25
		}
		r.readings = append(r.readings, reading{at, value})
	}
	return r
}

// replay runs recordings through a core in memory.
func replay(t *testing.T, recordings ...*recording) map[string]*results {
	t.Helper()
	proc := orca.NewProcessor(processorName)
	a := define(proc, recordings, chosen, 0)
	core, err := orcatest.New(proc)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*results{}
	for _, w := range schedule(recordings, "test") {
		outcome, err := core.Emit(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.take(all, w, outcome); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func shown(t *testing.T, what string, recordings []*recording, found map[string]*results, known labels) string {
	t.Helper()
	var out bytes.Buffer
	if err := show(&out, what, recordings, found, known); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The press fails for eight hours, in one of which nobody measured; the pump, replayed at the same time, knows nothing of it.
func TestReplay(t *testing.T) {
	t.Parallel()
	press, pump := rhythm("press", 7, 5*24+6, 5*24+14), rhythm("pump", 6, 0, 0)
	press.readings = slices.DeleteFunc(press.readings, func(r reading) bool { // nobody measured at noon
		return r.at.Day() == 6 && r.at.Hour() == 12
	})
	both := []*recording{press, pump}
	known := labels{"press": {{midnight.Add(126 * time.Hour), midnight.Add(134 * time.Hour)}, {midnight, midnight.Add(time.Hour)}}}
	got := shown(t, "days", both, replay(t, both...), known)
	want := strings.TrimPrefix(`
press: 501 readings in 167 hours of 7 days, 2026-03-01 00:00 to 2026-03-07 23:40
  98 hours had too little before them to be compared with
  day         hours        mean         std         min         max   extreme score   alarm hours
  2026-03-01     24       50.00        7.08       39.55       60.56               -             0
  2026-03-02     24       49.99        7.08       39.65       60.50               -             0
  2026-03-03     24       50.00        7.08       39.74       60.60               -             0
  2026-03-04     24       49.99        7.08       39.74       60.46               -             0
  2026-03-05     24       50.00        7.08       39.84       60.56            -0.1             0
  2026-03-06     23       42.43       10.28       21.07       60.35            -5.1             6
  2026-03-07     24       50.00        7.08       39.65       60.45            -0.1             0
  alarm rose         until              alarm hours    level   labelled time
  2026-03-06 10:00   2026-03-06 16:00             6     -4.9   2026-03-06 06:00 to 2026-03-06 14:00
  no alarm in the labelled time 2026-03-01 00:00 to 2026-03-01 01:00
  labelled times with an alarm inside: 1 of 2; false episodes of alarm: 0 of 1

pump: 432 readings in 144 hours of 6 days, 2026-03-01 00:00 to 2026-03-06 23:40
  98 hours had too little before them to be compared with
  day         hours        mean         std         min         max   extreme score   alarm hours
  2026-03-01     24       50.00        7.08       39.55       60.56               -             0
  2026-03-02     24       49.99        7.08       39.65       60.50               -             0
  2026-03-03     24       50.00        7.08       39.74       60.60               -             0
  2026-03-04     24       49.99        7.08       39.74       60.46               -             0
  2026-03-05     24       50.00        7.08       39.84       60.56            -0.1             0
  2026-03-06     24       49.99        7.08       39.55       60.35            -0.1             0
  no alarms
  the label file does not name pump.csv
`, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", got, diff)
	}
}

// An asset's results are the same, to the last bit, whatever else is replayed beside it.
func TestAssetsAreKeptApart(t *testing.T) {
	t.Parallel()
	press, pump := rhythm("press", 6, 5*24+6, 5*24+14), rhythm("pump", 6, 4*24, 5*24)
	alone, together := replay(t, press), replay(t, press, pump)
	only := []*recording{press}
	if diff := cmp.Diff(shown(t, "hours", only, alone, nil), shown(t, "hours", only, together, nil)); diff != "" {
		t.Error(diff)
	}
}

func TestWindowsAreInTheOrderOfEventTime(t *testing.T) {
	t.Parallel()
	a := &recording{asset: "a", readings: []reading{{at: midnight.Add(22*time.Hour + 59*time.Minute)}, {at: midnight.Add(30 * time.Hour)}}}
	b := &recording{asset: "b", readings: []reading{{at: midnight.Add(-time.Hour)}, {at: midnight.Add(23 * time.Hour)}}}
	var got []string
	for _, w := range schedule([]*recording{b, a}, "test") {
		got = append(got, fmt.Sprintf("%s %s %s–%s", assetOf(w), w.Type.Name, w.From.Format("2 15h"), w.To.Format("2 15h")))
	}
	want := []string{
		"b MachineHour 28 23h–1 00h", "b MachineDay 28 00h–1 00h",
		"a MachineHour 1 22h–1 23h",
		"b MachineHour 1 23h–2 00h", "a MachineDay 1 00h–2 00h", "b MachineDay 1 00h–2 00h",
		"a MachineHour 2 06h–2 07h", "a MachineDay 2 00h–3 00h",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A window of a recording that is not open here fails, rather than being given another recording's readings.
func TestTheWindowSaysWhichRecording(t *testing.T) {
	t.Parallel()
	press := rhythm("press", 1, 0, 0)
	proc := orca.NewProcessor(processorName)
	a := define(proc, []*recording{press}, chosen, 0)
	w := schedule([]*recording{press}, "test")[0]
	if _, err := a.hour.Call(t.Context(), w); err != nil {
		t.Error(err)
	}
	w.Metadata["recording"] = "another"
	if _, err := a.hour.Call(t.Context(), w); err == nil || !strings.Contains(err.Error(), "the recording another of press is not open here") {
		t.Errorf("another recording gives the error %v", err)
	}
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                        "no recording is given",
		"-show all a.csv":         `-show "all": must be alarms, days or hours`,
		"-jitter -1s a.csv":       "-jitter -1s",
		"missing.csv":             "missing.csv",
		"-labels no.json main.go": "main.go: line 1: the columns are",
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), strings.Fields(args), &stdout, &stderr)
		if err == nil || !strings.Contains(err.Error(), want) || stdout.Len() > 0 {
			t.Errorf("%q gives the error %v, want %q in it; it prints %q", args, err, want, stdout.String())
		}
	}
}

// README.md shows code of this folder as it is, indentation aside.
func TestTheReadmeShowsThisCode(t *testing.T) {
	t.Parallel()
	blocks := strings.Split(flat(t, "README.md"), "\n```go\n")[1:]
	if len(blocks) == 0 {
		t.Error("README.md shows no code")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(flat(t, "algorithms.go"), code+"\n") {
			t.Errorf("algorithms.go does not have this code of README.md:\n%s", code)
		}
	}
}

// flat returns a text without indentation, which differs where code is cut out of a function.
func flat(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
