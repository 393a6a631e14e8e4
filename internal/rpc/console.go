package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
	"github.com/orca-telemetry/orca/internal/registry"
	"github.com/orca-telemetry/orca/internal/wire"
)

// consoleService is OrcaConsole.
type consoleService struct {
	pb.UnimplementedOrcaConsoleServer
	cfg Config
	ids ids
}

func (s *consoleService) ListProcessors(ctx context.Context, msg *pb.ListProcessorsRequest) (*pb.ListProcessorsResponse, error) {
	after, err := readToken[string](msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	live := map[string]orca.ProcessorStatus{}
	for _, p := range s.cfg.Fleet.Status() {
		live[p.Name] = p
	}
	parked, err := s.cfg.Engine.Parked(ctx)
	if err != nil {
		return nil, err
	}
	for name, work := range parked {
		p := live[name]
		p.Queued += int(work.Runs)
		live[name] = p
	}
	snapshot := s.cfg.Registry.Snapshot()
	page, next := pageOf(snapshot.Processors(), msg.GetPageSize(), func(p orca.Processor) bool { return p.Name > after })
	out := &pb.ListProcessorsResponse{}
	for _, p := range page {
		out.Processors = append(out.Processors, processorInfo(p, snapshot.Instances(), live[p.Name]))
	}
	if next {
		out.PageToken = token(page[len(page)-1].Name)
	}
	return out, nil
}

func processorInfo(p orca.Processor, instances []orca.Instance, live orca.ProcessorStatus) *pb.ProcessorInfo {
	info := &pb.ProcessorInfo{Name: p.Name, Project: p.Project, Queued: int64(live.Queued)}
	for _, in := range instances {
		if in.Processor == p.Name {
			i := slices.IndexFunc(live.Instances, func(s orca.InstanceStatus) bool { return s.Address == in.Address })
			status := orca.InstanceStatus{State: orca.Connecting}
			if i >= 0 {
				status = live.Instances[i]
			}
			info.Instances = append(info.Instances, instanceInfo(in, status))
		}
	}
	return info
}

func instanceInfo(in orca.Instance, live orca.InstanceStatus) *pb.InstanceInfo {
	info := &pb.InstanceInfo{
		ConnectionStr: in.Connection, Runtime: in.Runtime, State: instanceState(live.State), Reason: live.Reason,
		RegisteredAt: timestamp(in.RegisteredAt), LastSeen: timestamp(live.LastSeen),
		Algorithms: int32(len(in.Algorithms)), InFlight: int32(live.InFlight),
	}
	if m := live.Metrics; m != nil {
		info.Metrics = &pb.ProcessorMetrics{
			ActiveTasks: m.ActiveTasks, MemoryBytes: m.MemoryBytes, CpuPercent: m.CPUPercent, UptimeSeconds: m.UptimeSeconds,
		}
	}
	return info
}

func (s *consoleService) ListAlgorithms(_ context.Context, msg *pb.ListAlgorithmsRequest) (*pb.ListAlgorithmsResponse, error) {
	after, err := readToken[orca.AlgorithmID](msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	of, err := typeFilter(msg.GetWindowTypeName(), msg.GetWindowTypeVersion())
	if err != nil {
		return nil, err
	}
	snapshot := s.cfg.Registry.Snapshot()
	page, next := pageOf(snapshot.Algorithms(), msg.GetPageSize(), func(a registry.Algorithm) bool {
		return a.Algorithm.ID.Compare(after) > 0 && of(a.Algorithm.WindowType.ID) &&
			(a.State != registry.Retired || !msg.GetExcludeRetired())
	})
	out := &pb.ListAlgorithmsResponse{}
	for _, a := range page {
		info := &pb.AlgorithmInfo{
			Processor: a.Algorithm.ID.Processor, Algorithm: wire.AlgorithmMessage(&a.Algorithm), State: algorithmState(a.State),
		}
		for _, id := range a.Awaited {
			info.Awaited = append(info.Awaited, ref(id))
		}
		for _, d := range a.Algorithm.Dependencies {
			on, _ := snapshot.Algorithm(d.On)
			info.DependencyWindowTypes = append(info.DependencyWindowTypes, typeRef(on.Algorithm.WindowType.ID))
		}
		out.Algorithms = append(out.Algorithms, info)
	}
	if next {
		out.PageToken = token(page[len(page)-1].Algorithm.ID)
	}
	return out, nil
}

// typeFilter returns a test for window types: an empty name means any, an empty version any of that name.
func typeFilter(name, version string) (func(orca.WindowTypeID) bool, error) {
	if name == "" && version != "" {
		return nil, orca.Errorf(orca.Invalid, "window_type_version is %q and window_type_name is empty: give the name too", orca.Shown(version))
	}
	return func(id orca.WindowTypeID) bool {
		return (name == "" || id.Name == name) && (version == "" || id.Version == version)
	}, nil
}

func (s *consoleService) GetStatus(ctx context.Context, _ *pb.GetStatusRequest) (*pb.GetStatusResponse, error) {
	parked, err := s.cfg.Engine.Parked(ctx) // which counts anew where several cores share the ledger
	if err != nil {
		return nil, err
	}
	stats := s.cfg.Engine.Stats()
	out := &pb.GetStatusResponse{
		Version: s.cfg.Version, StartedAt: timestamppb.New(s.cfg.StartedAt), Store: s.cfg.Store,
		Pending: max(0, stats.Open-stats.Active-stats.Parked), Active: stats.Active, Parked: stats.Parked,
	}
	s.tellCores(out, stats)
	if err := s.cfg.Ready(); err != nil {
		out.NotReady = err.Error()
	}
	for _, p := range s.cfg.Fleet.Status() {
		w := waitingFor(p, parked[p.Name])
		if w.Runs > 0 {
			out.Waiting = append(out.Waiting, &pb.Waiting{Processor: p.Name, Runs: w.Runs, Oldest: int64(w.Oldest)})
		}
	}
	return out, nil
}

// tellCores adds the cores that share the ledger: what they have in memory is active.
func (s *consoleService) tellCores(out *pb.GetStatusResponse, stats orca.RunStats) {
	if s.cfg.Cores == nil {
		return
	}
	out.Active = 0
	for _, c := range s.cfg.Cores() {
		out.Active += c.ActiveRuns
		out.Cores = append(out.Cores, &pb.CoreInfo{Address: c.Address, Version: c.Version, StartedAt: timestamppb.New(c.StartedAt),
			Lease: durationpb.New(c.Left), Active: c.ActiveRuns, Calls: c.Calls})
	}
	out.Pending = max(0, stats.Open-out.Active-stats.Parked)
}

// waitingFor returns what waits for a processor that does not take it: rows, and what is in memory if no instance takes
// work at all.
func waitingFor(p orca.ProcessorStatus, parked orca.ParkedWork) orca.ParkedWork {
	if p.Queued == 0 || serves(p) {
		return parked
	}
	if parked.Runs == 0 || p.Oldest < parked.Oldest {
		parked.Oldest = p.Oldest
	}
	parked.Runs += int64(p.Queued)
	return parked
}

// serves reports whether any instance takes work.
func serves(p orca.ProcessorStatus) bool {
	return slices.ContainsFunc(p.Instances, func(in orca.InstanceStatus) bool { return in.State == orca.Serving })
}

func (s *consoleService) GetWindow(ctx context.Context, msg *pb.GetWindowRequest) (*pb.GetWindowResponse, error) {
	run, err := s.run(ctx, msg.GetId(), msg.GetRevision())
	if err != nil {
		return nil, err
	}
	info, err := s.windowInfo(run.window)
	if err != nil {
		return nil, err
	}
	nodes, err := s.nodesOf(run.RunRecord, run.plan)
	if err != nil {
		return nil, err
	}
	if err := s.addPast(ctx, &run, nodes); err != nil {
		return nil, err
	}
	return &pb.GetWindowResponse{Window: info, Run: runInfo(run.Run, len(nodes), len(run.Outcomes)), Nodes: nodes}, nil
}

func (s *consoleService) WatchWindow(msg *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
	ctx := stream.Context()
	shown, err := s.run(ctx, msg.GetId(), msg.GetRevision())
	if err != nil {
		return err
	}
	run, p := shown.RunRecord, shown.plan
	changed, stop := s.cfg.Engine.Watch(run.Run.Position)
	defer stop()
	sent := map[string]bool{}
	for {
		// Read after the watch has begun, so that no change is missed; the revision is settled by now.
		if run, err = s.cfg.Ledger.Run(ctx, shown.window.ID, run.Run.Revision); err != nil {
			return err
		}
		done, err := s.sendSettled(run, p, sent, stream)
		if err != nil || done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendSettled sends the settled nodes that were not sent yet, and the run's end.
func (s *consoleService) sendSettled(run orca.RunRecord, p *plan.Plan, sent map[string]bool, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) (done bool, err error) {
	nodes, err := s.nodesOf(run, p)
	if err != nil {
		return false, err
	}
	for _, n := range nodes {
		key := strings.Join([]string{n.GetAlgorithm().GetProcessor(), n.GetAlgorithm().GetName(), n.GetAlgorithm().GetVersion()}, "\x00")
		if n.GetOutcome() == pb.Outcome_OUTCOME_OPEN || sent[key] {
			continue
		}
		sent[key] = true
		if err := stream.Send(&pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Node{Node: n}}); err != nil {
			return false, err
		}
	}
	if run.Run.State == orca.RunOpen {
		return false, nil
	}
	finished := runInfo(run.Run, len(nodes), len(run.Outcomes))
	return true, stream.Send(&pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Finished{Finished: finished}})
}

// noWindow says in the client's words that the ledger does not find a window.
func (s *consoleService) noWindow(err error, id string) error {
	if errors.Is(err, orca.NotFound) {
		return orca.Errorf(orca.NotFound, "there is no window %q: ListWindows (orca windows) has all of them", orca.Shown(id))
	}
	return err
}

// noRevision says in the client's words that the ledger does not find a run of a window.
func (s *consoleService) noRevision(err error, w orca.WindowRecord, revision int32) error {
	if errors.Is(err, orca.NotFound) {
		return orca.Errorf(orca.NotFound, "window %s has no revision %d; the newest is %d", s.ids.text(w.ID), revision, w.Newest.Revision)
	}
	return err
}
