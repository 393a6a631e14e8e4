package torture

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// Version is that of every algorithm and window type of a session.
const Version = "1.0.0"

// The window types.
const (
	Piece = "Piece"
	Crate = "Crate"
)

// The processors.
const (
	Press = "press"
	Paint = "paint"
)

// ID names an algorithm of a session.
type ID struct{ Processor, Name string }

// String is for people: "press/Cut".
func (id ID) String() string { return id.Processor + "/" + id.Name }

// Algorithm is what one algorithm of a session does. All of it is a function of the window's number, so that whoever
// knows the window knows every outcome.
type Algorithm struct {
	ID
	WindowType string
	Needs      []ID
	// Takes is how long it works at least, and Varies how much longer it may.
	Takes, Varies time.Duration
	// Fails and Breaks say for which windows it fails: those whose number leaves Rest when it is divided. 0 is never.
	Fails, Breaks int64
}

// rest is the remainder that marks a window for failing.
const rest = 3

// Work is every algorithm: chains and diamonds across two processors, one that is slow, one that fails and one that
// breaks at times. An algorithm comes after those that it needs.
var Work = []Algorithm{
	{ID: ID{Press, "Cut"}, WindowType: Piece, Takes: 2 * time.Millisecond},
	{ID: ID{Paint, "Prime"}, WindowType: Piece, Takes: 3 * time.Millisecond, Needs: []ID{{Press, "Cut"}}},
	{ID: ID{Press, "Drill"}, WindowType: Piece, Varies: 10 * time.Millisecond, Needs: []ID{{Press, "Cut"}}},
	{ID: ID{Paint, "Coat"}, WindowType: Piece, Needs: []ID{{Paint, "Prime"}, {Press, "Drill"}}},
	{ID: ID{Paint, "Dry"}, WindowType: Piece, Takes: 50 * time.Millisecond, Varies: 400 * time.Millisecond, Needs: []ID{{Paint, "Coat"}}},
	{ID: ID{Press, "Gauge"}, WindowType: Piece, Fails: 7, Needs: []ID{{Paint, "Prime"}}},
	{ID: ID{Press, "Stress"}, WindowType: Piece, Takes: time.Millisecond, Breaks: 37, Needs: []ID{{Press, "Drill"}}},
	{ID: ID{Paint, "Grade"}, WindowType: Piece, Needs: []ID{{Press, "Stress"}, {Press, "Gauge"}}},
	{ID: ID{Press, "Pack"}, WindowType: Piece, Takes: time.Millisecond, Needs: []ID{{Paint, "Dry"}, {Paint, "Coat"}, {Press, "Cut"}}},
	{ID: ID{Paint, "Bill"}, WindowType: Piece, Needs: []ID{{Press, "Pack"}, {Paint, "Grade"}}},
	{ID: ID{Paint, "Weigh"}, WindowType: Crate, Takes: 4 * time.Millisecond},
	{ID: ID{Press, "Ship"}, WindowType: Crate, Varies: 20 * time.Millisecond, Needs: []ID{{Paint, "Weigh"}}},
}

// TypeOf is the type of the window with a number.
func TypeOf(n int64) string {
	if n%5 == 4 {
		return Crate
	}
	return Piece
}

// Outcome is what became of an algorithm in a run.
type Outcome string

// The outcomes.
const (
	Open            Outcome = "open"
	Succeeded       Outcome = "succeeded"
	HandledFailed   Outcome = "handled-failed"
	UnhandledFailed Outcome = "unhandled-failed"
	Skipped         Outcome = "skipped"
	Cancelled       Outcome = "cancelled"
)

// Result is an outcome with its value, which is 0 unless it succeeded.
type Result struct {
	Outcome Outcome
	Value   float32
}

// Do is what the algorithm gives for the window with number n and the results of what it needs.
func (a Algorithm) Do(n int64, inputs []float32) Result {
	switch {
	case a.Breaks > 0 && n%a.Breaks == rest:
		return Result{Outcome: UnhandledFailed}
	case a.Fails > 0 && n%a.Fails == rest:
		return Result{Outcome: HandledFailed}
	}
	return Result{Succeeded, float32(a.mix(n, inputs) >> 40)} // 24 bits, which a float32 holds exactly
}

// Lasts is how long the algorithm works on the window with number n.
func (a Algorithm) Lasts(n int64) time.Duration {
	if a.Varies == 0 {
		return a.Takes
	}
	return a.Takes + time.Duration(a.mix(n, nil)%uint64(a.Varies))
}

func (a Algorithm) mix(n int64, inputs []float32) uint64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64([]byte(a.String()), uint64(n))
	for _, v := range inputs {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v))
	}
	_, _ = h.Write(b) // never fails
	return h.Sum64()
}

// Expect is what must become of every algorithm in the run of the window with number n.
func Expect(n int64) map[ID]Result {
	expected := map[ID]Result{}
	for _, a := range Work {
		if a.WindowType != TypeOf(n) {
			continue
		}
		if inputs, ok := values(expected, a.Needs); ok {
			expected[a.ID] = a.Do(n, inputs)
		} else {
			expected[a.ID] = Result{Outcome: Skipped}
		}
	}
	return expected
}

// values are the results of ids, in their order; ok is false when one of them did not succeed.
func values(results map[ID]Result, ids []ID) (vs []float32, ok bool) {
	for _, id := range ids {
		if results[id].Outcome != Succeeded {
			return nil, false
		}
		vs = append(vs, results[id].Value)
	}
	return vs, true
}

// stateOf is what becomes of a run with these outcomes.
func stateOf(results map[ID]Result) RunState {
	state := RunSucceeded
	for _, r := range results {
		switch r.Outcome {
		case HandledFailed, UnhandledFailed:
			return RunFailed
		case Skipped:
			state = RunIncomplete
		case Succeeded, Open, Cancelled:
		}
	}
	return state
}

// algorithm returns the one with an id.
func algorithm(id ID) (Algorithm, bool) {
	i := slices.IndexFunc(Work, func(a Algorithm) bool { return a.ID == id })
	if i < 0 {
		return Algorithm{}, false
	}
	return Work[i], true
}
