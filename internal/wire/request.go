package wire

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/orca-telemetry/orca/internal/orca"
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
	size := e.guess(x, legacy)
	if size > math.MaxInt32 {
		return nil, orca.Errorf(orca.Exhausted, "the inputs have about %d bytes, and no message can have more than %d: look back less far",
			size, math.MaxInt32)
	}
	r := request{encoder: e, out: newBackward(size), stored: encodeWindow(x.Stored)}
	for i := range slices.Backward(x.Algorithms) {
		r.execution(&x.Algorithms[i])
	}
	if legacy {
		r.legacy(x)
	}
	r.out.bytes(requestWindow, encodeWindow(x.Input))
	r.out.text(requestExecID, execID)
	return r.out.written(), nil
}

// guess returns about how many bytes the request will have: enough for most to need no second buffer.
func (e *Encoder) guess(x *orca.Execution, legacy bool) int {
	const perField = 8
	more := 0 // copies of algorithms and results of the same run, beside the first
	if legacy {
		more = 1
	}
	window := perField + sizeOfWindow(x.Stored)
	n := perField + sizeOfWindow(x.Input) + 64
	for i := range x.Algorithms {
		a := &x.Algorithms[i]
		n += perField + (1+more)*len(e.Definition(a.Algorithm)) + sizeOfRows(a.Self)
		for j := range a.Dependencies {
			d := &a.Dependencies[j]
			n += perField + len(e.Definition(d.Algorithm)) + sizeOfRows(d.Past)
			if d.Current != nil {
				n += (1+more)*(perField+len(d.Current)+window) + more*len(e.Definition(d.Algorithm))
			}
		}
	}
	return n
}

func sizeOfRows(rows []orca.Row) int {
	const perRow = 12
	n := 0
	for i := range rows {
		n += perRow + len(rows[i].Result) + sizeOfWindow(rows[i].Window)
	}
	return n
}

func sizeOfWindow(w orca.Window) int {
	const times, perField = 28, 3
	return times + 4*perField + len(w.Type.Name) + len(w.Type.Version) + len(w.Origin) + len(w.Metadata)
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

// request is an ExecutionRequest that is being put together, from its last field to its first.
type request struct {
	encoder *Encoder
	out     *backward
	// stored is the encoded window that rows of the same run carry.
	stored []byte
}

// legacy writes what processors read that know nothing newer.
func (r *request) legacy(x *orca.Execution) {
	for i := range slices.Backward(x.Algorithms) {
		r.out.bytes(requestAlgorithms, r.encoder.Definition(x.Algorithms[i].Algorithm))
	}
	for _, d := range slices.Backward(neededResults(x)) {
		end := r.out.end()
		r.out.bytes(answerWindow, r.stored)
		r.out.bytes(answerResult, d.Current)
		r.out.bytes(answerAlgorithm, r.encoder.Definition(d.Algorithm))
		r.out.message(requestResults, end)
	}
}

// execution writes an algorithm with its inputs, an ExecuteAlgorithm.
func (r *request) execution(a *orca.AlgorithmExecution) {
	end := r.out.end()
	for i := range slices.Backward(a.Self) {
		r.row(executionSelf, &a.Self[i])
	}
	for i := range slices.Backward(a.Dependencies) {
		r.dependency(&a.Dependencies[i])
	}
	r.out.bytes(executionAlgorithm, r.encoder.Definition(a.Algorithm))
	r.out.message(requestExecutions, end)
}

// dependency writes what one dependency hands over, an AlgorithmDependencyResult.
func (r *request) dependency(d *orca.DependencyRows) {
	end := r.out.end()
	for i := range slices.Backward(d.Past) {
		r.row(dependencyRows, &d.Past[i])
	}
	if d.Current != nil {
		row := r.out.end()
		r.out.bytes(rowWindow, r.stored)
		r.out.bytes(rowResult, d.Current)
		r.out.message(dependencyRows, row)
	}
	r.out.bytes(dependencyAlgorithm, r.encoder.Definition(d.Algorithm))
	r.out.message(executionDependencies, end)
}

// row writes a past result with its window, an AlgorithmDependencyResultRow.
func (r *request) row(field protowire.Number, row *orca.Row) {
	end := r.out.end()
	r.out.window(&row.Window)
	r.out.message(rowWindow, end)
	r.out.bytes(rowResult, row.Result)
	r.out.message(field, end)
}
