package fleet_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// trivial answers every request at once.
type trivial struct {
	pb.UnimplementedOrcaProcessorServer
}

func (trivial) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
}

func (trivial) ExecuteDagPart(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	for _, x := range req.GetAlgorithmExecutions() {
		if err := stream.Send(&pb.ExecutionResult{ExecId: req.GetExecId(), AlgorithmResult: &pb.AlgorithmResult{
			Algorithm: &pb.Algorithm{Name: x.GetAlgorithm().GetName(), Version: x.GetAlgorithm().GetVersion()},
			Result: &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: 1,
				ResultData: &pb.Result_SingleValue{SingleValue: 1}},
		}}); err != nil {
			return err
		}
	}
	return nil
}

func serveTrivial(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterOrcaProcessorServer(s, trivial{})
	go func() { _ = s.Serve(l) }()
	b.Cleanup(s.Stop)
	return l.Addr().String()
}

var benched = orca.Algorithm{
	ID:         orca.AlgorithmID{Processor: "bench", Name: "Mean", Version: "1.0.0"},
	WindowType: orca.WindowType{ID: orca.WindowTypeID{Name: "Minute", Version: "1.0.0"}},
	ResultType: orca.ResultValue,
}

// BenchmarkCalls measures calls of one algorithm, with so many submitted at a time.
func BenchmarkCalls(b *testing.B) {
	for _, outstanding := range []int{1, 32, 1024} {
		b.Run(fmt.Sprintf("outstanding=%d", outstanding), func(b *testing.B) { benchmarkCalls(b, outstanding, 1) })
	}
}

// BenchmarkInstances measures the choice among many instances.
func BenchmarkInstances(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("instances=%d", n), func(b *testing.B) { benchmarkCalls(b, 1024, n) })
	}
}

func benchmarkCalls(b *testing.B, outstanding, instances int) {
	f := fleet.New(fleet.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	defer running.Wait()
	defer cancel()
	announced := make([]orca.Instance, instances)
	for i := range announced {
		address := serveTrivial(b)
		announced[i] = orca.Instance{
			Address: address, Connection: address, Processor: "bench", RegisteredAt: 1,
			Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{benched.ID: {1}},
		}
	}
	f.Sync(announced)

	places := make(chan struct{}, outstanding)
	submit := func(position int, done func()) {
		f.Submit(&orca.Call{
			Position: orca.Position(position), Processor: "bench",
			Algorithms: []orca.CalledAlgorithm{{ID: benched.ID, Definition: orca.DefinitionHash{1}}},
			Build: func(context.Context, []orca.CalledAlgorithm) (*orca.Execution, error) {
				w := orca.Window{Type: benched.WindowType.ID, From: 1, To: 2, Origin: "bench"}
				return &orca.Execution{Input: w, Stored: w, Algorithms: []orca.AlgorithmExecution{{Algorithm: &benched}}}, nil
			},
			Result: func(context.Context, orca.AlgorithmID, orca.Result) { done() },
			End:    func(e orca.CallEnd) { panic(e.Kind.String() + ": " + e.Reason) },
		})
	}
	warm := make(chan struct{})
	submit(1, func() { close(warm) })
	<-warm
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		places <- struct{}{}
		submit(i+2, func() { <-places })
	}
	for range outstanding {
		places <- struct{}{}
	}
	b.StopTimer()
}

// BenchmarkBareGRPC is the ceiling: the same request and answer through the generated client, 32 at a time.
func BenchmarkBareGRPC(b *testing.B) {
	conn, err := grpc.NewClient(serveTrivial(b), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := pb.NewOrcaProcessorClient(conn)
	req := &pb.ExecutionRequest{ExecId: "x", AlgorithmExecutions: []*pb.ExecuteAlgorithm{{Algorithm: &pb.Algorithm{Name: "Mean", Version: "1.0.0"}}}}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			stream, err := client.ExecuteDagPart(context.Background(), req)
			if err != nil {
				b.Error(err)
				return
			}
			for err == nil {
				_, err = stream.Recv()
			}
		}
	})
}
