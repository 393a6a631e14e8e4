package app_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// What the tests of the rules in docs/reference/behaviour have in common. Each such test drives a whole core over gRPC.

// window returns window i of the type.
func window(typeName string, i int) *pb.Window { return orcatest.Window(typeName, "1.0.0", i, nil) }

// plain is an algorithm that returns 1.
func plain(typeName, name string, needs ...*pb.AlgorithmDependency) orcatest.Algorithm {
	return orcatest.Algorithm{Algorithm: orcatest.Define(typeName, name, needs...)}
}

// announce registers algorithms of a processor at an address, and returns what the core says to it.
func announce(core *orcatest.Core, processor, address string, algorithms ...*pb.Algorithm) (message string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), orcatest.Patience)
	defer cancel()
	s, err := core.RegisterProcessor(ctx, &pb.ProcessorRegistration{
		Name: processor, Runtime: "go-test", ConnectionStr: address, SupportedAlgorithms: algorithms,
	})
	return s.GetMessage(), err
}

// announced fails the test when the registration is refused.
func announced(t *testing.T, core *orcatest.Core, processor, address string, algorithms ...*pb.Algorithm) (message string) {
	t.Helper()
	message, err := announce(core, processor, address, algorithms...)
	if err != nil {
		t.Fatalf("register %s at %s: %v", processor, address, err)
	}
	return message
}

// states returns the state of every algorithm that a core lists, by "processor/name".
func states(t *testing.T, core *orcatest.Core) map[string]string {
	t.Helper()
	list, err := core.ListAlgorithms(t.Context(), &pb.ListAlgorithmsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, a := range list.GetAlgorithms() {
		states[a.GetProcessor()+"/"+a.GetAlgorithm().GetName()] = strings.ToLower(strings.TrimPrefix(a.GetState().String(), "ALGORITHM_STATE_"))
	}
	return states
}

// eventually waits for what nothing tells of but asking.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(orcatest.Patience)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it never came that %s", what)
		}
	}
}

// receive waits for a signal.
func receive[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(orcatest.Patience):
		t.Fatalf("it never came that %s", what)
	}
	return v
}

// executed returns how often a processor was asked for each of its algorithms.
func executed(p *orcatest.Processor) map[string]int {
	n := map[string]int{}
	for _, r := range p.Requests() {
		for _, x := range r.GetAlgorithmExecutions() {
			n[x.GetAlgorithm().GetName()]++
		}
	}
	return n
}

// program is a server at an address that does with requests what the test says, unlike a well-behaved processor.
type program struct {
	pb.UnimplementedOrcaProcessorServer
	address string
	server  *grpc.Server

	mu      sync.Mutex
	execute func(*pb.ExecutionRequest, grpc.ServerStreamingServer[pb.ExecutionResult]) error
	health  func(context.Context) (*pb.HealthCheckResponse, error)
	asked   []*pb.ExecutionRequest
}

type executeFunc = func(*pb.ExecutionRequest, grpc.ServerStreamingServer[pb.ExecutionResult]) error

// listenAt takes a free port for "", or the port of one that was killed.
func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serveProgram serves until the test ends; address is "" for a free port.
func serveProgram(t *testing.T, address string, execute executeFunc, options ...grpc.ServerOption) *program {
	t.Helper()
	l := listenAt(t, address)
	p := &program{address: l.Addr().String(), server: grpc.NewServer(options...), execute: execute}
	pb.RegisterOrcaProcessorServer(p.server, p)
	serveUntilEnd(t, p.server, l)
	return p
}

func serveUntilEnd(t *testing.T, s *grpc.Server, l net.Listener) {
	t.Helper()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l) // says no more than that it was stopped
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
}

func (p *program) answerHealth(f func(context.Context) (*pb.HealthCheckResponse, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health = f
}

func (p *program) do(execute executeFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.execute = execute
}

func (p *program) requests() []*pb.ExecutionRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *program) HealthCheck(ctx context.Context, _ *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	p.mu.Lock()
	health := p.health
	p.mu.Unlock()
	if health != nil {
		return health(ctx)
	}
	return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
}

func (p *program) ExecuteDagPart(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	p.mu.Lock()
	p.asked = append(p.asked, req)
	execute := p.execute
	p.mu.Unlock()
	return execute(req, stream)
}

// resultOf is a result as a processor streams it.
func resultOf(execID, name string, r *pb.Result) *pb.ExecutionResult {
	return &pb.ExecutionResult{ExecId: execID, AlgorithmResult: &pb.AlgorithmResult{
		Algorithm: &pb.Algorithm{Name: name, Version: "1.0.0"}, Result: r,
	}}
}

// succeed answers everything that is asked with 1.
func succeed(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	for _, x := range req.GetAlgorithmExecutions() {
		if err := stream.Send(resultOf(req.GetExecId(), x.GetAlgorithm().GetName(), orcatest.Value(1))); err != nil {
			return err
		}
	}
	return nil
}
