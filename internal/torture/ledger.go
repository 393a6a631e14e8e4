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

// readWindows reads every window of the ledger with all its runs.
func readWindows(ctx context.Context, console pb.OrcaConsoleClient) ([]Window, error) {
	var all []Window
	for token := ""; ; {
		page, err := console.ListWindows(ctx, &pb.ListWindowsRequest{PageSize: pageSize, PageToken: token})
		if err != nil {
			return nil, fmt.Errorf("list windows: %w", err)
		}
		for _, info := range page.GetWindows() {
			w, err := readWindow(ctx, console, info)
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

func readWindow(ctx context.Context, console pb.OrcaConsoleClient, info *pb.WindowInfo) (w Window, err error) {
	if w, err = windowOf(info); err != nil {
		return w, err
	}
	for revision := range info.GetRun().GetRevision() {
		answer, err := console.GetWindow(ctx, &pb.GetWindowRequest{Id: w.ID, Revision: revision + 1})
		if err != nil {
			return w, fmt.Errorf("get run %d of window %s: %w", revision+1, w.ID, err)
		}
		run, err := runOf(answer)
		if err != nil {
			return w, fmt.Errorf("window %s of %s: %w", w.ID, w.Origin, err)
		}
		w.Runs = append(w.Runs, run)
	}
	return w, nil
}

// windowOf checks that a window is stored as it was emitted, without what is not stored.
func windowOf(info *pb.WindowInfo) (Window, error) {
	stored := info.GetWindow()
	n := int64(stored.GetMetadata().GetFields()[FieldN].GetNumberValue())
	w := Window{ID: info.GetId(), Origin: stored.GetOrigin(), Type: stored.GetWindowTypeName(), N: n}
	if from, to := Interval(n); !stored.GetTimeFrom().AsTime().Equal(from) || !stored.GetTimeTo().AsTime().Equal(to) {
		return w, fmt.Errorf("window %s of %s: its times are not those of number %d", w.ID, w.Origin, n)
	}
	if !StoredFields(n, stored.GetMetadata().AsMap()) {
		return w, fmt.Errorf("window %s of %s: the metadata %v is not that of number %d", w.ID, w.Origin, stored.GetMetadata(), n)
	}
	return w, nil
}

func runOf(answer *pb.GetWindowResponse) (LedgerRun, error) {
	run := LedgerRun{
		Position: answer.GetRun().GetPosition(), Revision: int(answer.GetRun().GetRevision()),
		Kind: verbOf[answer.GetRun().GetKind()], State: stateNames[answer.GetRun().GetState()], Nodes: map[ID]Settled{},
	}
	for _, node := range answer.GetNodes() {
		if _, twice := run.Nodes[idOf(node)]; twice {
			return run, fmt.Errorf("run %d has %v twice", run.Revision, idOf(node))
		}
		run.Nodes[idOf(node)] = settledOf(node)
	}
	return run, nil
}

var verbOf = map[pb.RunKind]Verb{
	pb.RunKind_RUN_KIND_RETRY: Retry, pb.RunKind_RUN_KIND_REPROCESS: Reprocess,
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
		ProducedAt: node.GetProducedAt(), Own: node.GetResult() != nil,
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
