package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// request is one emission, revision, settlement, parking or waking on its way into the ledger, or what becomes of the runs of
// this core, with whom to tell.
type request struct {
	emission   *orca.Emission
	revision   *orca.Revision
	settlement *orca.Settlement
	parking    *orca.Parking
	settledNow []orca.OutcomeKey
	back       []orca.Position // given back
	accepted   func(orca.Accepted, error)
	settled    func(error)
	parked     func(bool, error)
	woken      func([]orca.WokenRun, bool, error)
	owned      func([]orca.Position, error)
	// size is the payload in bytes.
	size int
	// answer is what became of it. Serve's goroutine fills it in.
	answer answer
}

// answer is what became of a request.
type answer struct {
	accepted orca.Accepted
	parked   bool
	woken    []orca.WokenRun
	more     bool
	owned    []orca.Position
	err      error
}

// tell passes the answer on.
func (r *request) tell() {
	a := &r.answer
	if a.err != nil {
		*a = answer{err: a.err}
	}
	switch {
	case r.accepted != nil:
		r.accepted(a.accepted, a.err)
	case r.parked != nil:
		r.parked(a.parked, a.err)
	case r.woken != nil:
		r.woken(a.woken, a.more, a.err)
	case r.owned != nil:
		r.owned(a.owned, a.err)
	default:
		r.settled(a.err)
	}
}

func (r *request) fail(err error) {
	r.answer = answer{err: err}
	r.tell()
}

// queue holds what waits for the writer. Its length is bounded by its producers: the engine bounds the emits that are
// unanswered and the results that are in flight. The cap in bytes is a second net under the emits.
type queue struct {
	cfg Config
	// wake holds a token when requests is not empty.
	wake chan struct{}

	mu       sync.Mutex
	requests []*request
	bytes    int
	closed   bool
}

func newQueue(cfg Config) *queue {
	return &queue{cfg: cfg, wake: make(chan struct{}, 1)}
}

// add queues r. After the end of the queue it answers at once.
func (q *queue) add(r *request) {
	if !q.push(r) {
		r.fail(errStopped())
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) push(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if r.accepted != nil && q.bytes > 0 && q.bytes+r.size > q.cfg.QueueBytes {
		r.answer.err = orca.Errorf(orca.Exhausted,
			"%d MiB of windows and results wait to be written, which is the limit; emit again later", q.cfg.QueueBytes>>20)
		r.emission, r.revision, r.size = nil, nil, 0
	}
	q.requests = append(q.requests, r)
	q.bytes += r.size
	return true
}

// take returns the next batch in the order of arrival, waiting for one. It returns nil once ctx is done and nothing is
// left, and the queue is closed from then on. The alarm ends the waiting with an empty batch.
func (q *queue) take(ctx context.Context, alarm <-chan time.Time) []*request {
	for {
		if batch, more := q.pop(ctx.Err() != nil); batch != nil || !more {
			return batch
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		case <-alarm:
			return []*request{}
		}
	}
}

// pop cuts a batch off the front of the queue, or closes the queue when it is empty and last is set.
func (q *queue) pop(last bool) (batch []*request, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.requests) == 0 {
		q.closed = last
		return nil, !last
	}
	n, bytes := 0, 0
	for n < len(q.requests) && n < q.cfg.BatchRows && (n == 0 || bytes+q.requests[n].size <= q.cfg.BatchBytes) {
		bytes += q.requests[n].size
		n++
	}
	batch = q.requests[:n:n]
	q.requests = q.requests[n:]
	q.bytes -= bytes
	return batch, true
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

// rowOverhead is what a row takes beside its payload, roughly, in bytes.
const rowOverhead = 100

func emissionSize(e *orca.Emission) int {
	return rowOverhead + len(e.Window.Metadata) + len(e.FullMetadata) + len(e.Window.Origin) + outcomesSize(e.Outcomes)
}

func outcomesSize(outcomes []orca.Outcome) int {
	n := rowOverhead
	for i := range outcomes {
		n += rowOverhead + len(outcomes[i].Reason)
		if r := outcomes[i].Result; r != nil {
			n += len(r.Encoded) + len(r.JSON) + len(r.Error)
		}
	}
	return n
}
