// Package lookbackmodel is for tests: it says, slowly and from plain lists and maps, which rows every algorithm is handed
// in a sequence of runs, and what comes of each. It is written from the rules of lookbacks and shares no code with what
// follows them in the core, and no part of the core uses it.
package lookbackmodel

import (
	"cmp"
	"math"
	"reflect"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Window is a window with the values of its metadata fields, those included that are not stored. Values are nil, bool,
// float64, string, []any or map[string]any.
type Window struct {
	orca.Window // as it is stored
	Fields      map[string]any
}

// Registry is all that is announced when a run is accepted.
type Registry map[orca.AlgorithmID]orca.Algorithm

// Run is an accepted run.
type Run struct {
	Window *Window
	// Registry that the run's plan is from: for a retry that of the run before.
	Registry Registry
	// Base is the run whose succeeded outcomes a retry keeps; nil when it is no retry.
	Base *Run
	// Imposed are the outcomes that were not an algorithm's own: cancelled, or all attempts used up.
	Imposed map[orca.AlgorithmID]orca.OutcomeKind

	// Given and Outcomes are worked out by Accept; what an algorithm is handed where it can run.
	Given    map[orca.AlgorithmID]*orca.AlgorithmExecution
	Outcomes map[orca.AlgorithmID]Outcome
}

// Outcome is how an algorithm settled, with the encoded result of a success.
type Outcome struct {
	Kind   orca.OutcomeKind
	Result []byte
}

// Model is a ledger as a list.
type Model struct {
	// Execute runs an algorithm: a pure function.
	Execute func(*Window, *orca.AlgorithmExecution) Outcome

	runs []*Run // by position
}

// Accept works out the next run.
func (m *Model) Accept(r *Run) {
	r.Given, r.Outcomes = map[orca.AlgorithmID]*orca.AlgorithmExecution{}, map[orca.AlgorithmID]Outcome{}
	for id, a := range r.Registry {
		if a.WindowType.ID == r.Window.Type {
			m.settle(r, id)
		}
	}
	m.runs = append(m.runs, r)
}

// settle works out a node, after those that it depends on.
func (m *Model) settle(r *Run, id orca.AlgorithmID) {
	if _, done := r.Outcomes[id]; done {
		return
	}
	if r.Base != nil && r.Base.Outcomes[id].Kind == orca.Succeeded {
		r.Outcomes[id] = r.Base.Outcomes[id]
		return
	}
	a := r.Registry[id]
	ready := true
	for _, d := range a.Dependencies {
		if r.Registry[d.On].WindowType.ID == r.Window.Type {
			m.settle(r, d.On)
			ready = ready && r.Outcomes[d.On].Kind == orca.Succeeded
		}
	}
	if ready {
		r.Given[id] = m.inputs(r, a)
	}
	kind, imposed := r.Imposed[id]
	switch {
	case imposed:
		r.Outcomes[id] = Outcome{Kind: kind}
	case ready:
		r.Outcomes[id] = m.Execute(r.Window, r.Given[id])
	default:
		r.Outcomes[id] = Outcome{Kind: orca.Skipped}
	}
}

func (m *Model) inputs(r *Run, a orca.Algorithm) *orca.AlgorithmExecution {
	x := &orca.AlgorithmExecution{Algorithm: &a, Self: m.past(r, a, a.Self)}
	for _, d := range a.Dependencies {
		on := r.Registry[d.On]
		x.Dependencies = append(x.Dependencies, orca.DependencyRows{
			Algorithm: &on, Current: r.Outcomes[d.On].Result, Past: m.past(r, on, d.Lookback),
		})
	}
	return x
}

// past returns the past rows of an algorithm d, newest first, as the next run r sees them.
func (m *Model) past(r *Run, d orca.Algorithm, l orca.Lookback) (rows []orca.Row) {
	w := r.Window
	own := d.WindowType.ID == w.Type
	t := w.To
	if own {
		t = w.From
	}
	take := int(l.Range.Count)
	switch {
	case l.Range.Span > 0:
		take = math.MaxInt
	case take == 0 && own:
		return nil
	case take == 0:
		take = 1
	}
	end := before(t, l.Gap.Span)
	begin := before(end, l.Range.Span)
	skip := int(l.Gap.Count)
	for _, p := range m.candidates(r, d, own) {
		tooNew := (l.Range.Span > 0 || l.Gap.Span > 0) && p.Window.To > end
		tooOld := l.Range.Span > 0 && p.Window.From < begin
		switch o := p.Outcomes[d.ID]; {
		case tooNew || tooOld || o.Kind != orca.Succeeded:
		case skip > 0:
			skip--
		case len(rows) < take:
			rows = append(rows, orca.Row{Window: p.Window.Window, Result: o.Result})
		}
	}
	return rows
}

// candidates are of each window that is past and matches the newest run that counts, in the order of rows.
func (m *Model) candidates(r *Run, d orca.Algorithm, own bool) (list []*Run) {
	seen := map[*Window]bool{}
	for _, p := range slices.Backward(m.runs) {
		o, has := p.Outcomes[d.ID]
		if has && o.Kind != orca.Cancelled && !seen[p.Window] && isPast(p.Window, r.Window, own) && matches(p, r, d) {
			seen[p.Window] = true
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b *Run) int { // the newest position is first
		return cmp.Or(cmp.Compare(b.Window.To, a.Window.To), cmp.Compare(b.Window.From, a.Window.From))
	})
	return list
}

func isPast(p, w *Window, own bool) bool {
	if !own {
		return p.To <= w.To
	}
	return p.To < w.To || p.To == w.To && p.From < w.From
}

// matches reports whether the windows of two runs have the same value in every field that both types mark filter.
func matches(p, r *Run, d orca.Algorithm) bool {
	for _, f := range d.WindowType.Fields {
		for _, g := range r.windowType().Fields {
			if f.Filter && g.Filter && f.Name == g.Name && !Same(p.Window.Fields[f.Name], r.Window.Fields[f.Name]) {
				return false
			}
		}
	}
	return true
}

func (r *Run) windowType() orca.WindowType {
	for _, a := range r.Registry {
		if a.WindowType.ID == r.Window.Type {
			return a.WindowType
		}
	}
	return orca.WindowType{}
}

// Same reports whether two values of a metadata field count as equal.
func Same(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || x != x && y != y)
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, Same)
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			if v, has := y[k]; !has || !Same(x[k], v) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// before returns t − d, or the smallest time when that is smaller still.
func before(t orca.Time, d uint64) orca.Time {
	if d > math.MaxInt64 || t < orca.MinTime+orca.Time(d) { // emitted times are positive
		return orca.MinTime
	}
	return t - orca.Time(d)
}
