package orcatest_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/orcatest"
)

// began is the second from which the windows of these tests are counted.
var began = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// step is a window to emit: seconds since began, and the value that Source gives for it. Source fails for "x".
type step struct {
	on       orca.WindowType
	from, to float64
	name     string
	meta     map[string]any
}

func (s step) window() orca.Window {
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	meta := map[string]any{"name": s.name}
	for field, value := range s.meta {
		meta[field] = value
	}
	return orca.Window{Type: s.on, From: at(s.from), To: at(s.to), Origin: "test", Metadata: meta}
}

func typeOf(name string, fields ...orca.Field) orca.WindowType {
	return orca.WindowType{Name: name, Version: "1.0.0", Fields: append(fields, orca.Field{Name: "name"})}
}

type result struct {
	Name string `json:"name"`
}

// source adds an algorithm whose result is the name that its window has; it fails for "x".
func source(p *orca.Processor, on orca.WindowType) *orca.Algorithm[result] {
	return orca.Struct(p, "Source", "1.0.0", on, func(_ context.Context, run *orca.Run) (result, error) {
		name := run.Window.Metadata["name"].(string)
		if name == "x" {
			return result{}, orca.Failf("x")
		}
		return result{name}, nil
	})
}

func names(rows orca.Rows[result]) string {
	var out []string
	for _, row := range rows {
		out = append(out, row.Value.Name)
	}
	return strings.Join(out, " ")
}

// given emits windows in order, and returns what Reader, an algorithm that looks back over Source, was given for the last.
func given(t *testing.T, on, reader orca.WindowType, back orca.Lookback, steps ...step) string {
	t.Helper()
	p := orca.NewProcessor("p", orca.WithoutEnvironment())
	over := source(p, on).Over(back)
	var got string
	orca.None(p, "Reader", "1.0.0", reader, func(_ context.Context, run *orca.Run) error {
		got = names(over.Rows(run))
		return nil
	}, orca.Needs(over))
	core, err := orcatest.New(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		got = "none"
		if _, err := core.Emit(t.Context(), s.window()); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// tens is windows of ten seconds, one after the other, named by their letters; "-" is emitted by nobody.
func tens(on orca.WindowType, letters string) (steps []step) {
	for i, letter := range letters {
		if letter != '-' {
			steps = append(steps, step{on: on, from: float64(10 * i), to: float64(10*i + 10), name: string(letter)})
		}
	}
	return steps
}

func TestLookbacksOverTheOwnWindowType(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap")
	at := func(name string, from, to float64) step { return step{on: on, from: from, to: to, name: name} }
	second := time.Second
	for name, tc := range map[string]struct {
		back  orca.Lookback
		steps []step
		want  string // the last window's own result comes first
	}{
		"none":                              {orca.Lookback{}, tens(on, "abc"), "c"},
		"count":                             {orca.Last(2), tens(on, "abcd"), "d c b"},
		"count, fewer":                      {orca.Last(5), tens(on, "ab"), "b a"},
		"count, the first":                  {orca.Last(5), tens(on, "a"), "a"},
		"only successes count":              {orca.Last(2), tens(on, "abxcxd"), "d c b"},
		"only successes are skipped":        {orca.Last(1).Skip(1), tens(on, "abxcxd"), "d b"},
		"count and count gap":               {orca.Last(2).Skip(2), tens(on, "abcdef"), "f c b"},
		"count and time gap":                {orca.Last(2).SkipTime(10 * second), tens(on, "abcdef"), "f d c"},
		"a time gap is no count":            {orca.Last(2).SkipTime(10 * second), tens(on, "abc--f"), "f c b"},
		"time":                              {orca.Past(20 * second), tens(on, "abcd"), "d c b"},
		"time takes whole windows":          {orca.Past(29 * second), tens(on, "abcd"), "d c b"},
		"time, nothing there":               {orca.Past(20 * second), tens(on, "ab---f"), "f"},
		"time and time gap":                 {orca.Past(20 * second).SkipTime(10 * second), tens(on, "abcdef"), "f d c"},
		"a nanosecond drops the neighbour":  {orca.Past(20 * second).SkipTime(1), tens(on, "abcd"), "d b"},
		"and of a count too":                {orca.Last(2).SkipTime(1), tens(on, "abcd"), "d b a"},
		"time and count gap":                {orca.Past(30 * second).Skip(1), tens(on, "abcdef"), "f d c"},
		"time and count gap, failure":       {orca.Past(30 * second).Skip(1), tens(on, "abcxef"), "f c"},
		"more time than there is":           {orca.Past(math.MaxInt64).SkipTime(10 * second), tens(on, "abcd"), "d b a"},
		"a gap before all times":            {orca.Last(1).SkipTime(math.MaxInt64), tens(on, "abcd"), "d"},
		"overlapping, count":                {orca.Last(2), []step{at("a", 0, 10), at("b", 5, 15), at("c", 10, 20)}, "c b a"},
		"overlapping, time":                 {orca.Past(15 * second), []step{at("a", 0, 10), at("b", 5, 15), at("c", 10, 20)}, "c a"},
		"one interval is not its past":      {orca.Last(9), []step{at("a", 0, 10), at("b", 10, 20), at("c", 10, 20)}, "c a"},
		"both of one interval are past":     {orca.Last(9), []step{at("a", 0, 10), at("b", 0, 10), at("c", 10, 20)}, "c b a"},
		"same end, later begin":             {orca.Last(9), []step{at("a", 0, 20), at("b", 10, 20)}, "b a"},
		"same end, earlier begin":           {orca.Last(9), []step{at("a", 10, 20), at("b", 0, 20)}, "b"},
		"order is by end, then by begin":    {orca.Last(9), []step{at("a", 5, 9), at("b", 0, 10), at("c", 8, 10), at("d", 20, 30)}, "d c b a"},
		"points":                            {orca.Last(9), []step{at("a", 1, 1), at("b", 2, 2), at("c", 2, 2), at("d", 3, 3)}, "d c b a"},
		"points, time":                      {orca.Past(1 * second), []step{at("a", 1, 1), at("b", 2, 2), at("c", 2, 2), at("d", 3, 3)}, "d c b"},
		"a late window sees its past alone": {orca.Last(9), []step{at("a", 0, 10), at("c", 20, 30), at("b", 10, 20)}, "b a"},
		"a late window is seen afterwards":  {orca.Last(9), []step{at("a", 0, 10), at("c", 20, 30), at("b", 10, 20), at("d", 30, 40)}, "d c b a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := given(t, on, on, tc.back, tc.steps...); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLookbacksOverAnotherWindowType(t *testing.T) {
	t.Parallel()
	lap, day := typeOf("Lap"), typeOf("Day")
	whole := func(from, to float64) step { return step{on: day, from: from, to: to, name: "day"} }
	second := time.Second
	for name, tc := range map[string]struct {
		back  orca.Lookback
		steps []step
		want  string
	}{
		"none, the newest":           {orca.Lookback{}, append(tens(lap, "abc"), whole(0, 30)), "c"},
		"none, of long ago":          {orca.Lookback{}, append(tens(lap, "a"), whole(1e6, 1e6+1)), "a"},
		"none, nothing there":        {orca.Lookback{}, []step{whole(0, 30)}, ""},
		"none, not of the future":    {orca.Lookback{}, append(tens(lap, "abc"), whole(0, 29)), "b"},
		"none, the newest success":   {orca.Lookback{}, append(tens(lap, "abx"), whole(0, 30)), "b"},
		"none, count gap":            {orca.Lookback{}.Skip(1), append(tens(lap, "abxc"), whole(0, 40)), "b"},
		"none, time gap":             {orca.Lookback{}.SkipTime(10 * second), append(tens(lap, "abc"), whole(0, 30)), "b"},
		"none, a nanosecond":         {orca.Lookback{}.SkipTime(1), append(tens(lap, "abc"), whole(0, 30)), "b"},
		"count":                      {orca.Last(2), append(tens(lap, "abc"), whole(0, 30)), "c b"},
		"count, before the begin":    {orca.Last(9), append(tens(lap, "abc"), whole(20, 30)), "c b a"},
		"time ends with the window":  {orca.Past(20 * second), append(tens(lap, "abc"), whole(25, 30)), "c b"},
		"time and gap":               {orca.Past(10 * second).SkipTime(10 * second), append(tens(lap, "abc"), whole(25, 30)), "b"},
		"one interval, newest first": {orca.Last(9), []step{{on: lap, to: 10, name: "a"}, {on: lap, to: 10, name: "b"}, whole(0, 10)}, "b a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := given(t, lap, day, tc.back, tc.steps...); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestFiltersCompareValues(t *testing.T) {
	t.Parallel()
	marked, plain := orca.Field{Name: "car", Filter: true}, orca.Field{Name: "car"}
	secret := orca.Field{Name: "car", Filter: true, NoStore: true}
	list := func(v ...any) any { return v }
	for name, tc := range map[string]struct {
		source, reader orca.Field
		past, now      any
		want           bool // the past row is seen
	}{
		"equal":              {marked, marked, "a", "a", true},
		"other":              {marked, marked, "a", "b", false},
		"only there":         {marked, plain, "a", "b", true},
		"only here":          {plain, marked, "a", "b", true},
		"noStore":            {secret, secret, "a", "a", true},
		"noStore, other":     {secret, secret, "a", "b", false},
		"number":             {marked, marked, 1, 1.0, true},
		"another kind":       {marked, marked, 1, "1", false},
		"zeros":              {marked, marked, 0.0, math.Copysign(0, -1), true},
		"not numbers":        {marked, marked, math.NaN(), math.NaN(), true},
		"not a number":       {marked, marked, math.NaN(), 1, false},
		"null":               {marked, marked, nil, nil, true},
		"null and false":     {marked, marked, nil, false, false},
		"booleans":           {marked, marked, true, true, true},
		"other booleans":     {marked, marked, true, false, false},
		"lists":              {marked, marked, list(1, list(nil)), list(1, list(nil)), true},
		"longer lists":       {marked, marked, list(1), list(1, 2), false},
		"objects":            {marked, marked, map[string]any{"a": 1, "b": nil}, map[string]any{"b": nil, "a": 1}, true},
		"other objects":      {marked, marked, map[string]any{"a": 1}, map[string]any{"a": 2}, false},
		"objects, more":      {marked, marked, map[string]any{"a": 1}, map[string]any{"a": 1, "b": 1}, false},
		"objects, other key": {marked, marked, map[string]any{"a": nil}, map[string]any{"b": nil}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lap, day := typeOf("Lap", tc.source), typeOf("Day", tc.reader)
			got := given(t, lap, day, orca.Last(1),
				step{on: lap, to: 10, name: "past", meta: map[string]any{"car": tc.past}},
				step{on: day, to: 20, meta: map[string]any{"car": tc.now}})
			if (got == "past") != tc.want {
				t.Errorf("got %q, seen should be %v", got, tc.want)
			}
		})
	}
}

// Cars come interleaved, and each has its own past; the gap counts its own rows too.
func TestFiltersSeparateWhatIsInterleaved(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap", orca.Field{Name: "car", Filter: true})
	var steps []step
	for i := range 12 {
		steps = append(steps, step{on: on, from: float64(10 * i), to: float64(10*i + 10), name: fmt.Sprint(i), meta: map[string]any{"car": i % 3}})
	}
	if got, want := given(t, on, on, orca.Last(2).Skip(1), steps...), "11 5 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An algorithm's own results follow the same rules: none without a lookback, and a failure leaves no row.
func TestSelfLookbacks(t *testing.T) {
	t.Parallel()
	on := typeOf("Lap")
	for name, tc := range map[string]struct {
		opts []orca.AlgorithmOption
		want []string
	}{
		"none":  {nil, []string{"", "", "", "", "", ""}},
		"count": {[]orca.AlgorithmOption{orca.NeedsSelf(orca.Last(2))}, []string{"", "a", "b a", "b a", "d b", "d b"}},
		"gap":   {[]orca.AlgorithmOption{orca.NeedsSelf(orca.Last(1).Skip(1))}, []string{"", "", "a", "a", "b", "b"}},
		"time":  {[]orca.AlgorithmOption{orca.NeedsSelf(orca.Past(10 * time.Second))}, []string{"", "a", "b", "", "d", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := orca.NewProcessor("p")
			var got []string
			orca.Struct(p, "Own", "1.0.0", on, func(_ context.Context, run *orca.Run) (result, error) {
				got = append(got, names(orca.Self[result](run)))
				name := run.Window.Metadata["name"].(string)
				if name == "x" {
					return result{}, orca.Failf("x")
				}
				return result{name}, nil
			}, tc.opts...)
			core, err := orcatest.New(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tens(on, "abxdx") {
				if _, err := core.Emit(t.Context(), s.window()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := core.Emit(t.Context(), step{on: on, from: 55, to: 60, name: "z"}.window()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
