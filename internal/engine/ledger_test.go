package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ledger is a ledger in memory. What was committed survives the crash of a core; everything else is forgotten.
type ledger struct {
	mu    sync.Mutex
	runs  []*record // by position, from 1
	open  int64
	plans map[orca.PlanHash]*orca.PlanContent
	lots  map[orca.LotHash]*orca.Lot
	keys  map[string]orca.Accepted
	// broken are rules that a core broke: every one of them is a defect.
	broken []string
	// repeats are allowed to settle a node again, as after a write that was reported as failed.
	repeats bool
	// finished is called, with the lock held, with each run that finished; nil for nobody.
	finished func(orca.Position)
}

// record is one run. Outcomes are in the order of their commits, with results.
type record struct {
	orca.OpenRun
	outcomes []orca.Outcome
	expects  []orca.OutcomeKey
	filters  []orca.FilterValue
}

func (l *ledger) settledAlready(k orca.OutcomeKey) bool {
	return kindIn(*l.runs[k.Position-1], k.Algorithm) != 0
}

// wakeUp puts those into the lot of the woken who wait for outcomes that are there.
func (l *ledger) wakeUp(settled []orca.OutcomeKey) (woken []orca.WokenRun) {
	for _, r := range l.runs {
		waits := func(k orca.OutcomeKey) bool { return slices.Contains(r.expects, k) }
		if r.State != orca.RunOpen || r.Lot == (orca.LotHash{}) || !slices.ContainsFunc(settled, waits) {
			continue
		}
		woken = append(woken, orca.WokenRun{Position: r.Position, From: r.Lot})
		r.expects = nil
		l.park(r, orca.Woken)
	}
	return woken
}

func (l *ledger) newestWindows() map[orca.WindowTypeID]orca.Interval {
	newest := map[orca.WindowTypeID]orca.Interval{}
	for _, r := range l.runs {
		if i := r.Stored.Interval(); i.Compare(newest[r.Stored.Type]) > 0 {
			newest[r.Stored.Type] = i
		}
	}
	return newest
}

// overdue returns the outcomes that are there and that somebody waits for.
func (l *ledger) overdue() (keys []orca.OutcomeKey) {
	for _, r := range l.runs {
		for _, k := range r.expects {
			if r.State == orca.RunOpen && l.settledAlready(k) && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// park puts a run into a lot, as a row of it.
func (l *ledger) park(r *record, in *orca.Lot) {
	l.lots[in.Hash] = in
	r.Lot = in.Hash
}

func newLedger() *ledger {
	return &ledger{plans: map[orca.PlanHash]*orca.PlanContent{}, lots: map[orca.LotHash]*orca.Lot{}, keys: map[string]orca.Accepted{}}
}

func (l *ledger) rule(format string, args ...any) {
	l.broken = append(l.broken, fmt.Sprintf(format, args...))
}

func (l *ledger) accept(e *orca.Emission) orca.Accepted {
	if a, used := l.keys[e.Key.Key]; used {
		a.Replayed = true
		return a
	}
	p := orca.Position(len(l.runs) + 1)
	r := &record{OpenRun: openRunOf(*e, orca.Accepted{Window: p, Position: p}), outcomes: e.Outcomes, filters: e.Filters}
	r.State = e.End
	l.runs = append(l.runs, r)
	l.plans[e.Plan.Hash] = e.Plan
	if e.Lot != nil {
		l.park(r, e.Lot)
	}
	if e.End == orca.RunOpen {
		l.open++
	} else {
		l.finish(r)
	}
	a := orca.Accepted{Window: p, Position: p, Status: e.Status}
	if e.Key.Key != "" {
		l.keys[e.Key.Key] = a
	}
	return a
}

func (l *ledger) settle(s *orca.Settlement) {
	r := l.runs[s.Position-1]
	for _, o := range s.Outcomes {
		if slices.ContainsFunc(r.outcomes, func(x orca.Outcome) bool { return x.Algorithm == o.Algorithm }) {
			if !l.repeats {
				l.rule("run %d: %v settled twice", s.Position, o.Algorithm)
			}
			continue // the first one stays
		}
		if r.State != orca.RunOpen {
			l.rule("run %d: %v settled after the end of the run", s.Position, o.Algorithm)
		}
		r.outcomes = append(r.outcomes, o)
	}
	if s.End == orca.RunOpen || r.State != orca.RunOpen {
		return
	}
	r.State, r.FinishedAt = s.End, s.At
	l.open--
	l.finish(r)
}

func (l *ledger) finish(r *record) {
	if got, want := len(r.outcomes), l.plans[r.Plan].Nodes; got != want {
		l.rule("run %d ended with %d outcomes of %d", r.Position, got, want)
	}
	if l.finished != nil {
		l.finished(r.Position)
	}
}

// run returns a run as it is committed now.
func (l *ledger) run(p orca.Position) record {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := *l.runs[p-1]
	r.outcomes = slices.Clone(r.outcomes)
	return r
}

// session is a core's access to a ledger, with a writer of its own that commits in the order of arrival.
type session struct {
	*ledger
	// commitTime is how long the next commit takes, and answerTime how long it then takes to tell; nil for no time.
	commitTime, answerTime func() time.Duration
	// writeFault is asked for each write at its commit. With an error the write is reported as failed, and it is
	// written nevertheless if kept; nil for no faults.
	writeFault func(*write) (kept bool, err error)
	// readFault is asked for each read by the method's name, and may take its time; the answer is older than that.
	// Nil for no faults.
	readFault func(method string) error
	// hidden runs are committed and not seen by reads.
	hidden map[orca.Position]bool
	// loads counts the calls of OpenRuns and NextRuns.
	loads int

	mu    sync.Mutex
	queue []*write
	dead  bool
	wake  chan struct{}
	died  chan struct{}
}

type write struct {
	emission   *orca.Emission
	revision   *orca.Revision
	accepted   func(orca.Accepted, error)
	settlement *orca.Settlement
	settled    func(error)
	parking    *orca.Parking
	parked     func(bool, error)
	settledNow []orca.OutcomeKey
	woken      func([]orca.WokenRun, bool, error)
}

func (l *ledger) session() *session {
	return &session{ledger: l, wake: make(chan struct{}, 1), died: make(chan struct{})}
}

func (s *session) Accept(e orca.Emission, done func(orca.Accepted, error)) {
	s.add(&write{emission: &e, accepted: done})
}

func (s *session) Settle(st orca.Settlement, done func(error)) {
	s.add(&write{settlement: &st, settled: done})
}

func (s *session) Wake(settled []orca.OutcomeKey, done func([]orca.WokenRun, bool, error)) {
	s.add(&write{settledNow: settled, woken: done})
}

func (s *session) Park(p orca.Parking, done func(bool, error)) {
	s.add(&write{parking: &p, parked: done})
}

func (l *ledger) lotSizes() (lots []orca.LotSize) {
	sizes := map[orca.LotHash]*orca.LotSize{}
	for _, r := range l.runs {
		if r.State != orca.RunOpen || r.Lot == (orca.LotHash{}) {
			continue
		}
		if sizes[r.Lot] == nil {
			sizes[r.Lot] = &orca.LotSize{Lot: l.lots[r.Lot], Oldest: r.Position}
		}
		sizes[r.Lot].Runs++
	}
	for _, size := range sizes {
		lots = append(lots, *size)
	}
	return lots
}

// NextRuns reads like OpenRuns.
func (s *session) NextRuns(ctx context.Context, sources []orca.OpenSource, limit int) ([]orca.OpenRun, error) {
	runs := s.openRuns(0, limit, func(r *record) bool {
		return slices.ContainsFunc(sources, func(from orca.OpenSource) bool {
			lot := orca.LotHash{}
			if from.Lot != nil {
				lot = from.Lot.Hash
			}
			return r.Lot == lot && r.Position > from.After
		})
	})
	return runs, s.fault(ctx, "NextRuns")
}

func (s *session) add(w *write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, w)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// serve commits until ctx is done and the queue is empty, or until the crash.
func (s *session) serve(ctx context.Context) {
	for {
		s.mu.Lock()
		batch := s.queue
		s.queue = nil
		s.mu.Unlock()
		if len(batch) > 0 {
			if !s.commit(batch) {
				return
			}
			continue
		}
		select {
		case <-s.wake:
		case <-s.died:
			return
		case <-ctx.Done():
			return
		}
	}
}

// commit writes a batch and tells its owners, unless the core crashes before.
func (s *session) commit(batch []*write) bool {
	if !s.spend(s.commitTime) {
		return false
	}
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return false
	}
	answers := make([]func(), len(batch))
	s.ledger.mu.Lock()
	for i, w := range batch {
		answers[i] = s.apply(w)
	}
	s.ledger.mu.Unlock()
	s.mu.Unlock()
	if !s.spend(s.answerTime) {
		return false
	}
	for _, answer := range answers {
		answer()
	}
	return true
}

// spend lets time pass, unless the core crashes.
func (s *session) spend(long func() time.Duration) bool {
	if long == nil {
		return true
	}
	select {
	case <-time.After(long()):
		return true
	case <-s.died:
		return false
	}
}

func (s *session) apply(w *write) (answer func()) {
	var kept bool
	var err error
	if s.writeFault != nil {
		kept, err = s.writeFault(w)
	}
	if w.parking != nil {
		r := s.runs[w.parking.Position-1]
		there := slices.ContainsFunc(w.parking.Expects, s.settledAlready)
		parked := r.State == orca.RunOpen && !there && (err == nil || kept)
		for _, k := range w.parking.Expects {
			if k.Position >= r.Position {
				s.rule("run %d is parked until %v of run %d is settled, which is accepted later", r.Position, k.Algorithm, k.Position)
			}
		}
		if parked {
			s.park(r, w.parking.Lot)
			r.Tries, r.expects = w.parking.Tries, w.parking.Expects
		}
		return func() { w.parked(parked && err == nil, err) }
	}
	if w.woken != nil {
		var woken []orca.WokenRun
		if err == nil || kept {
			woken = s.wakeUp(w.settledNow)
		}
		return func() { w.woken(woken, false, err) }
	}
	if w.settlement != nil {
		if err == nil || kept {
			s.settle(w.settlement)
		}
		return func() { w.settled(err) }
	}
	var a orca.Accepted
	if err == nil || kept {
		refusal := error(nil)
		if a, refusal = s.write(w); err == nil {
			err = refusal
		}
	}
	if err != nil {
		a = orca.Accepted{}
	}
	return func() { w.accepted(a, err) }
}

func (l *ledger) write(w *write) (orca.Accepted, error) {
	if w.revision != nil {
		return l.revise(w.revision)
	}
	return l.accept(w.emission), nil
}

// crash ends the session: nothing of it that is not committed ever will be.
func (s *session) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dead {
		s.dead = true
		close(s.died)
	}
}

func (s *session) OpenRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error) {
	runs := s.openRuns(after, limit, func(*record) bool { return true })
	return runs, s.fault(ctx, "OpenRuns")
}

func (s *session) openRuns(after orca.Position, limit int, in func(*record) bool) []orca.OpenRun {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.loads++
	var open []orca.OpenRun
	for _, r := range s.runs[min(int(after), len(s.runs)):] {
		if len(open) == limit {
			break
		}
		if r.State != orca.RunOpen || s.hidden[r.Position] || !in(r) {
			continue
		}
		o := r.OpenRun
		o.Outcomes = slices.Clone(r.outcomes)
		for i := range o.Outcomes {
			o.Outcomes[i].Result = nil
		}
		open = append(open, o)
	}
	return open
}

func (s *session) fault(ctx context.Context, method string) error {
	if s.readFault != nil {
		if err := s.readFault(method); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *session) Plan(ctx context.Context, h orca.PlanHash) ([]byte, error) {
	s.ledger.mu.Lock()
	p, ok := s.plans[h]
	s.ledger.mu.Unlock()
	if !ok {
		return nil, orca.Errorf(orca.NotFound, "the ledger has no plan %x", h[:6])
	}
	return p.Content, s.fault(ctx, "Plan")
}

func (s *session) Results(ctx context.Context, p orca.Position, ids []orca.AlgorithmID) ([]orca.Result, error) {
	r := s.run(p)
	results := make([]orca.Result, len(ids))
	for k, id := range ids {
		i := slices.IndexFunc(r.outcomes, func(o orca.Outcome) bool { return o.Algorithm == id && o.Kind == orca.Succeeded })
		if i < 0 {
			return nil, orca.Errorf(orca.NotFound, "run %d has no result of %s", p, id.Full())
		}
		results[k] = *r.outcomes[i].Result
	}
	return results, s.fault(ctx, "Results")
}

// Past is the rule itself, slowly.
func (s *session) Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error {
	for _, p := range s.past(q) {
		if q.Rows && p.Kind == orca.Succeeded && p.Position%3 > 0 { // some are at hand
			row, err := s.row(q.Algorithm, p.Position)
			if err != nil {
				return err
			}
			p.Row = &row
		}
		if !yield(p) {
			break
		}
	}
	return s.fault(ctx, "Past")
}

func (l *ledger) past(q orca.PastQuery) []orca.PastRun {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := map[orca.WindowID]orca.PastRun{}
	looks := l.runs[q.Window-1]
	for _, r := range l.runs[:min(len(l.runs), int(q.Before-1))] {
		kind, isNode := kindIn(*r, q.Algorithm), slices.Contains(l.plans[r.Plan].Algorithms, q.Algorithm)
		if isNode && kind != orca.Cancelled && agree(r.filters, looks.filters, q.Fields) {
			newest[r.Window] = orca.PastRun{Window: r.Window, From: r.Stored.From, To: r.Stored.To, Position: r.Position, Kind: kind}
		}
	}
	runs := slices.Collect(maps.Values(newest))
	runs = slices.DeleteFunc(runs, func(p orca.PastRun) bool {
		return p.To > q.To || p.To == q.To && p.From > q.From || p.To < q.EarliestTo
	})
	slices.SortFunc(runs, func(a, b orca.PastRun) int {
		return cmp.Or(cmp.Compare(b.To, a.To), cmp.Compare(b.From, a.From), cmp.Compare(b.Position, a.Position))
	})
	return runs
}

// agree reports whether two windows have the same value in all of the fields.
func agree(a, b []orca.FilterValue, fields []string) bool {
	value := func(of []orca.FilterValue, field string) [16]byte {
		return of[slices.IndexFunc(of, func(f orca.FilterValue) bool { return f.Field == field })].Hash
	}
	return !slices.ContainsFunc(fields, func(field string) bool { return value(a, field) != value(b, field) })
}

func (s *session) PastRows(ctx context.Context, id orca.AlgorithmID, at []orca.Position) ([]orca.PastRow, error) {
	rows := make([]orca.PastRow, len(at))
	for k, p := range at {
		var err error
		if rows[k], err = s.row(id, p); err != nil {
			return nil, err
		}
	}
	return rows, s.fault(ctx, "PastRows")
}

func (s *session) row(id orca.AlgorithmID, p orca.Position) (orca.PastRow, error) {
	r := s.run(p)
	i := slices.IndexFunc(r.outcomes, func(o orca.Outcome) bool { return o.Algorithm == id && o.Kind == orca.Succeeded })
	if i < 0 {
		return orca.PastRow{}, orca.Errorf(orca.NotFound, "run %d has no result of %s", p, id.Full())
	}
	return orca.PastRow{WindowID: r.Window, Position: p, Window: r.Stored, Result: r.outcomes[i].Result.Encoded}, nil
}

func (s *session) Backlog(ctx context.Context) (orca.Backlog, error) {
	s.ledger.mu.Lock()
	b := orca.Backlog{Open: s.open, Newest: orca.Position(len(s.runs)), Lots: s.lotSizes(), Settled: s.overdue(), Windows: s.newestWindows()}
	s.ledger.mu.Unlock()
	return b, s.fault(ctx, "Backlog")
}
