package engine

import (
	"context"
	"slices"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Shared is what the engine asks of a ledger that other cores work on too. The engine stays one core's: its runs are those
// that the ledger hands to it, by NextRuns or because it accepted them, and of these everything holds that is said of
// admission. What it cannot know of the runs of others it asks for, while somebody waits for it:
//
//	runs of nobody           Leftover says that there may be some, and a load claims them
//	outcomes of others       the ledger is asked for those that nodes wait for, see foreign
//	runs that are watched    those who watch are told to look every watchInterval
//
// The past of algorithms is read from the ledger, since memory knows only what this core accepted.
type Shared interface {
	// Settled returns which of some outcomes are there.
	Settled(ctx context.Context, keys []orca.OutcomeKey) ([]orca.OutcomeKey, error)
	// GiveBack makes runs nobody's that are this core's and not in its memory. It may wait for a load.
	GiveBack(stray []orca.Position)
}

// Leftover tells the engine what no core works on. It does not block.
func (e *Engine) Leftover(left orca.Leftover) {
	e.inbox.post(func() {
		e.admission.doubt = e.admission.doubt || left.Runs
		e.parking.expecting = e.parking.expecting || left.Expected
		e.parking.settled = append(e.parking.settled, left.Settled...)
		for _, l := range left.Lots {
			if known, there := e.parking.lots[l.Hash]; there {
				known.left = true
			} else if len(e.parking.lots) < maxLots {
				e.mayHold(l)
			}
		}
		e.findStray(left)
	})
}

// findStray gives back runs that are this core's and that it does not have: another core may have woken one at the moment
// at which this one claimed it and heard that it is parked. What is on its way is not twice in a row like that.
func (e *Engine) findStray(left orca.Leftover) {
	a, before := &e.admission, e.stray
	e.stray = nil
	if a.loading || e.parking.asked > 0 {
		return
	}
	var again []orca.Position
	for _, p := range slices.Concat(left.Pending, left.Parked) {
		if _, parked := slices.BinarySearch(left.Parked, p); e.active[p] != nil || !parked && p > a.admitted {
			continue
		}
		if e.stray == nil {
			e.stray = map[orca.Position]bool{}
		}
		if e.stray[p] = true; before[p] {
			again = append(again, p)
		}
	}
	if len(again) == 0 {
		return
	}
	e.cfg.Log.Info("runs that nobody had in memory are given back", "runs", len(again), "lowest", again[0])
	a.doubt = true
	e.loads.Go(func() { e.cfg.Shared.GiveBack(again) })
}

const (
	// The ledger is asked for outcomes of others after firstAsk, and from then on more and more seldom while none is there.
	firstAsk, lastAsk = 50 * time.Millisecond, 500 * time.Millisecond
	// watchInterval is how often those who watch a run look at it.
	watchInterval = 250 * time.Millisecond
)

// foreign are waits for outcomes of runs that are not in memory: another core has them, or they are rows. Only the loop
// touches it.
type foreign struct {
	// asking: a question is on its way, or its time is set.
	asking bool
	delay  time.Duration
}

// askForeign sets the time of the next question, if there is anything to ask.
func (e *Engine) askForeign(ctx context.Context) {
	f := &e.foreign
	if e.cfg.Shared == nil || f.asking || len(e.looking.waits) == 0 {
		return
	}
	f.asking = true
	time.AfterFunc(max(f.delay, firstAsk), func() {
		e.inbox.post(func() {
			keys := e.foreignWaits()
			if len(keys) == 0 {
				f.asking, f.delay = false, 0
				return
			}
			e.loads.Go(func() {
				settled, err := e.cfg.Shared.Settled(ctx, keys)
				e.inbox.post(func() { e.foreignSettled(settled, err) })
			})
		})
	})
}

// foreignWaits returns the outcomes that nodes wait for and that no run in memory will have.
func (e *Engine) foreignWaits() (keys []outcomeKey) {
	for k := range e.looking.waits {
		if e.active[k.Position] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b outcomeKey) int { return int(a.Position - b.Position) })
	return keys
}

func (e *Engine) foreignSettled(settled []outcomeKey, err error) {
	f := &e.foreign
	f.asking, f.delay = false, min(2*max(f.delay, firstAsk), lastAsk)
	if err != nil {
		e.cfg.Log.Warn("the ledger could not be asked for outcomes of other cores; trying again", "error", err)
		return
	}
	for _, k := range settled {
		f.delay = 0
		e.wake(k)
	}
}

// tellWatchers has those who watch a run look at it from time to time.
func (e *Engine) tellWatchers(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.watchers.lookAgain()
		}
	}
}

// isFull reports whether others, or rows that came before, are to have what is accepted now.
func (e *Engine) isFull() bool {
	a := &e.admission
	return a.shared && (a.behind || a.admitted < a.tailAfter || len(e.active)+len(a.tail) >= e.cfg.MaxActiveRuns)
}

// share begins what a shared ledger asks for beside the loop.
func (e *Engine) share(ctx context.Context) {
	if e.cfg.Shared != nil {
		e.loads.Go(func() { e.tellWatchers(ctx) })
	}
}
