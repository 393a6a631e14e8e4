package engine

import (
	"context"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Withdrawals among several cores. Whoever is asked announces the withdrawal in the ledger. Each core hears of it with the
// renewal of its lease, takes the nodes out of its runs and answers when that is durable; until the withdrawal is retracted it
// also takes them out of whatever it starts. Once all have answered, no core has a run with such a node, nor will have one, and
// whoever was asked walks those that nobody works on:
//
//	announced ──▶ heard ──▶ settled, answered      every core
//	    │                        │ all of them
//	    └────────────────────────▼──▶ rows walked ──▶ retracted      who was asked

// askAgain is how often whoever waits for the answers of other cores looks for them.
const askAgain = 100 * time.Millisecond

// withdrawEverywhere withdraws from the runs of all cores, and then from those that nobody works on.
func (e *Engine) withdrawEverywhere(ctx context.Context, w *withdrawal) (runs int64, err error) {
	shared := e.cfg.Shared
	id, err := shared.Announce(ctx, orca.Withdrawal{First: w.first, Last: w.last, Processor: w.processor, Kind: w.kind, Reason: w.reason})
	if err != nil {
		return 0, err
	}
	defer func() {
		if failed := shared.Retract(context.WithoutCancel(ctx), id); failed != nil { // it goes with this core
			e.cfg.Log.Warn("a withdrawal could not be ended", "withdrawal", id, "error", failed)
		}
	}()
	for all := false; !all; {
		if all, runs, err = shared.Answered(ctx, id); err != nil {
			return 0, err
		}
		if !all && !sleep(ctx, askAgain) {
			return 0, ctx.Err()
		}
	}
	rows, err := e.withdrawAndWait(ctx, w)
	return runs + rows, err
}

// hear begins the withdrawals that others have announced, and ends those that are not announced any more.
func (e *Engine) hear(announced []orca.Withdrawal) {
	known := map[int32]*withdrawal{}
	for _, w := range e.withdrawals {
		if w.announced > 0 {
			known[w.announced], w.retracted = w, true
		}
	}
	for _, a := range announced {
		if w := known[a.ID]; w != nil {
			w.retracted = false
			continue
		}
		e.withdraw(&withdrawal{
			first: a.First, last: a.Last, walked: a.Last, kind: a.Kind, reason: a.Reason, processor: a.Processor,
			takes:     func(id orca.AlgorithmID) bool { return a.Processor == "" || id.Processor == a.Processor },
			announced: a.ID, done: make(chan struct{}),
		})
	}
}

// answerWithdrawals answers those that others have announced and that are durable in all runs of this core.
func (e *Engine) answerWithdrawals(ctx context.Context) {
	for _, w := range e.withdrawals {
		if w.announced == 0 || w.answered || w.unsettled > 0 {
			continue
		}
		w.answered = true
		e.loads.Go(func() {
			err := e.cfg.Shared.Answer(ctx, w.announced, w.runs)
			if err == nil || ctx.Err() != nil || !sleep(ctx, claimAgain) {
				return
			}
			e.cfg.Log.Warn("a withdrawal could not be answered; trying again", "withdrawal", w.announced, "error", err)
			e.inbox.post(func() { w.answered = false })
		})
	}
}
