package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orca-telemetry/orca/conformance/script"
	pb "github.com/orca-telemetry/orca/contract/go"
)

type processor struct {
	pb.UnimplementedOrcaProcessorServer
	algorithms map[[2]string]script.Algorithm
	folder     *script.Folder
	read       func(*pb.ExecutionRequest) []task
	core       pb.OrcaCoreClient
	started    time.Time
	active     atomic.Int32
	heard      chan struct{} // gets a token with each heartbeat; holds at most one
}

func newProcessor(s script.Script, read func(*pb.ExecutionRequest) []task, core pb.OrcaCoreClient) *processor {
	p := &processor{
		algorithms: map[[2]string]script.Algorithm{}, folder: s.Folder(), read: read, core: core, started: time.Now(),
		heard: make(chan struct{}, 1),
	}
	for _, a := range s.Algorithms {
		p.algorithms[[2]string{a.Name, a.Version}] = a
	}
	return p
}

func (p *processor) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	select {
	case p.heard <- struct{}{}:
	default:
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return &pb.HealthCheckResponse{
		Status: pb.HealthCheckResponse_STATUS_SERVING,
		Metrics: &pb.ProcessorMetrics{
			ActiveTasks: p.active.Load(), MemoryBytes: int64(memory.Sys), UptimeSeconds: int64(time.Since(p.started).Seconds()), //nolint:gosec // far below
		},
	}, nil
}

// ExecuteDagPart runs all algorithms at the same time and streams their results as they come.
func (p *processor) ExecuteDagPart(r *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	var running sync.WaitGroup
	results := make(chan *pb.AlgorithmResult)
	for _, t := range p.read(r) {
		running.Go(func() {
			if result := p.perform(stream.Context(), t); result != nil {
				result.Timestamp = time.Now().Unix()
				// No window, and of the algorithm only what names it: so old SDKs answer.
				named := &pb.Algorithm{Name: t.algorithm.GetName(), Version: t.algorithm.GetVersion()}
				results <- &pb.AlgorithmResult{Algorithm: named, Result: result}
			}
		})
	}
	go func() { running.Wait(); close(results) }()
	var failure error
	for result := range results {
		if failure == nil {
			failure = stream.Send(&pb.ExecutionResult{ExecId: r.GetExecId(), AlgorithmResult: result})
		}
	}
	return failure
}

// perform does what the script says, and returns nil for no result.
func (p *processor) perform(ctx context.Context, t task) *pb.Result {
	p.active.Add(1)
	defer p.active.Add(-1)
	a, ok := p.algorithms[[2]string{t.algorithm.GetName(), t.algorithm.GetVersion()}]
	if !ok {
		return broken("there is no algorithm " + t.algorithm.GetName())
	}
	play := t.window.GetMetadata().GetFields()["play"].GetStringValue()
	for _, step := range a.Steps(play) {
		var err error
		switch {
		case step.Mark != "":
			err = p.folder.Mark(step.Mark)
		case step.Await != "":
			if err = p.folder.Await(ctx, step.Await); ctx.Err() != nil {
				err = p.folder.Cancelled(err)
			}
		case step.Tell:
			err = p.folder.Tell(t.told())
		case step.Emit != nil:
			err = emit(ctx, p.core, *step.Emit)
		default:
			return end(t, step)
		}
		if err != nil {
			return broken(err.Error())
		}
	}
	return &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED}
}

// end is the last step.
func end(t task, step script.Step) *pb.Result {
	result := &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED}
	switch {
	case step.Silent:
		return nil
	case step.Give != nil:
		if err := step.Give.Write(result); err != nil {
			return broken(err.Error())
		}
	case step.GiveField != "":
		n := t.window.GetMetadata().GetFields()[step.GiveField].GetNumberValue()
		result.ResultData = &pb.Result_SingleValue{SingleValue: float32(n)}
	case step.Fail != nil:
		result = broken(step.Fail.Reason)
		result.Status = pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED
		if step.Fail.Details != nil {
			details, err := step.Fail.Details.Proto()
			if err != nil {
				return broken(err.Error())
			}
			result.Error.Fields["details"] = structpb.NewStructValue(details)
		}
	case step.Break+step.Panic != "":
		return broken(step.Break + step.Panic)
	default:
		return broken(fmt.Sprintf("the step %+v says nothing that is known", step))
	}
	return result
}

func broken(message string) *pb.Result {
	return &pb.Result{
		Status: pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED,
		Error:  &structpb.Struct{Fields: map[string]*structpb.Value{"message": structpb.NewStringValue(message)}},
	}
}

// told is what the task was given.
func (t task) told() script.Told {
	told := script.Told{Algorithm: t.algorithm.GetName(), Window: script.WindowOf(t.window), Self: rows(t.self)}
	for _, need := range t.needs {
		told.Needs = append(told.Needs, rows(need))
	}
	return told
}

func rows(given []*pb.AlgorithmDependencyResultRow) []script.Row {
	var out []script.Row
	for _, r := range given {
		out = append(out, script.Row{Window: script.WindowOf(r.GetWindow()), Data: script.DataOf(r.GetResult())})
	}
	return out
}
