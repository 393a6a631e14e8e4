package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// request is one emission, revision, settlement, parking or waking on its way into the ledger, with whom to tell.
type request struct {
	emission   *orca.Emission
	revision   *orca.Revision
	settlement *orca.Settlement
	parking    *orca.Parking
	settledNow []orca.OutcomeKey
	accepted   func(orca.Accepted, error)
	settled    func(error)
	parked     func(bool, error)
	woken      func([]orca.WokenRun, bool, error)
	// size is the payload in bytes.
	size int
	// patient: nothing waits for it, so it may wait for others to share their commit.
	patient bool
	// refused: it was too much for the queue, and only waits to be told so.
	refused error
}

func (r *request) fail(err error) {
	switch {
	case r.accepted != nil:
		r.accepted(orca.Accepted{}, err)
	case r.parked != nil:
		r.parked(false, err)
	case r.woken != nil:
		r.woken(nil, false, err)
	default:
		r.settled(err)
	}
}

// queue holds what waits for the writer. Its length is bounded by its producers: the engine bounds the emits that are
// unanswered and the results that are in flight. The cap in bytes is a second net under the emits.
type queue struct {
	cfg Config
	// wake holds a token when requests may have become due.
	wake chan struct{}
	// patience runs while all requests are patient.
	patience *time.Timer

	mu       sync.Mutex
	requests []*request
	bytes    int
	// due: they are to be written now.
	due    bool
	closed bool
}

// maxPatience is how long the end of a run waits for others to share their commit; the runtime's timers may make it a
// millisecond. With one window at a time that spares every second commit, and the next window does not find the ledger
// busy with the end of the last one.
const maxPatience = 300 * time.Microsecond

func newQueue(cfg Config) *queue {
	q := &queue{cfg: cfg, wake: make(chan struct{}, 1)}
	q.patience = time.AfterFunc(time.Hour, q.hurry)
	q.patience.Stop()
	return q
}

// add queues r. After the end of the queue it answers at once.
func (q *queue) add(r *request) {
	q.mu.Lock()
	queued, due := q.push(r), q.due
	q.mu.Unlock()
	switch {
	case !queued:
		r.fail(errStopped())
	case due:
		q.signal()
	}
}

// hurry ends all patience.
func (q *queue) hurry() {
	q.mu.Lock()
	q.due = len(q.requests) > 0
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push reports whether the queue is open and has r now. The lock is held.
func (q *queue) push(r *request) bool {
	if q.closed {
		return false
	}
	if r.accepted != nil && q.bytes > 0 && q.bytes+r.size > q.cfg.QueueBytes {
		r.refused = orca.Errorf(orca.Exhausted,
			"%d MiB of windows and results wait to be written, which is the limit; emit again later", q.cfg.QueueBytes>>20)
		r.emission, r.revision, r.size = nil, nil, 0
	}
	q.requests = append(q.requests, r)
	q.bytes += r.size
	switch {
	case !r.patient:
		q.due = true
		q.patience.Stop()
	case len(q.requests) == 1:
		q.patience.Reset(maxPatience)
	}
	return true
}

// take returns the next batch in the order of arrival, waiting until one is due. It returns nil once ctx is done and nothing is
// left, and the queue is closed from then on. Each of the alarms ends the waiting with an empty batch.
func (q *queue) take(ctx context.Context, alarm, flush, other <-chan time.Time) []*request {
	for {
		if batch, more := q.pop(ctx.Err() != nil); batch != nil || !more {
			return batch
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		case <-alarm:
			return []*request{}
		case <-flush:
			return []*request{}
		case <-other:
			return []*request{}
		}
	}
}

// pop cuts a batch off the front of the queue, or closes the queue when it is empty and last is set.
func (q *queue) pop(last bool) (requests []*request, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.requests) == 0 {
		q.closed = last
		return nil, !last
	}
	if !q.due && !last {
		return nil, true
	}
	return q.cut(0, 0), true
}

// popInto is pop for a batch that has requests, and reports whether there may be room for more of them.
func (q *queue) popInto(b *batch) (room bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.due {
		b.add(q.cut(len(b.requests), b.bytes))
	}
	return !q.due
}

// cut takes from the front what still fits into a batch of so many rows and bytes. The lock is held.
func (q *queue) cut(rows, bytes int) []*request {
	n := 0
	for n < len(q.requests) && rows+n < q.cfg.BatchRows && (rows+n == 0 || bytes+q.requests[n].size <= q.cfg.BatchBytes) {
		bytes += q.requests[n].size
		q.bytes -= q.requests[n].size
		n++
	}
	requests := q.requests[:n:n]
	q.requests = q.requests[n:]
	q.due = len(q.requests) > 0
	return requests
}

// abandon closes the queue and returns what was in it.
func (q *queue) abandon() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.requests
	q.closed, q.requests, q.bytes = true, nil, 0
	return left
}

// waiting returns how much is queued.
func (q *queue) waiting() (requests, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.requests), q.bytes
}
