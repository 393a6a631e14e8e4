package bench

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type faults struct{ Lost, Duplicated int }

// A window that was accepted and does not come out is lost; one that comes out more often than it was accepted is
// duplicated, whichever of processors and ledger says so.
func TestFaults(t *testing.T) {
	t.Parallel()
	shape := Shape{Name: "pair", nodes: []node{{}, {needs: []int{0}}}}
	both := func(t *tally) {
		t.executed(record{window: 0, node: 0, at: 5})
		t.executed(record{window: 0, node: 1, at: 6})
	}
	for name, test := range map[string]struct {
		answer answer
		happen func(*tally)
		want   faults
	}{
		"processed":                     {accepted, func(t *tally) { both(t); t.inLedger(0, true) }, faults{}},
		"refused":                       {refused, func(*tally) {}, faults{}},
		"a node never ran":              {accepted, func(t *tally) { t.executed(record{node: 0}); t.inLedger(0, true) }, faults{Lost: 1}},
		"not in the ledger":             {accepted, both, faults{Lost: 1}},
		"unfinished in the ledger":      {accepted, func(t *tally) { both(t); t.inLedger(0, false) }, faults{Lost: 1}},
		"a node ran twice":              {accepted, func(t *tally) { both(t); t.executed(record{node: 1}); t.inLedger(0, true) }, faults{Duplicated: 1}},
		"twice in the ledger":           {accepted, func(t *tally) { both(t); t.inLedger(0, true); t.inLedger(0, true) }, faults{Duplicated: 1}},
		"refused and yet executed":      {refused, both, faults{Duplicated: 1}},
		"refused and yet in the ledger": {refused, func(t *tally) { t.inLedger(0, true) }, faults{Duplicated: 1}},
		"a window nobody emitted":       {accepted, func(t *tally) { both(t); t.inLedger(0, true); t.inLedger(7, true) }, faults{Duplicated: 1}},
		"an algorithm nobody has": {accepted, func(t *tally) { both(t); t.inLedger(0, true); t.executed(record{node: 2}) },
			faults{Duplicated: 1}},
	} {
		tally := newTally(shape)
		tally.sent(0, 1, nil)
		tally.answered(0, test.answer, 2)
		test.happen(tally)
		var got faults
		got.Lost, got.Duplicated = tally.faults(true)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A window may be processed before its emitter has the answer.
func TestSettleTakesEitherOrder(t *testing.T) {
	t.Parallel()
	tally := newTally(Shapes()[0])
	wake := make(chan struct{}, 2)
	for number := range int64(2) {
		tally.sent(number, 0, wake)
	}
	tally.executed(record{window: 0, at: 1})
	tally.answered(0, accepted, 2)
	tally.answered(1, accepted, 2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tally.settle(ended); err == nil {
		t.Error("settled with a window that is not processed")
	}
	tally.executed(record{window: 1, at: 3})
	if err := tally.settle(t.Context()); err != nil {
		t.Error(err)
	}
	if len(wake) != 2 {
		t.Errorf("woken %d times, want 2", len(wake))
	}
}

// Rates count the windows that ended while it was measured, times those that were due in it.
func TestMeasurement(t *testing.T) {
	t.Parallel()
	tally := newTally(Shapes()[0])
	ms := func(n int64) instant { return instant(n * int64(time.Millisecond)) }
	for number, times := range [][3]int64{{0, 10, 99}, {50, 51, 101}, {100, 102, 150}, {300, 304, 500}, {1000, 1900, 2200}, {2200, 2201, 2202}} {
		tally.sent(int64(number), ms(times[0]), nil)
		tally.answered(int64(number), accepted, ms(times[1]))
		tally.executed(record{window: int64(number), at: ms(times[2])})
	}
	tally.sent(6, ms(400), nil)
	tally.answered(6, refused, ms(401))
	m := measurement{
		from: ms(100), to: ms(2100), before: usage{cpu: time.Second, allocations: 10, bytes: 1024, commits: 1},
		after: usage{cpu: time.Second + 6*time.Millisecond, allocations: 40, bytes: 7 * 1024, commits: 7},
	}
	want := Turn{
		WindowsPerSecond: 1.5, EmitP50: 4, EmitP99: 900, EndP50: 200, EndP99: 1200, CPUPerWindow: 2000,
		AllocationsPerWindow: 10, KiBPerWindow: 2, CommitsPerWindow: 2, Windows: 6, Refused: 1,
	}
	if diff := cmp.Diff(want, m.turn(tally)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Windows come out in order when each is near the place of its number; their times are those of the first and the last.
func TestEnds(t *testing.T) {
	t.Parallel()
	tally := newTally(Shapes()[0])
	for number := range int64(5) {
		tally.sent(number, 0, nil)
	}
	for i, number := range []int64{1, 0, 4, 2, 3} {
		tally.executed(record{window: number, at: instant(10 + i)})
	}
	first, last, out := tally.ends()
	if diff := cmp.Diff([]int64{10, 14, 2}, []int64{int64(first), int64(last), out}); diff != "" {
		t.Errorf("first, last, out of place (-want +got):\n%s", diff)
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	got := medians([]Turn{
		{WindowsPerSecond: 5, EndP99: 1, PeakMiB: 3, Windows: 10, Lost: 1},
		{WindowsPerSecond: 100, EndP99: 3, PeakMiB: 9, Windows: 20, Duplicated: 1},
		{WindowsPerSecond: 7, EndP99: 2, PeakMiB: 4, Windows: 30, Lost: 1},
	})
	want := Turn{WindowsPerSecond: 7, EndP99: 2, PeakMiB: 9, Windows: 60, Lost: 2, Duplicated: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRecordsSurviveThePipe(t *testing.T) {
	t.Parallel()
	want := []record{{window: 0, node: 0, at: 1}, {window: 1 << 40, node: 21, at: now()}, {node: registered, at: 7}}
	var pipe bytes.Buffer
	for _, r := range want {
		pipe.Write(r.append(nil))
	}
	var got []record
	if err := readRecords(&pipe, func(r record) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	pipe.Write([]byte("cut off"))
	if err := readRecords(&pipe, func(record) {}); err == nil {
		t.Error("a record that is cut off is no error")
	}
}

// The number of a window comes back from its times, and windows of one asset are as far apart as there are assets.
func TestWindowNumbers(t *testing.T) {
	t.Parallel()
	s := Shapes()[0]
	for _, number := range []int64{0, 1, 999, 1000, 1_000_000} {
		w := s.window(number, 1000)
		if got := numberOf(w); got != number {
			t.Errorf("window %d has the number %d", number, got)
		}
		if got, want := w.GetMetadata().GetFields()["asset"].GetStringValue(), s.window(number%1000, 1000).GetMetadata().GetFields()["asset"].GetStringValue(); got != want {
			t.Errorf("window %d is of %s, want %s", number, got, want)
		}
	}
}
