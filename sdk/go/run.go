package orca

import (
	"context"
	"errors"
)

// Run is what an algorithm is given for one window. Its dependencies' results are read through them: speed.From(run).
type Run struct {
	// Window is the window to process, with all its metadata.
	Window Window
	// Algorithm is the one that runs.
	Algorithm AlgorithmID

	needs  []need
	inputs []any // for each need its input[T]
	self   any   // input[T] of the own past results
	emit   emitFunc
}

// emitFunc sends a window to the core of the run.
type emitFunc func(context.Context, Window, ...EmitOption) (Emission, error)

// Emit emits another window from within the algorithm, over the processor's connection to its core. It is like
// [Client.Emit]. An algorithm may be executed more than once for its window: give an [IdempotencyKey] made from the
// window's own data where the other window must not be emitted twice.
//
// Do not wait here for the outcome of the emitted window: it may need the place that this run occupies.
func (r *Run) Emit(ctx context.Context, window Window, opts ...EmitOption) (Emission, error) {
	if r.emit == nil {
		return Emission{}, errors.New("emit: this run has no core; in a test, pass GivenEmit to Call")
	}
	return r.emit(ctx, window, opts...)
}
