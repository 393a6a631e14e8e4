package rpc

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
	"github.com/orca-telemetry/orca/internal/registry"
	"github.com/orca-telemetry/orca/internal/wire"
)

func (s *consoleService) windowInfo(w orca.WindowRecord) (*pb.WindowInfo, error) {
	message, err := wire.WindowMessage(w.Window)
	if err != nil {
		return nil, fmt.Errorf("read window %d: %w", w.ID, err)
	}
	return &pb.WindowInfo{
		Id: s.ids.text(w.ID), Window: message, AcceptedAt: timestamp(w.AcceptedAt), Run: runInfo(w.Newest, w.Nodes, w.Settled),
	}, nil
}

func runInfo(r orca.Run, nodes, settled int) *pb.RunInfo {
	return &pb.RunInfo{
		Position: int64(r.Position), Revision: int32(r.Revision), Kind: runKind(r.Kind), State: runState(r.State),
		AcceptedAt: timestamp(r.AcceptedAt), FinishedAt: timestamp(r.FinishedAt), Nodes: int32(nodes), Settled: int32(settled),
	}
}

func planOf(run orca.RunRecord) (*plan.Plan, error) {
	p, err := plan.Parse(run.Plan)
	if err != nil {
		return nil, fmt.Errorf("read the plan of run %d: %w", run.Run.Position, err)
	}
	return p, nil
}

func outcomesOf(run orca.RunRecord) map[orca.AlgorithmID]*orca.Outcome {
	outcomes := make(map[orca.AlgorithmID]*orca.Outcome, len(run.Outcomes))
	for i := range run.Outcomes {
		outcomes[run.Outcomes[i].Algorithm] = &run.Outcomes[i]
	}
	return outcomes
}

// nodesOf shows every node of a run, in the order of its plan.
func (s *consoleService) nodesOf(run orca.RunRecord, p *plan.Plan) (_ []*pb.NodeInfo, err error) {
	outcomes := outcomesOf(run)
	var live []orca.ProcessorStatus
	if run.Run.State == orca.RunOpen {
		live = s.cfg.Fleet.Status()
	}
	nodes := make([]*pb.NodeInfo, len(p.Nodes))
	for i := range p.Nodes {
		n := &p.Nodes[i]
		o := outcomes[n.Algorithm.ID]
		if o == nil {
			nodes[i] = &pb.NodeInfo{Algorithm: ref(n.Algorithm.ID), Outcome: pb.Outcome_OUTCOME_OPEN, Reason: waitsFor(p, i, outcomes, live)}
		} else if nodes[i], err = nodeInfo(run.Run.Position, o); err != nil {
			return nil, err
		}
		for _, d := range n.Needs {
			nodes[i].DependsOn = append(nodes[i].DependsOn, ref(p.Nodes[d].Algorithm.ID))
		}
	}
	return nodes, nil
}

// waitsFor says what an open node waits for.
func waitsFor(p *plan.Plan, node int, outcomes map[orca.AlgorithmID]*orca.Outcome, live []orca.ProcessorStatus) string {
	for _, d := range p.Nodes[node].Needs {
		if id := p.Nodes[d].Algorithm.ID; outcomes[id] == nil {
			return "waits for " + id.String()
		}
	}
	processor := p.Nodes[node].Algorithm.ID.Processor
	for _, l := range live {
		if l.Name == processor && serves(l) {
			return ""
		}
	}
	return fmt.Sprintf("waits for processor %s, of which no instance serves", processor)
}

func nodeInfo(position orca.Position, o *orca.Outcome) (*pb.NodeInfo, error) {
	n := &pb.NodeInfo{
		Algorithm: ref(o.Algorithm), Outcome: outcome(o.Kind), Reason: o.Reason, Attempts: int32(o.Attempts),
		SettledAt: timestamp(o.SettledAt), ProducedAt: int64(producedAt(position, o)),
	}
	if o.Result != nil {
		result, err := wire.ResultMessage(o.Result.Encoded)
		if err != nil {
			return nil, fmt.Errorf("read the result of %s in run %d: %w", o.Algorithm, position, err)
		}
		n.Result = result
	}
	return n, nil
}

// producedAt is the run in which the outcome of a run came about.
func producedAt(run orca.Position, o *orca.Outcome) orca.Position {
	if o.ProducedAt == 0 {
		return run
	}
	return o.ProducedAt
}

func (s *consoleService) resultInfo(r orca.ResultRecord) (*pb.ResultInfo, error) {
	node, err := nodeInfo(r.Run.Position, &r.Outcome)
	if err != nil {
		return nil, err
	}
	window, err := wire.WindowMessage(r.Window.Window)
	if err != nil {
		return nil, fmt.Errorf("read window %d: %w", r.Window.ID, err)
	}
	return &pb.ResultInfo{
		WindowId: s.ids.text(r.Window.ID), Window: window, Position: int64(r.Run.Position), Revision: int32(r.Run.Revision), Node: node,
	}, nil
}

func ref(id orca.AlgorithmID) *pb.AlgorithmRef {
	return &pb.AlgorithmRef{Processor: id.Processor, Name: id.Name, Version: id.Version}
}

// timestamp leaves the zero time unset.
func timestamp(t orca.Time) *timestamppb.Timestamp {
	if t == 0 {
		return nil
	}
	return timestamppb.New(t.Std())
}

func runState(s orca.RunState) pb.RunState {
	switch s {
	case orca.RunOpen:
		return pb.RunState_RUN_STATE_OPEN
	case orca.RunSucceeded:
		return pb.RunState_RUN_STATE_SUCCEEDED
	case orca.RunFailed:
		return pb.RunState_RUN_STATE_FAILED
	case orca.RunIncomplete:
		return pb.RunState_RUN_STATE_INCOMPLETE
	case orca.RunCancelled:
		return pb.RunState_RUN_STATE_CANCELLED
	}
	return pb.RunState_RUN_STATE_UNSPECIFIED
}

func runKind(k orca.RunKind) pb.RunKind {
	switch k {
	case orca.RunEmit:
		return pb.RunKind_RUN_KIND_EMIT
	case orca.RunRetry:
		return pb.RunKind_RUN_KIND_RETRY
	case orca.RunReprocess:
		return pb.RunKind_RUN_KIND_REPROCESS
	}
	return pb.RunKind_RUN_KIND_UNSPECIFIED
}

func outcome(k orca.OutcomeKind) pb.Outcome {
	switch k {
	case orca.Succeeded:
		return pb.Outcome_OUTCOME_SUCCEEDED
	case orca.HandledFailed:
		return pb.Outcome_OUTCOME_HANDLED_FAILED
	case orca.UnhandledFailed:
		return pb.Outcome_OUTCOME_UNHANDLED_FAILED
	case orca.Skipped:
		return pb.Outcome_OUTCOME_SKIPPED
	case orca.Cancelled:
		return pb.Outcome_OUTCOME_CANCELLED
	}
	return pb.Outcome_OUTCOME_UNSPECIFIED
}

func instanceState(s orca.InstanceState) pb.InstanceState {
	switch s {
	case orca.Connecting:
		return pb.InstanceState_INSTANCE_STATE_CONNECTING
	case orca.Serving:
		return pb.InstanceState_INSTANCE_STATE_SERVING
	case orca.NotServing:
		return pb.InstanceState_INSTANCE_STATE_NOT_SERVING
	case orca.Unreachable:
		return pb.InstanceState_INSTANCE_STATE_UNREACHABLE
	}
	return pb.InstanceState_INSTANCE_STATE_UNSPECIFIED
}

func algorithmState(s registry.State) pb.AlgorithmState {
	switch s {
	case registry.Active:
		return pb.AlgorithmState_ALGORITHM_STATE_ACTIVE
	case registry.Waiting:
		return pb.AlgorithmState_ALGORITHM_STATE_WAITING
	case registry.Retired:
		return pb.AlgorithmState_ALGORITHM_STATE_RETIRED
	}
	return pb.AlgorithmState_ALGORITHM_STATE_UNSPECIFIED
}
