package main

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/orcatest"
)

var midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// plant is a core in memory with the processor.
type plant struct {
	algorithms
	core *orcatest.Core
	t    *testing.T
}

func newPlant(t *testing.T) plant {
	t.Helper()
	proc := orca.NewProcessor("machines")
	a := define(proc)
	core, err := orcatest.New(proc)
	if err != nil {
		t.Fatal(err)
	}
	return plant{a, core, t}
}

// second emits the i-th second of a machine. A reading that is not a number stands for a sensor that is off.
func (p plant) second(name string, i int, celsius float64) *orca.Outcome {
	p.t.Helper()
	metadata := map[string]any{"machine": name, "celsius": celsius}
	if math.IsNaN(celsius) {
		metadata["celsius"] = nil
	}
	return p.emit(second, i, time.Second, metadata)
}

// minute emits the i-th minute of a machine.
func (p plant) minute(name string, i int) *orca.Outcome {
	p.t.Helper()
	return p.emit(minute, i, time.Minute, map[string]any{"machine": name})
}

func (p plant) emit(on orca.WindowType, i int, length time.Duration, metadata map[string]any) *orca.Outcome {
	p.t.Helper()
	from := midnight.Add(time.Duration(i) * length)
	outcome, err := p.core.Emit(p.t.Context(), orca.Window{Type: on, From: from, To: from.Add(length), Origin: "test", Metadata: metadata})
	if err != nil {
		p.t.Fatal(err)
	}
	return outcome
}

// result returns a result, or why there is none.
func result[T any](a *orca.Algorithm[T], o *orca.Outcome) any {
	value, err := a.In(o)
	if err != nil {
		for _, node := range o.Nodes {
			if node.Algorithm == a.ID() {
				return node.State.String() + ": " + node.Reason
			}
		}
		return err
	}
	return value
}

var nearly = cmpopts.EquateApprox(0, 1e-3)

func TestTheTrendFollowsEachMachine(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	var warming, cooling any
	for i := range 100 { // both at the same time: one gets warmer by 3 degrees in a minute, the other colder by 6
		warming = result(p.trend, p.second("m-1", i, 20+0.05*float64(i)))
		cooling = result(p.trend, p.second("m-2", i, 80-0.1*float64(i)))
		if i == 3 {
			if diff := cmp.Diff(any("handled failure: only 3 results before this one"), warming); diff != "" {
				t.Error(diff)
			}
		}
	}
	if diff := cmp.Diff([]any{float32(3), float32(-6)}, []any{warming, cooling}, nearly); diff != "" {
		t.Error(diff)
	}
}

func TestTheSmootherTakesItsOwnResult(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	got := []any{
		result(p.smooth, p.second("m-1", 0, 20)),
		result(p.smooth, p.second("m-2", 0, 90)),
		result(p.smooth, p.second("m-1", 1, 24)),
		result(p.smooth, p.second("m-1", 2, math.NaN())),
		result(p.smooth, p.second("m-1", 3, 25)), // after a failure, its own result of before that
		result(p.smooth, p.second("m-1", 60, 30)),
	}
	want := []any{
		float32(20), float32(90), float32(21), "skipped: needs Temperature 1.0.0, which failed (handled)",
		float32(22), float32(30),
	}
	if diff := cmp.Diff(want, got, nearly); diff != "" {
		t.Error(diff)
	}
}

func TestALateSecondMissesItsMinute(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	for i := range 59 {
		p.second("m-1", i, 20)
	}
	before := result(p.report, p.minute("m-1", 0))
	p.second("m-1", 59, 80) // a second late
	after := result(p.report, p.minute("m-1", 0))
	want := []any{report{Mean: 20, Max: 20, Seconds: 59}, report{Mean: 21, Max: 80, Seconds: 60}}
	if diff := cmp.Diff(want, []any{before, after}, nearly); diff != "" {
		t.Error(diff)
	}
}

// A day of one machine whose temperature rises at noon, on virtual time.
func TestADay(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	var alarms []string
	for i := range 24 * 60 {
		celsius := 40.0
		if i >= 12*60 {
			celsius = 50
		}
		for s := range 2 { // a reading every half minute
			p.second("m-1", 60*i+30*s, celsius)
		}
		drift, err := p.drift.In(p.minute("m-1", i))
		if err == nil && drift > 9 {
			alarms = append(alarms, midnight.Add(time.Duration(i)*time.Minute).Format("15:04"))
		}
	}
	if diff := cmp.Diff([]string{"12:00", "12:01"}, alarms); diff != "" {
		t.Error(diff)
	}
}

// The guide shows code of this folder as it is, indentation aside.
func TestTheGuideShowsThisCode(t *testing.T) {
	t.Parallel()
	var sources string
	for _, name := range []string{"main.go", "algorithms.go", "lookbacks_test.go"} {
		sources += flat(t, name)
	}
	blocks := strings.Split(flat(t, "../../docs/guide/lookbacks.md"), "\n```go\n")[1:]
	if len(blocks) < 5 {
		t.Errorf("%d blocks of Go in the guide", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(sources, code+"\n") {
			t.Errorf("examples/lookbacks does not have this code of the guide:\n%s", code)
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
