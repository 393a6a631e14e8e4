package fleet

import (
	"container/heap"
	"encoding/binary"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// part is what one request will ask for: a call, or what remains of one.
type part struct {
	call       *orca.Call
	algorithms []orca.CalledAlgorithm
	// solo: it goes out with nothing else in flight at the instance.
	solo bool
	// refusals counts RESOURCE_EXHAUSTED answers to this request.
	refusals int
	seq      uint64 // keeps parts of one position in the order in which they were queued
	line     *line  // where it is or was queued
}

func (p *part) before(o *part) bool {
	if p.call.Position != o.call.Position {
		return p.call.Position < o.call.Position
	}
	return p.seq < o.seq
}

// queue orders parts by the position of their run. Whether an instance can take a part depends on the algorithms that
// it asks for, so parts that ask for the same stand in one line, and only its head is looked at: what nobody can run
// now costs nothing to pass over. The zero value is empty.
//
// Its length is bounded by the engine, which has at most one part per node of an active run here.
type queue struct {
	lines   map[string]*line // by key; some of them empty
	waiting []*line          // those that are not empty, in no order
	len     int
	seq     uint64
	key     []byte // reused
}

// maxLines is from when on empty lines are forgotten.
const maxLines = 1024

// line holds the parts that ask for the same algorithms in the same order.
type line struct {
	algorithms []orca.CalledAlgorithm
	parts      parts
	index      int // in queue.waiting while it is not empty
	// candidates are the instances that run any of the algorithms, the best first, as of the announcements known.
	candidates []candidate
	known      uint64
}

func (q *queue) push(p *part) {
	if p.line == nil {
		p.line = q.line(p.algorithms)
	}
	q.seq++
	p.seq = q.seq
	heap.Push(&p.line.parts, p)
	if len(p.line.parts) == 1 {
		p.line.index = len(q.waiting)
		q.waiting = append(q.waiting, p.line)
	}
	q.len++
}

// pop removes and returns the first part of a line.
func (q *queue) pop(l *line) *part { return q.removeAt(l, 0) }

func (q *queue) removeAt(l *line, i int) *part {
	p := heap.Remove(&l.parts, i).(*part)
	q.len--
	if len(l.parts) == 0 {
		last := len(q.waiting) - 1
		moved := q.waiting[last]
		q.waiting[l.index], moved.index = moved, l.index
		q.waiting[last] = nil
		q.waiting = q.waiting[:last]
	}
	return p
}

// first returns the line whose head has the lowest position among those that are acceptable, or nil.
func (q *queue) first(acceptable func(*line) bool) *line {
	var best *line
	for _, l := range q.waiting {
		if (best == nil || l.parts[0].before(best.parts[0])) && acceptable(l) {
			best = l
		}
	}
	return best
}

// line returns the line of those who ask for these algorithms.
func (q *queue) line(algorithms []orca.CalledAlgorithm) *line {
	q.key = appendKey(q.key[:0], algorithms)
	if l := q.lines[string(q.key)]; l != nil {
		return l
	}
	if len(q.lines) >= maxLines {
		q.lines = nil // parts know theirs; at worst two lines ask for the same for a while
	}
	if q.lines == nil {
		q.lines = map[string]*line{}
	}
	l := &line{algorithms: slices.Clone(algorithms)}
	q.lines[string(q.key)] = l
	return l
}

// appendKey appends bytes that are equal exactly for equal lists of algorithms.
func appendKey(b []byte, algorithms []orca.CalledAlgorithm) []byte {
	for _, a := range algorithms {
		for _, s := range [...]string{a.ID.Processor, a.ID.Name, a.ID.Version, a.Runtime} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
		b = append(b, a.Definition[:]...)
	}
	return b
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
