package orca

import (
	"context"
	"runtime"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Func is what an algorithm does for one window. The context is cancelled when the core gives the execution up.
// An error made by [Fail] or [Failf] is a handled failure; any other error, and a panic, is an unhandled one, which
// the core retries. An algorithm may be executed more than once for a window, and several times at once for several.
type Func[T any] func(ctx context.Context, run *Run) (T, error)

// Algorithm is an algorithm whose results are of type T: one of this program's, made by [Value], [Array], [Struct] or
// [None], or another processor's, named by [Remote]. It is what [Needs] takes, what reads its results in dependents
// (From, Latest, Past, Rows) and what reads them from a core (In, Results).
type Algorithm[T any] struct {
	id      AlgorithmID
	runtime string
	def     *definition // nil for another processor's
}

// Value defines an algorithm that gives one number. It is float32 because that is what the wire and the ledger hold.
//
// The algorithm is added to the processor and is triggered by each window of the given type. Mistakes in names,
// versions, types and options are reported by [Processor.Validate] and [Processor.Run].
func Value(p *Processor, name, version string, on WindowType, run Func[float32], opts ...AlgorithmOption,
) *Algorithm[float32] {
	return define(p, name, version, on, run, opts)
}

// Array defines an algorithm that gives a list of numbers, possibly empty. It is like [Value] otherwise.
func Array(p *Processor, name, version string, on WindowType, run Func[[]float32], opts ...AlgorithmOption,
) *Algorithm[[]float32] {
	return define(p, name, version, on, run, opts)
}

// Struct defines an algorithm that gives an object: a map[string]any, or a Go struct that encoding/json turns into an
// object and back. Numbers are float64 on the way; a whole number beyond 2^53 is an error rather than a rounding.
// NaN and infinities can be sent in a map[string]any only, since JSON has none. It is like [Value] otherwise.
func Struct[T any](p *Processor, name, version string, on WindowType, run Func[T], opts ...AlgorithmOption,
) *Algorithm[T] {
	p.check("algorithm "+name+" "+version, checkStructType[T]())
	return define(p, name, version, on, run, opts)
}

// None defines an algorithm that gives no result beyond having succeeded. It is like [Value] otherwise.
func None(p *Processor, name, version string, on WindowType, run func(ctx context.Context, run *Run) error,
	opts ...AlgorithmOption,
) *Algorithm[Nothing] {
	if run == nil {
		return define[Nothing](p, name, version, on, nil, opts)
	}
	return define(p, name, version, on, func(ctx context.Context, r *Run) (Nothing, error) {
		return Nothing{}, run(ctx, r)
	}, opts)
}

// Remote names an algorithm of another processor. T says what its results are: float32 for a value, []float32 for an
// array, a struct type or map[string]any for a struct, [Nothing] for none, and any for whatever it is.
func Remote[T any](id AlgorithmID) *Algorithm[T] {
	return &Algorithm[T]{id: id, runtime: runtime.Version()}
}

// OnRuntime prefers instances of the given runtime, such as "python3.12", for the algorithm where it is a dependency.
// Without it this program's own runtime is preferred.
func (a *Algorithm[T]) OnRuntime(name string) *Algorithm[T] {
	preferring := *a
	preferring.runtime = name
	return &preferring
}

// ID identifies the algorithm.
func (a *Algorithm[T]) ID() AlgorithmID { return a.id }

// String is for people: "Speed 1.0.0 of racing".
func (a *Algorithm[T]) String() string { return a.id.String() }

// AlgorithmOption says more about an algorithm.
type AlgorithmOption func(*definition)

// Describe sets the description that people see, of at most 1000 characters.
func Describe(text string) AlgorithmOption {
	return func(d *definition) { d.description = text }
}

// Needs names the algorithms whose results this one takes: own or other processors' [Algorithm] values for the
// current window's result, or what Over made of them for past ones too. Of another window type, an Algorithm gives
// the newest past result. The order counts; the same algorithm may be there twice with different lookbacks.
func Needs(dependencies ...Dependable) AlgorithmOption {
	return func(d *definition) {
		for _, dependency := range dependencies {
			if dependency == nil {
				dependency = (*Algorithm[Nothing])(nil)
			}
			d.needs = append(d.needs, dependency.asNeed())
		}
	}
}

// NeedsSelf hands the algorithm its own past results, which [Self] reads. It is given once.
func NeedsSelf(back Lookback) AlgorithmOption {
	return func(d *definition) { d.self, d.selfs = back, d.selfs+1 }
}

// define makes an algorithm and adds it to its processor.
func define[T any](p *Processor, name, version string, on WindowType, run Func[T], opts []AlgorithmOption,
) *Algorithm[T] {
	kind := kindOf[T]()
	d := &definition{
		id:         AlgorithmID{Processor: p.name, Name: name, Version: version},
		windowType: on,
		kind:       kind,
		decodeSelf: decodeInput[T],
	}
	if run != nil {
		d.run = func(ctx context.Context, r *Run) (*pb.Result, error) {
			v, err := run(ctx, r)
			if err != nil {
				return nil, err
			}
			return encode(kind, v)
		}
	}
	for _, opt := range opts {
		opt(d)
	}
	p.add(d)
	return &Algorithm[T]{id: d.id, runtime: runtime.Version(), def: d}
}
