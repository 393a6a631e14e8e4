// Package orcatest runs whole DAGs with their history in a test, without a core, a network or a clock.
//
// A [Core] is given processors and then windows, in any order of event time: late ones, several machines interleaved,
// windows of several types. It runs every algorithm on the rows that a real core would hand to it, one window after the
// other, and returns what became of each:
//
//	core, err := orcatest.New(proc)
//	for i := range 24 * 60 {
//		outcome, err := core.Emit(ctx, minute(i))
//		trend, err := trend.In(outcome)
//	}
//
// The order in which windows are emitted is the order in which they are accepted: an algorithm sees nothing of what is
// emitted later, whatever its time. A day of minutes takes a fraction of a second. The package starts no goroutines, so
// it works in a bubble of testing/synctest where algorithms look at the clock.
//
// One algorithm alone is run by its Call method, with inputs and past rows that the test makes up. What is left out
// here is what takes time or fails outside of algorithms: a failed algorithm is not tried again, and nothing is retried,
// reprocessed or cancelled.
package orcatest

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/offline"
)

// Core is a core in memory. It is for one goroutine at a time.
type Core struct {
	algorithms []*algorithm // each after those that it needs
	types      map[windowType]*pb.WindowType

	accepted []*run          // in the order of acceptance: position 1 is the first
	finished int             // how many of these have an outcome
	ids      map[string]int  // window id to place in accepted
	keys     map[string]*run // by the idempotency keys that algorithms emit with
}

// run is the processing of one accepted window.
type run struct {
	span
	position int64
	id       string
	input    *pb.Window // as the algorithms of the run see it
	stored   *pb.Window // as every row shows it: without noStore fields
	outcome  *orca.Outcome
}

// New returns a core that knows the algorithms of these processors. All that they need must be among them: for another
// team's algorithm, give a processor of that name with a stand-in. The error says what a real core would refuse.
func New(processors ...*orca.Processor) (*Core, error) {
	c := &Core{types: map[windowType]*pb.WindowType{}, ids: map[string]int{}, keys: map[string]*run{}}
	var announced []*algorithm
	seen := map[string]bool{}
	for _, p := range processors {
		open, err := offline.Open(p)
		if err != nil {
			return nil, err
		}
		if seen[open.Name] {
			return nil, fmt.Errorf("%w processor %s: it is given twice", orca.ErrInvalid, open.Name)
		}
		seen[open.Name] = true
		for i, definition := range open.Algorithms {
			if err := c.declare(definition.GetWindowType()); err != nil {
				return nil, fmt.Errorf("algorithm %s of %s: %w", definition.GetName(), open.Name, err)
			}
			announced = append(announced, newAlgorithm(open, i))
		}
	}
	err := connect(announced)
	if err != nil {
		return nil, err
	}
	if c.algorithms, err = sorted(announced); err != nil {
		return nil, err
	}
	return c, nil
}

// Emit accepts a window and runs what it triggers, together with the windows that its algorithms emit. It returns the
// window's outcome; algorithms that fail are in there, and no error. A window that a core would refuse is
// [orca.ErrInvalid] or [orca.ErrNotFound].
func (c *Core) Emit(ctx context.Context, window orca.Window) (*orca.Outcome, error) {
	message, err := offline.Write(window)
	if err != nil {
		return nil, fmt.Errorf("emit window %v: %w", window.Type, err)
	}
	r, err := c.accept(message, "")
	if err != nil {
		return nil, fmt.Errorf("emit window %v: %w", window.Type, err)
	}
	for c.finished < len(c.accepted) {
		if err := c.finish(ctx, c.accepted[c.finished]); err != nil {
			return nil, fmt.Errorf("run window %v: %w", window.Type, err)
		}
	}
	return r.outcome, nil
}

// Outcome returns what became of a window that an algorithm emitted.
func (c *Core) Outcome(windowID string) (*orca.Outcome, error) {
	place, ok := c.ids[windowID]
	if !ok || c.accepted[place].outcome == nil {
		return nil, fmt.Errorf("%w: window %q has no finished run", orca.ErrNotFound, windowID)
	}
	return c.accepted[place].outcome, nil
}

// Results returns all results of an algorithm, the newest window first.
func Results[T any](c *Core, a *orca.Algorithm[T]) (orca.Rows[T], error) {
	for _, known := range c.algorithms {
		if known.id != a.ID() {
			continue
		}
		rows := make(orca.Rows[T], 0, len(known.results))
		for _, p := range known.results.newestFirst() {
			value, err := a.In(p.outcome)
			if err != nil {
				return nil, err
			}
			computed := time.Unix(p.GetResult().GetTimestamp(), 0).UTC()
			rows = append(rows, orca.Row[T]{Window: offline.Read(p.stored, p.id).(orca.Window), Value: value, Computed: computed})
		}
		return rows, nil
	}
	return nil, fmt.Errorf("%w: no processor of this core has %v", orca.ErrNotFound, a.ID())
}

// accept gives a window its position. The same key with the same window gives the first one again.
func (c *Core) accept(w *pb.Window, key string) (*run, error) {
	on := windowType{w.GetWindowTypeName(), w.GetWindowTypeVersion()}
	declared, ok := c.types[on]
	if !ok {
		return nil, fmt.Errorf("%w: no algorithm announces window type %v", orca.ErrNotFound, on)
	}
	stored := proto.CloneOf(w)
	for _, field := range declared.GetMetadataFields() {
		if _, ok := w.GetMetadata().GetFields()[field.GetName()]; !ok {
			return nil, fmt.Errorf("%w metadata: window type %v declares %s, which this window lacks", orca.ErrInvalid, on, field.GetName())
		}
		if field.GetNoStore() {
			delete(stored.GetMetadata().GetFields(), field.GetName())
		}
	}
	if first, ok := c.keys[key]; ok {
		if !proto.Equal(first.input, w) {
			return nil, fmt.Errorf("%w: the idempotency key %q belongs to another window", orca.ErrConflict, key)
		}
		return first, nil
	}
	r := &run{span: spanOf(w), position: int64(len(c.accepted) + 1), input: w, stored: stored}
	r.id = fmt.Sprintf("w-%d", r.position)
	if key != "" {
		c.keys[key] = r
	}
	c.ids[r.id] = len(c.accepted)
	c.accepted = append(c.accepted, r)
	return r, nil
}

// finish runs the nodes of a window's run and settles them all at once.
func (c *Core) finish(ctx context.Context, r *run) error {
	nodes := map[*algorithm]*pb.NodeInfo{}
	var infos []*pb.NodeInfo
	for _, a := range c.algorithms {
		if a.on != r.on {
			continue
		}
		nodes[a] = c.settle(ctx, r, a, nodes)
		infos = append(infos, nodes[a])
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	end := timestamppb.New(time.Unix(0, r.to))
	info := &pb.RunInfo{Position: r.position, Revision: 1, State: stateOf(infos), AcceptedAt: end, FinishedAt: end}
	outcome, err := offline.Outcome(r.id, info, infos)
	if err != nil {
		return err
	}
	r.outcome = outcome.(*orca.Outcome)
	for a, node := range nodes {
		if node.GetOutcome() == pb.Outcome_OUTCOME_SUCCEEDED {
			a.results.add(&past{r, &pb.AlgorithmDependencyResultRow{Result: node.GetResult(), Window: r.stored}})
		}
	}
	c.finished++
	return nil
}

// settle gives one node of a run its outcome.
func (c *Core) settle(ctx context.Context, r *run, a *algorithm, nodes map[*algorithm]*pb.NodeInfo) *pb.NodeInfo {
	node := &pb.NodeInfo{
		Algorithm: &pb.AlgorithmRef{Processor: a.id.Processor, Name: a.id.Name, Version: a.id.Version},
		SettledAt: timestamppb.New(time.Unix(0, r.to)), ProducedAt: r.position,
	}
	for _, d := range a.dependencies {
		if before := nodes[d.of]; before != nil && before.GetOutcome() != pb.Outcome_OUTCOME_SUCCEEDED {
			node.Outcome, node.Reason = pb.Outcome_OUTCOME_SKIPPED, lacking(a.id, d.of.id, before.GetOutcome())
			return node
		}
	}
	node.Result, node.Attempts = a.execute(ctx, r, nodes, c.emit), 1
	node.Result.Timestamp = time.Unix(0, r.to).Unix() // virtual time: as soon as the window is over
	switch node.GetResult().GetStatus() {
	case pb.ResultStatus_RESULT_STATUS_SUCEEDED:
		node.Outcome = pb.Outcome_OUTCOME_SUCCEEDED
		return node
	case pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED:
		node.Outcome = pb.Outcome_OUTCOME_HANDLED_FAILED
	case pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED:
		node.Outcome = pb.Outcome_OUTCOME_UNHANDLED_FAILED
	}
	node.Reason = node.GetResult().GetError().GetFields()["message"].GetStringValue()
	return node
}

// lacking says in a core's words why a node is skipped: what it needs, and what became of that. Where it lacks several, a
// core names the one that it heard of first.
func lacking(id, needed orca.AlgorithmID, outcome pb.Outcome) string {
	name, how := needed.Name+" "+needed.Version, "was skipped"
	if needed.Processor != id.Processor {
		name += fmt.Sprintf(" of processor %q", needed.Processor)
	}
	switch outcome {
	case pb.Outcome_OUTCOME_HANDLED_FAILED:
		how = "failed (handled)"
	case pb.Outcome_OUTCOME_UNHANDLED_FAILED:
		how = "failed (unhandled)"
	case pb.Outcome_OUTCOME_SKIPPED, pb.Outcome_OUTCOME_SUCCEEDED, pb.Outcome_OUTCOME_CANCELLED,
		pb.Outcome_OUTCOME_OPEN, pb.Outcome_OUTCOME_UNSPECIFIED: // of these, only skipped ones come here
	}
	return fmt.Sprintf("needs %s, which %s", name, how)
}

// emit accepts a window that an algorithm emits. It runs after the window that is being run.
func (c *Core) emit(_ context.Context, w *pb.Window, key string) (string, pb.WindowEmitStatus_StatusEnum, error) {
	r, err := c.accept(w, key)
	if err != nil {
		return "", 0, err
	}
	return r.id, pb.WindowEmitStatus_PROCESSING_TRIGGERED, nil
}

func (c *Core) declare(declared *pb.WindowType) error {
	on := windowType{declared.GetName(), declared.GetVersion()}
	if other, ok := c.types[on]; ok && !sameFields(other, declared) {
		return fmt.Errorf("%w window type %v: another algorithm declares other fields for it", orca.ErrInvalid, on)
	}
	c.types[on] = declared
	return nil
}

// stateOf says how a run with these nodes ended. Here nothing is skipped without a failure before it.
func stateOf(nodes []*pb.NodeInfo) pb.RunState {
	for _, node := range nodes {
		if node.GetOutcome() != pb.Outcome_OUTCOME_SUCCEEDED {
			return pb.RunState_RUN_STATE_FAILED
		}
	}
	return pb.RunState_RUN_STATE_SUCCEEDED
}
