package orca

import (
	"iter"
	"slices"
	"time"
)

// Row is one result with the window that it belongs to.
type Row[T any] struct {
	// Window is the window as it is stored: without the values of NoStore fields.
	Window Window
	Value  T
	// Computed is when, to the second.
	Computed time.Time
}

// Age is how long before the end of the run's window the row's window ended: 0 for the current window's result. Rows
// without a time lookback can be old.
func (r Row[T]) Age(run *Run) time.Duration { return run.Window.To.Sub(r.Window.To) }

// Rows are results in the order in which a core hands them over: the newest window first, by its end, then by its
// beginning. It is a slice, so that len, indexes and range work on it.
type Rows[T any] []Row[T]

// Latest returns the newest row; ok is false when there is none.
func (r Rows[T]) Latest() (row Row[T], ok bool) {
	if len(r) == 0 {
		return Row[T]{}, false
	}
	return r[0], true
}

// NewestFirst iterates over the rows in their order.
func (r Rows[T]) NewestFirst() iter.Seq[Row[T]] { return slices.Values(r) }

// OldestFirst iterates over the rows in the order of time:
//
//	for row := range recent.Past(run).OldestFirst() {
func (r Rows[T]) OldestFirst() iter.Seq[Row[T]] {
	return func(yield func(Row[T]) bool) {
		for i := range slices.Backward(r) {
			if !yield(r[i]) {
				return
			}
		}
	}
}

// Values returns the values of rows, in their order.
func Values[T any](rows []Row[T]) []T {
	values := make([]T, len(rows))
	for i, row := range rows {
		values[i] = row.Value
	}
	return values
}
