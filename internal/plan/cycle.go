package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Cycle returns nil when following dependencies from ids never comes back to where it was, else one cycle, with its
// first algorithm repeated at the end. Among the shortest cycles through its smallest algorithm it is the first in the
// order of dependencies; the order of ids does not matter. Dependencies returns nil for what is not known.
func Cycle(ids []orca.AlgorithmID, dependencies func(orca.AlgorithmID) []orca.AlgorithmID) []orca.AlgorithmID {
	found := anyCycle(slices.SortedFunc(slices.Values(ids), orca.AlgorithmID.Compare), dependencies)
	if found == nil {
		return nil
	}
	return shortest(slices.MinFunc(found, orca.AlgorithmID.Compare), dependencies)
}

// anyCycle searches depth first and returns the members of the first cycle that it meets.
func anyCycle(roots []orca.AlgorithmID, dependencies func(orca.AlgorithmID) []orca.AlgorithmID) []orca.AlgorithmID {
	type step struct {
		id   orca.AlgorithmID
		rest []orca.AlgorithmID // dependencies that are still to be followed
	}
	onPath := map[orca.AlgorithmID]bool{} // false: visited, and free of cycles
	for _, root := range roots {
		if _, visited := onPath[root]; visited {
			continue
		}
		onPath[root] = true
		path := []step{{root, dependencies(root)}}
		for len(path) > 0 {
			last := &path[len(path)-1]
			if len(last.rest) == 0 {
				onPath[last.id] = false
				path = path[:len(path)-1]
				continue
			}
			next := last.rest[0]
			last.rest = last.rest[1:]
			open, visited := onPath[next]
			switch {
			case open:
				begin := slices.IndexFunc(path, func(s step) bool { return s.id == next })
				var members []orca.AlgorithmID
				for _, s := range path[begin:] {
					members = append(members, s.id)
				}
				return members
			case !visited:
				onPath[next] = true
				path = append(path, step{next, dependencies(next)})
			}
		}
	}
	return nil
}

// shortest searches breadth first for the shortest way from an algorithm on a cycle back to itself.
func shortest(from orca.AlgorithmID, dependencies func(orca.AlgorithmID) []orca.AlgorithmID) []orca.AlgorithmID {
	reachedFrom := map[orca.AlgorithmID]orca.AlgorithmID{}
	queue := []orca.AlgorithmID{from}
	for next := 0; next < len(queue); next++ {
		id := queue[next]
		for _, d := range dependencies(id) {
			if d == from {
				return trace(from, id, reachedFrom)
			}
			if _, seen := reachedFrom[d]; !seen {
				reachedFrom[d] = id
				queue = append(queue, d)
			}
		}
	}
	panic(fmt.Sprintf("plan: no cycle through %s", from.Full()))
}

// trace returns the way from first to last and back to first.
func trace(first, last orca.AlgorithmID, reachedFrom map[orca.AlgorithmID]orca.AlgorithmID) []orca.AlgorithmID {
	way := []orca.AlgorithmID{first}
	for id := last; id != first; id = reachedFrom[id] {
		way = append(way, id)
	}
	way = append(way, first)
	slices.Reverse(way)
	return way
}

// maxCycleText bounds how many algorithms CycleText names: a status message travels in a header.
const maxCycleText = 100

// CycleText writes a cycle out: "A 1.0.0 → B 1.0.0 → A 1.0.0". Processors are named where two algorithms of the cycle
// would read the same. The middle of a cycle of more than a hundred is left out.
func CycleText(cycle []orca.AlgorithmID) string {
	name := orca.AlgorithmID.String
	if ambiguous(cycle) {
		name = orca.AlgorithmID.Full
	}
	var names []string
	for i, id := range cycle {
		if len(cycle) > maxCycleText && i == maxCycleText/2 {
			names = append(names, fmt.Sprintf("(%d more)", len(cycle)-maxCycleText))
		}
		if len(cycle) <= maxCycleText || i < maxCycleText/2 || i >= len(cycle)-maxCycleText/2 {
			names = append(names, name(id))
		}
	}
	return strings.Join(names, " → ")
}

func ambiguous(cycle []orca.AlgorithmID) bool {
	read := make(map[string]orca.AlgorithmID, len(cycle))
	for _, id := range cycle {
		if other, ok := read[id.String()]; ok && other != id {
			return true
		}
		read[id.String()] = id
	}
	return false
}
