package engine

import "sync"

// inbox carries functions to the loop, which runs them in the order in which they were posted.
//
// It has no bound of its own, because posting must never block the ledger's writer. What is in it is bounded by its
// sources: unanswered emits, results within MaxUnsettledBytes, one end per request, one timer per delayed node.
type inbox struct {
	wake chan struct{} // holds a token while posted is not empty

	mu     sync.Mutex
	posted []func()
	spare  []func() // the slice that the loop ran last, to be filled again
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (b *inbox) post(f func()) {
	b.mu.Lock()
	b.posted = append(b.posted, f)
	first := len(b.posted) == 1
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// each runs everything posted so far. Only the loop calls it.
func (b *inbox) each() {
	b.mu.Lock()
	batch := b.posted
	b.posted, b.spare = b.spare[:0], nil
	b.mu.Unlock()
	for i, f := range batch {
		batch[i] = nil
		f()
	}
	b.mu.Lock()
	b.spare = batch
	b.mu.Unlock()
}
