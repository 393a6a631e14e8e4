package wire

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Field numbers of service.proto, of the messages that are put together from encoded parts.
const (
	requestExecID     protowire.Number = 1
	requestWindow     protowire.Number = 2
	requestResults    protowire.Number = 3 // deprecated
	requestAlgorithms protowire.Number = 4 // deprecated
	requestExecutions protowire.Number = 5

	executionAlgorithm    protowire.Number = 1
	executionDependencies protowire.Number = 2
	executionSelf         protowire.Number = 3

	dependencyAlgorithm protowire.Number = 1
	dependencyRows      protowire.Number = 2

	rowResult protowire.Number = 1
	rowWindow protowire.Number = 2

	resultAlgorithm protowire.Number = 1
	resultResult    protowire.Number = 2
	resultWindow    protowire.Number = 3

	windowFrom     protowire.Number = 1
	windowTo       protowire.Number = 2
	windowTypeName protowire.Number = 3
	windowVersion  protowire.Number = 4
	windowOrigin   protowire.Number = 5
	windowMetadata protowire.Number = 6
)

// maxDefinitions bounds the definitions that an Encoder remembers.
const maxDefinitions = 1 << 14

// Encoder puts execution requests together. It remembers the encoded definitions of algorithms by their pointer, since
// plans are shared by all runs that follow them, and starts afresh when it knows maxDefinitions of them; an algorithm
// that it was given is not changed any more. The zero value works, and it may be used by several goroutines.
type Encoder struct {
	definitions sync.Map // *orca.Algorithm → []byte
	known       atomic.Int64
}

// EncodeRequest is Request of an Encoder that remembers nothing.
func EncodeRequest(execID string, e *orca.Execution, legacy bool) ([]byte, error) {
	return new(Encoder).Request(execID, e, legacy)
}

// Definition returns the encoded Algorithm message.
func Definition(a *orca.Algorithm) []byte {
	b, err := proto.Marshal(AlgorithmMessage(a))
	if err != nil {
		panic(fmt.Sprintf("encode the definition of %s: %v", a.ID.Full(), err)) // Registration lets only UTF-8 in
	}
	return b
}

// Definition returns the encoded Algorithm message, which the caller does not change.
func (e *Encoder) Definition(a *orca.Algorithm) []byte {
	if b, ok := e.definitions.Load(a); ok {
		return b.([]byte)
	}
	b := Definition(a)
	if e.known.Add(1) > maxDefinitions {
		e.definitions.Clear()
		e.known.Store(1)
	}
	e.definitions.Store(a, b)
	return b
}

// Request returns an encoded ExecutionRequest. Results and metadata are spliced in as they are. With legacy it carries
// the deprecated fields too: the algorithms once more, and each result of the same run that one of them needs, once,
// in the order of first need.
func (e *Encoder) Request(execID string, x *orca.Execution, legacy bool) ([]byte, error) {
	if err := checkExecution(x); err != nil {
		return nil, fmt.Errorf("encode request %s: %w", execID, err)
	}
	r := request{
		encoder: e,
		execID:  execID,
		input:   appendWindow(nil, x.Input),
		stored:  appendWindow(nil, x.Stored),
		x:       x,
		legacy:  legacy,
	}
	if legacy {
		r.needed = neededResults(x)
	}
	size := r.size()
	if size > math.MaxInt32 {
		return nil, orca.Errorf(orca.Exhausted, "the inputs have %d bytes, and no message can have more than %d: look back less far",
			size, math.MaxInt32)
	}
	return r.append(make([]byte, 0, size)), nil
}

func checkExecution(x *orca.Execution) error {
	for i := range x.Algorithms {
		a := &x.Algorithms[i]
		if a.Algorithm == nil {
			return fmt.Errorf("algorithm %d of %d has no definition", i+1, len(x.Algorithms))
		}
		if got, want := len(a.Dependencies), len(a.Algorithm.Dependencies); got != want {
			return fmt.Errorf("%s has inputs for %d dependencies and defines %d", a.Algorithm.ID.Full(), got, want)
		}
		for j := range a.Dependencies {
			if a.Dependencies[j].Algorithm == nil {
				return fmt.Errorf("dependency %d of %s has no definition", j+1, a.Algorithm.ID.Full())
			}
		}
	}
	return nil
}

// neededResults returns the dependencies with a result in the same run, each algorithm once, in the order of first need.
func neededResults(x *orca.Execution) []*orca.DependencyRows {
	var needed []*orca.DependencyRows
	seen := make(map[orca.AlgorithmID]bool)
	for i := range x.Algorithms {
		for j := range x.Algorithms[i].Dependencies {
			d := &x.Algorithms[i].Dependencies[j]
			if d.Current == nil || seen[d.Algorithm.ID] {
				continue
			}
			seen[d.Algorithm.ID] = true
			needed = append(needed, d)
		}
	}
	return needed
}

// request is an ExecutionRequest that is being put together. Each message has two methods that must agree: one that
// works out its size, since the length comes first on the wire, and one that appends it.
type request struct {
	encoder *Encoder
	execID  string
	// input and stored are the encoded windows of the run.
	input, stored []byte
	x             *orca.Execution
	legacy        bool
	// needed fills the deprecated algorithm_results.
	needed []*orca.DependencyRows
}

func (r *request) size() int {
	n := sizeString(requestExecID, r.execID) + sizeBytes(requestWindow, len(r.input))
	for _, d := range r.needed {
		n += sizeBytes(requestResults, r.sizeResult(d))
	}
	for i := range r.x.Algorithms {
		a := &r.x.Algorithms[i]
		if r.legacy {
			n += sizeBytes(requestAlgorithms, len(r.encoder.Definition(a.Algorithm)))
		}
		n += sizeBytes(requestExecutions, r.sizeExecution(a))
	}
	return n
}

func (r *request) append(b []byte) []byte {
	b = appendText(b, requestExecID, r.execID)
	b = appendBytes(b, requestWindow, r.input)
	for _, d := range r.needed {
		b = appendHead(b, requestResults, r.sizeResult(d))
		b = r.appendResult(b, d)
	}
	if r.legacy {
		for i := range r.x.Algorithms {
			b = appendBytes(b, requestAlgorithms, r.encoder.Definition(r.x.Algorithms[i].Algorithm))
		}
	}
	for i := range r.x.Algorithms {
		a := &r.x.Algorithms[i]
		b = appendHead(b, requestExecutions, r.sizeExecution(a))
		b = r.appendExecution(b, a)
	}
	return b
}

// A result of the same run, as an AlgorithmResult.

func (r *request) sizeResult(d *orca.DependencyRows) int {
	return sizeBytes(resultAlgorithm, len(r.encoder.Definition(d.Algorithm))) +
		sizeBytes(resultResult, len(d.Current)) +
		sizeBytes(resultWindow, len(r.stored))
}

func (r *request) appendResult(b []byte, d *orca.DependencyRows) []byte {
	b = appendBytes(b, resultAlgorithm, r.encoder.Definition(d.Algorithm))
	b = appendBytes(b, resultResult, d.Current)
	return appendBytes(b, resultWindow, r.stored)
}

// An algorithm with its inputs, as an ExecuteAlgorithm.

func (r *request) sizeExecution(a *orca.AlgorithmExecution) int {
	n := sizeBytes(executionAlgorithm, len(r.encoder.Definition(a.Algorithm)))
	for i := range a.Dependencies {
		n += sizeBytes(executionDependencies, r.sizeDependency(&a.Dependencies[i]))
	}
	for i := range a.Self {
		n += sizeBytes(executionSelf, sizeRow(&a.Self[i]))
	}
	return n
}

func (r *request) appendExecution(b []byte, a *orca.AlgorithmExecution) []byte {
	b = appendBytes(b, executionAlgorithm, r.encoder.Definition(a.Algorithm))
	for i := range a.Dependencies {
		d := &a.Dependencies[i]
		b = appendHead(b, executionDependencies, r.sizeDependency(d))
		b = r.appendDependency(b, d)
	}
	for i := range a.Self {
		b = appendRow(b, executionSelf, &a.Self[i])
	}
	return b
}

// The rows of one dependency, as an AlgorithmDependencyResult.

func (r *request) sizeDependency(d *orca.DependencyRows) int {
	n := sizeBytes(dependencyAlgorithm, len(r.encoder.Definition(d.Algorithm)))
	if d.Current != nil {
		n += sizeBytes(dependencyRows, r.sizeCurrent(d))
	}
	for i := range d.Past {
		n += sizeBytes(dependencyRows, sizeRow(&d.Past[i]))
	}
	return n
}

func (r *request) appendDependency(b []byte, d *orca.DependencyRows) []byte {
	b = appendBytes(b, dependencyAlgorithm, r.encoder.Definition(d.Algorithm))
	if d.Current != nil {
		b = appendHead(b, dependencyRows, r.sizeCurrent(d))
		b = appendBytes(b, rowResult, d.Current)
		b = appendBytes(b, rowWindow, r.stored)
	}
	for i := range d.Past {
		b = appendRow(b, dependencyRows, &d.Past[i])
	}
	return b
}

func (r *request) sizeCurrent(d *orca.DependencyRows) int {
	return sizeBytes(rowResult, len(d.Current)) + sizeBytes(rowWindow, len(r.stored))
}

// A past result with its window, as an AlgorithmDependencyResultRow.

func sizeRow(row *orca.Row) int {
	return sizeBytes(rowResult, len(row.Result)) + sizeBytes(rowWindow, sizeWindow(row.Window))
}

func appendRow(b []byte, field protowire.Number, row *orca.Row) []byte {
	window := sizeWindow(row.Window)
	b = appendHead(b, field, sizeBytes(rowResult, len(row.Result))+sizeBytes(rowWindow, window))
	b = appendBytes(b, rowResult, row.Result)
	b = appendHead(b, rowWindow, window)
	return appendWindow(b, row.Window)
}
