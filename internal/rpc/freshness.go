package rpc

import (
	"context"
	"fmt"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

const (
	// maxCompared is how many rows of one lookback are compared, and compareFor how long all lookbacks of a run may take
	// together. What is beyond is not compared.
	maxCompared = 10_000
	compareFor  = 2 * time.Second
)

// addPast says of the nodes of a run that look back whether they would be given other rows now, and of those that wait
// for a past result for which one.
func (s *consoleService) addPast(ctx context.Context, r *shownRun, nodes []*pb.NodeInfo) error {
	bounded, cancel := context.WithTimeout(ctx, compareFor)
	defer cancel()
	for i, n := range nodes {
		if !r.plan.LooksBack(i) {
			continue
		}
		at, given, open := r.given(i)
		var err error
		switch {
		case open && r.ready(i):
			err = s.addWait(bounded, r, i, n)
		case given && !open:
			n.Freshness, err = s.freshness(bounded, r, i, at)
		}
		if err != nil && (bounded.Err() == nil || ctx.Err() != nil) {
			return fmt.Errorf("look back from run %d: %w", r.Run.Position, err)
		}
		if err != nil && !open {
			n.Freshness = pb.Freshness_FRESHNESS_NOT_COMPARED
		}
	}
	return nil
}

// ready reports whether a node has all that it needs of its own run.
func (r *shownRun) ready(node int) bool {
	for _, d := range r.plan.Nodes[node].Needs {
		if o := r.outcomes[r.plan.Nodes[d].Algorithm.ID]; o == nil || o.Kind != orca.Succeeded {
			return false
		}
	}
	return true
}

// freshness compares all that a node looks back at.
func (s *consoleService) freshness(ctx context.Context, r *shownRun, node int, at orca.Position) (pb.Freshness, error) {
	verdict := pb.Freshness_FRESHNESS_CURRENT
	for _, look := range r.looks(node) {
		f, err := look.Freshness(ctx, s.cfg.Ledger, r.window.ID, at, maxCompared)
		if err != nil {
			return 0, err
		}
		switch f {
		case lookback.Current:
		case lookback.Stale:
			return pb.Freshness_FRESHNESS_STALE, nil
		case lookback.NotCompared:
			verdict = pb.Freshness_FRESHNESS_NOT_COMPARED
		}
	}
	return verdict, nil
}

// addWait says which past result a node waits for, if it does.
func (s *consoleService) addWait(ctx context.Context, r *shownRun, node int, n *pb.NodeInfo) error {
	for _, look := range r.looks(node) {
		part, err := look.Part(ctx, s.cfg.Ledger, lookback.View{Window: r.window.ID, At: r.Run.Position, Available: s.cfg.Available}, lookback.Place{}, maxCompared)
		if err != nil {
			return err
		}
		if part.Open != nil {
			n.Reason = fmt.Sprintf("waits for %s in run %d, of window %s", look.Of, part.Open.Position, s.ids.text(part.Open.Window))
			return nil
		}
	}
	return nil
}
