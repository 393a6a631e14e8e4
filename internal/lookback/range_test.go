package lookback_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

func rangeOf(l orca.Lookback, w orca.Window, own bool) lookback.Range {
	if own {
		return lookback.Own(l, w)
	}
	return lookback.Other(l, w)
}

// scan is a store: what lies in the bounds, in order.
func scan(q orca.PastQuery, runs []orca.PastRun) []orca.PastRun {
	runs = slices.DeleteFunc(slices.Clone(runs), func(p orca.PastRun) bool {
		return p.To > q.To || p.To == q.To && p.From > q.From || p.To < q.EarliestTo
	})
	slices.SortFunc(runs, func(a, b orca.PastRun) int { return slices.Compare(key(b), key(a)) })
	return runs
}

func key(p orca.PastRun) []int64 { return []int64{int64(p.To), int64(p.From), int64(p.Position)} }

// walked goes through the runs until the walk is full or waits.
func walked(r lookback.Range, runs []orca.PastRun) (rows []orca.PastRun, waits *orca.PastRun) {
	if r.Empty() {
		return nil, nil
	}
	walk := r.Walk()
	for i, p := range runs {
		switch walk.Next(p) {
		case lookback.Take:
			rows = append(rows, p)
		case lookback.Wait:
			return rows, &runs[i]
		case lookback.Full:
			return rows, nil
		case lookback.Pass:
		}
		if walk.Full() {
			return rows, nil
		}
	}
	return rows, nil
}

// Times are few, so that ties are many, and reach to the ends of what there is.
func instants() *rapid.Generator[orca.Time] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) orca.Time { return orca.Time(100 + rapid.IntRange(0, 12).Draw(t, "time")) }),
		rapid.SampledFrom([]orca.Time{1, 2, 3, orca.MaxTime - 2, orca.MaxTime - 1, orca.MaxTime}),
	)
}

func spans() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64Range(1, 14),
		rapid.SampledFrom([]uint64{1, 99, 100, 101, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64 - 1, math.MaxUint64}))
}

func extents() *rapid.Generator[orca.Extent] {
	return rapid.Custom(func(t *rapid.T) orca.Extent {
		switch rapid.SampledFrom([]string{"none", "count", "span"}).Draw(t, "kind") {
		case "count":
			return orca.Extent{Count: rapid.OneOf(rapid.Uint32Range(1, 4), rapid.Just(uint32(math.MaxUint32))).Draw(t, "count")}
		case "span":
			return orca.Extent{Span: spans().Draw(t, "span")}
		}
		return orca.Extent{}
	})
}

func intervals() *rapid.Generator[orca.Window] {
	return rapid.Custom(func(t *rapid.T) orca.Window {
		a, b := instants().Draw(t, "a"), instants().Draw(t, "b")
		return orca.Window{From: min(a, b), To: max(a, b)}
	})
}

type world struct {
	spec   orca.Lookback
	window orca.Window
	own    bool
	runs   []orca.PastRun
}

func worlds() *rapid.Generator[world] {
	return rapid.Custom(func(t *rapid.T) world {
		w := world{
			spec:   orca.Lookback{Range: extents().Draw(t, "range"), Gap: extents().Draw(t, "gap")},
			window: intervals().Draw(t, "window"), own: rapid.Bool().Draw(t, "own"),
		}
		// Most runs are settled, or nearly every walk would wait at once.
		kinds := []orca.OutcomeKind{0, orca.Succeeded, orca.Succeeded, orca.Succeeded, orca.Succeeded, orca.Succeeded,
			orca.HandledFailed, orca.UnhandledFailed, orca.Skipped}
		for i := range rapid.IntRange(0, 12).Draw(t, "runs") {
			p := intervals().Draw(t, "past")
			w.runs = append(w.runs, orca.PastRun{Window: orca.WindowID(i + 1), Position: orca.Position(i + 1), From: p.From, To: p.To,
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind")})
		}
		return w
	})
}

// TestWalkAgreesWithTheReference: over what lies in the bounds of the scan, and over everything there is, which shows
// that the bounds leave out nothing that counts and that the walk does not rely on them.
func TestWalkAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := worlds().Draw(t, "world")
		r := rangeOf(w.spec, w.window, w.own)
		rows, waits := reference(w.spec, w.window, w.own, w.runs)
		everything := orca.PastQuery{To: orca.MaxTime, From: orca.MaxTime, EarliestTo: orca.MinTime}
		for name, q := range map[string]orca.PastQuery{"bounds": r.Limit(orca.PastQuery{}), "everything": everything} {
			gotRows, gotWaits := walked(r, scan(q, w.runs))
			if diff := cmp.Diff([]any{rows, waits}, []any{gotRows, gotWaits}); diff != "" {
				t.Fatalf("over %s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// TestBoundsAreTight: the scan is shown no run that could not be a row if it began later.
func TestBoundsAreTight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := worlds().Draw(t, "world")
		r := rangeOf(w.spec, w.window, w.own)
		if r.Empty() {
			return
		}
		w.spec.Gap.Count = 0 // the gap skips only what succeeded
		for _, p := range scan(r.Limit(orca.PastQuery{}), w.runs) {
			p.Kind = orca.Succeeded
			late := p
			late.From = p.To // begins within any span
			if w.own && p.To == w.window.To {
				late.From = w.window.From - 1
			}
			if rows, _ := reference(w.spec, w.window, w.own, []orca.PastRun{late}); rows == nil {
				t.Fatalf("%+v is scanned and can be no row", p)
			}
		}
	})
}

// TestAWaitLeavesTheWalkAsItWas: the run that was waited for can be shown once more when it is settled, and the walk
// can go on without it, as if it gave no row.
func TestAWaitLeavesTheWalkAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := worlds().Draw(t, "world")
		settles := rapid.SampledFrom([]orca.OutcomeKind{orca.Succeeded, orca.HandledFailed, orca.Skipped}).Draw(t, "settles as")
		goesOn := rapid.Bool().Draw(t, "goes on")
		r := rangeOf(w.spec, w.window, w.own)
		settled := slices.Clone(w.runs)
		for i := range settled {
			if !settled[i].Settled() {
				settled[i].Kind = settles
				if goesOn {
					settled[i].Kind = orca.Skipped
				}
			}
		}
		want, _ := reference(w.spec, w.window, w.own, settled)
		var got []orca.PastRun
		walk := r.Walk()
		for _, p := range scan(r.Limit(orca.PastQuery{}), w.runs) {
			step := walk.Next(p)
			if step == lookback.Wait && !goesOn {
				p.Kind = settles
				step = walk.Next(p)
			}
			if step == lookback.Take {
				got = append(got, p)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("rows (-want +got):\n%s", diff)
		}
	})
}

func TestFields(t *testing.T) {
	t.Parallel()
	of := func(fields ...orca.MetadataField) orca.WindowType { return orca.WindowType{Fields: fields} }
	filter := func(name string) orca.MetadataField { return orca.MetadataField{Name: name, Filter: true} }
	secret := orca.MetadataField{Name: "secret", Filter: true, NoStore: true}
	for name, c := range map[string]struct {
		a, b orca.WindowType
		want []string
	}{
		"none":                {of(), of(), nil},
		"both, sorted":        {of(filter("site"), filter("asset")), of(filter("asset"), filter("site")), []string{"asset", "site"}},
		"marked by one alone": {of(filter("asset"), filter("site")), of(orca.MetadataField{Name: "asset"}, filter("site")), []string{"site"}},
		"not shared":          {of(filter("asset")), of(filter("site")), nil},
		"not stored":          {of(secret), of(filter("secret")), []string{"secret"}},
	} {
		if diff := cmp.Diff(c.want, lookback.Fields(c.a, c.b), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(lookback.Fields(c.b, c.a), lookback.Fields(c.a, c.b)); diff != "" {
			t.Errorf("%s depends on the order of the types:\n%s", name, diff)
		}
	}
}
