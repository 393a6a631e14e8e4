package orca

import (
	"errors"
	"fmt"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// RunState is how a run ended.
type RunState int

const (
	// RunSucceeded: every algorithm did.
	RunSucceeded RunState = iota + 1
	// RunFailed: an algorithm failed.
	RunFailed
	// RunIncomplete: none failed, but some were skipped.
	RunIncomplete
	// RunCancelled: somebody cancelled it.
	RunCancelled
)

// String is for people: "succeeded".
func (s RunState) String() string {
	switch s {
	case RunSucceeded:
		return "succeeded"
	case RunFailed:
		return "failed"
	case RunIncomplete:
		return "incomplete"
	case RunCancelled:
		return "cancelled"
	}
	return fmt.Sprintf("RunState(%d)", int(s))
}

// NodeState is what became of one algorithm in a run.
type NodeState int

const (
	// NodeSucceeded: it has a result.
	NodeSucceeded NodeState = iota + 1
	// NodeHandledFailed: it said that it cannot give a result; see [Fail].
	NodeHandledFailed
	// NodeUnhandledFailed: it broke, as often as the core tries.
	NodeUnhandledFailed
	// NodeSkipped: it was not run, because what it depends on has no result.
	NodeSkipped
	// NodeCancelled: the run was cancelled first.
	NodeCancelled
)

// String is for people: "handled failure".
func (s NodeState) String() string {
	switch s {
	case NodeSucceeded:
		return "succeeded"
	case NodeHandledFailed:
		return "handled failure"
	case NodeUnhandledFailed:
		return "unhandled failure"
	case NodeSkipped:
		return "skipped"
	case NodeCancelled:
		return "cancelled"
	}
	return fmt.Sprintf("NodeState(%d)", int(s))
}

// Outcome is a finished run of a window.
type Outcome struct {
	WindowID string
	// Position is the run's place in the order of acceptance, over all windows.
	Position int64
	// Revision is 1 for the run of the emit, and one more with each retry or reprocess.
	Revision int
	State    RunState
	Accepted time.Time
	Finished time.Time
	// Nodes are the algorithms of the run, in the order in which they settled.
	Nodes []Node
}

// Node is what became of one algorithm in a run.
type Node struct {
	Algorithm AlgorithmID
	State     NodeState
	// Reason says why it failed, was skipped or was cancelled.
	Reason string
	// Value is the result of a success: float32, []float32, map[string]any, or nil for none. [Algorithm.In] reads it
	// with its own type.
	Value any
	// Error is what a failed algorithm sent: "message", and "details" or "stack" from this SDK.
	Error map[string]any
	// Attempts is how many executions were counted.
	Attempts int
	Settled  time.Time
	// ProducedAt is the position of the run in which this came about: an earlier one where a retry kept it. It is 0
	// when the core does not say.
	ProducedAt int64

	result *pb.Result
}

// Err is nil when every algorithm succeeded, and names those that did not otherwise.
func (o *Outcome) Err() error {
	if o.State == RunSucceeded {
		return nil
	}
	errs := []error{fmt.Errorf("run of window %s %v", o.WindowID, o.State)}
	for _, node := range o.Nodes {
		if err := node.err(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (n Node) err() error {
	if n.State == NodeSucceeded {
		return nil
	}
	return fmt.Errorf("%w of %v: %v: %s", ErrNoResult, n.Algorithm, n.State, n.Reason)
}

// In returns the algorithm's result in a finished run. The error is an [ErrNoResult] that says why when it did not
// succeed, or is no part of the run.
func (a *Algorithm[T]) In(o *Outcome) (T, error) {
	var none T
	for _, node := range o.Nodes {
		if node.Algorithm != a.id {
			continue
		}
		if err := node.err(); err != nil {
			return none, err
		}
		value, err := decode[T](node.result)
		if err != nil {
			return none, fmt.Errorf("result of %v: %w", a.id, err)
		}
		return value, nil
	}
	return none, fmt.Errorf("%w of %v: it is no part of the run of window %s", ErrNoResult, a.id, o.WindowID)
}

func nodeOf(info *pb.NodeInfo) (Node, error) {
	id := idOf(info.GetAlgorithm())
	state, err := nodeStateOf(info.GetOutcome())
	if err != nil {
		return Node{}, fmt.Errorf("outcome of %v: %w", id, err)
	}
	node := Node{
		Algorithm:  id,
		State:      state,
		Reason:     info.GetReason(),
		Attempts:   int(info.GetAttempts()),
		Settled:    info.GetSettledAt().AsTime(),
		ProducedAt: info.GetProducedAt(),
		result:     info.GetResult(),
	}
	if state == NodeSucceeded {
		node.Value = decodeAny(info.GetResult())
	}
	if info.GetResult().GetError() != nil {
		node.Error = mapOf(info.GetResult().GetError())
	}
	return node, nil
}

func nodeStateOf(o pb.Outcome) (NodeState, error) {
	switch o {
	case pb.Outcome_OUTCOME_SUCCEEDED:
		return NodeSucceeded, nil
	case pb.Outcome_OUTCOME_HANDLED_FAILED:
		return NodeHandledFailed, nil
	case pb.Outcome_OUTCOME_UNHANDLED_FAILED:
		return NodeUnhandledFailed, nil
	case pb.Outcome_OUTCOME_SKIPPED:
		return NodeSkipped, nil
	case pb.Outcome_OUTCOME_CANCELLED:
		return NodeCancelled, nil
	case pb.Outcome_OUTCOME_UNSPECIFIED, pb.Outcome_OUTCOME_OPEN:
	}
	return 0, fmt.Errorf("%v is not the outcome of a settled node", o)
}

func runStateOf(s pb.RunState) (RunState, error) {
	switch s {
	case pb.RunState_RUN_STATE_SUCCEEDED:
		return RunSucceeded, nil
	case pb.RunState_RUN_STATE_FAILED:
		return RunFailed, nil
	case pb.RunState_RUN_STATE_INCOMPLETE:
		return RunIncomplete, nil
	case pb.RunState_RUN_STATE_CANCELLED:
		return RunCancelled, nil
	case pb.RunState_RUN_STATE_UNSPECIFIED, pb.RunState_RUN_STATE_OPEN:
	}
	return 0, fmt.Errorf("%v is not the state of a finished run", s)
}
