package engine

import (
	"slices"
	"sync"
)

// unwanted are the nodes of a run that were settled while the fleet had them. The loop adds to it; requests look at it
// before they go out. The zero value is empty.
type unwanted struct {
	mu    sync.Mutex
	nodes []int
}

func (u *unwanted) add(node int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes = append(u.nodes, node)
}

func (u *unwanted) has(node int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Contains(u.nodes, node)
}
