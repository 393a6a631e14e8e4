package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// history is a historyPlan while it is played.
type history struct {
	*historyPlan
	t      testing.TB
	ledger *ledger
	dice   dice
	begun  time.Time

	mu     sync.Mutex
	broken []string
	core   *historyCore
	over   bool
	away   map[string]bool // processors
	plans  map[planKey]*plan.Plan
	// broke are nodes that requests broke down with, and cancelled the windows that somebody cancelled.
	broke     map[nodeOf]bool
	cancelled map[orca.WindowID]bool
	handed    []handedOver
}

type planKey struct {
	late bool
	of   orca.WindowTypeID
}

// handedOver is what a processor was given for a node.
type handedOver struct {
	node nodeOf
	x    orca.AlgorithmExecution
}

// playHistory plays what a seed draws to its end, and returns the rules that were broken.
func playHistory(t testing.TB, seed uint64, draw func(*rand.Rand) *historyPlan) []string {
	random := rand.New(rand.NewPCG(seed, 0))
	h := &history{
		historyPlan: draw(random), t: t, ledger: newLedger(), begun: time.Now(), away: map[string]bool{},
		plans: map[planKey]*plan.Plan{}, broke: map[nodeOf]bool{}, cancelled: map[orca.WindowID]bool{},
	}
	h.dice = dice{random: random, faults: h.faults}
	h.startCore()
	var others sync.WaitGroup
	for i := range h.windows {
		others.Go(func() { h.live(i) })
	}
	others.Go(h.leave)
	for _, end := range h.ends {
		time.Sleep(end.After)
		h.endCore(end.Crash)
		h.startCore()
	}
	others.Wait()
	h.finish()
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.endCore(false)
	h.compare()
	return append(h.broken, h.ledger.broken...)
}

// finish waits until every run is finished.
func (h *history) finish() {
	for range 24 * 60 {
		if time.Sleep(time.Minute); h.unfinished() == 0 {
			time.Sleep(time.Minute) // a write that was reported as failed is repeated
			synctest.Wait()
			h.broken = append(h.broken, h.core.leftovers()...)
			if n := len(h.core.looking.waits); n > 0 {
				h.rule("%d waits are left", n)
			}
			return
		}
	}
	h.rule("after a day %d runs have not finished", h.unfinished())
	for _, r := range h.ledger.runs {
		if r.State == orca.RunOpen {
			h.rule("run %d of window %d [%d, %d] is open: %v", r.Position, r.Window, r.Stored.From, r.Stored.To, recorded(h.ledger.run(r.Position)))
		}
	}
}

func (h *history) unfinished() int64 {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	return h.ledger.open
}

func (h *history) rule(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = append(h.broken, fmt.Sprintf(format, args...))
}

// live emits a window until it is accepted, and does then what is asked of it.
func (h *history) live(i int) {
	time.Sleep(h.careers[i].after)
	w := h.windows[i]
	em := orca.Emission{Window: w.Window, Filters: filtersOf(w, h.late), Key: orca.IdempotencyKey{Key: w.Origin}}
	var a orca.Accepted
	for err := errFault; err != nil; {
		c := h.on()
		if a, err = c.Emit(c.ctx, em); err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, ask := range h.careers[i].asked {
		time.Sleep(ask.after)
		h.ask(a.Window, ask.what)
	}
}

// filtersOf returns the values that a ledger compares.
func filtersOf(w *lookbackmodel.Window, g lookbackmodel.Registry) (filters []orca.FilterValue) {
	for _, t := range g.WindowTypes() {
		for _, f := range t.Fields { // they are sorted
			if value, _ := w.Fields[f.Name].(float64); t.ID == w.Type && f.Filter {
				filters = append(filters, orca.FilterValue{Field: f.Name, Hash: [16]byte{byte(value)}})
			}
		}
	}
	return filters
}

// ask cancels the run of a window, or makes the next one as soon as there is none that is open, if that takes not long.
func (h *history) ask(id orca.WindowID, what string) {
	for range 10 {
		c := h.on()
		var err error
		switch what {
		case "retry":
			_, err = c.Retry(c.ctx, id, nil)
		case "reprocess":
			_, err = c.Reprocess(c.ctx, id, nil)
		case "cancel":
			h.mu.Lock()
			h.cancelled[id] = true
			h.mu.Unlock()
			_, err = c.Cancel(c.ctx, id)
		}
		if err == nil || what == "cancel" && errors.Is(err, orca.Precondition) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// leave has a processor be away at times.
func (h *history) leave() {
	for _, a := range h.absences {
		time.Sleep(a.After)
		h.setAway(true)
		time.Sleep(a.For)
		h.setAway(false)
	}
}

func (h *history) setAway(away bool) {
	h.mu.Lock()
	c := h.core
	h.away[absent] = away
	if !away {
		slices.SortFunc(c.queue, func(a, b *orca.Call) int { return int(a.Position - b.Position) })
		for _, call := range c.queue {
			c.carryOut(call)
		}
		c.queue = nil
	}
	h.mu.Unlock()
	c.Served()
}

// on returns the core that is on.
func (h *history) on() *historyCore {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.core
}

// Plan returns that of the registry of the moment.
func (h *history) Plan(_ context.Context, t orca.WindowTypeID) (*plan.Plan, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := planKey{time.Since(h.begun) >= h.announced, t}
	if h.plans[k] == nil {
		g := h.registry(k.late)
		p, err := plan.Build(t, g.Triggered(t), func(id orca.AlgorithmID) (orca.Algorithm, bool, bool) {
			a, ok := g[id]
			return a, false, ok
		})
		if err != nil {
			return nil, err
		}
		h.plans[k] = p
	}
	return h.plans[k], nil
}

func (h *history) registry(late bool) lookbackmodel.Registry {
	if late {
		return h.late
	}
	return h.early
}

// registryOf returns the registry that a run's plan is from.
func (h *history) registryOf(r *record) lookbackmodel.Registry {
	for k, p := range h.plans {
		if p.Content().Hash == r.Plan {
			return h.registry(k.late)
		}
	}
	panic("a run has an unknown plan")
}

func (h *history) startCore() {
	c := &historyCore{history: h}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(h.t.Context()))
	h.mu.Lock()
	defer h.mu.Unlock()
	c.core = newCore(h.t, h.ledger, nil, func(with *setUp) {
		with.Fleet, with.Planner = c, h
		with.MaxActiveRuns, with.MaxAttempts, with.MaxRecentBytes = h.maxActive, h.maxAttempts, h.recent
		with.session.commitTime = func() time.Duration { return h.dice.duration(h.commit) }
		with.session.answerTime = func() time.Duration { return h.dice.duration(h.tell) }
		with.session.writeFault, with.session.readFault = h.writeFault, h.readFault
	})
	h.core = c
}

func (h *history) writeFault(*write) (kept bool, err error) {
	if !h.dice.fault() {
		return false, nil
	}
	if kept = h.dice.below(2) == 0; kept {
		h.ledger.repeats = true
		return true, orca.Errorf(orca.OutcomeUnknown, "the end of the commit was not seen")
	}
	return false, orca.Errorf(orca.Unavailable, "nothing was written")
}

func (h *history) readFault(method string) error {
	time.Sleep(h.dice.duration(h.read))
	if method != "Backlog" && h.dice.fault() {
		return errFault
	}
	return nil
}

// endCore ends the core that is on, in order or by a crash.
func (h *history) endCore(crash bool) {
	h.mu.Lock()
	c := h.core
	c.ended = true
	h.mu.Unlock()
	if crash {
		c.session.crash()
	}
	c.cancel()
	c.requests.Wait()
	c.stop()
}
