package orca

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// service is what the core calls.
type service struct {
	pb.UnimplementedOrcaProcessorServer

	algorithms map[algorithmKey]*definition
	emit       emitFunc
	slots      chan struct{} // holds a token for each algorithm that runs; its capacity bounds them
	active     atomic.Int32  // algorithms that run
	phase      atomic.Int32  // starting, serving, draining
	heard      chan struct{} // gets a token with each heartbeat; holds at most one
	meter      *meter
	log        *slog.Logger
}

// The phases of a service. They only go forward.
const (
	starting int32 = iota
	serving
	draining
)

// algorithmKey is how a request names an algorithm of this processor.
type algorithmKey struct{ name, version string }

func newService(definitions []*definition, concurrency int, emit emitFunc, log *slog.Logger) *service {
	s := &service{
		algorithms: make(map[algorithmKey]*definition, len(definitions)),
		emit:       emit,
		slots:      make(chan struct{}, concurrency),
		heard:      make(chan struct{}, 1),
		meter:      newMeter(),
		log:        log,
	}
	for _, d := range definitions {
		s.algorithms[algorithmKey{d.id.Name, d.id.Version}] = d
	}
	return s
}

// serve says from now on that work is welcome, drain that it is not.
func (s *service) serve() { s.phase.CompareAndSwap(starting, serving) }
func (s *service) drain() { s.phase.Store(draining) }

// HealthCheck answers a heartbeat of the core.
func (s *service) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	select {
	case s.heard <- struct{}{}:
	default:
	}
	response := &pb.HealthCheckResponse{Metrics: s.meter.read()}
	response.Metrics.ActiveTasks = s.active.Load()
	switch s.phase.Load() {
	case starting:
		response.Status, response.Message = pb.HealthCheckResponse_STATUS_TRANSITIONING, "starting"
	case serving:
		response.Status = pb.HealthCheckResponse_STATUS_SERVING
	case draining:
		response.Status, response.Message = pb.HealthCheckResponse_STATUS_TRANSITIONING, "draining"
	}
	return response, nil
}

// task is one algorithm of a request.
type task struct {
	definition *definition
	asked      *pb.ExecuteAlgorithm
}

// ExecuteDagPart runs the algorithms of a request at the same time and streams each result as soon as it is there.
// Those that this processor does not have end the stream with UNIMPLEMENTED, after the results of the others.
func (s *service) ExecuteDagPart(
	request *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult],
) error {
	if request.GetExecId() == "" || request.GetWindow() == nil {
		return status.Error(codes.InvalidArgument, "exec_id and window are required")
	}
	tasks, unknown := s.tasks(request)
	if err := s.runAll(stream.Context(), request, tasks, stream.Send); err != nil {
		return err
	}
	if len(unknown) > 0 {
		s.log.Error("asked for algorithms that this processor does not have; is another one registered at its address?",
			"algorithms", strings.Join(unknown, ", "))
		return status.Errorf(codes.Unimplemented, "this processor does not have %s", strings.Join(unknown, ", "))
	}
	return nil
}

// tasks reads what is asked for from the request's fields, or from the deprecated ones if only these are filled.
func (s *service) tasks(request *pb.ExecutionRequest) (tasks []task, unknown []string) {
	find := func(a *pb.Algorithm) (*definition, bool) {
		d, ok := s.algorithms[algorithmKey{a.GetName(), a.GetVersion()}]
		if !ok {
			unknown = append(unknown, fmt.Sprintf("%s %s", a.GetName(), a.GetVersion()))
		}
		return d, ok
	}
	for _, asked := range request.GetAlgorithmExecutions() {
		if d, ok := find(asked.GetAlgorithm()); ok {
			tasks = append(tasks, task{definition: d, asked: asked})
		}
	}
	if len(request.GetAlgorithmExecutions()) > 0 {
		return tasks, unknown
	}
	//nolint:staticcheck // deprecated, and all that older cores fill
	algorithms, results := request.GetAlgorithms(), deprecatedResults{results: request.GetAlgorithmResults()}
	for _, a := range algorithms {
		if d, ok := find(a); ok {
			results.add(a, d.needs)
			tasks = append(tasks, task{definition: d, asked: &pb.ExecuteAlgorithm{Algorithm: a}})
		}
	}
	for i, t := range tasks {
		tasks[i].asked = results.execution(t.asked.GetAlgorithm(), t.definition.needs)
	}
	return tasks, unknown
}

// runAll runs tasks, each in a goroutine that holds a slot until its result is sent, and returns when all have ended.
func (s *service) runAll(
	ctx context.Context, request *pb.ExecutionRequest, tasks []task, send func(*pb.ExecutionResult) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan *pb.ExecutionResult)
	go func() {
		defer close(results)
		var running sync.WaitGroup
		defer running.Wait()
		for _, t := range tasks {
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			running.Go(func() {
				defer func() { <-s.slots }()
				s.perform(ctx, request, t, results)
			})
		}
	}()
	var failure error
	for result := range results {
		if failure == nil {
			failure = send(result)
		}
		if failure != nil {
			cancel()
		}
	}
	if failure == nil && ctx.Err() != nil {
		failure = status.FromContextError(ctx.Err()).Err()
	}
	return failure
}

// errEnded is the failure of an algorithm that called runtime.Goexit, as the failing methods of a testing.T do.
var errEnded = errors.New("the algorithm ended its goroutine instead of returning")

// perform runs one task and passes on its result, whatever the algorithm does.
func (s *service) perform(
	ctx context.Context, request *pb.ExecutionRequest, t task, results chan<- *pb.ExecutionResult,
) {
	var result *pb.Result
	var err error
	s.active.Add(1)
	defer func() {
		s.active.Add(-1)
		if result == nil {
			result, err = failed(errEnded), errEnded
		}
		s.report(ctx, request.GetWindow(), t.definition, result.GetStatus(), err)
		results <- &pb.ExecutionResult{
			ExecId: request.GetExecId(),
			AlgorithmResult: &pb.AlgorithmResult{
				Algorithm: &pb.Algorithm{Name: t.definition.id.Name, Version: t.definition.id.Version},
				Result:    result,
				Window:    withoutMetadata(request.GetWindow()),
			},
		}
	}()
	result, err = t.definition.execute(ctx, execution{window: request.GetWindow(), asked: t.asked, emit: s.emit})
}

// withoutMetadata is the window as results name it. Its metadata can be large, and is not to be stored in part.
func withoutMetadata(w *pb.Window) *pb.Window {
	return &pb.Window{
		TimeFrom: w.GetTimeFrom(), TimeTo: w.GetTimeTo(),
		WindowTypeName: w.GetWindowTypeName(), WindowTypeVersion: w.GetWindowTypeVersion(),
		Origin: w.GetOrigin(),
	}
}

// report writes down what the developer of an algorithm wants to see. The core gets the same in the result.
func (s *service) report(
	ctx context.Context, window *pb.Window, d *definition, status pb.ResultStatus, err error,
) {
	if err == nil || ctx.Err() != nil {
		return
	}
	level := slog.LevelWarn
	if status == pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED {
		level = slog.LevelDebug
	}
	s.log.Log(ctx, level, "algorithm failed", "algorithm", d.id.Name, "version", d.id.Version,
		"from", window.GetTimeFrom().AsTime(), "to", window.GetTimeTo().AsTime(), "error", err)
}
