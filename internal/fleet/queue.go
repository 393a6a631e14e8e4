package fleet

import (
	"container/heap"

	"github.com/orca-telemetry/orca/internal/orca"
)

// part is what one request will ask for: a call, or what remains of one.
type part struct {
	call       *orca.Call
	algorithms []orca.CalledAlgorithm
	// refusals counts RESOURCE_EXHAUSTED answers to exactly this request.
	refusals int
	// solo: it goes out with nothing else in flight at the instance.
	solo bool
	seq  uint64 // keeps parts of one position in the order in which they came
}

func (p *part) first() orca.AlgorithmID { return p.algorithms[0].ID }

// queue orders parts by the position of their run. What an instance can take depends on the algorithm, so there is
// one heap per first algorithm: what nobody can run now costs nothing to pass over.
//
// Its length is bounded by the engine, which has at most one part per node of an active run here.
type queue struct {
	heaps map[orca.AlgorithmID]*parts
	len   int
	seq   uint64
}

func (q *queue) push(p *part) {
	if q.heaps == nil {
		q.heaps = map[orca.AlgorithmID]*parts{}
	}
	h := q.heaps[p.first()]
	if h == nil {
		h = &parts{}
		q.heaps[p.first()] = h
	}
	q.seq++
	p.seq = q.seq
	heap.Push(h, p)
	q.len++
}

// lowest returns the part of the lowest position among those whose first algorithm is acceptable, without taking it.
func (q *queue) lowest(acceptable func(*part) bool) *part {
	var best *part
	for _, h := range q.heaps {
		head := (*h)[0]
		if (best == nil || head.before(best)) && acceptable(head) {
			best = head
		}
	}
	return best
}

// take removes a part that lowest returned.
func (q *queue) take(p *part) {
	h := q.heaps[p.first()]
	heap.Pop(h)
	if len(*h) == 0 {
		delete(q.heaps, p.first())
	}
	q.len--
}

func (p *part) before(o *part) bool {
	if p.call.Position != o.call.Position {
		return p.call.Position < o.call.Position
	}
	return p.seq < o.seq
}

// parts implements heap.Interface.
type parts []*part

func (s parts) Len() int           { return len(s) }
func (s parts) Less(i, j int) bool { return s[i].before(s[j]) }
func (s parts) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *parts) Push(x any)        { *s = append(*s, x.(*part)) }
func (s *parts) Pop() any {
	old := *s
	n := len(old) - 1
	p := old[n]
	old[n] = nil
	*s = old[:n]
	return p
}
