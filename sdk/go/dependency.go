package orca

import (
	"fmt"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Dependable is what [Needs] takes: an [Algorithm], or a [Dependency] on one.
type Dependable interface {
	// ID identifies the algorithm that is needed.
	ID() AlgorithmID

	asNeed() need
}

// Dependency is an algorithm together with how far back its results are needed. It is comparable. Given to [Needs],
// the same value, or an equal one, reads the results in the algorithm.
type Dependency[T any] struct {
	algorithm Algorithm[T]
	back      Lookback
}

// Over asks for past results as well: speed.Over(orca.Last(24)).
func (a *Algorithm[T]) Over(back Lookback) Dependency[T] {
	return Dependency[T]{algorithm: *a, back: back}
}

// ID identifies the algorithm that is needed.
func (d Dependency[T]) ID() AlgorithmID { return d.algorithm.id }

// String is for people: "Speed 1.0.0 of racing (last 24)".
func (d Dependency[T]) String() string { return fmt.Sprintf("%v (%v)", d.algorithm.id, d.back) }

func (a *Algorithm[T]) asNeed() need {
	if a == nil {
		return need{}
	}
	return a.Over(Lookback{}).asNeed()
}

func (d Dependency[T]) asNeed() need {
	n := need{id: d.algorithm.id, runtime: d.algorithm.runtime, back: d.back, decode: decodeInput[T]}
	if d.algorithm.def != nil {
		n.on = d.algorithm.def.windowType
	}
	return n
}

// From returns the result of the algorithm for the window that is being processed. The core guarantees that there is
// one, for dependencies of the same window type. Asking for another algorithm's result, one that [Needs] does not
// name or that is triggered by another window type, is a mistake in the program and panics, which makes the run an
// unhandled failure that says so.
func (a *Algorithm[T]) From(run *Run) T { return a.first(run).mustCurrent(run, a.id) }

// From is like [Algorithm.From].
func (d Dependency[T]) From(run *Run) T { return d.input(run).mustCurrent(run, d.algorithm.id) }

// Current is From for what may be missing: the result for the window that is being processed, with the window as it is
// stored. ok is false for an algorithm of another window type. It panics where Rows does.
func (a *Algorithm[T]) Current(run *Run) (row Row[T], ok bool) { return a.first(run).currentRow() }

// Current is like [Algorithm.Current].
func (d Dependency[T]) Current(run *Run) (row Row[T], ok bool) { return d.input(run).currentRow() }

// Rows returns all results that the run was handed: the current window's, if there is one, then the past ones. It panics
// for an algorithm that [Needs] does not name, or names twice: read that one through what Over made.
func (a *Algorithm[T]) Rows(run *Run) Rows[T] { return a.only(run).rows }

// Rows is like [Algorithm.Rows], for this lookback.
func (d Dependency[T]) Rows(run *Run) Rows[T] { return d.input(run).rows }

// Past returns the past results, without the current window's: none where the lookback finds none. It panics where Rows
// does.
func (a *Algorithm[T]) Past(run *Run) Rows[T] { return a.only(run).past() }

// Past is like [Algorithm.Past], for this lookback.
func (d Dependency[T]) Past(run *Run) Rows[T] { return d.input(run).past() }

// Latest returns the newest result, the current window's if there is one. It is what algorithms of another window
// type are read with: ok is false when they have none yet, and the row's Age tells how old it is. It panics where Rows
// does.
func (a *Algorithm[T]) Latest(run *Run) (row Row[T], ok bool) { return a.only(run).rows.Latest() }

// Latest is like [Algorithm.Latest], for this lookback.
func (d Dependency[T]) Latest(run *Run) (row Row[T], ok bool) { return d.input(run).rows.Latest() }

// Self returns the algorithm's own past results that [NeedsSelf] asked for: none for the first window. T is the
// algorithm's own result type; another one panics.
func Self[T any](run *Run) Rows[T] {
	own, ok := run.self.(input[T])
	if !ok {
		panic(fmt.Sprintf("orca: Self[%T] in %v, whose results have another type", *new(T), run.Algorithm))
	}
	return own.rows
}

// first returns the input of an algorithm that is needed once or several times; all have the same current row.
func (a *Algorithm[T]) first(run *Run) input[T] {
	return inputAt[T](run, a.positions(run)[0])
}

func (a *Algorithm[T]) only(run *Run) input[T] {
	positions := a.positions(run)
	if len(positions) > 1 {
		panic(fmt.Sprintf("orca: %v needs %v with several lookbacks: read each through what Over made", run.Algorithm, a.id))
	}
	return inputAt[T](run, positions[0])
}

func (a *Algorithm[T]) positions(run *Run) []int {
	var positions []int
	for i, need := range run.needs {
		if need.id == a.id {
			positions = append(positions, i)
		}
	}
	if positions == nil {
		panic(fmt.Sprintf("orca: %v reads %v, which its Needs does not name", run.Algorithm, a.id))
	}
	return positions
}

func (d Dependency[T]) input(run *Run) input[T] {
	for i, need := range run.needs {
		if need.id == d.algorithm.id && need.back == d.back {
			return inputAt[T](run, i)
		}
	}
	panic(fmt.Sprintf("orca: %v reads %v, which its Needs does not name", run.Algorithm, d))
}

func inputAt[T any](run *Run, position int) input[T] {
	in, ok := run.inputs[position].(input[T])
	if !ok {
		panic(fmt.Sprintf("orca: %v reads %v as %T, and needs it as another type",
			run.Algorithm, run.needs[position].id, *new(T)))
	}
	return in
}

// input is what one dependency hands over.
type input[T any] struct {
	rows    Rows[T]
	current bool // the first row is the current window's
}

func (in input[T]) past() Rows[T] {
	if in.current {
		return in.rows[1:]
	}
	return in.rows
}

func (in input[T]) currentRow() (Row[T], bool) {
	if !in.current {
		return Row[T]{}, false
	}
	return in.rows[0], true
}

func (in input[T]) mustCurrent(run *Run, id AlgorithmID) T {
	if !in.current {
		panic(fmt.Sprintf("orca: %v has no result of %v for its own window; read another window type's with Latest",
			run.Algorithm, id))
	}
	return in.rows[0].Value
}

// decodeInput reads the rows of one dependency. A row without a window belongs to the current one.
func decodeInput[T any](rows []*pb.AlgorithmDependencyResultRow, window *pb.Window) (any, error) {
	in := input[T]{rows: make(Rows[T], len(rows))}
	for i, row := range rows {
		value, err := decode[T](row.GetResult())
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
		rowWindow := row.GetWindow()
		if rowWindow == nil {
			rowWindow = window
		}
		in.rows[i] = Row[T]{
			Window:   windowOf(rowWindow, ""),
			Value:    value,
			Computed: time.Unix(row.GetResult().GetTimestamp(), 0).UTC(),
		}
		in.current = in.current || i == 0 && sameInterval(rowWindow, window)
	}
	return in, nil
}
