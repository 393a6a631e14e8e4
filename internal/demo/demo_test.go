package demo

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The whole demo, with short windows: nothing is lost, and it says so.
func TestDemo(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		err := Run(t.Context(), Config{For: 3 * time.Second, Interval: 300 * time.Millisecond, Out: &out, Terminal: terminal, Width: 100})
		if err != nil {
			t.Fatalf("demo on a terminal (%v): %v\n%s", terminal, err, out.String())
		}
		for _, want := range []string{"CPUUsage", "HealthScore", "CPUTrend", "CPUSmooth", "CPU mean", "windows emitted", "end to end, p50 / p99"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("demo on a terminal (%v) does not show %q:\n%s", terminal, want, out.String())
			}
		}
		if !regexp.MustCompile(`(?m)^ +lost +0$`).MatchString(out.String()) {
			t.Errorf("demo on a terminal (%v) does not say that nothing was lost:\n%s", terminal, out.String())
		}
	}
}

// What the summary counts decides whether the demo fails.
func TestSummary(t *testing.T) {
	t.Parallel()
	s := &summary{planned: func(orca.Window, *orca.Outcome) bool { return true }, emitted: 2}
	s.add(finishedWindow{outcome: &orca.Outcome{State: orca.RunSucceeded}, total: time.Millisecond})
	if err := s.err(); err == nil || !strings.Contains(err.Error(), "1 of 2 windows were lost") {
		t.Errorf("a lost window gives %v", err)
	}
	s.add(finishedWindow{outcome: &orca.Outcome{State: orca.RunFailed}, total: time.Millisecond})
	if err := s.err(); err != nil {
		t.Errorf("a failure as planned gives %v", err)
	}
	s.planned = func(orca.Window, *orca.Outcome) bool { return false }
	s.emitted++
	s.add(finishedWindow{outcome: &orca.Outcome{State: orca.RunFailed}, total: time.Millisecond})
	if err := s.err(); err == nil || !strings.Contains(err.Error(), "1 windows ended otherwise than planned") {
		t.Errorf("an unplanned failure gives %v", err)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	for p, want := range map[int]time.Duration{50: 50, 99: 99, 100: 100} {
		if got := percentile(times, p); got != want {
			t.Errorf("percentile %d is %d, want %d", p, got, want)
		}
	}
	if got := percentile(times[:1], 50); got != 100 {
		t.Errorf("percentile 50 of one is %d, want it", got)
	}
}

// A window sees the samples in it and the last one before it, and none without samples is made up.
func TestSamplerBetween(t *testing.T) {
	t.Parallel()
	s := &sampler{}
	at := func(i int) time.Time { return time.Unix(1000, 0).Add(time.Duration(i) * 100 * time.Millisecond) }
	for i := range kept + 50 { // the ring has wrapped
		s.samples[s.next] = sample{at: at(i), load1: float64(i)}
		s.next, s.filled = (s.next+1)%kept, min(s.filled+1, kept)
	}
	first, last, n, err := s.between(at(600), at(610))
	if err != nil || first.load1 != 600 || last.load1 != 610 || n != 10 {
		t.Errorf("between gives samples %v to %v, %d of them, %v; want 600 to 610, 10", first.load1, last.load1, n, err)
	}
	if _, _, _, err := s.between(at(700), at(710)); err == nil {
		t.Error("an interval after the last sample gives samples")
	}
	if _, _, _, err := s.between(at(0), at(10)); err == nil {
		t.Error("an interval before the first sample gives samples")
	}
}
