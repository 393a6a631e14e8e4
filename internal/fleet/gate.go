package fleet

import "sync"

// gate counts the requests under way at all processors. Once it is shut, none begins any more. The zero value is open.
type gate struct {
	mu     sync.Mutex
	n      int
	closed chan struct{} // nil while open; closed when n is zero after that
}

// enter reports whether a request may begin, and counts it if so.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		return false
	}
	g.n++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.closed != nil && g.n == 0 {
		close(g.closed)
	}
}

// shut lets nobody enter any more and returns a channel that is closed when all have left.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
		if g.n == 0 {
			close(g.closed)
		}
	}
	return g.closed
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}
