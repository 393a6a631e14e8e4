package storetest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// The registry of this property: window types with filter fields that overlap, and two algorithms on each.
var filtered = filteredTypes()

type filteredType struct {
	typ    orca.WindowType
	fields []string
	// algorithms of the type; a plan has some of them.
	algorithms []orca.KnownAlgorithm
}

func filteredTypes() (types []filteredType) {
	asset := orca.MetadataField{Name: "asset", Filter: true}
	line := orca.MetadataField{Name: "line", Filter: true, NoStore: true}
	site := orca.MetadataField{Name: "a site", Filter: true}
	for n, fields := range [][]orca.MetadataField{nil, {asset}, {asset, line}, {line, asset}, {line, site}} {
		t := orca.WindowType{ID: orca.WindowTypeID{Name: number("Filtered", n), Version: "1.0.0"},
			Fields: append([]orca.MetadataField{{Name: "comment"}}, fields...)}
		f := filteredType{typ: t, fields: sortedNames(fields)}
		for i := range 2 {
			f.algorithms = append(f.algorithms, known("edge", fmt.Sprintf("%s-%d", t.ID.Name, i), t, orca.ResultValue, "r"))
		}
		if n == 2 {
			f.algorithms[1].Algorithm.Self = orca.Lookback{} // nobody looks back at it, and one may ask nevertheless
		}
		types = append(types, f)
	}
	return types
}

func sortedNames(fields []orca.MetadataField) (names []string) {
	for _, f := range fields {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

// testPastModel writes windows, revisions and outcomes at random, with few intervals and few values of the fields, and
// compares every past with what the rules say, restarting the store in
// between.
func testPastModel(t *testing.T, fresh func(testing.TB) Opener) {
	rapid.Check(t, func(rt *rapid.T) {
		l := opened(rt, fresh(t))
		change := orca.RegistryChange{}
		for _, f := range filtered {
			change.WindowTypes = append(change.WindowTypes, f.typ)
			change.Algorithms = append(change.Algorithms, f.algorithms...)
		}
		if err := l.ChangeRegistry(rt.Context(), change); err != nil {
			rt.Fatal(err)
		}
		l.serve()
		m := &pastModel{ledger: l}
		rt.Repeat(map[string]func(*rapid.T){"emit": m.emit, "settle": m.settle, "revise": m.revise, "restart": m.restart, "compare": m.compare})
		m.compare(rt)
		l.close()
	})
}

// pastModel is the ledger as lists.
type pastModel struct {
	ledger *ledger
	runs   []pastModelRun // by position, from 1
}

type pastModelRun struct {
	emission orca.Emission // of the window
	of       int           // place of its type
	window   orca.WindowID
	revision int
	nodes    []orca.KnownAlgorithm
	outcomes map[orca.AlgorithmID]orca.Outcome
}

func (r *pastModelRun) open() bool { return len(r.outcomes) < len(r.nodes) }

func (m *pastModel) restart(t *rapid.T) {
	if rarely(t, "restart") {
		m.ledger.reopen()
	}
}

// nodes draws some of the algorithms of a type.
func (m *pastModel) nodes(t *rapid.T, of int) []orca.KnownAlgorithm {
	return slices.DeleteFunc(slices.Clone(filtered[of].algorithms), func(orca.KnownAlgorithm) bool { return rarely(t, "is no node") })
}

func endOfNone(nodes []orca.KnownAlgorithm) orca.RunState {
	if len(nodes) == 0 {
		return orca.RunSucceeded
	}
	return orca.RunOpen
}

func (m *pastModel) emit(t *rapid.T) {
	var emissions []orca.Emission
	for range rapid.IntRange(1, 6).Draw(t, "windows") {
		of := rapid.IntRange(0, len(filtered)-1).Draw(t, "type")
		e := emission(rapid.IntRange(0, 5).Draw(t, "minute"))
		e.Window.From -= orca.Time(rapid.IntRange(0, 1).Draw(t, "earlier")) * 60e9
		e.Window.Type, e.Filters = filtered[of].typ.ID, nil
		if rarely(t, "much metadata") {
			e.Window.Metadata = bytes.Repeat([]byte("m"), 600)
		}
		for _, field := range filtered[of].fields {
			e.Filters = append(e.Filters, orca.FilterValue{Field: field, Hash: [16]byte{byte(rapid.IntRange(0, 1).Draw(t, field))}})
		}
		nodes := m.nodes(t, of)
		e.Plan, e.End = planOf(number("type", of), nodes...), endOfNone(nodes)
		emissions = append(emissions, e)
		m.runs = append(m.runs, pastModelRun{emission: e, of: of, window: orca.Position(len(m.runs) + 1), revision: 1, nodes: nodes,
			outcomes: map[orca.AlgorithmID]orca.Outcome{}})
	}
	m.ledger.emit(emissions...)
}

// settle gives some nodes of some open runs an outcome.
func (m *pastModel) settle(t *rapid.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range m.runs {
		r := &m.runs[i]
		if !r.open() || rarely(t, "stays open") {
			continue
		}
		s := orca.Settlement{Position: orca.Position(i + 1), At: at(9)}
		for _, n := range r.nodes {
			if _, done := r.outcomes[n.Algorithm.ID]; done || rarely(t, "is not settled") {
				continue
			}
			kinds := []orca.OutcomeKind{orca.Succeeded, orca.Succeeded, orca.HandledFailed, orca.UnhandledFailed, orca.Skipped, orca.Cancelled}
			o := outcome(n, rapid.SampledFrom(kinds).Draw(t, "kind"))
			if o.Result != nil {
				o.Result.Encoded = bytes.Repeat([]byte{byte(i + 1)}, rapid.SampledFrom([]int{0, 1, 30, 200, 300, 9000}).Draw(t, "size"))
			}
			s.Outcomes = append(s.Outcomes, o)
			r.outcomes[n.Algorithm.ID] = o
		}
		if !r.open() {
			s.End = orca.RunFailed
		}
		all.Add(1)
		m.ledger.Settle(s, func(err error) { answered(t, &all, err) })
	}
}

// revise makes the next run of some windows, half of them with another plan, and keeps what succeeded or not.
func (m *pastModel) revise(t *rapid.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range m.runs {
		base := m.runs[i]
		if base.open() || m.newest(base.window) != i || !rapid.Bool().Draw(t, "revise") {
			continue
		}
		r := orca.Revision{Window: base.window, Base: orca.Position(i + 1), Kind: orca.RunReprocess, AcceptedAt: at(9)}
		next := base
		next.revision, next.outcomes = base.revision+1, map[orca.AlgorithmID]orca.Outcome{}
		if rapid.Bool().Draw(t, "another plan") {
			next.nodes = m.nodes(t, base.of)
			r.Plan = planOf(number("type", base.of), next.nodes...)
		}
		for _, n := range next.nodes {
			if o, has := base.outcomes[n.Algorithm.ID]; has && o.Kind == orca.Succeeded && rapid.Bool().Draw(t, "keep") {
				o.ProducedAt = cmp.Or(o.ProducedAt, r.Base)
				r.Outcomes = append(r.Outcomes, keep(n, o.ProducedAt))
				next.outcomes[n.Algorithm.ID] = o
			}
		}
		if !next.open() {
			r.End = orca.RunSucceeded
		}
		all.Add(1)
		m.ledger.Revise(r, func(_ orca.Accepted, err error) { answered(t, &all, err) })
		m.runs = append(m.runs, next)
	}
}

// answered takes the answer to a write that has to succeed.
func answered(t *rapid.T, all *sync.WaitGroup, err error) {
	defer all.Done()
	if err != nil {
		t.Error(err)
	}
}

// newest returns the place of a window's newest run.
func (m *pastModel) newest(window orca.WindowID) (place int) {
	for i := range m.runs {
		if m.runs[i].window == window {
			place = i
		}
	}
	return place
}

// compare asks for the past of an algorithm as some window sees it, in the fields that both types have.
func (m *pastModel) compare(t *rapid.T) {
	if len(m.runs) == 0 {
		return
	}
	of := rapid.IntRange(0, len(filtered)-1).Draw(t, "past of type")
	looks := m.runs[rapid.IntRange(0, len(m.runs)-1).Draw(t, "looks back")]
	q := orca.PastQuery{
		Algorithm: rapid.SampledFrom(filtered[of].algorithms).Draw(t, "past of").Algorithm.ID, Window: looks.window,
		Before: orca.Position(rapid.IntRange(1, len(m.runs)+1).Draw(t, "before")),
		To:     orca.MaxTime, From: orca.MaxTime, EarliestTo: orca.MinTime,
		Fields: slices.DeleteFunc(slices.Clone(filtered[of].fields), func(f string) bool { return !slices.Contains(filtered[looks.of].fields, f) }),
	}
	if rapid.Bool().Draw(t, "bounded") {
		q.To, q.From = at(rapid.IntRange(1, 6).Draw(t, "to")), at(rapid.IntRange(-1, 5).Draw(t, "from"))
		q.EarliestTo = at(rapid.IntRange(0, 4).Draw(t, "earliest"))
	}
	want := m.past(q, looks.emission)
	q.Rows = rapid.Bool().Draw(t, "rows")
	got := m.ledger.past(q)
	for i := range got {
		if row := got[i].Row; row != nil {
			check(t, "row at hand", *row, m.row(q.Algorithm, got[i]))
			got[i].Row = nil
		}
	}
	check(t, "past", got, want)
	m.compareRows(t, q.Algorithm, want)
}

// row is the row of a success.
func (m *pastModel) row(of orca.AlgorithmID, p orca.PastRun) orca.PastRow {
	run := &m.runs[p.Position-1]
	row := orca.PastRow{WindowID: p.Window, Position: p.Position, Revision: run.revision,
		ProducedAt: cmp.Or(run.outcomes[of].ProducedAt, p.Position), Window: run.emission.Window}
	if encoded := run.outcomes[of].Result.Encoded; len(encoded) > 0 {
		row.Result = encoded
	}
	return row
}

func (m *pastModel) past(q orca.PastQuery, looks orca.Emission) []orca.PastRun {
	newest := map[orca.WindowID]orca.PastRun{}
	for i := range m.runs[:q.Before-1] {
		r := &m.runs[i]
		w := r.emission.Window
		_, asNode := slices.BinarySearchFunc(r.nodes, q.Algorithm, func(n orca.KnownAlgorithm, id orca.AlgorithmID) int {
			return n.Algorithm.ID.Compare(id)
		})
		within := cmp.Or(cmp.Compare(w.To, q.To), cmp.Compare(w.From, q.From)) <= 0 && w.To >= q.EarliestTo
		kind := r.outcomes[q.Algorithm].Kind
		if asNode && within && kind != orca.Cancelled && agree(r.emission.Filters, looks.Filters, q.Fields) {
			newest[r.window] = orca.PastRun{Window: r.window, From: w.From, To: w.To, Position: orca.Position(i + 1), Kind: kind}
		}
	}
	var runs []orca.PastRun
	for _, r := range newest {
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b orca.PastRun) int { return compareKeys(b.Key(), a.Key()) })
	return runs
}

func agree(a, b []orca.FilterValue, fields []string) bool {
	value := func(of []orca.FilterValue, field string) [16]byte {
		return of[slices.IndexFunc(of, func(f orca.FilterValue) bool { return f.Field == field })].Hash
	}
	return !slices.ContainsFunc(fields, func(field string) bool { return value(a, field) != value(b, field) })
}

// compareRows asks for the results of what succeeded, in another order.
func (m *pastModel) compareRows(t *rapid.T, of orca.AlgorithmID, runs []orca.PastRun) {
	var positions []orca.Position
	var want []orca.PastRow
	for _, r := range slices.Backward(runs) {
		if r.Kind != orca.Succeeded {
			continue
		}
		positions = append(positions, r.Position)
		want = append(want, m.row(of, r))
	}
	check(t, "rows", must[[]orca.PastRow](t)(m.ledger.PastRows(t.Context(), of, positions)), want)
}
