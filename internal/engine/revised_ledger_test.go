package engine

import (
	"context"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// newest returns the newest run of a window, nil when there is none.
func (l *ledger) newest(id orca.WindowID) *record {
	for _, r := range slices.Backward(l.runs) {
		if r.Window == id {
			return r
		}
	}
	return nil
}

func (l *ledger) revise(r *orca.Revision) (orca.Accepted, error) {
	base := l.newest(r.Window)
	if base == nil || base.Position != r.Base || base.State == orca.RunOpen {
		return orca.Accepted{}, orca.Errorf(orca.Precondition, "run %d is not the base any more", r.Base)
	}
	hash := base.Plan
	if r.Plan != nil {
		hash = r.Plan.Hash
		l.plans[hash] = r.Plan
	}
	a := orca.Accepted{Window: r.Window, Position: orca.Position(len(l.runs) + 1), Status: r.Status, Revision: base.Revision + 1}
	next := &record{OpenRun: revisedRunOf(*r, base.Stored, hash, a), filters: base.filters}
	next.State = r.End
	for _, o := range r.Outcomes {
		if o.ProducedAt != 0 {
			i := slices.IndexFunc(base.outcomes, func(x orca.Outcome) bool { return x.Algorithm == o.Algorithm && x.Kind == orca.Succeeded })
			o = base.outcomes[i]
			if o.ProducedAt == 0 {
				o.ProducedAt = base.Position
			}
		}
		next.outcomes = append(next.outcomes, o)
	}
	l.runs = append(l.runs, next)
	if r.End == orca.RunOpen {
		l.open++
	} else {
		l.finish(next)
	}
	return a, nil
}

func (s *session) Revise(r orca.Revision, done func(orca.Accepted, error)) {
	s.add(&write{revision: &r, accepted: done})
}

func (s *session) Window(ctx context.Context, id orca.WindowID) (orca.WindowRecord, error) {
	w, err := s.window(id)
	if err != nil {
		return w, err
	}
	return w, s.fault(ctx, "Window")
}

func (s *session) window(id orca.WindowID) (orca.WindowRecord, error) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	r := s.newest(id)
	if r == nil {
		return orca.WindowRecord{}, orca.Errorf(orca.NotFound, "the ledger has no window %d", id)
	}
	return orca.WindowRecord{ID: id, Window: r.Stored, Newest: r.Run, Nodes: s.plans[r.Plan].Nodes, Settled: len(r.outcomes)}, nil
}

func (s *session) Outcomes(ctx context.Context, p orca.Position) ([]orca.Outcome, error) {
	outcomes := s.run(p).outcomes
	for i := range outcomes {
		outcomes[i].Result = nil
		if outcomes[i].ProducedAt == 0 {
			outcomes[i].ProducedAt = p
		}
	}
	return outcomes, s.fault(ctx, "Outcomes")
}
