package torture

import (
	"context"
	"fmt"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// pageSize is that of all lists.
const pageSize = 1000

// openWindow returns the id of a window whose run is not finished, or nothing.
func openWindow(ctx context.Context, console pb.OrcaConsoleClient) (string, error) {
	page, err := console.ListWindows(ctx, &pb.ListWindowsRequest{PageSize: 1, State: pb.RunState_RUN_STATE_OPEN})
	if err != nil {
		return "", fmt.Errorf("list open windows: %w", err)
	}
	for _, w := range page.GetWindows() {
		return w.GetId(), nil
	}
	return "", nil
}

// readWindows reads every window of the ledger with its newest run.
func readWindows(ctx context.Context, console pb.OrcaConsoleClient) ([]Window, error) {
	var all []Window
	for token := ""; ; {
		page, err := console.ListWindows(ctx, &pb.ListWindowsRequest{PageSize: pageSize, PageToken: token})
		if err != nil {
			return nil, fmt.Errorf("list windows: %w", err)
		}
		for _, info := range page.GetWindows() {
			answer, err := console.GetWindow(ctx, &pb.GetWindowRequest{Id: info.GetId()})
			if err != nil {
				return nil, fmt.Errorf("get window %s: %w", info.GetId(), err)
			}
			w, err := windowOf(answer)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
		}
		if token = page.GetPageToken(); token == "" {
			return all, nil
		}
	}
}

func windowOf(answer *pb.GetWindowResponse) (Window, error) {
	stored, run := answer.GetWindow().GetWindow(), answer.GetRun()
	w := Window{
		ID: answer.GetWindow().GetId(), Origin: stored.GetOrigin(), Type: stored.GetWindowTypeName(),
		N: int64(stored.GetMetadata().GetFields()["n"].GetNumberValue()), Position: run.GetPosition(),
		Revision: int(run.GetRevision()), State: stateNames[run.GetState()], Nodes: map[ID]Settled{},
	}
	if from, to := interval(w.N); !stored.GetTimeFrom().AsTime().Equal(from) || !stored.GetTimeTo().AsTime().Equal(to) {
		return w, fmt.Errorf("window %s of %s: its times are not those of number %d", w.ID, w.Origin, w.N)
	}
	for _, node := range answer.GetNodes() {
		if _, twice := w.Nodes[idOf(node)]; twice {
			return w, fmt.Errorf("window %s of %s has %v twice", w.ID, w.Origin, idOf(node))
		}
		w.Nodes[idOf(node)] = settledOf(node)
	}
	return w, nil
}

// readResults reads every outcome of every algorithm.
func readResults(ctx context.Context, console pb.OrcaConsoleClient) ([]ResultRow, error) {
	var all []ResultRow
	for _, a := range Work {
		for token := ""; ; {
			page, err := console.ListResults(ctx, &pb.ListResultsRequest{
				PageSize: pageSize, PageToken: token, Processor: a.Processor, Name: a.Name, Version: Version, IncludeFailed: true,
			})
			if err != nil {
				return nil, fmt.Errorf("list results of %v: %w", a.ID, err)
			}
			for _, row := range page.GetResults() {
				all = append(all, ResultRow{row.GetWindowId(), row.GetPosition(), idOf(row.GetNode()), settledOf(row.GetNode())})
			}
			if token = page.GetPageToken(); token == "" {
				break
			}
		}
	}
	return all, nil
}

func idOf(node *pb.NodeInfo) ID {
	return ID{node.GetAlgorithm().GetProcessor(), node.GetAlgorithm().GetName()}
}

func settledOf(node *pb.NodeInfo) Settled {
	s := Settled{
		Result: Result{Outcome: outcomeNames[node.GetOutcome()]}, Reason: node.GetReason(), Attempts: int(node.GetAttempts()),
		ProducedAt: node.GetProducedAt(),
	}
	if node.GetSettledAt() != nil {
		s.At = Instant(node.GetSettledAt().AsTime().UnixNano())
	}
	if s.Outcome == Succeeded {
		s.Value = node.GetResult().GetSingleValue()
	}
	return s
}

var outcomeNames = map[pb.Outcome]Outcome{
	pb.Outcome_OUTCOME_OPEN: Open, pb.Outcome_OUTCOME_SUCCEEDED: Succeeded, pb.Outcome_OUTCOME_HANDLED_FAILED: HandledFailed,
	pb.Outcome_OUTCOME_UNHANDLED_FAILED: UnhandledFailed, pb.Outcome_OUTCOME_SKIPPED: Skipped, pb.Outcome_OUTCOME_CANCELLED: Cancelled,
}

var stateNames = map[pb.RunState]RunState{
	pb.RunState_RUN_STATE_OPEN: RunOpen, pb.RunState_RUN_STATE_SUCCEEDED: RunSucceeded, pb.RunState_RUN_STATE_FAILED: RunFailed,
	pb.RunState_RUN_STATE_INCOMPLETE: RunIncomplete, pb.RunState_RUN_STATE_CANCELLED: RunCancelled,
}
