package storetest

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

var parkingTests = map[string]func(*testing.T, Opener){
	"ParkedRunsAreReadFromTheirLots": testLots,
	"ParkedRunLosesNothing":          testParkedRun,
	"SettledOutcomesWakeParkedRuns":  testWake,
	"ManyAreWokenInParts":            testManyAreWoken,
}

// lots of the tests: for one algorithm, and for two of which that is one.
var (
	cpuLot  = orca.NewLot([]orca.AlgorithmID{cpu.Algorithm.ID})
	bothLot = orca.NewLot([]orca.AlgorithmID{mem.Algorithm.ID, cpu.Algorithm.ID, mem.Algorithm.ID})
)

// parkingAnswer is what Park tells.
type parkingAnswer struct {
	Parked bool
	Err    error
}

// park moves a run into a lot.
func (l *ledger) park(p orca.Parking) parkingAnswer {
	done := make(chan parkingAnswer, 1)
	l.Park(p, func(parked bool, err error) { done <- parkingAnswer{parked, err} })
	return <-done
}

// next returns the positions of NextRuns.
func (l *ledger) next(limit int, sources ...orca.OpenSource) []orca.Position {
	l.t.Helper()
	return positions(must[[]orca.OpenRun](l.t)(l.NextRuns(l.t.Context(), sources, limit)))
}

// testLots: each source has its own runs, the lowest of all come first, whether they were parked as they were accepted
// or later.
func testLots(t *testing.T, open Opener) {
	l := served(t, open)
	for i := range 6 {
		e := emission(i)
		if i%2 == 1 {
			e.Lot = cpuLot // 2, 4, 6
		}
		l.emitted(e)
	}
	check(t, "parking run 3", l.park(orca.Parking{Position: 3, Lot: bothLot}), parkingAnswer{Parked: true})
	check(t, "parking run 6 elsewhere", l.park(orca.Parking{Position: 6, Lot: bothLot}), parkingAnswer{Parked: true})
	for _, when := range []string{"", ", opened again"} {
		free, in, both := orca.OpenSource{}, orca.OpenSource{Lot: cpuLot}, orca.OpenSource{Lot: bothLot}
		check(t, "free"+when, l.next(10, free), []orca.Position{1, 5})
		check(t, "in a lot"+when, l.next(10, in), []orca.Position{2, 4})
		check(t, "in the other"+when, l.next(10, both), []orca.Position{3, 6})
		check(t, "lowest of all"+when, l.next(4, both, in, free), []orca.Position{1, 2, 3, 4})
		in.After, free.After = 2, 1
		check(t, "lowest after"+when, l.next(2, free, in), []orca.Position{4, 5})
		check(t, "of no source"+when, l.next(10), nil)
		check(t, "of a lot that nobody is in"+when, l.next(10, orca.OpenSource{Lot: orca.NewLot([]orca.AlgorithmID{score.Algorithm.ID})}), nil)
		check(t, "open runs"+when, positions(l.openRuns()), []orca.Position{1, 2, 3, 4, 5, 6})
		check(t, "backlog"+when, l.backlog(), orca.Backlog{Open: 6, Newest: 6, Lots: byHash([]orca.LotSize{
			{Lot: cpuLot, Runs: 2, Oldest: 2}, {Lot: bothLot, Runs: 2, Oldest: 3},
		}), Windows: newestOf(emission(5))})
		l.reopen()
	}
	open2 := must[[]orca.WindowRecord](t)(l.Windows(t.Context(), orca.WindowQuery{HasState: true, Limit: 10}))
	check(t, "windows with an open run", len(open2), 6)
}

// testParkedRun: what is known of it is there when it is loaded, and it ends like any other.
func testParkedRun(t *testing.T, open Opener) {
	l := served(t, open)
	e := emission(1)
	l.emitted(e)
	l.settled(orca.Settlement{Position: 1, Outcomes: []orca.Outcome{value(mem, 1, at(3))}})
	tries := []orca.Tries{{Algorithm: cpu.Algorithm.ID, Attempts: 2, Sent: at(4), Alone: true, Lost: true}}
	check(t, "parking", l.park(orca.Parking{Position: 1, Lot: cpuLot, Tries: tries}), parkingAnswer{Parked: true})
	want := openOf(e, 1)
	want.Lot, want.Tries = cpuLot.Hash, tries
	want.Outcomes = []orca.Outcome{durable(value(mem, 1, at(3)), 1, false)}
	check(t, "in its lot", must[[]orca.OpenRun](t)(l.NextRuns(t.Context(), []orca.OpenSource{{Lot: cpuLot}}, 1)), []orca.OpenRun{want})
	l.settled(orca.Settlement{Position: 1, Outcomes: []orca.Outcome{value(cpu, 2, at(5))}, End: orca.RunSucceeded, At: at(5)})
	check(t, "open runs after its end", positions(l.openRuns()), nil)
	check(t, "parking what has ended", l.park(orca.Parking{Position: 1, Lot: cpuLot}), parkingAnswer{})
	check(t, "parking what never was", l.park(orca.Parking{Position: 7, Lot: cpuLot}), parkingAnswer{})
	check(t, "backlog", l.backlog(), orca.Backlog{Newest: 1, Windows: newestOf(e)})
}

func newestOf(e orca.Emission) map[orca.WindowTypeID]orca.Interval {
	return map[orca.WindowTypeID]orca.Interval{e.Window.Type: e.Window.Interval()}
}

// wakeAnswer is what Wake tells.
type wakeAnswer struct {
	Woken []orca.WokenRun
	More  bool
	Err   error
}

func (l *ledger) wake(settled ...orca.OutcomeKey) wakeAnswer {
	done := make(chan wakeAnswer, 1)
	l.Wake(settled, func(woken []orca.WokenRun, more bool, err error) { done <- wakeAnswer{woken, more, err} })
	return <-done
}

// testWake: an outcome wakes those who wait for it, once, and nobody else; what is there is not waited for.
func testWake(t *testing.T, open Opener) {
	l := served(t, open)
	for i := range 5 {
		l.emitted(emission(i))
	}
	key := func(p orca.Position, of orca.KnownAlgorithm) orca.OutcomeKey {
		return orca.OutcomeKey{Position: p, Algorithm: of.Algorithm.ID}
	}
	done := func(p orca.Position) orca.Settlement {
		return orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(9))}}
	}
	check(t, "parking 2", l.park(orca.Parking{Position: 2, Lot: orca.Expecting, Expects: []orca.OutcomeKey{key(1, cpu), key(1, mem)}}), parkingAnswer{Parked: true})
	check(t, "parking 3", l.park(orca.Parking{Position: 3, Lot: cpuLot, Expects: []orca.OutcomeKey{key(1, cpu)}}), parkingAnswer{Parked: true})
	check(t, "parking 4", l.park(orca.Parking{Position: 4, Lot: orca.Expecting, Expects: []orca.OutcomeKey{key(2, cpu), key(2, cpu)}}), parkingAnswer{Parked: true})
	check(t, "settled, that is waited for, at first", l.backlog().Settled, nil)
	l.settled(done(1))
	check(t, "parking 5", l.park(orca.Parking{Position: 5, Lot: orca.Expecting, Expects: []orca.OutcomeKey{key(2, cpu), key(1, cpu)}}), parkingAnswer{})
	l.reopen()
	check(t, "settled, that is waited for", l.backlog().Settled, []orca.OutcomeKey{key(1, cpu)})
	check(t, "waking", l.wake(key(1, cpu), key(5, cpu)), wakeAnswer{Woken: []orca.WokenRun{
		{Position: 2, From: orca.Expecting.Hash}, {Position: 3, From: cpuLot.Hash},
	}})
	check(t, "waking again", l.wake(key(1, cpu), key(1, mem)), wakeAnswer{})
	check(t, "woken", l.next(10, orca.OpenSource{Lot: orca.Woken}), []orca.Position{2, 3})
	check(t, "still waiting", l.next(10, orca.OpenSource{Lot: orca.Expecting}), []orca.Position{4})
	l.settled(orca.Settlement{Position: 4, Outcomes: []orca.Outcome{value(cpu, 1, at(9))}, End: orca.RunSucceeded, At: at(9)})
	check(t, "waking what has ended", l.wake(key(2, cpu)), wakeAnswer{})
	check(t, "waking for nobody", l.wake(orca.OutcomeKey{Position: 1, Algorithm: orca.AlgorithmID{Name: "Nobody"}}), wakeAnswer{})
}

// testManyAreWoken: no commit is held up by all who wait for one outcome.
func testManyAreWoken(t *testing.T, open Opener) {
	const n = 2500
	l := served(t, open)
	many := make([]orca.Emission, n+1)
	for i := range many {
		many[i] = emission(i)
	}
	l.emit(many...)
	awaited := orca.OutcomeKey{Position: 1, Algorithm: cpu.Algorithm.ID}
	for p := range orca.Position(n) {
		l.Park(orca.Parking{Position: p + 2, Lot: orca.Expecting, Expects: []orca.OutcomeKey{awaited}}, func(bool, error) {})
	}
	l.settled(orca.Settlement{Position: 1, Outcomes: []orca.Outcome{value(cpu, 1, at(9))}})
	woken, calls := 0, 0
	for more := true; more; calls++ {
		answer := l.wake(awaited)
		woken, more = woken+len(answer.Woken), answer.More
	}
	if woken != n || calls < 2 {
		t.Errorf("%d of %d were woken, in %d calls", woken, n, calls)
	}
}

// backlog with its lots in a certain order.
func (l *ledger) backlog() orca.Backlog {
	l.t.Helper()
	b := must[orca.Backlog](l.t)(l.Backlog(l.t.Context()))
	b.Lots = byHash(b.Lots)
	return b
}

func byHash(lots []orca.LotSize) []orca.LotSize {
	slices.SortFunc(lots, func(a, b orca.LotSize) int { return slices.Compare(a.Lot.Hash[:], b.Lot.Hash[:]) })
	return lots
}

// drawLot draws a lot, or none.
func drawLot(t *rapid.T) *orca.Lot {
	return rapid.SampledFrom([]*orca.Lot{nil, cpuLot, bothLot}).Draw(t, "lot")
}

func (p *property) parking(t *rapid.T) orca.Parking {
	parking := orca.Parking{Position: orca.Position(rapid.IntRange(0, len(p.model.runs)+1).Draw(t, "parked")), Lot: cpuLot}
	if l := drawLot(t); l != nil {
		parking.Lot, parking.Tries = l, []orca.Tries{{Algorithm: cpu.Algorithm.ID, Attempts: 1}}
	}
	return parking
}

// park moves an open run into a lot; what it did there before is replaced.
func (m *model) park(p orca.Parking) bool {
	if p.Position < 1 || int(p.Position) > len(m.runs) || m.runs[p.Position-1].run.State != orca.RunOpen {
		return false
	}
	r := &m.runs[p.Position-1]
	r.lot, r.tries = p.Lot, p.Tries
	return true
}

func (m *model) backlog() orca.Backlog {
	b := orca.Backlog{Newest: orca.Position(len(m.runs)), Windows: map[orca.WindowTypeID]orca.Interval{}}
	for _, r := range m.runs {
		w := r.emission.Window
		if w.Interval().Compare(b.Windows[w.Type]) > 0 {
			b.Windows[w.Type] = w.Interval()
		}
		if r.run.State != orca.RunOpen {
			continue
		}
		b.Open++
		if r.lot == nil {
			continue
		}
		i := slices.IndexFunc(b.Lots, func(s orca.LotSize) bool { return s.Lot.Hash == r.lot.Hash })
		if i < 0 {
			i = len(b.Lots)
			b.Lots = append(b.Lots, orca.LotSize{Lot: r.lot, Oldest: r.run.Position})
		}
		b.Lots[i].Runs++
	}
	b.Lots = byHash(b.Lots)
	return b
}

// compareNext compares the next runs of some sources.
func (p *property) compareNext(t *rapid.T) {
	var sources []orca.OpenSource
	for _, l := range []*orca.Lot{nil, cpuLot, bothLot} {
		if rapid.Bool().Draw(t, "is a source") {
			sources = append(sources, orca.OpenSource{Lot: l, After: orca.Position(rapid.IntRange(0, len(p.model.runs)).Draw(t, "after"))})
		}
	}
	limit := rapid.IntRange(0, 5).Draw(t, "next")
	want := slices.DeleteFunc(p.model.openRuns(), func(r orca.OpenRun) bool {
		return !slices.ContainsFunc(sources, func(s orca.OpenSource) bool {
			var lot orca.LotHash
			if s.Lot != nil {
				lot = s.Lot.Hash
			}
			return lot == r.Lot && r.Position > s.After
		})
	})
	slices.SortFunc(want, func(a, b orca.OpenRun) int { return cmp.Compare(a.Position, b.Position) })
	check(t, "next runs", must[[]orca.OpenRun](t)(p.ledger.NextRuns(t.Context(), sources, limit)), want[:min(len(want), limit)])
}
