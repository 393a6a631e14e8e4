// Package fakecore is a scripted core for the SDK's tests. It speaks the contract over real gRPC on the loopback,
// keeps nothing, and knows no rule of a real core: a test says how it answers.
package fakecore

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Script says how a core answers. A function that is nil gives the answer that its comment names.
type Script struct {
	// Register: received.
	Register func(*pb.ProcessorRegistration) (*pb.Status, error)
	// Expose: nothing.
	Expose func() (*pb.InternalState, error)
	// Emit: processing triggered.
	Emit func(context.Context, *pb.Window) (*pb.WindowEmitStatus, error)
	// Processors: UNIMPLEMENTED, as from a core that has no console.
	Processors func(*pb.ListProcessorsRequest) (*pb.ListProcessorsResponse, error)
	// Results: UNIMPLEMENTED.
	Results func(*pb.ListResultsRequest) (*pb.ListResultsResponse, error)
	// Window: UNIMPLEMENTED.
	Window func(*pb.GetWindowRequest) (*pb.GetWindowResponse, error)
	// Inputs: UNIMPLEMENTED.
	Inputs func(*pb.ListInputsRequest) (*pb.ListInputsResponse, error)
	// Watch: UNIMPLEMENTED.
	Watch func(*pb.WatchWindowRequest, grpc.ServerStreamingServer[pb.WatchWindowResponse]) error
	// Retry: UNIMPLEMENTED.
	Retry func(context.Context, *pb.RetryWindowRequest) (*pb.RetryWindowResponse, error)
	// Reprocess: UNIMPLEMENTED.
	Reprocess func(context.Context, *pb.ReprocessWindowRequest) (*pb.ReprocessWindowResponse, error)
	// Cancel: UNIMPLEMENTED.
	Cancel func(context.Context, *pb.CancelWindowRequest) (*pb.CancelWindowResponse, error)
}

// console says whether the core has a console at all.
func (s Script) console() bool {
	return s.Processors != nil || s.Results != nil || s.Window != nil || s.Inputs != nil || s.Watch != nil || s.Retry != nil || s.Reprocess != nil || s.Cancel != nil
}

// Core is a running fake.
type Core struct {
	// Addr is where it listens, as host:port. It stays the same when the core is stopped and started again.
	Addr string
	// Registered gets every registration, once it is answered. It holds 64 and drops what is beyond.
	Registered chan *pb.ProcessorRegistration

	script Script
	opts   []grpc.ServerOption
	gate   *gate

	mu     sync.Mutex // guards what follows
	server *grpc.Server
	served chan struct{}
}

// New runs a fake core until Close.
func New(script Script, opts ...grpc.ServerOption) (*Core, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fake core: %w", err)
	}
	c := &Core{
		Addr:       listener.Addr().String(),
		Registered: make(chan *pb.ProcessorRegistration, 64),
		script:     script,
		opts:       opts,
		gate:       openGate(listener),
	}
	c.Restart()
	return c, nil
}

// Start runs a fake core until the test ends.
func Start(tb testing.TB, script Script, opts ...grpc.ServerOption) *Core {
	tb.Helper()
	c, err := New(script, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Close ends the core for good.
func (c *Core) Close() {
	c.Stop()
	c.gate.close()
}

// Stop ends the core and cuts its connections. New ones are cut at once, until Restart.
func (c *Core) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		c.server.Stop()
		<-c.served
		c.server = nil
	}
}

// Restart starts a stopped core at its old address.
func (c *Core) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	server, served := grpc.NewServer(c.opts...), make(chan struct{})
	pb.RegisterOrcaCoreServer(server, &core{fake: c})
	if c.script.console() {
		pb.RegisterOrcaConsoleServer(server, &console{fake: c})
	}
	entrance := c.gate.entrance()
	go func() {
		defer close(served)
		_ = server.Serve(entrance)
	}()
	c.server, c.served = server, served
}

// Dial connects to a processor, as a core does.
func Dial(tb testing.TB, addr string) pb.OrcaProcessorClient {
	tb.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		tb.Fatalf("dial processor: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return pb.NewOrcaProcessorClient(conn)
}

type core struct {
	pb.UnimplementedOrcaCoreServer
	fake *Core
}

func (s *core) RegisterProcessor(_ context.Context, r *pb.ProcessorRegistration) (*pb.Status, error) {
	answer, err := &pb.Status{Received: true}, error(nil)
	if s.fake.script.Register != nil {
		answer, err = s.fake.script.Register(r)
	}
	select {
	case s.fake.Registered <- r:
	default:
	}
	return answer, err
}

func (s *core) Expose(context.Context, *pb.ExposeSettings) (*pb.InternalState, error) {
	if s.fake.script.Expose == nil {
		return &pb.InternalState{}, nil
	}
	return s.fake.script.Expose()
}

func (s *core) EmitWindow(ctx context.Context, w *pb.Window) (*pb.WindowEmitStatus, error) {
	if s.fake.script.Emit == nil {
		return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_PROCESSING_TRIGGERED}, nil
	}
	return s.fake.script.Emit(ctx, w)
}

type console struct {
	pb.UnimplementedOrcaConsoleServer
	fake *Core
}

var errNotScripted = status.Error(codes.Unimplemented, "not scripted")

func (s *console) ListProcessors(_ context.Context, r *pb.ListProcessorsRequest) (*pb.ListProcessorsResponse, error) {
	if s.fake.script.Processors == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Processors(r)
}

func (s *console) ListResults(_ context.Context, r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
	if s.fake.script.Results == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Results(r)
}

func (s *console) GetWindow(_ context.Context, r *pb.GetWindowRequest) (*pb.GetWindowResponse, error) {
	if s.fake.script.Window == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Window(r)
}

func (s *console) ListInputs(_ context.Context, r *pb.ListInputsRequest) (*pb.ListInputsResponse, error) {
	if s.fake.script.Inputs == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Inputs(r)
}

func (s *console) WatchWindow(
	r *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse],
) error {
	if s.fake.script.Watch == nil {
		return errNotScripted
	}
	return s.fake.script.Watch(r, stream)
}
