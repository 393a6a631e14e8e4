package orcatest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/orcatest"
)

func value(f func(*orca.Run) (float32, error)) orca.Func[float32] {
	return func(_ context.Context, run *orca.Run) (float32, error) { return f(run) }
}

func number(v float32) orca.Func[float32] {
	return value(func(*orca.Run) (float32, error) { return v, nil })
}

func newCore(t *testing.T, processors ...*orca.Processor) *orcatest.Core {
	t.Helper()
	core, err := orcatest.New(processors...)
	if err != nil {
		t.Fatal(err)
	}
	return core
}

func emit(t *testing.T, core *orcatest.Core, s step) *orca.Outcome {
	t.Helper()
	outcome, err := core.Emit(t.Context(), s.window())
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// told is what an outcome says of its nodes.
func told(o *orca.Outcome) (out []string) {
	for _, node := range o.Nodes {
		out = append(out, fmt.Sprintf("%s: %v %v %s", node.Algorithm.Name, node.State, node.Value, node.Reason))
	}
	return append(out, o.State.String())
}

// A failure skips what depends on it in the run, directly or not; independent branches finish; across types the dependent
// runs on the older row.
func TestFailuresSkipInTheRunAndNotAcrossTypes(t *testing.T) {
	t.Parallel()
	lap, day := typeOf("Lap"), typeOf("Day")
	p := orca.NewProcessor("p")
	last := value(func(run *orca.Run) (float32, error) {
		switch run.Window.Metadata["name"] {
		case "handled":
			return 0, orca.Failf("no data")
		case "unhandled":
			return 0, errors.New("broken")
		case "panic":
			panic("lost")
		}
		return float32(run.Window.To.Sub(began).Seconds()), nil
	})
	// Announced in an order in which nothing can run.
	a := orca.Remote[float32](orca.AlgorithmID{Processor: "p", Name: "A", Version: "1.0.0"})
	b := orca.Remote[float32](orca.AlgorithmID{Processor: "p", Name: "B", Version: "1.0.0"})
	orca.Value(p, "C", "1.0.0", lap, value(func(run *orca.Run) (float32, error) { return b.From(run), nil }), orca.Needs(b))
	orca.Value(p, "B", "1.0.0", lap, value(func(run *orca.Run) (float32, error) { return a.From(run) + 1, nil }), orca.Needs(a))
	orca.Value(p, "A", "1.0.0", lap, last)
	orca.Value(p, "Alone", "1.0.0", lap, number(7))
	orca.Value(p, "Daily", "1.0.0", day, value(func(run *orca.Run) (float32, error) {
		row, ok := a.Latest(run)
		if !ok {
			return -1, nil
		}
		return row.Value, nil
	}), orca.Needs(a))
	core := newCore(t, p)
	var got [][]string
	for _, s := range []step{
		{on: day, from: 0, to: 1}, {on: lap, from: 0, to: 1}, {on: lap, from: 1, to: 2, name: "handled"}, {on: day, from: 0, to: 2},
		{on: lap, from: 2, to: 3, name: "unhandled"}, {on: lap, from: 3, to: 4, name: "panic"}, {on: day, from: 0, to: 9},
	} {
		got = append(got, told(emit(t, core, s)))
	}
	failed := func(kind, how string) []string {
		return []string{
			"A: " + kind + " failure <nil> " + how, "B: skipped <nil> needs A 1.0.0, which failed (" + kind + ")",
			"C: skipped <nil> needs B 1.0.0, which was skipped", "Alone: succeeded 7 ", "failed",
		}
	}
	want := [][]string{
		{"Daily: succeeded -1 ", "succeeded"},
		{"A: succeeded 1 ", "B: succeeded 2 ", "C: succeeded 2 ", "Alone: succeeded 7 ", "succeeded"},
		failed("handled", "no data"), {"Daily: succeeded 1 ", "succeeded"},
		failed("unhandled", "broken"), failed("unhandled", "panic: lost"), {"Daily: succeeded 1 ", "succeeded"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Rows show windows as they are stored: without noStore values, which the run itself sees.
func TestNoStoreValuesAreForTheRunAlone(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap", orca.Field{Name: "secret", NoStore: true})
	p := orca.NewProcessor("p")
	var seen []any
	source := orca.Value(p, "Source", "1.0.0", on, value(func(run *orca.Run) (float32, error) {
		seen = append(seen, run.Window.Metadata["secret"])
		return 1, nil
	}))
	over := source.Over(orca.Last(1))
	orca.Value(p, "Reader", "1.0.0", on, value(func(run *orca.Run) (float32, error) {
		for row := range over.Rows(run).NewestFirst() {
			_, there := row.Window.Metadata["secret"]
			seen = append(seen, there, row.Window.Origin, row.Window.Type.Name, row.Computed.Sub(began))
		}
		return 1, nil
	}), orca.Needs(over))
	core := newCore(t, p)
	for _, s := range tens(on, "ab") {
		s.meta = map[string]any{"secret": s.name}
		emit(t, core, s)
	}
	want := []any{"a", false, "test", "Lap", 10 * time.Second, "b", false, "test", "Lap", 20 * time.Second, false, "test", "Lap", 10 * time.Second}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// An algorithm emits windows: they run after the window that is being run, once per key.
func TestAlgorithmsEmit(t *testing.T) {
	t.Parallel()
	lap, day := typeOf("Lap"), typeOf("Day")
	p := orca.NewProcessor("p")
	var order, ids []string
	orca.None(p, "Splitter", "1.0.0", day, func(ctx context.Context, run *orca.Run) error {
		for range 2 {
			emission, err := run.Emit(ctx, step{on: lap, from: 1, to: 2, name: "part"}.window(), orca.IdempotencyKey("k"))
			if err != nil {
				return err
			}
			ids = append(ids, emission.WindowID)
		}
		order = append(order, "Splitter")
		_, err := run.Emit(ctx, step{on: lap, from: 1, to: 3, name: "part"}.window(), orca.IdempotencyKey("k"))
		return err
	})
	part := source(p, lap)
	orca.None(p, "Last", "1.0.0", lap, func(context.Context, *orca.Run) error { order = append(order, "Last"); return nil }, orca.Needs(part))
	core := newCore(t, p)
	outcome := emit(t, core, step{on: day, from: 1, to: 5})
	if err := outcome.Err(); err == nil || !strings.Contains(err.Error(), `conflict: the idempotency key "k" belongs to another window`) {
		t.Errorf("got %v, want a conflict over the key", err)
	}
	if diff := cmp.Diff([]string{"Splitter", "Last"}, order); diff != "" {
		t.Error(diff)
	}
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Fatalf("got windows %q, want one twice", ids)
	}
	emitted, err := core.Outcome(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := part.In(emitted); err != nil || got != (result{"part"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := core.Outcome("w-99"); !errors.Is(err, orca.ErrNotFound) {
		t.Errorf("an unknown window: got %v, want ErrNotFound", err)
	}
}

// Results come newest window first, however they were emitted, with NaN as it was.
func TestResults(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap")
	p := orca.NewProcessor("p")
	a := orca.Value(p, "A", "1.0.0", on, value(func(run *orca.Run) (float32, error) {
		if run.Window.From.Equal(began) {
			return 0, orca.Failf("nothing")
		}
		return math.Float32frombits(0x7fc00000 + uint32(run.Window.From.Sub(began).Seconds())), nil
	}))
	core := newCore(t, p)
	for _, from := range []float64{0, 3, 1, 2} {
		emit(t, core, step{on: on, from: from, to: from + 1})
	}
	rows, err := orcatest.Results(core, a)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for row := range rows.NewestFirst() {
		got = append(got, fmt.Sprintf("%s %v %#x", row.Window.ID, row.Window.From.Sub(began), math.Float32bits(row.Value)))
	}
	if diff := cmp.Diff([]string{"w-2 3s 0x7fc00003", "w-4 2s 0x7fc00002", "w-3 1s 0x7fc00001"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := orcatest.Results(core, orca.Remote[float32](orca.AlgorithmID{Processor: "q", Name: "A", Version: "1.0.0"})); !errors.Is(err, orca.ErrNotFound) {
		t.Errorf("an unknown algorithm: got %v, want ErrNotFound", err)
	}
}

// Two processors may have algorithms of one name; each dependency gets its own.
func TestNamesakes(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap")
	p, q, r := orca.NewProcessor("p"), orca.NewProcessor("q"), orca.NewProcessor("r")
	here, there := orca.Value(p, "A", "1.0.0", on, number(1)), orca.Value(q, "A", "1.0.0", on, number(2))
	both := orca.Array(r, "Both", "1.0.0", on, func(_ context.Context, run *orca.Run) ([]float32, error) {
		return []float32{there.From(run), here.From(run)}, nil
	}, orca.Needs(there, here))
	got, err := both.In(emit(t, newCore(t, r, q, p), step{on: on, from: 1, to: 2}))
	if diff := cmp.Diff([]float32{2, 1}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestNewRefusesWhatACoreWould(t *testing.T) {
	t.Parallel()
	lap, day := typeOf("Lap"), typeOf("Day")
	remote := func(name string) *orca.Algorithm[float32] {
		return orca.Remote[float32](orca.AlgorithmID{Processor: "p", Name: name, Version: "1.0.0"})
	}
	for name, tc := range map[string]struct {
		define func(p, q *orca.Processor)
		again  bool
		want   string
	}{
		"wrong definition": {func(p, _ *orca.Processor) { orca.Value(p, "a", "1.0.0", lap, number(1)) }, false, `algorithm name "a"`},
		"unknown need": {func(_, q *orca.Processor) { orca.Value(q, "B", "1.0.0", lap, number(1), orca.Needs(remote("A"))) }, false,
			"B 1.0.0 of q needs A 1.0.0 of p, which none of them has"},
		"cycle": {func(p, _ *orca.Processor) {
			orca.Value(p, "Z", "1.0.0", lap, number(1), orca.Needs(remote("A")))
			orca.Value(p, "A", "1.0.0", lap, number(1), orca.Needs(remote("B").Over(orca.Last(1))))
			orca.Value(p, "B", "1.0.0", day, number(1), orca.Needs(remote("A")))
		}, false, "A 1.0.0 → B 1.0.0 → A 1.0.0 is a cycle"},
		"other fields": {func(p, q *orca.Processor) {
			orca.Value(p, "A", "1.0.0", typeOf("Lap", orca.Field{Name: "car"}), number(1))
			orca.Value(q, "B", "1.0.0", typeOf("Lap", orca.Field{Name: "car", Filter: true}), number(1))
		}, false, "window type Lap 1.0.0: another algorithm declares other fields"},
		"twice": {func(_, _ *orca.Processor) {}, true, "processor p: it is given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, q := orca.NewProcessor("p"), orca.NewProcessor("q")
			tc.define(p, q)
			given := []*orca.Processor{p, q}
			if tc.again {
				given = append(given, p)
			}
			if _, err := orcatest.New(given...); !errors.Is(err, orca.ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an ErrInvalid with %q", err, tc.want)
			}
		})
	}
}

func TestEmitRefusesWhatACoreWould(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap")
	p := orca.NewProcessor("p")
	source(p, on)
	core := newCore(t, p)
	bare := orca.WindowType{Name: "Lap", Version: "1.0.0"} // whoever emits need not know the fields
	for name, tc := range map[string]struct {
		window orca.Window
		kind   error
		want   string
	}{
		"type":    {step{on: typeOf("Day"), to: 1}.window(), orca.ErrNotFound, "no algorithm announces window type Day 1.0.0"},
		"times":   {step{on: on, from: 2, to: 1}.window(), orca.ErrInvalid, "ends"},
		"field":   {orca.Window{Type: bare, From: began, To: began, Origin: "x"}, orca.ErrInvalid, "declares name, which this window lacks"},
		"nothing": {orca.Window{}, orca.ErrInvalid, "window type"},
	} {
		if _, err := core.Emit(t.Context(), tc.window); !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want a %v with %q", name, err, tc.kind, tc.want)
		}
	}
	if got := emit(t, core, step{on: on, to: 1}); got.Position != 1 {
		t.Errorf("the first accepted window has position %d", got.Position)
	}
}

// A context that ends stops the work; what it left goes first when there is another.
func TestAContextEndsTheWork(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap")
	p := orca.NewProcessor("p")
	ctx, cancel := context.WithCancel(t.Context())
	var ran []string
	a := orca.Value(p, "A", "1.0.0", on, value(func(run *orca.Run) (float32, error) {
		ran = append(ran, run.Window.Metadata["name"].(string))
		cancel()
		return 1, nil
	}))
	core := newCore(t, p)
	if _, err := core.Emit(ctx, step{on: on, to: 1, name: "a"}.window()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	emit(t, core, step{on: on, to: 1, name: "b"})
	rows, err := orcatest.Results(core, a)
	if diff := cmp.Diff([]string{"a", "a", "b"}, ran); diff != "" || len(rows) != 2 || err != nil {
		t.Error(diff, len(rows), err)
	}
}
