package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

func (s *consoleService) RetryWindow(ctx context.Context, msg *pb.RetryWindowRequest) (*pb.RetryWindowResponse, error) {
	_, run, err := s.rerun(ctx, msg.GetId(), msg.GetMetadata(), s.cfg.Engine.Retry)
	if err != nil {
		return nil, err
	}
	return &pb.RetryWindowResponse{Run: run}, nil
}

func (s *consoleService) ReprocessWindow(ctx context.Context, msg *pb.ReprocessWindowRequest) (*pb.ReprocessWindowResponse, error) {
	accepted, run, err := s.rerun(ctx, msg.GetId(), msg.GetMetadata(), s.cfg.Engine.Reprocess)
	if err != nil {
		return nil, err
	}
	return &pb.ReprocessWindowResponse{Run: run, Status: pb.WindowEmitStatus_StatusEnum(accepted.Status)}, nil
}

// rerun makes the next run of a window in one of the engine's ways.
func (s *consoleService) rerun(ctx context.Context, text string, given *structpb.Struct,
	again func(context.Context, orca.WindowID, []byte) (orca.Accepted, error)) (orca.Accepted, *pb.RunInfo, error) {
	none := orca.Accepted{}
	id, err := s.ids.parse(text)
	if err != nil {
		return none, nil, err
	}
	window, err := s.cfg.Ledger.Window(ctx, id)
	if err != nil {
		return none, nil, s.noWindow(err, text)
	}
	typ, err := s.cfg.Registry.WindowType(ctx, window.Window.Type)
	if err != nil {
		return none, nil, err
	}
	full, err := wire.FullMetadata(window.Window.Metadata, typ, given)
	if err != nil {
		return none, nil, err
	}
	accepted, err := again(ctx, id, full)
	if err != nil {
		return none, nil, err
	}
	run, err := s.revision(ctx, id, accepted.Revision)
	return accepted, run, err
}

// revision shows a run that was the newest of its window a moment ago.
func (s *consoleService) revision(ctx context.Context, id orca.WindowID, revision int) (*pb.RunInfo, error) {
	window, err := s.cfg.Ledger.Window(ctx, id)
	if err != nil {
		return nil, err
	}
	if window.Newest.Revision == revision {
		return runInfo(window.Newest, window.Nodes, window.Settled), nil
	}
	run, err := s.cfg.Ledger.Run(ctx, id, revision)
	if err != nil {
		return nil, err
	}
	p, err := planOf(run)
	if err != nil {
		return nil, err
	}
	return runInfo(run.Run, len(p.Nodes), len(run.Outcomes)), nil
}

func (s *consoleService) CancelWindow(ctx context.Context, msg *pb.CancelWindowRequest) (*pb.CancelWindowResponse, error) {
	id, err := s.ids.parse(msg.GetId())
	if err != nil {
		return nil, err
	}
	revision, err := s.cfg.Engine.Cancel(ctx, id)
	if err != nil {
		return nil, s.noWindow(err, msg.GetId())
	}
	run, err := s.revision(ctx, id, revision)
	if err != nil {
		return nil, err
	}
	return &pb.CancelWindowResponse{Run: run}, nil
}

func (s *consoleService) ForgetProcessor(ctx context.Context, msg *pb.ForgetProcessorRequest) (*pb.ForgetProcessorResponse, error) {
	if msg.GetName() == "" {
		return nil, orca.Errorf(orca.Invalid, "name is empty: say which processor to forget")
	}
	// Announcements first, so that what is accepted afterwards has no nodes of it.
	instances, algorithms, err := s.cfg.Registry.ForgetProcessor(ctx, msg.GetName())
	if err != nil {
		return nil, err
	}
	runs, err := s.cfg.Engine.ForgetProcessor(ctx, msg.GetName())
	if err != nil {
		return nil, fmt.Errorf("the processor is forgotten, and not all of its open nodes are settled yet: %w", err)
	}
	return &pb.ForgetProcessorResponse{Instances: int32(instances), Algorithms: int32(algorithms), Runs: runs}, nil
}

// reprocessPage is how many windows are read at once.
const reprocessPage = 100

func (s *consoleService) ReprocessWindows(msg *pb.ReprocessWindowsRequest, stream grpc.ServerStreamingServer[pb.ReprocessWindowsResponse]) error {
	ctx := stream.Context()
	q, err := s.reprocessed(ctx, msg)
	if err != nil {
		return err
	}
	matched, err := s.cfg.Ledger.CountWindows(ctx, q)
	if err != nil {
		return err
	}
	event := &pb.ReprocessWindowsResponse{Event: &pb.ReprocessWindowsResponse_Matched{Matched: matched}}
	if err := stream.Send(event); err != nil || msg.GetDryRun() {
		return err
	}
	var after orca.WindowKey
	for done := 0; ; {
		page, err := s.cfg.Ledger.WindowsByTime(ctx, q, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, w := range page {
			again, err := s.reprocess(ctx, w.ID)
			if err != nil {
				return fmt.Errorf("after %d of %d windows: %w", done, matched, err)
			}
			if err := stream.Send(&pb.ReprocessWindowsResponse{Event: &pb.ReprocessWindowsResponse_Window{Window: again}}); err != nil {
				return err
			}
			done++
		}
		after = page[len(page)-1].Key()
	}
}

// reprocessed returns the windows that a request selects: of those accepted by now.
func (s *consoleService) reprocessed(ctx context.Context, msg *pb.ReprocessWindowsRequest) (orca.WindowQuery, error) {
	none := orca.WindowQuery{}
	id := orca.WindowTypeID{Name: msg.GetWindowTypeName(), Version: msg.GetWindowTypeVersion()}
	if id.Name == "" || id.Version == "" {
		return none, orca.Errorf(orca.Invalid, "window_type_name is %q and window_type_version %q: give both", orca.Shown(id.Name), orca.Shown(id.Version))
	}
	from, to, err := interval(msg.GetTimeFrom(), msg.GetTimeTo())
	if err != nil {
		return none, err
	}
	typ, err := s.cfg.Registry.WindowType(ctx, id)
	if err != nil {
		return none, err
	}
	if _, err := wire.FullMetadata(nil, typ, nil); err != nil {
		return none, fmt.Errorf("windows of this type are reprocessed one by one: %w", err)
	}
	backlog, err := s.cfg.Ledger.Backlog(ctx)
	if err != nil {
		return none, err
	}
	return orca.WindowQuery{Type: id, From: from, To: to, Before: backlog.Newest + 1, Limit: reprocessPage}, nil
}

// reprocess makes the next run of a window of a type without noStore fields. What stands against this window alone is
// part of the answer.
func (s *consoleService) reprocess(ctx context.Context, id orca.WindowID) (*pb.ReprocessedWindow, error) {
	again := &pb.ReprocessedWindow{Id: s.ids.text(id)}
	accepted, err := s.cfg.Engine.Reprocess(ctx, id, nil)
	if errors.Is(err, orca.Precondition) {
		again.Refusal = err.Error()
		return again, nil
	}
	if err != nil {
		return nil, err
	}
	again.Run, err = s.revision(ctx, id, accepted.Revision)
	return again, err
}
