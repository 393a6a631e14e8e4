package orca

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// definition is an algorithm of this program, without its result type.
type definition struct {
	id          AlgorithmID
	windowType  WindowType
	description string
	kind        pb.ResultType
	needs       []need
	self        Lookback
	selfs       int // how often NeedsSelf is given
	run         func(context.Context, *Run) (*pb.Result, error)
	decodeSelf  decodeFunc
}

// need is one dependency of an algorithm.
type need struct {
	id      AlgorithmID
	runtime string
	on      WindowType // the zero value for another processor's, which is not known
	back    Lookback
	decode  decodeFunc
}

// decodeFunc turns rows into an input[T] for the T of the algorithm that they come from.
type decodeFunc func(rows []*pb.AlgorithmDependencyResultRow, window *pb.Window) (any, error)

func (n need) String() string {
	if n.back == (Lookback{}) {
		return n.id.String()
	}
	return fmt.Sprintf("%v (%v)", n.id, n.back)
}

func (d *definition) validate() error {
	errs := []error{
		checkName("algorithm", d.id.Name),
		checkVersion("algorithm", d.id.Version),
		checkDescription("algorithm", d.description),
		d.windowType.validate(),
		d.self.validate(),
	}
	if d.self.idle() {
		errs = append(errs, d.self.idleError("own past results"))
	}
	if d.selfs > 1 {
		errs = append(errs, invalid("lookback: NeedsSelf is given %d times; one says it all", d.selfs))
	}
	if d.run == nil {
		errs = append(errs, invalid("function: it is nil"))
	}
	for i, need := range d.needs {
		errs = append(errs, d.validateNeed(i, need))
	}
	return errors.Join(errs...)
}

func (d *definition) validateNeed(position int, n need) error {
	if n.decode == nil {
		return invalid("dependency: number %d given to Needs is nil", position+1)
	}
	errs := []error{
		checkText("processor name of a dependency", n.id.Processor),
		checkName("dependency", n.id.Name),
		checkVersion("dependency", n.id.Version),
		checkText("runtime of a dependency", n.runtime),
		n.back.validate(),
	}
	if n.back.idle() && n.on.Name == d.windowType.Name && n.on.Version == d.windowType.Version {
		errs = append(errs, n.back.idleError(n.id.String()))
	}
	if n.id == d.id {
		errs = append(errs, invalid("dependency: it needs itself; ask for its own past results with NeedsSelf"))
	}
	for _, other := range d.needs[:position] {
		if other.id == n.id && other.back == n.back {
			errs = append(errs, invalid("dependency: %v is there twice with the same lookback", n.id))
		}
	}
	return errors.Join(errs...)
}

func (d *definition) proto() *pb.Algorithm {
	dependencies := make([]*pb.AlgorithmDependency, len(d.needs))
	for i, need := range d.needs {
		dependencies[i] = need.proto()
	}
	a := &pb.Algorithm{
		Name:         d.id.Name,
		Version:      d.id.Version,
		WindowType:   d.windowType.proto(),
		Dependencies: dependencies,
		ResultType:   d.kind,
		Description:  d.description,
	}
	d.self.setAlgorithm(a)
	return a
}

func (n need) proto() *pb.AlgorithmDependency {
	d := &pb.AlgorithmDependency{
		Name:             n.id.Name,
		Version:          n.id.Version,
		ProcessorName:    n.id.Processor,
		ProcessorRuntime: n.runtime,
	}
	n.back.setDependency(d)
	return d
}

// execution is one algorithm's part of a request.
type execution struct {
	window *pb.Window
	asked  *pb.ExecuteAlgorithm
	emit   emitFunc
}

// execute runs the algorithm once. There is always a result to send; err is what a failed one stands for. Whatever
// user code does on the way (the algorithm, its JSON methods, the methods of its errors), it stays in here.
func (d *definition) execute(ctx context.Context, x execution) (result *pb.Result, err error) {
	result, err = protect(func() (*pb.Result, error) {
		run, err := d.prepare(x)
		if err != nil {
			return nil, err
		}
		return d.run(ctx, run)
	})
	if err != nil {
		var broken error
		if result, broken = protect(func() (*pb.Result, error) { return failed(err), nil }); broken != nil {
			result, err = failed(broken), broken
		}
	}
	result.Timestamp = time.Now().Unix()
	return result, err
}

// prepare reads the inputs before the algorithm starts, so that reading them in it cannot fail.
func (d *definition) prepare(x execution) (*Run, error) {
	offers, err := arrange(d.needs, x.asked)
	if err != nil {
		return nil, err
	}
	run := &Run{
		Window:    windowOf(x.window, ""),
		Algorithm: d.id,
		needs:     d.needs,
		inputs:    make([]any, len(d.needs)),
		emit:      x.emit,
	}
	for i, need := range d.needs {
		run.inputs[i], err = need.decode(offers[i].GetResult(), x.window)
		if err != nil {
			return nil, fmt.Errorf("results of %v: %w", need.id, err)
		}
	}
	run.self, err = d.decodeSelf(x.asked.GetSelfResults(), x.window)
	if err != nil {
		return nil, fmt.Errorf("own past results: %w", err)
	}
	return run, nil
}
