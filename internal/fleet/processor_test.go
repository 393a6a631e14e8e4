package fleet_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// processor is a scripted processor: the test is handed each request and answers it step by step.
type processor struct {
	pb.UnimplementedOrcaProcessorServer
	address string
	server  *grpc.Server
	// asked gets each request; its handler then does what the test says.
	asked chan *asked
	// health answers health checks; SERVING until it is set.
	health atomic.Pointer[func(context.Context) (*pb.HealthCheckResponse, error)]
	checks atomic.Int64
}

// serve starts a processor on the listener. It ends with the test.
func serve(t *testing.T, l net.Listener, address string, options ...grpc.ServerOption) *processor {
	p := &processor{address: address, server: grpc.NewServer(options...), asked: make(chan *asked)}
	pb.RegisterOrcaProcessorServer(p.server, p)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = p.server.Serve(l)
	}()
	t.Cleanup(func() {
		p.server.Stop()
		<-served
	})
	return p
}

// kill breaks all connections and stops listening.
func (p *processor) kill() { p.server.Stop() }

func (p *processor) HealthCheck(ctx context.Context, _ *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	p.checks.Add(1)
	if answer := p.health.Load(); answer != nil {
		return (*answer)(ctx)
	}
	return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
}

func (p *processor) answerHealth(answer func(context.Context) (*pb.HealthCheckResponse, error)) {
	p.health.Store(&answer)
}

func (p *processor) answerStatus(s pb.HealthCheckResponse_Status) {
	p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
		return &pb.HealthCheckResponse{Status: s}, nil
	})
}

// asked is one request in the hands of the test.
type asked struct {
	by     *processor
	req    *pb.ExecutionRequest
	stream grpc.ServerStreamingServer[pb.ExecutionResult]
	ended  chan error
}

func (p *processor) ExecuteDagPart(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	a := &asked{by: p, req: req, stream: stream, ended: make(chan error, 1)}
	select {
	case p.asked <- a:
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
	select {
	case err := <-a.ended:
		return err
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

// names of the algorithms that the request asks for, in order.
func (a *asked) names() []string {
	var names []string
	for _, x := range a.req.GetAlgorithmExecutions() {
		names = append(names, x.GetAlgorithm().GetName())
	}
	return names
}

// send streams one message.
func (a *asked) send(t *testing.T, m *pb.ExecutionResult) {
	t.Helper()
	if err := a.stream.Send(m); err != nil {
		t.Fatalf("send a result: %v", err)
	}
}

// answer streams a result for one algorithm.
func (a *asked) answer(t *testing.T, name string, value float32) {
	t.Helper()
	a.send(t, resultOf(a.req.GetExecId(), name, value))
}

// end ends the stream, with a status or in order.
func (a *asked) end(err error) { a.ended <- err }

// succeed answers everything and ends the stream.
func (a *asked) succeed(t *testing.T) {
	t.Helper()
	for i, name := range a.names() {
		a.answer(t, name, float32(i))
	}
	a.end(nil)
}

// resultOf is a result as existing SDKs send it: without the window, and of the algorithm name and version only.
func resultOf(execID, name string, value float32) *pb.ExecutionResult {
	return &pb.ExecutionResult{ExecId: execID, AlgorithmResult: &pb.AlgorithmResult{
		Algorithm: &pb.Algorithm{Name: name, Version: "1.0.0"},
		Result: &pb.Result{
			Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: 1,
			ResultData: &pb.Result_SingleValue{SingleValue: value},
		},
	}}
}

// answerAll makes the processor succeed with everything from now on, without asking the test.
func (p *processor) answerAll(t *testing.T) {
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case a := <-p.asked:
				for _, name := range a.names() {
					_ = a.stream.Send(resultOf(a.req.GetExecId(), name, 1)) // fails when the processor was killed
				}
				a.end(nil)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
}
