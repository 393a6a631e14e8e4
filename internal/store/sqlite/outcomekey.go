package sqlite

import "fmt"

// The key of an outcome is the position of its run, and the key of its algorithm in the lowest bits: one integer, since
// that is what SQLite finds a row by in the fewest steps. It is room for a million algorithms and eight million million
// runs.
const (
	algorithmBits = 20
	maxAlgorithms = 1<<algorithmBits - 1
)

func outcomeKey(position, algorithm int64) int64 { return position<<algorithmBits | algorithm }

// outcomeIs is the condition that o is the outcome of an algorithm in a run, both given as terms of SQL.
func outcomeIs(position, algorithm string) string {
	return fmt.Sprintf("o.key = (%s << %d | %s)", position, algorithmBits, algorithm)
}

// outcomeIn is the condition that o is an outcome of a run.
func outcomeIn(position string) string {
	return fmt.Sprintf("o.key BETWEEN %[1]s << %[2]d AND (%[1]s << %[2]d | %[3]d)", position, algorithmBits, maxAlgorithms)
}
