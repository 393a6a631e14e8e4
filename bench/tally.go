package bench

import (
	"context"
	"fmt"
	"sync"
)

// answer is what an emitter was told of a window.
type answer uint8

const (
	unanswered answer = iota
	accepted
	refused // by back-pressure
)

// window is what is known of one window, from outside of the core.
type window struct {
	due, answered instant // due is when it was to be sent, at the earliest
	ended         instant // when the last of its nodes sent its result; 0 before
	answer        answer
	done          uint32 // bit i: node i has run
	again         uint32 // executions beyond the first of each node
	stored        uint16 // how often the ledger has it
	finished      uint16 // how often the ledger has it as succeeded
	wake          chan<- struct{}
}

// tally is what happened to the windows of a turn, as emitters, processors and, in the end, the ledger say.
type tally struct {
	all uint32 // the nodes of a window, as bits

	mu      sync.Mutex
	windows []window // by number; one entry per window of a turn
	alien   int      // executions of windows that were never emitted
	done    int      // windows that are accepted and processed
	took    int      // windows that are accepted
	order   []int64  // the first windows to end, at most orderKept
	changed chan struct{}
}

// orderKept is how many windows the order of ends is kept of.
const orderKept = 10_000

func newTally(s Shape) *tally {
	return &tally{all: uint32(1)<<len(s.nodes) - 1, changed: make(chan struct{})}
}

// sent notes that a window is about to be emitted. wake, unless nil, is sent to once the window is processed; it has a
// place for that.
func (t *tally) sent(number int64, due instant, wake chan<- struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for int64(len(t.windows)) <= number {
		t.windows = append(t.windows, window{})
	}
	w := &t.windows[number]
	w.due, w.wake = due, wake
}

// answered notes what the emitter was told.
func (t *tally) answered(number int64, a answer, at instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &t.windows[number]
	w.answer, w.answered = a, at
	if a == accepted {
		t.took++
		t.count(w)
	}
}

// executed notes a processor's report.
func (t *tally) executed(r record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	bit := uint32(1) << r.node
	if r.window < 0 || r.window >= int64(len(t.windows)) || bit&t.all == 0 {
		t.alien++
		return
	}
	w := &t.windows[r.window]
	if w.done&bit != 0 {
		w.again++
		return
	}
	w.done |= bit
	if w.done != t.all {
		return
	}
	w.ended = r.at
	if len(t.order) < orderKept {
		t.order = append(t.order, r.window)
	}
	if w.wake != nil {
		w.wake <- struct{}{}
	}
	if w.answer == accepted {
		t.count(w)
	}
}

// count notes a window that is both accepted and processed, in whatever order the two were seen.
func (t *tally) count(w *window) {
	if w.ended == 0 {
		return
	}
	t.done++
	close(t.changed)
	t.changed = make(chan struct{})
}

// settle waits until every accepted window is processed, or ctx ends.
func (t *tally) settle(ctx context.Context) error {
	for {
		t.mu.Lock()
		left, changed := t.took-t.done, t.changed
		t.mu.Unlock()
		if left <= 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d accepted windows are not processed: %w", left, context.Cause(ctx))
		}
	}
}

// inLedger notes that the ledger has a window, and whether it succeeded.
func (t *tally) inLedger(number int64, succeeded bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number < 0 || number >= int64(len(t.windows)) {
		t.alien++
		return
	}
	t.windows[number].stored++
	if succeeded {
		t.windows[number].finished++
	}
}

// faults counts the windows that were accepted and did not come out, and those that came out more often than they were
// accepted. ledger says whether there is a ledger that must have them too.
func (t *tally) faults(ledger bool) (lost, duplicated int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	duplicated = t.alien
	for i := range t.windows {
		w := &t.windows[i]
		taken := w.answer == accepted
		if taken && (w.done != t.all || ledger && w.finished == 0) {
			lost++
		}
		if w.again > 0 || w.stored > 1 || !taken && (w.done != 0 || w.stored > 0) {
			duplicated++
		}
	}
	return lost, duplicated
}

// release lets go whoever waits for a window that does not end; it counts as lost.
func (t *tally) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.windows {
		if w := &t.windows[i]; w.wake != nil && w.ended == 0 {
			w.wake <- struct{}{}
			w.wake = nil
		}
	}
}
