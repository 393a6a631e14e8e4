package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Serve writes what Accept, Revise and Settle queue until ctx is done, then the rest of the queue, answers all of it and
// returns nil. It is called once. Producers should have stopped before ctx is done, or they keep it going.
func (s *Store) Serve(ctx context.Context) error {
	write := context.WithoutCancel(ctx)
	log := newCheckpointer(s.cfg)
	defer log.alarm.Stop()
	flush := newFlusher()
	defer flush.alarm.Stop()
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		batch := s.queue.take(ctx, log.alarm.C, flush.alarm.C, retry.C)
		if batch == nil {
			s.syncs.drained()
			s.keepRest(write)
			return nil
		}
		if len(batch) == 0 && s.stats.failing() {
			s.tryAgain(write)
		}
		if len(batch) > 0 {
			if s.write(write, newBatch(batch)) {
				log.scrubLater()
			}
			flush.later()
		}
		if flush.due() {
			s.flushOpen(write)
		}
		if len(batch) == 0 || !s.behind.Load() {
			s.checkpoint(write, log)
		}
	}
}

// batch is what goes into one transaction.
type batch struct {
	requests []*request
	answers  []answer // one per request
	bytes    int
}

// answer is what became of a request.
type answer struct {
	accepted orca.Accepted
	parked   bool
	woken    []orca.WokenRun
	more     bool
	err      error
}

func newBatch(requests []*request) *batch {
	b := &batch{}
	b.add(requests)
	return b
}

func (b *batch) add(requests []*request) {
	for _, r := range requests {
		b.bytes += r.size
	}
	b.requests = append(b.requests, requests...)
	b.answers = append(b.answers, make([]answer, len(requests))...)
}

// tell answers everybody.
func (b *batch) tell() {
	for i, r := range b.requests {
		b.answers[i].tell(r)
	}
}

// fail answers everybody with an error, but for those who have one of their own.
func (b *batch) fail(err error) {
	for i := range b.answers {
		if b.answers[i].err == nil {
			b.answers[i] = answer{err: err}
		}
	}
	b.tell()
}

func (a *answer) tell(r *request) {
	switch {
	case a.err != nil:
		r.fail(a.err)
	case r.accepted != nil:
		r.accepted(a.accepted, nil)
	case r.parked != nil:
		r.parked(a.parked, nil)
	case r.woken != nil:
		r.woken(a.woken, a.more, nil)
	default:
		r.settled(nil)
	}
}

// errAgain: the database refused a row, and the batch has to be done again with savepoints.
var errAgain = errors.New("a row was refused")

// write has a batch on disk, and what comes while the one before is on its way there. Everybody is answered when it is
// there, which may be later. It reports whether noStore bytes are left to scrub.
func (s *Store) write(ctx context.Context, b *batch) (scrub bool) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	begun := time.Now()
	if err := s.reopen(ctx); err != nil {
		s.stats.failed(err)
		b.fail(err)
		return false
	}
	tx, err := s.attempt(ctx, b, false)
	if errors.Is(err, errAgain) {
		s.closeWriter() // which takes what the transaction has of earlier batches back, and the redo log still has that
		if err = s.reopen(ctx); err == nil {
			tx, err = s.attempt(ctx, b, true)
		}
	}
	if err == nil && !s.redo.fits() {
		err = s.writer.settleDown(ctx)
	}
	if err != nil {
		s.fault(err)
		b.fail(notWritten(err))
		return false
	}
	done := func(err error) {
		if err != nil {
			s.failed(err)
			b.fail(errUnknown(err))
			return
		}
		s.stats.committed(len(b.requests), time.Since(begun))
		b.tell()
	}
	if s.redo.fits() {
		waiting, _ := s.queue.waiting()
		err = s.logVisibly(waiting == 0 && len(b.requests) == 1, done)
	} else if err = s.commitDurably(ctx, s.writer); err == nil {
		done(nil)
	}
	if err != nil {
		s.fault(err)
		b.fail(s.judge(ctx, tx, err))
		return false
	}
	tx.keep()
	scrub = tx.finished && s.writer.noStore
	if err := s.writer.settleSome(ctx, len(b.requests)); err != nil { // the redo log has it
		s.fault(err)
	}
	return scrub
}

// attempt applies a batch in the transaction that is open, and, unless there are savepoints, what comes until it can go to
// disk. Requests that are refused have their error in the answers. On an error the transaction is of no use.
func (s *Store) attempt(ctx context.Context, b *batch, savepoints bool) (*batchTx, error) {
	tx, err := s.writer.begin(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	tx.atOnce = savepoints
	for applied := 0; ; {
		for ; applied < len(b.requests); applied++ {
			if savepoints {
				b.answers[applied], err = tx.applyAlone(ctx, b.requests[applied])
			} else {
				b.answers[applied], err = tx.apply(ctx, b.requests[applied])
			}
			if err != nil {
				return nil, err
			}
		}
		if err := tx.complete(ctx); err != nil {
			return nil, err
		}
		if savepoints || !s.more(b) {
			return tx, nil
		}
	}
}

// complete writes what goes along with what was applied since it was last called.
func (tx *batchTx) complete(ctx context.Context) error {
	if err := tx.writeEarliest(ctx); err != nil {
		return err
	}
	if err := tx.keepEnded(ctx); err != nil {
		return err
	}
	return tx.expireKeys(ctx)
}

// more adds what has come to a batch that cannot go to disk yet, waiting for it. It returns false once the batch can, or
// takes no more.
func (s *Store) more(b *batch) bool {
	for before := len(b.requests); !s.syncs.idle(); {
		room := s.queue.popInto(b)
		if len(b.requests) > before || !room {
			return len(b.requests) > before
		}
		select {
		case <-s.syncs.free:
			s.syncs.free <- struct{}{}
		case <-s.queue.wake:
		}
	}
	return false
}

// apply writes one request. It returns an error when the transaction cannot go on: errAgain when the database refused
// the row, which may be half written.
func (tx *batchTx) apply(ctx context.Context, r *request) (answer, error) {
	a := tx.dispatch(ctx, r)
	var kind orca.Kind
	switch {
	case a.err == nil, errors.As(a.err, &kind): // refusals by Orca's rules come before anything is written
		return a, nil
	case isRefusal(a.err):
		return a, errAgain
	}
	return answer{}, a.err
}

// applyAlone is apply with a savepoint around it, so that a row that the database refuses takes nothing else with it.
func (tx *batchTx) applyAlone(ctx context.Context, r *request) (answer, error) {
	if _, err := tx.stmt.savepoint.exec(ctx); err != nil {
		return answer{}, fmt.Errorf("set savepoint: %w", err)
	}
	before := len(tx.redo.record)
	a, err := tx.apply(ctx, r)
	if errors.Is(err, errAgain) {
		_, err = tx.stmt.rollbackTo.exec(ctx)
		tx.redo.record = tx.redo.record[:before]
		clear(tx.plans) // the plan may be gone too, or the lot
		clear(tx.lots)
	}
	if err != nil {
		return answer{}, err
	}
	if _, err = tx.stmt.release.exec(ctx); err != nil {
		return answer{}, fmt.Errorf("release savepoint: %w", err)
	}
	return a, nil
}

func (tx *batchTx) dispatch(ctx context.Context, r *request) (a answer) {
	if r.revision != nil || r.woken != nil || r.parking != nil {
		if a.err = tx.settleDown(ctx); a.err != nil {
			return a
		}
	}
	switch {
	case r.refused != nil:
		a.err = r.refused
	case r.emission != nil:
		a.accepted, a.err = tx.accept(ctx, r.emission)
	case r.revision != nil:
		a.accepted, a.err = tx.revise(ctx, r.revision)
	case r.woken != nil:
		a.woken, a.more, a.err = tx.wake(ctx, r.settledNow)
	case r.parking != nil:
		a.parked, a.err = tx.park(ctx, r.parking)
	default:
		a.err = tx.settle(ctx, r.settlement)
	}
	return a
}

// fault closes the connection after a failure. The callers are told what it means for them, the log what it was.
func (s *Store) fault(err error) {
	s.failed(err)
	s.closeWriter()
}

func (s *Store) failed(err error) {
	s.stats.failed(err)
	s.cfg.Logger.Error("the ledger could not be written", "store", s.path, "error", err)
}

// closeWriter closes the connection, and with it takes back what it has not committed.
func (s *Store) closeWriter() {
	if err := s.writer.close(); err != nil {
		s.cfg.Logger.Error("close after failure", "store", s.path, "error", err)
	}
	s.writer = nil
}

// openAgain opens the connection again after a failure.
func (s *Store) openAgain(ctx context.Context) (err error) {
	if s.writer != nil {
		return nil
	}
	if s.writer, err = openWriter(ctx, s.path, s.redo); err != nil {
		s.writer = nil
		return explain(s.path, err)
	}
	s.behind.Store(false)
	return nil
}

// reopen has the ledger ready to be written again after a failure.
func (s *Store) reopen(ctx context.Context) (err error) {
	hole := s.syncs.hole.Load()
	if hole && s.writer != nil {
		s.closeWriter()
	}
	if err := s.openAgain(ctx); err != nil {
		return notWritten(err)
	}
	if !hole {
		return nil
	}
	if err := s.mend(ctx); err != nil {
		s.closeWriter()
		return notWritten(err)
	}
	return nil
}

// notWritten is the answer to requests of which nothing reached the ledger.
func notWritten(err error) error {
	if isFull(err) {
		return errFull(err)
	}
	return orca.Errorf(orca.Unavailable, "the ledger cannot be written (%w); nothing was written; try again later", err)
}

// judge answers a batch whose COMMIT failed, or the write of its record. It may be in a log as a whole, not known to be on
// disk, and a later recovery may bring it to life or not: the outcome is unknown. A full disk is the exception that is worth
// a certain answer: the redo log grows before anything is written to it, and in a COMMIT a write failed, and since the
// frame that makes a transaction valid is the last one written, the batch can never come to life. That the file, opened
// again, does not have it is checked nevertheless.
func (s *Store) judge(ctx context.Context, tx *batchTx, failure error) error {
	if errors.Is(failure, errHole) || errors.Is(failure, errRedoGrow) {
		return notWritten(failure)
	}
	before := tx.writer.last
	if isFull(failure) && s.reopen(ctx) == nil && s.writer.last == before {
		return errFull(failure)
	}
	return errUnknown(failure)
}
