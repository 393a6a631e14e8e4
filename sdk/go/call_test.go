package orca_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

func TestCallGivesTypedResults(t *testing.T) {
	t.Parallel()
	type score struct {
		Total float64           `json:"total"`
		Notes []string          `json:"notes"`
		At    time.Time         `json:"at"`
		Parts map[string]uint16 `json:"parts,omitempty"`
	}
	want := score{Total: 0.1, Notes: []string{"a", "ü"}, At: noon, Parts: map[string]uint16{"x": 3}}
	plain := map[string]any{
		"nan": math.NaN(), "inf": math.Inf(-1), "null": nil, "list": []any{1.5, "x", []any{}}, "empty": map[string]any{},
	}
	p := orca.NewProcessor("racing")
	value := orca.Value(p, "Value", "1.0.0", lap, constant(0.1))
	array := orca.Array(p, "Array", "1.0.0", lap, func(context.Context, *orca.Run) ([]float32, error) {
		return []float32{1, float32(math.NaN())}, nil
	})
	empty := orca.Array(p, "Empty", "1.0.0", lap, func(context.Context, *orca.Run) ([]float32, error) { return nil, nil })
	typed := orca.Struct(p, "Typed", "1.0.0", lap, func(context.Context, *orca.Run) (score, error) { return want, nil })
	pointer := orca.Struct(p, "Pointer", "1.0.0", lap, func(context.Context, *orca.Run) (*score, error) { return &want, nil })
	loose := orca.Struct(p, "Loose", "1.0.0", lap, func(context.Context, *orca.Run) (map[string]any, error) { return plain, nil })
	none := orca.None(p, "None", "1.0.0", lap, func(context.Context, *orca.Run) error { return nil })
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}

	type results struct {
		Value   float32
		Array   []float32
		Empty   []float32
		Typed   score
		Pointer *score
		Loose   map[string]any
		None    orca.Nothing
	}
	got := results{
		must(t)(value.Call(t.Context(), orca.Window{})),
		mustCall(t, array), mustCall(t, empty), mustCall(t, typed), mustCall(t, pointer), mustCall(t, loose),
		mustCall(t, none),
	}
	expected := results{0.1, []float32{1, float32(math.NaN())}, []float32{}, want, &want, plain, orca.Nothing{}}
	if diff := cmp.Diff(expected, got, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

func must(t *testing.T) func(float32, error) float32 {
	return func(v float32, err error) float32 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func mustCall[T any](t *testing.T, a *orca.Algorithm[T], given ...orca.Given) T {
	t.Helper()
	v, err := a.Call(t.Context(), orca.Window{}, given...)
	if err != nil {
		t.Fatalf("%v: %v", a, err)
	}
	return v
}

// seen is what an algorithm can read of one dependency.
type seen struct {
	Rows, Past []orca.Row[float32]
	Latest     orca.Row[float32]
	OK         bool
}

func TestCallHandsOverDependencies(t *testing.T) {
	t.Parallel()
	row := func(on orca.WindowType, v float32, minutesAgo int) orca.Row[float32] {
		ago := time.Duration(minutesAgo) * time.Minute
		return orca.Row[float32]{Window: window(on, noon.Add(-ago), time.Minute), Value: v, Computed: noon.Truncate(time.Second)}
	}
	p := orca.NewProcessor("racing")
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	weather := orca.Value(p, "Weather", "1.0.0", day, constant(1))
	chassis := orca.Remote[float32](orca.AlgorithmID{Processor: "chassis", Name: "Speed", Version: "1.0.0"})
	last, past := speed.Over(orca.Last(2)), speed.Over(orca.Past(time.Hour).SkipTime(time.Minute))

	var current []float32
	var got []seen
	var self []orca.Row[float32]
	trend := orca.Value(p, "Trend", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		current = []float32{speed.From(run), last.From(run), past.From(run), chassis.From(run)}
		for _, d := range []orca.Dependency[float32]{last, past} {
			latest, ok := d.Latest(run)
			got = append(got, seen{d.Rows(run), d.Past(run), latest, ok})
		}
		for _, a := range []*orca.Algorithm[float32]{weather, chassis} {
			latest, ok := a.Latest(run)
			got = append(got, seen{a.Rows(run), a.Past(run), latest, ok})
		}
		self = orca.Self[float32](run)
		return 0, nil
	}, orca.Needs(last, weather, past, chassis), orca.NeedsSelf(orca.Last(1)))
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}

	now := orca.Row[float32]{Window: window(lap, noon, time.Minute), Value: 5}
	with := func(r orca.Row[float32], v float32) orca.Row[float32] { r.Value = v; return r }
	_, err := trend.Call(t.Context(), now.Window,
		last.Given(5, row(lap, 4, 1), row(lap, 3, 2)),
		past.Given(5, row(lap, 2, 30)),
		weather.GivenPast(row(day, 20, 90)),
		chassis.Given(6),
		orca.GivenSelf(row(lap, 0.5, 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := []seen{
		{[]orca.Row[float32]{now, row(lap, 4, 1), row(lap, 3, 2)}, []orca.Row[float32]{row(lap, 4, 1), row(lap, 3, 2)}, now, true},
		{[]orca.Row[float32]{now, row(lap, 2, 30)}, []orca.Row[float32]{row(lap, 2, 30)}, now, true},
		{[]orca.Row[float32]{row(day, 20, 90)}, []orca.Row[float32]{row(day, 20, 90)}, row(day, 20, 90), true},
		{[]orca.Row[float32]{with(now, 6)}, []orca.Row[float32]{}, with(now, 6), true},
	}
	// A current row is computed when the call is made.
	computedNow := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Computed" },
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) || a.IsZero() || b.IsZero() }))
	if diff := cmp.Diff(want, got, computedNow); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float32{5, 5, 5, 6}, current); diff != "" {
		t.Errorf("From: %s", diff)
	}
	if diff := cmp.Diff([]orca.Row[float32]{row(lap, 0.5, 1)}, self); diff != "" {
		t.Errorf("Self: %s", diff)
	}
}

func TestLatestOfAnotherWindowTypeMayBeMissing(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	weather := orca.Value(p, "Weather", "1.0.0", day, constant(1))
	pace := orca.Value(p, "Pace", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		if _, ok := weather.Latest(run); ok || len(weather.Rows(run)) != 0 || len(weather.Past(run)) != 0 {
			return 0, errors.New("there is a row")
		}
		return 1, nil
	}, orca.Needs(weather))
	mustCall(t, pace)
}

func TestAPastWindowMayBeginWithTheCurrentOne(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	count := orca.Array(p, "Count", "1.0.0", lap, func(_ context.Context, run *orca.Run) ([]float32, error) {
		return orca.Values(speed.Past(run)), nil
	}, orca.Needs(speed.Over(orca.Last(2))))
	shorter := orca.Row[float32]{Window: window(lap, noon, time.Second), Value: 7}
	got, err := count.Call(t.Context(), window(lap, noon, time.Minute), speed.GivenPast(shorter))
	if diff := cmp.Diff([]float32{7}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestReadingWhatWasNotNeededIsAMistakeThatSaysSo(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	other := orca.Value(p, "Other", "1.0.0", lap, constant(1))
	weather := orca.Value(p, "Weather", "1.0.0", day, constant(1))
	wrong := orca.Remote[[]float32](speed.ID())
	needs := orca.Needs(speed.Over(orca.Last(2)), speed.Over(orca.Last(3)), weather)
	for name, tc := range map[string]struct {
		read func(*orca.Run)
		want string
	}{
		"not needed":        {func(r *orca.Run) { other.From(r) }, "reads Other 1.0.0 of racing, which its Needs does not name"},
		"another lookback":  {func(r *orca.Run) { speed.Over(orca.Last(4)).Rows(r) }, "reads Speed 1.0.0 of racing (last 4), which its Needs"},
		"ambiguous":         {func(r *orca.Run) { speed.Past(r) }, "several lookbacks"},
		"no current result": {func(r *orca.Run) { weather.From(r) }, "has no result of Weather 1.0.0 of racing for its own window"},
		"another type":      {func(r *orca.Run) { wrong.From(r) }, "reads Speed 1.0.0 of racing as []float32"},
		"self as another":   {func(r *orca.Run) { orca.Self[[]float32](r) }, "Self[[]float32]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := orca.NewProcessor("racing")
			a := orca.Value(p, "Reader", "1.0.0", lap, func(_ context.Context, r *orca.Run) (float32, error) {
				tc.read(r)
				return 0, nil
			}, needs)
			_, err := a.Call(t.Context(), window(lap, noon, time.Minute), speed.Given(1))
			var panicked *orca.PanicError
			if !errors.As(err, &panicked) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a panic that says %q", err, tc.want)
			}
		})
	}
}

func TestCallReturnsTheAlgorithmsOwnError(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	returns := func(name string, err error) *orca.Algorithm[float32] {
		return orca.Value(p, name, "1.0.0", lap, func(context.Context, *orca.Run) (float32, error) { return 1, err })
	}
	_, err := returns("Broken", fs.ErrNotExist).Call(t.Context(), orca.Window{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	_, err = returns("Handled", orca.Failf("no data: %w", fs.ErrNotExist)).Call(t.Context(), orca.Window{})
	var failure *orca.Failure
	if !errors.As(err, &failure) || failure.Reason != "no data: file does not exist" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %#v, want a Failure that wraps fs.ErrNotExist", err)
	}
	panics := orca.Value(p, "Panics", "1.0.0", lap, func(context.Context, *orca.Run) (float32, error) {
		panic(fs.ErrClosed)
	})
	_, err = panics.Call(t.Context(), orca.Window{})
	var panicked *orca.PanicError
	if !errors.As(err, &panicked) || !errors.Is(err, fs.ErrClosed) || !strings.Contains(panicked.Stack, "call_test.go") {
		t.Errorf("got %#v, want a PanicError with the stack of this file", err)
	}
}

func TestCallRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	pace := orca.Value(p, "Pace", "1.0.0", lap, constant(1), orca.Needs(speed))
	other := orca.Value(p, "Other", "1.0.0", lap, constant(1))
	remote := orca.Remote[float32](orca.AlgorithmID{Processor: "chassis", Name: "Grip", Version: "1.0.0"})
	structured := func(v any) func(*testing.T) error {
		return func(t *testing.T) error {
			a := orca.Struct(orca.NewProcessor("x"), "S", "1.0.0", lap,
				func(context.Context, *orca.Run) (map[string]any, error) { return map[string]any{"v": v}, nil })
			_, err := a.Call(t.Context(), orca.Window{})
			return err
		}
	}
	for name, tc := range map[string]struct {
		call func(*testing.T) error
		want string
	}{
		"remote":     {func(t *testing.T) error { _, err := remote.Call(t.Context(), orca.Window{}); return err }, "runs in another processor"},
		"not needed": {func(t *testing.T) error { _, err := pace.Call(t.Context(), orca.Window{}, other.Given(1)); return err }, "Other 1.0.0 of racing is given and not needed"},
		"no window": {func(t *testing.T) error {
			_, err := pace.Call(t.Context(), orca.Window{}, speed.GivenPast(orca.Row[float32]{Value: 1}))
			return err
		}, "past row 0: it has no window"},
		"lossy int":     {structured(int64(1<<53 + 1)), `field "v": number 9007199254740993 does not fit a float64`},
		"lossy uint":    {structured(uint64(math.MaxUint64)), "does not fit a float64"},
		"huge number":   {structured(json.Number("1e999")), "does not fit a float64"},
		"channel":       {structured(make(chan int)), "unsupported type"},
		"invalid UTF-8": {structured("\xff"), "not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tc.call(t); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestResultsOfAnyKind(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	grip := orca.Remote[any](orca.AlgorithmID{Processor: "chassis", Name: "Grip", Version: "1.0.0"})
	var got any
	a := orca.None(p, "Reader", "1.0.0", lap, func(_ context.Context, run *orca.Run) error {
		got = grip.From(run)
		return nil
	}, orca.Needs(grip))
	for _, want := range []any{nil, float32(1.5), []float32{}, []float32{1}, map[string]any{"a": 1.0}} {
		mustCall(t, a, grip.Given(want))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNumbersThatFitAreKept(t *testing.T) {
	t.Parallel()
	type numbers struct {
		Big   float64
		Whole int64
		Small int8
		F32   float32
	}
	want := numbers{Big: 1.2345678901234567e20, Whole: 1 << 60, Small: -3, F32: 0.1}
	a := orca.Struct(orca.NewProcessor("x"), "S", "1.0.0", lap,
		func(context.Context, *orca.Run) (numbers, error) { return want, nil })
	if diff := cmp.Diff(want, mustCall(t, a)); diff != "" {
		t.Error(diff)
	}
}

func TestCallStandsInForTheCore(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	a := orca.None(p, "Splitter", "1.0.0", day, func(ctx context.Context, run *orca.Run) error {
		_, err := run.Emit(ctx, orca.Window{Type: lap, From: run.Window.From, To: run.Window.To, Origin: "splitter"})
		return err
	})
	var emitted []orca.Window
	emit := orca.GivenEmit(func(_ context.Context, w orca.Window) (orca.Emission, error) {
		emitted = append(emitted, w)
		return orca.Emission{}, nil
	})
	if _, err := a.Call(t.Context(), window(day, noon, time.Hour), emit); err != nil {
		t.Fatal(err)
	}
	want := []orca.Window{{Type: lap, From: noon, To: noon.Add(time.Hour), Origin: "splitter"}}
	if diff := cmp.Diff(want, emitted); diff != "" {
		t.Error(diff)
	}
	if _, err := a.Call(t.Context(), orca.Window{From: noon, To: noon.Add(-1)}, emit); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("a window that ends before it begins: got %v, want ErrInvalid", err)
	}
	if _, err := a.Call(t.Context(), window(day, noon, time.Hour)); err == nil || !strings.Contains(err.Error(), "GivenEmit") {
		t.Errorf("without GivenEmit: got %v", err)
	}
}
