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
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		batch := s.queue.take(ctx, log.alarm.C, retry.C)
		if batch == nil {
			s.keepRest(write)
			return nil
		}
		if len(batch) == 0 && s.stats.failing() {
			s.tryAgain(write)
		}
		if len(batch) > 0 {
			answers, scrub := s.write(write, batch)
			for i := range answers {
				answers[i].tell(batch[i])
			}
			if scrub {
				log.scrubLater()
			}
		}
		s.checkpoint(write, log)
	}
}

// answer is what became of a request.
type answer struct {
	accepted orca.Accepted
	parked   bool
	woken    []orca.WokenRun
	more     bool
	err      error
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

func failAll(answers []answer, err error) []answer {
	for i := range answers {
		if answers[i].err == nil {
			answers[i] = answer{err: err}
		}
	}
	return answers
}

// errRedo: the database refused a row, and the batch has to be done again with savepoints.
var errRedo = errors.New("a row was refused")

// write commits a batch and returns one answer per request, and whether it left noStore bytes to scrub.
func (s *Store) write(ctx context.Context, batch []*request) (answers []answer, scrub bool) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	begun := time.Now()
	answers = make([]answer, len(batch))
	if err := s.reopen(ctx); err != nil {
		s.stats.failed(err)
		return failAll(answers, err), false
	}
	tx, err := s.attempt(ctx, batch, answers, false)
	if errors.Is(err, errRedo) {
		tx, err = s.attempt(ctx, batch, answers, true)
	}
	if err != nil {
		s.fault(err)
		return failAll(answers, notWritten(err)), false
	}
	if err := s.commit(ctx, s.writer); err != nil {
		s.fault(err)
		return failAll(answers, s.judge(ctx, tx, err)), false
	}
	tx.keep()
	s.stats.committed(len(batch), time.Since(begun))
	return answers, tx.finished && s.writer.noStore
}

// attempt applies the batch in a transaction that is left open. Requests that are refused have their error in answers.
// On an error nothing is written.
func (s *Store) attempt(ctx context.Context, batch []*request, answers []answer, savepoints bool) (*batchTx, error) {
	tx, err := s.writer.begin(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	for i, r := range batch {
		if savepoints {
			answers[i], err = tx.applyAlone(ctx, r)
		} else {
			answers[i], err = tx.apply(ctx, r)
		}
		if err != nil {
			return nil, tx.rolledBack(ctx, err)
		}
	}
	if err := tx.writeEarliest(ctx); err != nil {
		return nil, tx.rolledBack(ctx, err)
	}
	if err := tx.keepEnded(ctx); err != nil {
		return nil, tx.rolledBack(ctx, err)
	}
	if err := tx.expireKeys(ctx); err != nil {
		return nil, tx.rolledBack(ctx, err)
	}
	return tx, nil
}

// apply writes one request. It returns an error when the transaction cannot go on: errRedo when the database refused
// the row, which may be half written.
func (tx *batchTx) apply(ctx context.Context, r *request) (answer, error) {
	a := tx.dispatch(ctx, r)
	var kind orca.Kind
	switch {
	case a.err == nil, errors.As(a.err, &kind): // refusals by Orca's rules come before anything is written
		return a, nil
	case isRefusal(a.err):
		return a, errRedo
	}
	return answer{}, a.err
}

// applyAlone is apply with a savepoint around it, so that a row that the database refuses takes nothing else with it.
func (tx *batchTx) applyAlone(ctx context.Context, r *request) (answer, error) {
	if _, err := tx.stmt.savepoint.exec(ctx); err != nil {
		return answer{}, fmt.Errorf("set savepoint: %w", err)
	}
	a, err := tx.apply(ctx, r)
	if errors.Is(err, errRedo) {
		_, err = tx.stmt.rollbackTo.exec(ctx)
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

// rolledBack ends the transaction and returns its error. That the rollback fails is no news: SQLite may have done it
// already, and after anything but errRedo the connection is closed.
func (tx *batchTx) rolledBack(ctx context.Context, err error) error {
	_ = tx.conn.exec(ctx, "ROLLBACK")
	return err
}

// fault closes the connection after a failure. The callers are told what it means for them, the log what it was.
func (s *Store) fault(err error) {
	s.stats.failed(err)
	s.cfg.Logger.Error("the ledger could not be written", "store", s.path, "error", err)
	if err := s.writer.close(); err != nil {
		s.cfg.Logger.Error("close after failure", "store", s.path, "error", err)
	}
	s.writer = nil
}

// reopen opens the connection again after a failure, and makes sure of what is in the log before anything follows it.
func (s *Store) reopen(ctx context.Context) (err error) {
	if s.writer == nil {
		if s.writer, err = openWriter(ctx, s.path); err != nil {
			s.writer = nil
			return notWritten(explain(s.path, err))
		}
	}
	if err := s.fillHole(ctx); err != nil {
		s.fault(err)
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

// judge answers a batch whose COMMIT failed. Its frames may be in the log as a whole, not known to be on disk, and a
// later recovery may bring the batch to life or not: the outcome is unknown. A full disk is the exception that is worth
// a certain answer: then a write failed, and since the frame that makes a transaction valid is the last one written,
// the batch can never come to life. That the file, opened again, does not have it is checked nevertheless.
func (s *Store) judge(ctx context.Context, tx *batchTx, failure error) error {
	before := tx.writer.last
	if isFull(failure) && s.reopen(ctx) == nil && s.writer.last == before {
		return errFull(failure)
	}
	return errUnknown(failure)
}
