package engine

import (
	"context"
	"slices"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Shared is what the engine asks of a ledger that other cores work on too. The engine stays one core's: its runs are those
// that it accepted and had room for, and those that NextRuns claimed for it. Each of them is in memory, or on its way there, or
// on its way back to the ledger, and no other core has it. There is no tail then, and no order of positions in which all is
// admitted: what has no room is given back, and a load brings the lowest of what nobody works on.
//
//	accepted, room ──────▶ active ──▶ parked, in the ledger
//	accepted, no room ──▶ given back      │ an outcome is there; or a load finds its lot open
//	                         ▲            ▼
//	                         └──────── of nobody ──▶ active, by a load
//
// What it cannot know of the runs of others it asks for, while somebody waits for it:
//
//	runs of nobody           Leftover says that there are some, and a load claims them
//	outcomes of others       the ledger is asked for those that nodes wait for, see foreign
//	runs that are watched    those who watch are told to look every watchInterval
//
// Where the ledger lets cores hear of each other as it happens (News) that is when it asks, and otherwise seldom: a core that dies
// may have told nobody of the last that it did.
//
// When the end of something that was asked of the ledger was not seen, runs may be this core's that it does not have. It then
// asks which are its own, and gives back those that it lacks. Claims, give-backs and that question exclude each other, so that
// each of them finds settled what the ones before it have done. The past of algorithms is read from the ledger, since memory
// knows only what this core accepted.
type Shared interface {
	// Settled returns which of some outcomes are there.
	Settled(ctx context.Context, keys []orca.OutcomeKey) ([]orca.OutcomeKey, error)
	// GiveBack makes runs nobody's that this core owns and does not have in memory.
	GiveBack(runs []orca.Position, done func(error))
	// Owned tells which runs this core owns, when nothing is under way any more of what was asked before.
	Owned(done func([]orca.Position, error))
	// Announce tells all cores of a withdrawal, which they Answer; Answered reports whether all have, and Retract ends it.
	Announce(ctx context.Context, w orca.Withdrawal) (id int32, err error)
	Answer(ctx context.Context, id int32, runs int64) error
	Answered(ctx context.Context, id int32) (all bool, runs int64, err error)
	Retract(ctx context.Context, id int32) error
	// Unfinished counts the unfinished runs, those of all cores: Open, Newest and Lots.
	Unfinished(ctx context.Context) (orca.Backlog, error)
	// Unowned claims the lowest runs that no core works on, from first to last, which have open nodes of a processor; "" is any.
	Unowned(ctx context.Context, first, last orca.Position, processor string, limit int) ([]orca.OpenRun, error)
}

// sharing is what the loop knows of how its runs and the ledger's fit together.
type sharing struct {
	// heard: this core knows what all are to withdraw.
	heard bool
	// claiming is how many runs the load under way may bring.
	claiming int
	// back are runs to be given back, at most as many as are accepted in a turn or loaded at once; giving: some are on their way.
	back   []orca.Position
	giving bool
	// counting: the unfinished runs are being counted; countDue: they are to be. counted is when that began last.
	counting, countDue bool
	counted            time.Time
	// unsure: there may be runs of this core that it does not have; asking: the ledger has been asked.
	unsure, asking bool
}

// settledDown reports whether the ledger and memory agree on whose runs are whose.
func (s *sharing) settledDown() bool { return !s.unsure && !s.giving && len(s.back) == 0 }

// countEvery is how often unfinished runs are counted when nobody asks for their number.
const countEvery = 5 * time.Second

// count counts the unfinished runs of all cores. Between two counts this one counts what it accepts and ends itself.
func (e *Engine) count(ctx context.Context) {
	s := &e.sharing
	if s.counting || !s.countDue {
		return
	}
	s.counting, s.countDue, s.counted = true, false, time.Now()
	before := e.stats.open.Load()
	e.loads.Go(func() {
		b, err := e.cfg.Shared.Unfinished(ctx)
		e.inbox.post(func() {
			if s.counting = false; err == nil {
				b.Open = max(0, b.Open+e.stats.open.Load()-before) // what has come and gone meanwhile
				e.takeCount(b)
			}
		})
	})
}

func (e *Engine) takeCount(b orca.Backlog) (parked map[string]orca.ParkedWork) {
	rows := int64(0)
	lots := map[orca.LotHash]*lot{}
	for _, l := range b.Lots {
		rows += l.Runs
		lots[l.Lot.Hash] = &lot{Lot: l.Lot, open: e.mayOpen(l.Lot), runs: l.Runs, oldest: l.Oldest}
	}
	e.stats.open.Store(b.Open)
	e.stats.parked.Store(rows)
	return parkedWork(lots)
}

// newest returns the highest position that was given to a run; zero stands for the one that the loop has heard of.
func (e *Engine) newest(ctx context.Context) (orca.Position, error) {
	if e.cfg.Shared == nil {
		return 0, nil
	}
	b, err := e.cfg.Shared.Unfinished(ctx)
	return b.Newest, err
}

// parkedWorkShared returns what waits for processors as rows of the ledger, for all cores.
func (e *Engine) parkedWorkShared(ctx context.Context) (func() map[string]orca.ParkedWork, error) {
	b, err := e.cfg.Shared.Unfinished(ctx)
	return func() map[string]orca.ParkedWork { return e.takeCount(b) }, err
}

// Leftover tells the engine, about once a second, what no core works on, and what all are to withdraw. It does not block.
func (e *Engine) Leftover(left orca.Leftover) {
	e.inbox.post(func() {
		e.hear(left.Withdrawals)
		e.sharing.heard = true
		unfinished := e.stats.open.Load() > 0 || left.Free || len(left.Lots) > 0
		e.sharing.countDue = unfinished && (e.cfg.MaxBacklog > 0 || time.Since(e.sharing.counted) >= countEvery)
		e.admission.doubt = e.admission.doubt || left.Free
		for _, l := range left.Lots {
			e.noteLot(l)
		}
	})
}

// Freed tells the engine that there are runs of nobody. It does not block.
func (e *Engine) Freed() { e.inbox.post(func() { e.admission.doubt = true }) }

// noteLot takes note that a lot has runs. Who only waits for outcomes is woken by whoever settles these.
func (e *Engine) noteLot(of *orca.Lot) {
	if of.Hash == orca.Expecting.Hash || e.parking.lots[of.Hash] == nil && len(e.parking.lots) >= maxLots {
		return
	}
	known := e.parking.lots[of.Hash] != nil
	l := e.lot(of)
	l.left = true
	if !known {
		l.open = e.mayOpen(of)
		e.parking.rescan = true // who waits in memory for the same goes on in its turn
		e.publish()
	}
}

// isFull reports whether others are to have what is accepted now.
func (e *Engine) isFull() bool { return e.admission.shared && !e.hasRoom() }

func (e *Engine) hasRoom() bool {
	return !e.admission.behind && len(e.active)+e.sharing.claiming < e.cfg.MaxActiveRuns
}

// admitShared takes a newly accepted run into memory, or gives it back.
func (e *Engine) admitShared(x *emit) {
	a, p := &e.admission, x.accepted.Position
	a.newest = max(a.newest, p)
	_, state := x.begun()
	if state == orca.RunOpen {
		e.stats.open.Add(1)
	}
	switch lot := x.lot(); {
	case state != orca.RunOpen:
	case lot != nil:
		e.noteLot(lot)
	case x.emission.Unclaimed:
		a.doubt = true
	case e.hasRoom():
		e.start(newRun(x.openRun(), x.plan))
	default:
		e.giveBack(p)
	}
}

// claim begins to load runs that nobody works on, when there are places for them.
func (e *Engine) claim(ctx context.Context) {
	a := &e.admission
	free := e.cfg.MaxActiveRuns - len(e.active)
	switch {
	case !e.sharing.heard, a.loading, e.stopping.Load(), !e.sharing.settledDown(), e.caughtUp(), free < max(1, e.cfg.MaxActiveRuns/4):
		return
	}
	sources, _ := e.sources()
	l := &load{sources: sources, limit: max(1, free/2)} // the other half is for what is accepted meanwhile
	a.loading, a.doubt, e.sharing.claiming = true, false, l.limit
	l.read = func(ctx context.Context) ([]orca.OpenRun, error) { return e.cfg.Ledger.NextRuns(ctx, sources, l.limit) }
	e.loads.Go(func() {
		err := e.readRuns(ctx, l)
		e.inbox.post(func() { e.claimed(l, err) })
	})
}

// claimed starts the runs that a load brought.
func (e *Engine) claimed(l *load, err error) {
	a := &e.admission
	a.loading, e.sharing.claiming = false, 0
	defer e.loadEnded()
	if err != nil {
		a.doubt = true
		e.loseTrack("claim runs", err)
		return
	}
	a.behind = l.rows >= l.limit
	a.doubt = a.doubt || a.behind
	for _, r := range l.runs {
		if before := e.active[r.position]; before != nil {
			e.parkedAway(before) // and it has not heard of it yet
		}
		a.newest = max(a.newest, r.position)
		e.start(r)
	}
	for _, s := range l.sources {
		if s.Lot != nil && !a.behind {
			delete(e.parking.lots, s.Lot.Hash)
		}
	}
	if len(l.sources) > 1 {
		e.publish()
	}
}

// claimAgain is when the ledger is asked anew after it has failed.
const claimAgain = 500 * time.Millisecond

// loseTrack has the ledger asked which runs are this core's, since the end of something was not seen.
func (e *Engine) loseTrack(what string, err error) {
	e.cfg.Log.Warn("the ledger did not answer; what this core owns is asked anew", "what", what, "error", err)
	e.sharing.unsure, e.sharing.asking = true, true // not at once
	time.AfterFunc(claimAgain, func() { e.inbox.post(func() { e.sharing.asking = false }) })
}

// giveBack has runs given back that this core owns and does not have.
func (e *Engine) giveBack(runs ...orca.Position) {
	e.sharing.back = append(e.sharing.back, runs...)
	e.admission.doubt = true
}

// settleDown brings ledger and memory to agree, one step after the other.
func (e *Engine) settleDown() {
	s := &e.sharing
	if e.admission.loading || s.giving || s.asking {
		return
	}
	s.back = slices.DeleteFunc(s.back, func(p orca.Position) bool { return e.active[p] != nil })
	switch {
	case len(s.back) > 0:
		back := s.back
		s.back, s.giving = nil, true
		e.cfg.Shared.GiveBack(back, func(err error) { e.inbox.post(func() { e.gaveBack(back, err) }) })
	case s.unsure:
		s.asking = true
		e.cfg.Shared.Owned(func(owned []orca.Position, err error) { e.inbox.post(func() { e.owns(owned, err) }) })
	}
}

func (e *Engine) gaveBack(runs []orca.Position, err error) {
	e.sharing.giving = false
	if err != nil {
		e.giveBack(runs...)
		e.loseTrack("give back runs", err)
	}
}

// owns takes the ledger's answer. Whatever was accepted, parked or ended before it was given, the loop has heard of.
func (e *Engine) owns(owned []orca.Position, err error) {
	e.sharing.asking = false
	if err != nil {
		e.loseTrack("ask for own runs", err)
		return
	}
	e.sharing.unsure = false
	for _, p := range owned {
		if e.active[p] == nil {
			e.giveBack(p)
		}
	}
}

// parkedShared takes the ledger's answer to a parking. Nothing has happened to the run meanwhile: who withdraws nodes waits for
// the end of it.
func (e *Engine) parkedShared(r *run, in *orca.Lot, parked bool, err error) {
	if err != nil { // it may be parked, or not: the ledger is asked until it is known
		e.cfg.Log.Warn("a run could not be parked; trying again", "run", r.position, "error", err)
		time.AfterFunc(parkingAgain, func() {
			e.inbox.post(func() {
				if e.active[r.position] == r {
					e.askToPark(r, in, r.expected)
				}
			})
		})
		return
	}
	if e.active[r.position] != r {
		return // a load has told of it
	}
	if parked {
		e.parkedAway(r)
		e.noteLot(in)
		return
	}
	r.parking = false
	e.parking.asked--
	for _, w := range r.passedBy {
		w.unsettled--
		e.take(w, r)
	}
	r.passedBy = nil
	e.takeRetired(r)
	e.resume(r)
}

// parkedAway gives up a run that is parked. Withdrawals that passed over it have to look at its row.
func (e *Engine) parkedAway(r *run) {
	e.parking.asked--
	e.leave(r)
	for i := range r.nodes {
		e.stats.held.Add(-int64(len(r.nodes[i].result)))
	}
	for _, w := range r.passedBy {
		w.unsettled--
		if w.again == 0 || r.position < w.again {
			w.again = r.position
		}
	}
}

// share begins what a shared ledger asks for beside the loop.
func (e *Engine) share(ctx context.Context) {
	if e.cfg.Shared != nil {
		e.loads.Go(func() { e.tellWatchers(ctx) })
	}
}

// walkShared reads a page of runs that no core works on, which are this core's until the page is durable.
func (e *Engine) walkShared(ctx context.Context, w *withdrawal, l *load, after orca.Position) {
	w.walked, w.again = after, 0
	l.read = func(ctx context.Context) ([]orca.OpenRun, error) {
		return e.cfg.Shared.Unowned(ctx, after+1, w.last, w.processor, l.limit)
	}
	e.loads.Go(func() {
		err := e.readRuns(ctx, l)
		e.inbox.post(func() {
			if err != nil {
				e.admission.loading = false
				w.again = after + 1
				e.loseTrack("read a page of runs", err)
				e.loadEnded()
				return
			}
			e.looked(w, l)
		})
	})
}
