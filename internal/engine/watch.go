package engine

import (
	"maps"
	"slices"
	"sync"

	"github.com/orca-telemetry/orca/internal/orca"
)

// watchers are told that something about a run changed; what, they read from the ledger.
type watchers struct {
	mu    sync.Mutex
	byRun map[orca.Position][]chan struct{} // each holds one token at most
}

// Watch returns a channel that gets a token after outcomes of the run at p became durable, and a function that ends
// the watch. Tokens that nobody has taken yet are merged.
func (e *Engine) Watch(p orca.Position) (<-chan struct{}, func()) {
	w := &e.watchers
	c := make(chan struct{}, 1)
	w.mu.Lock()
	w.byRun[p] = append(w.byRun[p], c)
	w.mu.Unlock()
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(w.byRun[p], func(x chan struct{}) bool { return x == c })
		if len(rest) == 0 {
			delete(w.byRun, p)
			return
		}
		w.byRun[p] = rest
	}
}

// lookAgain tells all watchers.
func (w *watchers) lookAgain() {
	w.mu.Lock()
	watched := slices.Collect(maps.Keys(w.byRun))
	w.mu.Unlock()
	for _, p := range watched {
		w.changed(p)
	}
}

func (w *watchers) changed(p orca.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.byRun[p] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// any reports whether somebody watches the run at p.
func (w *watchers) any(p orca.Position) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byRun[p]) > 0
}
