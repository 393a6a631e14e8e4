package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/orcatest"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A minute comes after its last second, every so many seconds, and once more over what is left. Its window is a minute.
func TestSchedule(t *testing.T) {
	t.Parallel()
	s := newSchedule(begin.Add(300*time.Microsecond), time.Second)
	var got []string
	show := func(windows []orca.Window) {
		for _, w := range windows {
			got = append(got, fmt.Sprintf("%s %v to %v", w.Type.Name, w.From.Sub(begin), w.To.Sub(begin)))
		}
	}
	show(s.rest())
	show(s.due(begin.Add(999 * time.Millisecond)))
	for i := 8; i <= 12; i++ {
		tick := begin.Add(time.Duration(i)*time.Second + 7*time.Millisecond)
		show(s.due(tick))
		show(s.due(tick))
	}
	show(s.rest())
	show(s.rest())
	want := []string{
		"HostSecond 7s to 8s", "HostSecond 8s to 9s", "HostSecond 9s to 10s", "HostMinute -50s to 10s",
		"HostSecond 10s to 11s", "HostSecond 11s to 12s", "HostMinute -48s to 12s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// On a machine whose CPU's usage rises by a percent with each second, for 90 seconds. Another machine's windows lie between.
func TestHistory(t *testing.T) {
	t.Parallel()
	s := &sampler{}
	var busy float64
	for i := range 91 {
		busy += float64(i) / 100
		s.samples[i] = sample{at: begin.Add(time.Duration(i) * time.Second), cpuBusy: busy, cpuTotal: float64(i), memUsed: 50}
		s.next, s.filled = i+1, i+1
	}
	metrics, health := orca.NewProcessor("host-metrics"), orca.NewProcessor("host-health")
	a := define(metrics, health, s, time.Second)
	core, err := orcatest.New(metrics, health)
	if err != nil {
		t.Fatal(err)
	}
	emit := func(w orca.Window, host string) *orca.Outcome {
		w.Metadata = map[string]any{"host": host}
		outcome, err := core.Emit(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if !a.planned(w, outcome) {
			t.Errorf("%s of %s is not as planned: %v", w.Type.Name, host, outcome.Err())
		}
		return outcome
	}
	var got []string
	grid := newSchedule(begin, time.Second)
	for i := 1; i <= 90; i++ {
		for _, w := range grid.due(begin.Add(time.Duration(i) * time.Second)) {
			if w.Type.Name == hostSecond.Name {
				emit(orca.Window{Type: w.Type, From: begin.Add(80 * time.Second), To: begin.Add(90 * time.Second), Origin: "test"}, "other")
			}
			outcome := emit(w, "this")
			if i == 1 || i == 3 || i == 90 {
				got = append(got, texts(a, outcome)...)
			}
		}
	}
	want := []string{
		"+0.0 % over 1 window", "1.0 %",
		"+2.0 % over 3 windows", "1.6 %", // 0.2·3 + 0.8·(0.2·2 + 0.8·1)
		"+59.0 % over 60 windows", "86.0 %", // behind by (1-0.2)/0.2 seconds
		"CPU mean 60.5 %, max 90.0 %, health min 35, over 60 s", // seconds 31 to 90
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// texts returns what the view shows of the algorithms that look back.
func texts(a algorithms, o *orca.Outcome) (shown []string) {
	v := &view{algorithms: a}
	for _, id := range []orca.AlgorithmID{a.trend.ID(), a.smooth.ID(), a.minute.ID()} {
		if n, ok := find(o, id); ok {
			shown = append(shown, v.value(n, o))
		}
	}
	return shown
}

// No line of the table wraps on a terminal of 80 columns, whatever the numbers: the table could not be drawn again.
func TestTheTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	metrics, health := orca.NewProcessor("host-metrics"), orca.NewProcessor("host-health")
	a := define(metrics, health, &sampler{}, time.Second)
	node := func(id orca.AlgorithmID) orca.Node {
		return orca.Node{Algorithm: id, State: orca.NodeHandledFailed, Reason: strings.Repeat("a long reason ", 20)}
	}
	v := &view{width: 80, algorithms: a, health: make([]float32, healthShown)}
	v.last = finishedWindow{outcome: &orca.Outcome{Nodes: []orca.Node{node(a.trend.ID()), node(a.health.ID())}}}
	v.minute = finishedWindow{outcome: &orca.Outcome{Nodes: []orca.Node{node(a.minute.ID())}}}
	s := &summary{emitted: 1e9, finished: 1e9 - 1, totals: []time.Duration{1e9 * time.Second, 1e9 * time.Second}}
	for _, row := range v.table(s) {
		plain := strings.NewReplacer("\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(row)
		if n := len([]rune(plain)); n >= 80 {
			t.Errorf("%d columns: %s", n, plain)
		}
	}
}
