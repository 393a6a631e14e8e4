package storetest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// model is what a store has to be equal to: the ledger in memory, by the rules of the interface and nothing else. It
// knows the algorithms of the fixture.
type model struct {
	clock orca.Time
	runs  []modelRun // by position, from 1
	keys  map[orca.IdempotencyKey]modelKey
}

// modelRun is a run with the emission of its window, whose plan and noStore metadata are those of the run itself.
type modelRun struct {
	emission orca.Emission
	run      orca.Run
	outcomes []orca.Outcome
	lot      *orca.Lot
	tries    []orca.Tries
}

type modelKey struct {
	digest   [32]byte
	answer   orca.Accepted
	accepted orca.Time
}

// verdict is an answer with the kind of its error alone.
type verdict struct {
	orca.Accepted
	Kind orca.Kind
}

// refused is the kind of an error that is of none.
const refused orca.Kind = "refused by the database"

func (m *model) accept(e orca.Emission) verdict {
	if e.Window.Type != minute.ID && e.Window.Type != hour.ID || !knows(e.Outcomes) {
		return verdict{Kind: orca.NotFound}
	}
	name := orca.IdempotencyKey{Project: e.Key.Project, Key: e.Key.Key}
	if used, ok := m.keys[name]; ok && e.Key.Key != "" && e.AcceptedAt-used.accepted < ttl {
		if used.digest != e.Key.Digest {
			return verdict{Kind: orca.Conflict}
		}
		again := used.answer
		again.Replayed = true
		return verdict{Accepted: again}
	}
	if !sound(e.Outcomes) {
		return verdict{Kind: refused}
	}
	position := orca.Position(len(m.runs) + 1)
	r := modelRun{emission: e, run: runOf(e, position), lot: e.Lot}
	r.add(e.Outcomes)
	m.runs = append(m.runs, r)
	answer := orca.Accepted{Window: position, Position: position, Status: e.Status}
	if e.Key.Key != "" {
		m.keys[name] = modelKey{digest: e.Key.Digest, answer: answer, accepted: e.AcceptedAt}
	}
	return verdict{Accepted: answer}
}

func (m *model) revise(r orca.Revision) verdict {
	switch {
	case r.Window < 1 || int(r.Window) > len(m.runs) || m.runs[r.Window-1].run.Revision > 1:
		return verdict{Kind: orca.NotFound}
	case m.newest(r.Window).run.Position != r.Base || m.newest(r.Window).run.State == orca.RunOpen:
		return verdict{Kind: orca.Precondition}
	case !knows(r.Outcomes):
		return verdict{Kind: orca.NotFound}
	}
	base, position := m.newest(r.Window), orca.Position(len(m.runs)+1)
	next := modelRun{emission: base.emission}
	next.emission.FullMetadata = r.FullMetadata
	if r.Plan != nil {
		next.emission.Plan = r.Plan
	}
	next.run = orca.Run{Position: position, Window: r.Window, Revision: base.run.Revision + 1, Kind: r.Kind,
		Plan: next.emission.Plan.Hash, State: r.End, AcceptedAt: r.AcceptedAt}
	if r.End != orca.RunOpen {
		next.run.FinishedAt = r.AcceptedAt
	}
	outcomes := slices.Clone(r.Outcomes)
	for i, o := range outcomes {
		if o.ProducedAt == 0 {
			continue
		}
		k := slices.IndexFunc(base.outcomes, func(b orca.Outcome) bool { return b.Algorithm == o.Algorithm && b.Kind == orca.Succeeded })
		if k < 0 {
			return verdict{Kind: orca.NotFound}
		}
		outcomes[i] = base.outcomes[k]
	}
	if !sound(outcomes) {
		return verdict{Kind: refused}
	}
	next.add(outcomes)
	m.runs = append(m.runs, next)
	return verdict{Accepted: orca.Accepted{Window: r.Window, Position: position, Status: r.Status, Revision: next.run.Revision}}
}

// newest returns the newest run of a window.
func (m *model) newest(window orca.WindowID) *modelRun {
	for i := range slices.Backward(m.runs) {
		if m.runs[i].run.Window == window {
			return &m.runs[i]
		}
	}
	return nil
}

func (m *model) settle(s orca.Settlement) verdict {
	switch {
	case s.Position < 1 || int(s.Position) > len(m.runs), !knows(s.Outcomes):
		return verdict{Kind: orca.NotFound}
	case !sound(s.Outcomes):
		return verdict{Kind: refused}
	}
	r := &m.runs[s.Position-1]
	r.add(s.Outcomes)
	if s.End != orca.RunOpen && r.run.State == orca.RunOpen {
		r.run.State, r.run.FinishedAt = s.End, s.At
	}
	return verdict{}
}

func knows(outcomes []orca.Outcome) bool {
	return !slices.ContainsFunc(outcomes, func(o orca.Outcome) bool {
		return !slices.ContainsFunc(fixture(0).Algorithms, func(a orca.KnownAlgorithm) bool { return a.Algorithm.ID == o.Algorithm })
	})
}

// sound reports whether a database takes all of the outcomes, which it does unless a kind does not exist.
func sound(outcomes []orca.Outcome) bool {
	return !slices.ContainsFunc(outcomes, func(o orca.Outcome) bool { return o.Kind > orca.Cancelled })
}

func (r *modelRun) add(outcomes []orca.Outcome) {
	for _, o := range outcomes {
		if !slices.ContainsFunc(r.outcomes, func(have orca.Outcome) bool { return have.Algorithm == o.Algorithm }) {
			r.outcomes = append(r.outcomes, durable(o, r.run.Position, true))
		}
	}
	slices.SortFunc(r.outcomes, func(a, b orca.Outcome) int { return a.Algorithm.Compare(b.Algorithm) })
}

// record of a window.
func (m *model) record(window orca.WindowID) orca.WindowRecord {
	r := m.newest(window)
	return orca.WindowRecord{ID: r.run.Window, Window: r.emission.Window, AcceptedAt: r.emission.AcceptedAt, Newest: r.run,
		Nodes: r.emission.Plan.Nodes, Settled: len(r.outcomes)}
}

func (m *model) openRuns() []orca.OpenRun {
	var open []orca.OpenRun
	for _, r := range m.runs {
		if r.run.State != orca.RunOpen {
			continue
		}
		o := openOf(r.emission, r.run.Position)
		o.Run, o.Outcomes, o.Tries = r.run, nil, r.tries
		if r.lot != nil {
			o.Lot = r.lot.Hash
		}
		for _, outcome := range r.outcomes {
			o.Outcomes = append(o.Outcomes, durable(outcome, r.run.Position, false))
		}
		open = append(open, o)
	}
	return open
}

func overlaps(w orca.Window, from, to orca.Time) bool {
	return (from == 0 || w.To > from) && (to == 0 || w.From < to)
}

func (m *model) windows(q orca.WindowQuery) []orca.WindowRecord {
	all := m.selected(q)
	return all[:min(len(all), q.Limit)]
}

// selected windows, whatever the limit, the newest first.
func (m *model) selected(q orca.WindowQuery) []orca.WindowRecord {
	var records []orca.WindowRecord
	for _, r := range slices.Backward(m.runs) {
		w := r.emission.Window
		if r.run.Revision == 1 && (q.Type == orca.WindowTypeID{} || q.Type == w.Type) && overlaps(w, q.From, q.To) &&
			(!q.HasState || q.State == m.newest(r.run.Window).run.State) && (q.Before == 0 || r.run.Window < q.Before) {
			records = append(records, m.record(r.run.Window))
		}
	}
	return records
}

func (m *model) byTime(q orca.WindowQuery, after orca.WindowKey) []orca.WindowRecord {
	records := slices.DeleteFunc(m.selected(q), func(r orca.WindowRecord) bool { return r.Key().Compare(after) <= 0 })
	slices.SortFunc(records, func(a, b orca.WindowRecord) int { return a.Key().Compare(b.Key()) })
	return records[:min(len(records), q.Limit)]
}

func (m *model) history(q orca.ResultQuery, typ orca.WindowTypeID) []orca.ResultRecord {
	var records []orca.ResultRecord
	for _, r := range m.runs {
		for _, o := range r.outcomes {
			record := orca.ResultRecord{Window: m.record(r.run.Window), Run: r.run, Outcome: o}
			if o.Algorithm == q.Algorithm && r.emission.Window.Type == typ && overlaps(r.emission.Window, q.From, q.To) &&
				(q.Failed || o.Kind == orca.Succeeded) && (q.Before == nil || compareKeys(record.Key(), *q.Before) < 0) {
				records = append(records, record)
			}
		}
	}
	slices.SortFunc(records, func(a, b orca.ResultRecord) int { return compareKeys(b.Key(), a.Key()) })
	return records[:min(len(records), q.Limit)]
}

func compareKeys(a, b orca.ResultKey) int {
	return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From), cmp.Compare(a.Position, b.Position))
}

// results of a run in the order asked, or false when one is missing.
func (m *model) results(at orca.Position, algorithms []orca.AlgorithmID) ([]orca.Result, bool) {
	var results []orca.Result
	for _, id := range algorithms {
		i := slices.IndexFunc(m.runs[at-1].outcomes, func(o orca.Outcome) bool {
			return o.Algorithm == id && o.Kind == orca.Succeeded
		})
		if i < 0 {
			return nil, false
		}
		results = append(results, *m.runs[at-1].outcomes[i].Result)
	}
	return results, true
}

func (v verdict) String() string { return fmt.Sprintf("%+v %s", v.Accepted, v.Kind) }
