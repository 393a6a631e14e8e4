package orcatest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Algorithm is one that a scripted processor announces and runs.
type Algorithm struct {
	*pb.Algorithm
	// Run gives the result; nil gives Value(1).
	Run func(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error)
}

// Processor is a scripted processor on a port of its own. The algorithms of one request run at the same time, each
// result is sent as soon as it is there.
type Processor struct {
	pb.UnimplementedOrcaProcessorServer
	Name string
	// Address is host:port.
	Address string

	tb     testing.TB
	server *grpc.Server

	mu         sync.Mutex
	algorithms []Algorithm
	byID       map[[2]string]Algorithm // by name and version; the first of each
	requests   []*pb.ExecutionRequest
	status     pb.HealthCheckResponse_Status
	forgetful  bool
	asked      func(context.Context) // nil when nobody wants to know
}

// NewProcessor serves algorithms until the test ends, without registering them.
func NewProcessor(tb testing.TB, name string, algorithms ...Algorithm) *Processor {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Processor{Name: name, Address: l.Addr().String(), tb: tb, algorithms: algorithms, status: pb.HealthCheckResponse_STATUS_SERVING}
	p.byID = make(map[[2]string]Algorithm, len(algorithms))
	for _, a := range slices.Backward(algorithms) {
		p.byID[[2]string{a.GetName(), a.GetVersion()}] = a
	}
	p.server = grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20))
	pb.RegisterOrcaProcessorServer(p.server, p)
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(l) }()
	tb.Cleanup(func() {
		p.server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // killed before it served
			tb.Errorf("processor %s: %v", name, err)
		}
	})
	return p
}

// Processor serves algorithms and registers them, and fails the test when they are refused.
func (c *Core) Processor(name string, algorithms ...Algorithm) *Processor {
	c.tb.Helper()
	p := NewProcessor(c.tb, name, algorithms...)
	if _, err := c.Register(p); err != nil {
		c.tb.Fatalf("register %s: %v", name, err)
	}
	return p
}

// Register announces a processor as it is.
func (c *Core) Register(p *Processor) (*pb.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return c.RegisterProcessor(ctx, p.Registration())
}

// Registration is what the processor announces.
func (p *Processor) Registration() *pb.ProcessorRegistration {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &pb.ProcessorRegistration{Name: p.Name, Runtime: "go-test", ConnectionStr: p.Address}
	for _, a := range p.algorithms {
		r.SupportedAlgorithms = append(r.SupportedAlgorithms, a.Algorithm)
	}
	return r
}

// SetStatus sets what health checks are answered.
func (p *Processor) SetStatus(s pb.HealthCheckResponse_Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = s
}

// Requests returns what was asked so far, in the order of arrival.
func (p *Processor) Requests() []*pb.ExecutionRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Forget stops keeping requests, for tests with very many, and returns the processor.
func (p *Processor) Forget() *Processor {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetful = true
	return p
}

// Kill stops serving at once and cuts off what is under way.
func (p *Processor) Kill() { p.server.Stop() }

// OnHealthCheck has each health check told to a function before it is answered.
func (p *Processor) OnHealthCheck(asked func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = asked
}

// HealthCheck answers the status that was set.
func (p *Processor) HealthCheck(ctx context.Context, _ *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil {
		p.asked(ctx)
	}
	return &pb.HealthCheckResponse{Status: p.status}, nil
}

// ExecuteDagPart runs what is asked.
func (p *Processor) ExecuteDagPart(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	p.mu.Lock()
	if !p.forgetful {
		p.requests = append(p.requests, req)
	}
	p.mu.Unlock()
	type answer struct {
		result *pb.ExecutionResult
		err    error
	}
	answers := make(chan answer, len(req.GetAlgorithmExecutions()))
	for _, x := range req.GetAlgorithmExecutions() {
		go func() {
			result, err := p.runOne(stream.Context(), req, x)
			answers <- answer{result, err}
		}()
	}
	for range req.GetAlgorithmExecutions() {
		select {
		case a := <-answers:
			if a.err != nil {
				return a.err
			}
			if err := stream.Send(a.result); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
	return nil
}

func (p *Processor) runOne(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.ExecutionResult, error) {
	id := x.GetAlgorithm()
	result, err := Value(1), error(nil)
	if run := p.byID[[2]string{id.GetName(), id.GetVersion()}].Run; run != nil {
		result, err = run(ctx, req, x)
	}
	if err != nil {
		return nil, err
	}
	return &pb.ExecutionResult{ExecId: req.GetExecId(), AlgorithmResult: &pb.AlgorithmResult{
		Algorithm: &pb.Algorithm{Name: id.GetName(), Version: id.GetVersion()}, Result: result,
	}}, nil
}

// Value returns a successful single value.
func Value(v float32) *pb.Result {
	return &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, ResultData: &pb.Result_SingleValue{SingleValue: v}, Timestamp: time.Now().Unix()}
}

// Define returns the definition of an algorithm with a single value at version 1.0.0, triggered by the window type
// typeName 1.0.0.
func Define(typeName, name string, needs ...*pb.AlgorithmDependency) *pb.Algorithm {
	return &pb.Algorithm{
		Name: name, Version: "1.0.0", Description: name, ResultType: pb.ResultType_VALUE,
		WindowType:   &pb.WindowType{Name: typeName, Version: "1.0.0", Description: typeName},
		Dependencies: needs,
	}
}

// On returns a dependency on version 1.0.0 of an algorithm.
func On(processor, name string) *pb.AlgorithmDependency {
	return &pb.AlgorithmDependency{Name: name, Version: "1.0.0", ProcessorName: processor, ProcessorRuntime: "go-test"}
}
