package engine

import (
	"context"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// Retry makes the next run of a window, which keeps the plan and the succeeded outcomes of the newest one and runs the
// rest. full is the metadata with the noStore fields, nil when the type has none. It returns when the run is durable.
// Errors: NotFound, Precondition when a run of the window is open or there is nothing to retry, and those of Emit.
func (e *Engine) Retry(ctx context.Context, id orca.WindowID, full []byte) (orca.Accepted, error) {
	return e.revise(ctx, id, full, e.retry)
}

// Reprocess makes the next run of a window under the current plan, from nothing. See Retry for the rest.
func (e *Engine) Reprocess(ctx context.Context, id orca.WindowID, full []byte) (orca.Accepted, error) {
	return e.revise(ctx, id, full, e.reprocess)
}

// revise accepts the revision that work makes of a window whose newest run is finished.
func (e *Engine) revise(ctx context.Context, id orca.WindowID, full []byte,
	work func(context.Context, orca.WindowRecord) (orca.Revision, *plan.Plan, error)) (orca.Accepted, error) {
	if err := e.enter(ctx); err != nil {
		return orca.Accepted{}, err
	}
	x, err := e.revisionOf(ctx, id, work)
	if err != nil {
		e.unanswered.Add(-1)
		return orca.Accepted{}, err
	}
	x.revision.FullMetadata = full
	e.cfg.Ledger.Revise(*x.revision, x.committed)
	return x.wait(ctx)
}

func (e *Engine) revisionOf(ctx context.Context, id orca.WindowID,
	work func(context.Context, orca.WindowRecord) (orca.Revision, *plan.Plan, error)) (*emit, error) {
	w, err := e.cfg.Ledger.Window(ctx, id)
	if err != nil {
		return nil, err
	}
	if w.Newest.State == orca.RunOpen {
		return nil, orca.Errorf(orca.Precondition, "revision %d of the window is open: wait for its end, or cancel it", w.Newest.Revision)
	}
	r, p, err := work(ctx, w)
	if err != nil {
		return nil, err
	}
	r.Window, r.Base, r.AcceptedAt = id, w.Newest.Position, e.cfg.Now()
	return &emit{engine: e, revision: &r, window: w.Window, plan: p, answered: make(chan struct{})}, nil
}

// retry keeps what succeeded. What its plan blocks stays blocked.
func (e *Engine) retry(ctx context.Context, w orca.WindowRecord) (orca.Revision, *plan.Plan, error) {
	none := orca.Revision{}
	if w.Newest.State == orca.RunSucceeded {
		return none, nil, orca.Errorf(orca.Precondition,
			"revision %d of the window succeeded, there is nothing to retry: reprocess the window to run all of it again", w.Newest.Revision)
	}
	content, err := e.cfg.Ledger.Plan(ctx, w.Newest.Plan)
	if err != nil {
		return none, nil, err
	}
	p, err := plan.Parse(content)
	if err != nil {
		return none, nil, fmt.Errorf("retry run %d: %w", w.Newest.Position, err)
	}
	before, err := e.cfg.Ledger.Outcomes(ctx, w.Newest.Position)
	if err != nil {
		return none, nil, err
	}
	r := orca.Revision{Kind: orca.RunRetry, Outcomes: blocked(p, e.cfg.Now())}
	for _, o := range before {
		if o.Kind == orca.Succeeded {
			r.Outcomes = append(r.Outcomes, o)
		}
	}
	if len(r.Outcomes) == len(p.Nodes) {
		return none, nil, orca.Errorf(orca.Precondition,
			"what revision %d of the window lacks can never run under its plan, there is nothing to retry: reprocess the window", w.Newest.Revision)
	}
	r.Status = orca.ProcessingTriggered
	return r, p, nil
}

func (e *Engine) reprocess(ctx context.Context, w orca.WindowRecord) (orca.Revision, *plan.Plan, error) {
	p, err := e.cfg.Planner.Plan(ctx, w.Window.Type)
	if err != nil {
		return orca.Revision{}, nil, err
	}
	r := orca.Revision{Kind: orca.RunReprocess, Plan: p.Content(), Outcomes: blocked(p, e.cfg.Now())}
	r.Status, r.End = begins(p, len(r.Outcomes))
	return r, p, nil
}

// openRun is the run that an accepted emit or revision makes.
func (x *emit) openRun() orca.OpenRun {
	r := x.revision
	if r == nil {
		return openRunOf(x.emission, x.accepted)
	}
	return revisedRunOf(*r, x.window, x.plan.Content().Hash, x.accepted)
}

func revisedRunOf(r orca.Revision, stored orca.Window, h orca.PlanHash, a orca.Accepted) orca.OpenRun {
	input := stored
	if r.FullMetadata != nil {
		input.Metadata = r.FullMetadata
	}
	return orca.OpenRun{
		Run: orca.Run{
			Position: a.Position, Window: a.Window, Revision: a.Revision, Kind: r.Kind, Plan: h, AcceptedAt: r.AcceptedAt,
		},
		Input: input, Stored: stored, Outcomes: r.Outcomes,
	}
}

// lot is the one in which the run is parked from the start, if any.
func (x *emit) lot() *orca.Lot {
	if x.revision != nil {
		return nil
	}
	return x.emission.Lot
}

// begun returns what is settled from the start, and the state that this leaves the run in.
func (x *emit) begun() ([]orca.Outcome, orca.RunState) {
	if x.revision != nil {
		return x.revision.Outcomes, x.revision.End
	}
	return x.emission.Outcomes, x.emission.End
}
