package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Accept queues an emission and returns; it never waits for the database. done is called once, with what became of it,
// after the commit that made it durable, in the order of positions, on the goroutine of Serve: it must not block.
// After Serve has returned it is called with orca.Unavailable before Accept returns.
func (s *Store) Accept(e orca.Emission, done func(orca.Accepted, error)) {
	s.queue.add(&request{emission: &e, accepted: done, size: emissionSize(&e)})
}

// Revise queues the next run of a window and returns; see Accept for done. It is refused with orca.Precondition when
// the base is not the newest run of the window any more, or not finished.
func (s *Store) Revise(r orca.Revision, done func(orca.Accepted, error)) {
	s.queue.add(&request{revision: &r, accepted: done, size: rowOverhead + len(r.FullMetadata) + outcomesSize(r.Outcomes)})
}

// Settle queues outcomes of a run and perhaps its end, and returns; see Accept for done. Of two outcomes of one node
// the first one stays, and a run that is finished stays as it is; neither is an error, so that a settlement whose
// answer was lost can be sent again.
func (s *Store) Settle(st orca.Settlement, done func(error)) {
	s.queue.add(&request{settlement: &st, settled: done, size: outcomesSize(st.Outcomes)})
}

// Park queues a run to be parked in a lot, whichever it may be in already, and returns. done is told whether it is
// parked, which it is not when it has finished, or when an outcome that it waits for is settled; see Accept for the rest.
func (s *Store) Park(p orca.Parking, done func(parked bool, err error)) {
	s.queue.add(&request{parking: &p, parked: done, size: rowOverhead * (1 + len(p.Expects))})
}

// Wake queues outcomes that are settled and returns. The runs that are parked and wait for them are put into orca.Woken,
// so many that no commit is held up; more says that there may be others. See Accept for the rest.
func (s *Store) Wake(settled []orca.OutcomeKey, done func(woken []orca.WokenRun, more bool, err error)) {
	s.queue.add(&request{settledNow: settled, woken: done, size: rowOverhead * (1 + len(settled))})
}

// GiveBack queues runs that this core does not work on, and returns. Of these, those that it owns are free afterwards. See
// Accept for done.
func (s *Store) GiveBack(runs []orca.Position, done func(error)) {
	s.queue.add(&request{back: runs, settled: done, size: rowOverhead * (1 + len(runs))})
}

// Owned queues a question and returns. done is told which runs this core owns once it is known what became of everything that
// was asked before, and nothing of that is under way any more; see Accept for the rest.
func (s *Store) Owned(done func([]orca.Position, error)) {
	s.queue.add(&request{owned: done, size: rowOverhead})
}

// Serve writes what is queued until ctx is done, then the rest of the queue, answers all of it and returns nil. It is
// called once. Producers should have stopped before ctx is done, or they keep it going.
func (s *Store) Serve(ctx context.Context) error {
	write := context.WithoutCancel(ctx)
	beside, stop := context.WithCancel(write)
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	others.Go(func() { s.tellOthers(beside) })
	others.Go(func() { s.listen(beside) })
	again := time.NewTicker(retryInterval)
	defer again.Stop()
	for {
		var alarm <-chan time.Time
		if s.Failing() != nil {
			alarm = again.C
		}
		batch := s.queue.take(ctx, alarm)
		switch {
		case batch == nil:
			return nil
		case len(batch) == 0:
			s.tryAgain(write)
			continue
		}
		s.writeBatch(write, batch)
		for _, r := range batch {
			r.tell()
		}
	}
}

// retryInterval is how often a ledger that could not be written is tried again while nobody else writes.
const retryInterval = time.Second

// tryAgain writes something that changes nothing.
func (s *Store) tryAgain(ctx context.Context) {
	conn, err := s.link.get()
	if err != nil {
		return // it is looked for
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, s.names.in(`UPDATE {counter} SET position = position`)); err != nil {
		_ = s.judge(ctx, &write{Store: s, conn: conn}, err)
		return
	}
	s.link.failing.Store(nil)
}

// writeBatch writes a batch, round by round.
func (s *Store) writeBatch(ctx context.Context, batch []*request) {
	begun := time.Now()
	for rest := batch; len(rest) > 0; {
		var rd *round
		rd, rest = nextRound(rest, orca.Position(s.seen.Load()))
		s.writeRows(ctx, rd.requests)
	}
	s.stats.committed(len(batch), time.Since(begun))
}

// writeRows writes independent rows in one transaction. When the database refuses one of them it is looked for by halves,
// so that it fails alone.
func (s *Store) writeRows(ctx context.Context, rows []*request) {
	err := s.attempt(ctx, rows)
	switch {
	case err == nil:
		return
	case isRefusal(err) && len(rows) > 1:
		half := len(rows) / 2
		s.writeRows(ctx, rows[:half])
		s.writeRows(ctx, rows[half:])
		return
	case isRefusal(err):
		rows[0].answer.err = err
		return
	}
	s.stats.failed()
	for _, r := range rows {
		if r.answer.err == nil && !r.answer.accepted.Replayed {
			r.answer.err = err
		}
	}
}

// attempt writes rows in one transaction, again when it lost against another one. It returns an error that the database
// refused a row with, or what all rows are to be told. Rows that are refused by Orca's rules have their answers.
func (s *Store) attempt(ctx context.Context, rows []*request) error {
	conn, err := s.link.get()
	if err != nil {
		return notWritten(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	checkKeys := s.memory.keysRepeat > 0
	if err := s.makeSure(ctx, conn); err != nil {
		return err
	}
	for try := 1; ; try++ {
		w := &write{Store: s, conn: conn, checkKeys: checkKeys}
		err := w.run(ctx, rows)
		switch {
		case code(err) == divisionByZero, code(err) == negativeRoot:
			s.fence(err)
			return errFenced()
		case err == nil:
			w.keep()
			s.link.failing.Store(nil)
			return nil
		case try < maxConflicts && (isConflict(err) || isRevisedMeanwhile(err)):
			stepBack(ctx, try)
		case try < maxTries && !checkKeys && w.hasKeys() && (isRefusal(err)):
			checkKeys, s.memory.keysRepeat = true, keysRepeatFor
		case isRefusal(err):
			return err
		default:
			return s.judge(ctx, w, err)
		}
	}
}

// maxConflicts bounds how often a batch is repeated that lost against one of another core.
const maxConflicts = 50

// stepBack waits a moment of random length, up to some milliseconds, so that two cores do not lose against each other again.
func stepBack(ctx context.Context, try int) {
	t := time.NewTimer(rand.N(time.Duration(min(try, 10)) * time.Millisecond)) //nolint:gosec // no secret
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// isRevisedMeanwhile: another core revised a window after this one had looked at it.
func isRevisedMeanwhile(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == uniqueViolation && e.ConstraintName == "run_revision"
}

// judge says what a failure of the database means for the rows: what the server itself called off was not written. After
// any other failure the connection is given up, and what was sent may have been written.
func (s *Store) judge(ctx context.Context, w *write, err error) error {
	if isAborted(err) && !w.conn.IsClosed() {
		s.cfg.Logger.Error("the ledger could not be written", "store", s.target.String(), "error", err)
		s.link.failing.Store(&err)
		switch code(err) {
		case readOnly: // it was made a standby
			s.link.lost(context.WithoutCancel(ctx), err)
		case noStatement, statementThere: // it was not the session that answered before
			s.target.pooled.Store(true)
			s.link.lost(context.WithoutCancel(ctx), err)
		}
		return notWritten(err)
	}
	s.link.lost(context.WithoutCancel(ctx), err)
	if w.sent && !pgconn.SafeToRetry(err) && !isAborted(err) {
		s.unsure.Store(true)
		return errUnknown(err)
	}
	return notWritten(err)
}
