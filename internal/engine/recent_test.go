package engine

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// What memory says it knows is what a walk over everything finds, however little room it has.
func TestRecentKnowsNothingThatIsNotSo(t *testing.T) {
	t.Parallel()
	known := 0
	rapid.Check(t, func(t *rapid.T) {
		h := newRecentHistory(t)
		t.Repeat(map[string]func(*rapid.T){"accept": h.accept, "settle": h.settle, "look": func(t *rapid.T) { known += h.look(t) }, "hear": h.hear})
	})
	if known == 0 {
		t.Error("memory never knew anything")
	}
}

// recentHistory is a memory and all that it was told.
type recentHistory struct {
	recent recent
	typ    orca.WindowType
	of     orca.Algorithm
	plan   *plan.Plan
	runs   []recentWindow
	groups []string
	begun  int // runs that were there before
	// found are what reads of the ledger have found, which nobody has heard of yet.
	found []func()
}

// hear tells memory what a read of the ledger has found, at any time after it.
func (h *recentHistory) hear(*rapid.T) {
	if len(h.found) > 0 {
		h.found[0]()
		h.found = h.found[1:]
	}
}

func newRecentHistory(t *rapid.T) *recentHistory {
	h := &recentHistory{typ: orca.WindowType{ID: windowType.ID, Fields: []orca.MetadataField{{Name: "asset", Filter: true}}}}
	h.of = orca.Algorithm{ID: idOf("A"), WindowType: h.typ, ResultType: orca.ResultValue}
	p, err := plan.Build(h.typ.ID, []orca.Algorithm{h.of}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.plan = p
	h.recent = newRecent(rapid.SampledFrom([]int64{1, 1000, 3000, 1 << 20}).Draw(t, "limit"))
	h.recent.spare = rapid.IntRange(0, 5).Draw(t, "spare")
	for range rapid.IntRange(0, 3).Draw(t, "runs before") {
		h.window(t)
		w := &h.runs[len(h.runs)-1]
		w.run.Kind = orca.Succeeded
		newest := map[orca.WindowTypeID]orca.Interval{h.typ.ID: max3(w.run.Interval(), h.recent.newest[h.typ.ID])}
		h.recent.begin(orca.Position(len(h.runs)), newest)
	}
	h.begun = len(h.runs)
	return h
}

func max3(a, b orca.Interval) orca.Interval {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

// window adds a window to all there are.
func (h *recentHistory) window(t *rapid.T) {
	from := orca.Time(rapid.IntRange(1, 30).Draw(t, "from"))
	to := from + orca.Time(rapid.IntRange(0, 5).Draw(t, "length"))
	p := orca.Position(len(h.runs) + 1)
	h.runs = append(h.runs, recentWindow{run: orca.PastRun{Window: p, Position: p, From: from, To: to}})
	h.groups = append(h.groups, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "asset"))
}

func assetIs(group string) []orca.FilterValue {
	return []orca.FilterValue{{Field: "asset", Hash: [16]byte{group[0]}}}
}

func (h *recentHistory) accept(t *rapid.T) {
	h.window(t)
	i := len(h.runs) - 1
	r := h.runs[i].run
	x := &emit{plan: h.plan, accepted: orca.Accepted{Window: r.Window, Position: r.Position}, emission: orca.Emission{
		Window: orca.Window{Type: h.typ.ID, From: r.From, To: r.To}, Filters: assetIs(h.groups[i]),
	}}
	doubt := rapid.IntRange(0, 9).Draw(t, "doubt") == 9
	if doubt {
		x.accepted = orca.Accepted{}
		h.runs[i].run.Kind = orca.Succeeded // by another core, say
	}
	h.recent.accept(x, doubt)
}

func (h *recentHistory) settle(t *rapid.T) {
	i := rapid.IntRange(0, len(h.runs)).Draw(t, "run") - 1
	if i < h.begun || h.runs[i].run.Settled() {
		return
	}
	kind := rapid.SampledFrom([]orca.OutcomeKind{orca.Succeeded, orca.Succeeded, orca.HandledFailed, orca.Skipped, orca.Cancelled}).Draw(t, "kind")
	h.runs[i].run.Kind = kind
	o := &orca.Outcome{Algorithm: h.of.ID, Kind: kind}
	if kind == orca.Succeeded {
		o.Result = &orca.Result{Encoded: []byte{byte(i), byte(i >> 8)}}
	}
	h.recent.settle(h.runs[i].run.Position, o)
}

// look compares one look, and returns 1 when memory knew.
func (h *recentHistory) look(t *rapid.T) int {
	from := orca.Time(rapid.IntRange(1, 40).Draw(t, "from"))
	w := orca.Window{From: from, To: from + orca.Time(rapid.IntRange(0, 5).Draw(t, "length"))}
	extent := func(name string) orca.Extent {
		if rapid.Bool().Draw(t, name) {
			return orca.Extent{Count: uint32(rapid.IntRange(0, 4).Draw(t, name))}
		}
		return orca.Extent{Span: uint64(rapid.IntRange(0, 20).Draw(t, name))}
	}
	looker := orca.Algorithm{ID: idOf("B"), WindowType: orca.WindowType{Fields: h.typ.Fields}}
	if rapid.Bool().Draw(t, "own") {
		looker.WindowType.ID = h.typ.ID
	}
	looker.Dependencies = []orca.Dependency{{On: h.of.ID, Lookback: orca.Lookback{Range: extent("range"), Gap: extent("gap")}}}
	directions := lookback.Directions(&looker, []*orca.Algorithm{&h.of})
	if len(directions) == 0 {
		return 0
	}
	l := directions[0].At(w)
	group := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "asset")
	before := orca.Position(rapid.IntRange(1, len(h.runs)+1).Draw(t, "before"))
	got, known := h.recent.read(&l, assetIs(group), before, false, true)
	if !known {
		h.recent.track(&directions[0])
		if !h.anything(&l, group, before) {
			h.found = append(h.found, func() { h.recent.nothing(&l, assetIs(group), before) })
		}
		return 0
	}
	want := h.walk(&l, group, before)
	if diff := gocmp.Diff(want, [2]any{got.runs, got.open}); diff != "" {
		t.Fatalf("before %d (-want +got):\n%s", before, diff)
	}
	for i, r := range got.rows {
		if len(r.Result) == 0 || int(r.Result[0]) != int(got.runs[i].Position-1)%256 {
			t.Fatalf("row %d has the result %v", i, r.Result)
		}
	}
	return 1
}

// anything reports whether the ledger has a run for a look.
func (h *recentHistory) anything(l *lookback.Look, group string, before orca.Position) bool {
	for i, w := range h.runs {
		if h.groups[i] == group && w.run.Position < before && w.run.Kind != orca.Cancelled &&
			w.run.Interval().Compare(l.Ends()) <= 0 && w.run.To >= l.Begins() {
			return true
		}
	}
	return false
}

func (h *recentHistory) walk(l *lookback.Look, group string, before orca.Position) [2]any {
	var all []orca.PastRun
	for i, w := range h.runs {
		if h.groups[i] == group && w.run.Position < before {
			all = append(all, w.run)
		}
	}
	slices.SortFunc(all, func(a, b orca.PastRun) int {
		return cmp.Or(cmp.Compare(b.To, a.To), cmp.Compare(b.From, a.From), cmp.Compare(b.Position, a.Position))
	})
	var runs []orca.PastRun
	walk := l.Walk()
	for i := range all {
		switch walk.Next(all[i]) {
		case lookback.Take:
			runs = append(runs, all[i])
		case lookback.Wait:
			return [2]any{runs, &all[i]}
		case lookback.Pass, lookback.Full:
		}
		if walk.Full() {
			break
		}
	}
	return [2]any{runs, (*orca.PastRun)(nil)}
}
