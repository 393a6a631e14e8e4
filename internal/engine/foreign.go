package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

const (
	// The ledger is asked for outcomes of others after firstAsk, and from then on more and more seldom while none is there.
	firstAsk, lastAsk = 25 * time.Millisecond, 250 * time.Millisecond
	// watchInterval is how often those who watch a run look at it.
	watchInterval = 250 * time.Millisecond
	// heardInterval is how often all of that is looked for while other cores are heard.
	heardInterval = 2 * time.Second
)

// foreign are waits for outcomes of runs that are not in memory: another core has them, or they are rows. Only the loop
// touches it.
type foreign struct {
	// asking: a question is on its way, or its time is set.
	asking bool
	delay  time.Duration
	// timer is the time of the next question; nil while it is on its way. now: it is to be asked at once.
	timer *time.Timer
	now   bool
	// told are waits for runs that others were heard of; telling: the ledger is being asked for some.
	told    map[outcomeKey]bool
	telling bool
}

// askShared asks the ledger for what the loop has to know of others.
func (e *Engine) askShared(ctx context.Context) {
	if e.cfg.Shared != nil {
		e.askForeign(ctx)
		e.answerWithdrawals(ctx)
		e.count(ctx)
	}
}

// askForeign sets the time of the next question, if there is anything to ask.
func (e *Engine) askForeign(ctx context.Context) {
	f := &e.foreign
	e.askTold(ctx)
	if f.now && f.timer != nil && f.timer.Stop() {
		f.asking, f.timer = false, nil
	}
	if f.asking || len(e.looking.waits) == 0 {
		return
	}
	f.asking = true
	delay := e.pollEvery(max(f.delay, firstAsk))
	if f.now {
		f.now, delay = false, 0
	}
	f.timer = time.AfterFunc(delay, func() {
		e.inbox.post(func() {
			f.timer = nil
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

// pollEvery is how often something is looked for that is looked for so often while others are not heard.
func (e *Engine) pollEvery(unheard time.Duration) time.Duration {
	switch {
	case e.cfg.Poll > 0:
		return e.cfg.Poll
	case e.heard.Load():
		return heardInterval
	}
	return unheard
}

// askTold asks for outcomes that others were heard to have settled.
func (e *Engine) askTold(ctx context.Context) {
	f := &e.foreign
	if f.telling || len(f.told) == 0 {
		return
	}
	keys := inOrder(slices.Collect(maps.Keys(f.told)))
	f.told, f.telling = nil, true
	e.loads.Go(func() {
		settled, err := e.cfg.Shared.Settled(ctx, keys)
		e.inbox.post(func() {
			f.telling = false
			if err != nil {
				f.now = true // with all others
				return
			}
			for _, k := range settled {
				e.wake(k)
			}
		})
	})
}

// News takes what is heard of other cores as it happens. It does not block.
func (e *Engine) News(n orca.News) {
	before := e.heard.Swap(n.Listening)
	e.inbox.post(func() {
		f := &e.foreign
		f.now = f.now || n.All || before != n.Listening
		runs := make(map[orca.Position]bool, len(n.Settled))
		for _, p := range n.Settled {
			runs[p] = true
		}
		for k := range e.looking.waits {
			if runs[k.Position] && e.active[k.Position] == nil {
				f.tell(k)
			}
		}
	})
	if n.All || before != n.Listening {
		e.watchers.lookAgain()
	}
	for _, p := range n.Settled {
		e.watchers.changed(p)
	}
}

// foreignWaits returns the outcomes that nodes wait for and that no run in memory will have.
func (e *Engine) foreignWaits() (keys []outcomeKey) {
	for k := range e.looking.waits {
		if e.active[k.Position] == nil {
			keys = append(keys, k)
		}
	}
	return inOrder(keys)
}

// inOrder sorts outcomes by their runs.
func inOrder(keys []outcomeKey) []outcomeKey {
	slices.SortFunc(keys, func(a, b outcomeKey) int { return int(a.Position - b.Position) })
	return keys
}

func (f *foreign) tell(k outcomeKey) {
	if f.told == nil {
		f.told = map[outcomeKey]bool{}
	}
	f.told[k] = true
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
	for last := time.Now(); sleep(ctx, watchInterval); {
		if time.Since(last) >= e.pollEvery(0) {
			e.watchers.lookAgain()
			last = time.Now()
		}
	}
}
