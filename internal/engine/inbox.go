package engine

import "sync"

// inbox carries functions to the loop, which runs them in the order in which they were posted.
//
// It has no bound of its own, because posting must never block the ledger's writer. What is in it is bounded by its
// sources: unanswered emits, one answer per settlement and one load under way, and per node of an active run one
// result, end, look or timer, results within MaxUnsettledBytes; one parking per active run, one waking, and one notice
// that the fleet has changed.
type inbox struct {
	wake chan struct{} // holds a token while posted is not empty

	mu     sync.Mutex
	posted []func()
	taken  []func() // what the loop runs now; afterwards to be filled again
	closed bool
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// post reports whether the loop will run f.
func (b *inbox) post(f func()) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.posted = append(b.posted, f)
	first := len(b.posted) == 1
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// take returns everything posted since the last take. It is the caller's until the next one.
func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posted, b.taken = b.taken[:0], b.posted
	return b.taken
}

// close returns everything posted since the last take; nothing can be posted any more.
func (b *inbox) close() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.posted
}
