package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// testModel does random things to a store and to the model, closing and opening the store in between, and compares
// answers and everything that can be read.
func testModel(t *testing.T, fresh func(testing.TB) Opener) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &property{ledger: served(rt, fresh(t)), model: model{clock: at(100), keys: map[orca.IdempotencyKey]modelKey{}}}
		rt.Repeat(map[string]func(*rapid.T){"write": p.write, "restart": p.restart, "compare": p.compare})
		p.compare(rt)
		p.ledger.close()
	})
}

type property struct {
	ledger *ledger
	model  model
}

// restart closes and opens the store; rarely, because that takes longer than all else.
func (p *property) restart(t *rapid.T) {
	if rarely(t, "restart") {
		p.ledger.reopen()
	}
}

// write hands over emissions, revisions and settlements at once, some hours later, and compares the answers.
func (p *property) write(t *rapid.T) {
	p.model.clock += orca.Time(rapid.IntRange(0, 15).Draw(t, "hours")) * 3600e9
	n := rapid.IntRange(1, 8).Draw(t, "rows")
	got, want := make([]verdict, n), make([]verdict, n)
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		accepted := func(a orca.Accepted, err error) { got[i] = verdict{a, kindOf(err)}; all.Done() }
		switch rapid.SampledFrom([]string{"emit", "emit", "revise", "settle", "settle", "park"}).Draw(t, "what") {
		case "emit":
			e := p.emission(t)
			want[i] = p.model.accept(e)
			p.ledger.Accept(e, accepted)
		case "revise":
			r := p.revision(t)
			want[i] = p.model.revise(r)
			p.ledger.Revise(r, accepted)
		case "park":
			parking := p.parking(t)
			want[i] = verdict{Accepted: orca.Accepted{Replayed: p.model.park(parking)}} // its only answer
			p.ledger.Park(parking, func(parked bool, err error) {
				got[i] = verdict{orca.Accepted{Replayed: parked}, kindOf(err)}
				all.Done()
			})
		case "settle":
			s := p.settlement(t)
			want[i] = p.model.settle(s)
			p.ledger.Settle(s, func(err error) { got[i] = verdict{Kind: kindOf(err)}; all.Done() })
		}
	}
	all.Wait()
	check(t, "answers", got, want)
}

func kindOf(err error) orca.Kind {
	var kind orca.Kind
	if err != nil && !errors.As(err, &kind) {
		return refused
	}
	return kind
}

func (p *property) emission(t *rapid.T) orca.Emission {
	e := emission(rapid.IntRange(0, 5).Draw(t, "minute"))
	e.Window.Type = rapid.SampledFrom([]orca.WindowTypeID{minute.ID, minute.ID, hour.ID, {Name: "Nobody"}}).Draw(t, "type")
	e.Window.From -= orca.Time(rapid.IntRange(0, 1).Draw(t, "earlier")) * 60e9
	e.AcceptedAt = p.model.clock
	if !rapid.Bool().Draw(t, "noStore") {
		e.FullMetadata = nil
	}
	if rapid.Bool().Draw(t, "bare") {
		e.Window.Metadata, e.Filters = nil, nil
	}
	if rapid.Bool().Draw(t, "keyed") {
		e.Key = orca.IdempotencyKey{
			Project: rapid.SampledFrom([]string{"plant", "lab"}).Draw(t, "project"),
			Key:     rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"),
			Digest:  [32]byte{byte(rapid.IntRange(0, 1).Draw(t, "digest"))},
		}
	}
	e.Plan = planOf(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "plan"))
	e.Status = orca.EmitStatus(rapid.IntRange(0, 2).Draw(t, "status"))
	e.Outcomes, e.Lot = p.outcomes(t), drawLot(t)
	e.End = orca.RunState(rapid.IntRange(0, 4).Draw(t, "end"))
	return e
}

// revision of a window, mostly one that is possible.
func (p *property) revision(t *rapid.T) orca.Revision {
	r := orca.Revision{
		Window: orca.Position(rapid.IntRange(0, len(p.model.runs)+1).Draw(t, "window")),
		Kind:   rapid.SampledFrom([]orca.RunKind{orca.RunRetry, orca.RunReprocess}).Draw(t, "kind"),
		Status: orca.EmitStatus(rapid.IntRange(0, 2).Draw(t, "status")),
		End:    orca.RunState(rapid.IntRange(0, 4).Draw(t, "end")), AcceptedAt: p.model.clock,
	}
	if newest := p.model.newest(r.Window); newest != nil && !rarely(t, "another base") {
		r.Base = newest.run.Position
		for _, o := range newest.outcomes {
			if o.Kind == orca.Succeeded && rapid.Bool().Draw(t, "keep") {
				r.Outcomes = append(r.Outcomes, orca.Outcome{Algorithm: o.Algorithm, Kind: o.Kind, ProducedAt: o.ProducedAt})
			}
		}
	}
	for _, o := range p.outcomes(t) {
		if o.Kind != orca.Succeeded || rarely(t, "keep what may not be there") {
			r.Outcomes = append(r.Outcomes, o)
		}
	}
	if rapid.Bool().Draw(t, "plan is new") {
		r.Plan = planOf(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "plan"))
	}
	if rapid.Bool().Draw(t, "noStore") {
		r.FullMetadata = []byte("given again")
	}
	return r
}

func (p *property) settlement(t *rapid.T) orca.Settlement {
	s := orca.Settlement{
		Position: orca.Position(rapid.IntRange(0, len(p.model.runs)+1).Draw(t, "position")),
		Outcomes: p.outcomes(t),
		At:       p.model.clock,
	}
	if rapid.Bool().Draw(t, "last") {
		s.End = orca.RunState(rapid.IntRange(1, 4).Draw(t, "end"))
	}
	return s
}

// rarely is true one time in ten.
func rarely(t *rapid.T, what string) bool { return rapid.IntRange(0, 9).Draw(t, what) == 9 }

// outcomes of some algorithms, each once, rarely of an algorithm or a kind that does not exist.
func (p *property) outcomes(t *rapid.T) []orca.Outcome {
	var list []orca.Outcome
	for _, a := range []orca.KnownAlgorithm{score, cpu, mem, hourly} {
		if !rapid.Bool().Draw(t, "has "+a.Algorithm.ID.Name) {
			continue
		}
		o := value(a, rapid.Float64().Draw(t, "value"), p.model.clock)
		o.Kind = orca.OutcomeKind(rapid.IntRange(1, 5).Draw(t, "kind"))
		o.ProducedAt = orca.Position(rapid.IntRange(0, len(p.model.runs)).Draw(t, "produced at"))
		if o.Kind != orca.Succeeded {
			o.Reason = rapid.String().Draw(t, "reason")
			o.Result = nil
		}
		switch {
		case rarely(t, "unknown algorithm"):
			o.Algorithm.Name = "Nobody"
		case rarely(t, "unknown kind"):
			o.Kind, o.Result = orca.Cancelled+1, nil
		}
		list = append(list, o)
	}
	return list
}

// compare reads everything that can be read.
func (p *property) compare(t *rapid.T) {
	l, m := p.ledger, &p.model
	open := m.openRuns()
	check(t, "open runs", l.openRuns(), open)
	check(t, "backlog", l.backlog(), m.backlog())
	p.compareNext(t)
	q := p.windowQuery(t)
	check(t, "windows", must[[]orca.WindowRecord](t)(l.Windows(t.Context(), q)), m.windows(q))
	check(t, "count", must[int64](t)(l.CountWindows(t.Context(), q)), int64(len(m.selected(q))))
	q.Type = rapid.SampledFrom([]orca.WindowTypeID{minute.ID, hour.ID}).Draw(t, "by time of type")
	var after orca.WindowKey
	if len(m.runs) > 0 && rapid.Bool().Draw(t, "a later page") {
		after = m.record(rapid.SampledFrom(m.runs).Draw(t, "after window").run.Window).Key()
	}
	check(t, "by time", must[[]orca.WindowRecord](t)(l.WindowsByTime(t.Context(), q, after)), m.byTime(q, after))
	of := rapid.SampledFrom([]orca.KnownAlgorithm{score, cpu, mem, hourly}).Draw(t, "history of")
	h := p.resultQuery(t, of)
	check(t, "history", must[[]orca.ResultRecord](t)(l.History(t.Context(), h)), m.history(h, of.Algorithm.WindowType.ID))
	if len(m.runs) > 0 {
		p.compareRun(t, m.runs[rapid.IntRange(0, len(m.runs)-1).Draw(t, "run")])
	}
}

func (p *property) compareRun(t *rapid.T, r modelRun) {
	asNewest := *p.model.newest(r.run.Window)
	for revision, want := range map[int]modelRun{r.run.Revision: r, 0: asNewest} {
		check(t, "run", must[orca.RunRecord](t)(p.ledger.Run(t.Context(), r.run.Window, revision)),
			orca.RunRecord{Run: want.run, Plan: want.emission.Plan.Content, Outcomes: want.outcomes})
	}
	check(t, "window", must[orca.WindowRecord](t)(p.ledger.Window(t.Context(), r.run.Window)), p.model.record(r.run.Window))
	bare := slices.Clone(r.outcomes)
	for i := range bare {
		bare[i].Result = nil
	}
	check(t, "outcomes", must[[]orca.Outcome](t)(p.ledger.Outcomes(t.Context(), r.run.Position)), bare)
	asked := rapid.SliceOfN(rapid.SampledFrom([]orca.AlgorithmID{cpu.Algorithm.ID, mem.Algorithm.ID}), 0, 3).Draw(t, "results of")
	got, err := p.ledger.Results(t.Context(), r.run.Position, asked)
	want, ok := p.model.results(r.run.Position, asked)
	if ok != (err == nil) {
		t.Fatalf("results of %v in run %d: %v, want %v", asked, r.run.Position, err, want)
	}
	check(t, "results", got, want)
}

func (p *property) windowQuery(t *rapid.T) orca.WindowQuery {
	return orca.WindowQuery{
		Type:     rapid.SampledFrom([]orca.WindowTypeID{{}, minute.ID, hour.ID}).Draw(t, "of type"),
		From:     bound(t, "from"),
		To:       bound(t, "to"),
		HasState: rapid.Bool().Draw(t, "has state"),
		State:    orca.RunState(rapid.IntRange(0, 4).Draw(t, "state")),
		Before:   orca.Position(max(0, rapid.IntRange(-5, len(p.model.runs)+1).Draw(t, "before"))),
		Limit:    rapid.IntRange(0, 10).Draw(t, "limit"),
	}
}

func (p *property) resultQuery(t *rapid.T, of orca.KnownAlgorithm) orca.ResultQuery {
	q := orca.ResultQuery{Algorithm: of.Algorithm.ID, From: bound(t, "from"), To: bound(t, "to"),
		Failed: rapid.Bool().Draw(t, "failed"), Limit: rapid.IntRange(0, 10).Draw(t, "limit")}
	runs := slices.Clone(p.model.runs)
	if len(runs) > 0 && rapid.Bool().Draw(t, "paged") {
		w := rapid.SampledFrom(runs).Draw(t, "after")
		q.Before = &orca.ResultKey{To: w.emission.Window.To, From: w.emission.Window.From, Position: w.run.Position}
	}
	return q
}

// bound draws a limit in time, or none.
func bound(t *rapid.T, name string) orca.Time {
	if rapid.Bool().Draw(t, name+" is set") {
		return at(rapid.IntRange(-1, 8).Draw(t, name))
	}
	return 0
}
