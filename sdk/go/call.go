package orca

import (
	"context"
	"fmt"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Call runs the algorithm once on the given inputs, without a core or a network, for tests and notebooks. It is the
// way that a request takes through a processor: results go through their wire form, a panic is a [PanicError], and
// a result that could not be sent is an error. The algorithm's own error is returned as it is.
//
//	got, err := pace.Call(ctx, lap, speed.Given(61.5), recent.Given(61.5, older...))
//
// A window without a type gets the algorithm's. A dependency that is not given has no results.
func (a *Algorithm[T]) Call(ctx context.Context, window Window, given ...Given) (T, error) {
	var none T
	if a.def == nil {
		return none, fmt.Errorf("call %v: it runs in another processor", a.id)
	}
	if err := a.def.validate(); err != nil {
		return none, fmt.Errorf("call %v: %w", a.id, err)
	}
	x, err := a.def.execution(window, given)
	if err != nil {
		return none, fmt.Errorf("call %v: %w", a.id, err)
	}
	result, err := a.def.execute(ctx, x)
	if err != nil {
		return none, err
	}
	return decode[T](result)
}

// Given is an input of [Algorithm.Call].
type Given struct {
	id    AlgorithmID
	back  Lookback
	exact bool // meant for the dependency with this very lookback
	self  bool
	rows  []*pb.AlgorithmDependencyResultRow
	emit  emitFunc
	err   error
}

// Given is the algorithm's result for the window of the call.
func (a *Algorithm[T]) Given(current T) Given {
	return a.given([]T{current}, nil)
}

// GivenPast is the algorithm's past results, newest first, without one for the window of the call: such as those of
// another window type.
func (a *Algorithm[T]) GivenPast(past ...Row[T]) Given {
	return a.given(nil, past)
}

// Given is the result for the window of the call, and the past results, newest first.
func (d Dependency[T]) Given(current T, past ...Row[T]) Given {
	g := d.algorithm.given([]T{current}, past)
	g.back, g.exact = d.back, true
	return g
}

// GivenPast is the past results, newest first, without one for the window of the call.
func (d Dependency[T]) GivenPast(past ...Row[T]) Given {
	g := d.algorithm.given(nil, past)
	g.back, g.exact = d.back, true
	return g
}

// GivenSelf is the algorithm's own past results, newest first.
func GivenSelf[T any](past ...Row[T]) Given {
	rows, err := rowMessages(kindOf[T](), WindowType{}, nil, past)
	return Given{self: true, rows: rows, err: err}
}

// GivenEmit stands in for the core when the algorithm emits windows.
func GivenEmit(emit func(context.Context, Window) (Emission, error)) Given {
	return Given{emit: func(ctx context.Context, w Window, _ ...EmitOption) (Emission, error) {
		if err := w.validate(); err != nil {
			return Emission{}, fmt.Errorf("emit window %v: %w", w.Type, err)
		}
		return emit(ctx, w)
	}}
}

func (a *Algorithm[T]) given(current []T, past []Row[T]) Given {
	var windowType WindowType
	if a.def != nil {
		windowType = a.def.windowType
	}
	rows, err := rowMessages(kindOf[T](), windowType, current, past)
	return Given{id: a.id, rows: rows, err: err}
}

// rowMessages puts results into their wire form. A row without a window is the current one's.
func rowMessages[T any](kind pb.ResultType, windowType WindowType, current []T, past []Row[T]) (
	rows []*pb.AlgorithmDependencyResultRow, err error,
) {
	for _, value := range current {
		result, err := encode(kind, value)
		if err != nil {
			return nil, err
		}
		rows = append(rows, &pb.AlgorithmDependencyResultRow{Result: result})
	}
	for i, row := range past {
		if row.Window.From.IsZero() && row.Window.To.IsZero() {
			return nil, invalid("past row %d: it has no window", i)
		}
		if row.Window.Type.Name == "" {
			row.Window.Type = windowType
		}
		window, err := row.Window.proto()
		if err != nil {
			return nil, fmt.Errorf("past row %d: %w", i, err)
		}
		result, err := encode(kind, row.Value)
		if err != nil {
			return nil, fmt.Errorf("past row %d: %w", i, err)
		}
		if !row.Computed.IsZero() {
			result.Timestamp = row.Computed.Unix()
		}
		rows = append(rows, &pb.AlgorithmDependencyResultRow{Result: result, Window: window})
	}
	return rows, nil
}

// execution makes the request that a core would send.
func (d *definition) execution(window Window, given []Given) (execution, error) {
	if window.Type.Name == "" {
		window.Type = d.windowType
	}
	message, err := window.proto()
	if err != nil {
		return execution{}, err
	}
	x := execution{window: message, asked: &pb.ExecuteAlgorithm{Algorithm: d.proto()}}
	for _, need := range d.needs {
		x.asked.Dependencies = append(x.asked.Dependencies, &pb.AlgorithmDependencyResult{
			Algorithm: &pb.Algorithm{Name: need.id.Name, Version: need.id.Version},
		})
	}
	for _, g := range given {
		if err := d.give(&x, g); err != nil {
			return execution{}, err
		}
	}
	return x, nil
}

// give puts one input where it belongs. An [Algorithm]'s belongs to all of its dependencies.
func (d *definition) give(x *execution, g Given) error {
	switch {
	case g.err != nil:
		return g.err
	case g.emit != nil:
		x.emit = g.emit
		return nil
	case g.self:
		x.asked.SelfResults = g.rows
		return nil
	}
	needed := false
	for i, need := range d.needs {
		if need.id == g.id && (!g.exact || need.back == g.back) {
			x.asked.Dependencies[i].Result = g.rows
			needed = true
		}
	}
	if !needed {
		return invalid("input: %v is given and not needed", need{id: g.id, back: g.back})
	}
	return nil
}
