package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// registering is how long a processor tries to reach its core.
const registering = 30 * time.Second

// ServeProcessor serves a processor of a shape until in ends, which tells that whoever started it is gone, or ctx ends.
// It is made from the contract's stubs alone, so that no SDK's cost is in what is measured. It reports on out: a line
// with its address once it has registered, then a record for each execution.
func ServeProcessor(ctx context.Context, core string, shape Shape, name string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server, p := grpc.NewServer(), &processor{started: time.Now(), out: out}
	pb.RegisterOrcaProcessorServer(server, p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Stop()
	begun := now()
	if err := announce(ctx, core, shape.registration(name, listener.Addr().String())); err != nil {
		return err
	}
	if err := p.report(record{node: registered, at: begun}.append(nil)); err != nil {
		return err
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	}
}

func announce(ctx context.Context, core string, r *pb.ProcessorRegistration) error {
	conn, err := grpc.NewClient("passthrough:///"+core, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", core, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, registering)
	defer cancel()
	answer, err := pb.NewOrcaCoreClient(conn).RegisterProcessor(ctx, r, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("register %s at %s: %w", r.GetName(), core, err)
	}
	if !answer.GetReceived() {
		return fmt.Errorf("register %s at %s: refused: %s", r.GetName(), core, answer.GetMessage())
	}
	return nil
}

// processor computes, for each algorithm, one more than the sum of the present results that it takes.
type processor struct {
	pb.UnimplementedOrcaProcessorServer
	started time.Time
	mu      sync.Mutex // held while out is written to
	out     io.Writer
}

func (p *processor) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{
		Status:  pb.HealthCheckResponse_STATUS_SERVING,
		Metrics: &pb.ProcessorMetrics{UptimeSeconds: int64(time.Since(p.started).Seconds())},
	}, nil
}

func (p *processor) ExecuteDagPart(r *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	reports := make([]byte, 0, recordSize*len(r.GetAlgorithmExecutions()))
	for _, execution := range r.GetAlgorithmExecutions() {
		number, err := nodeOf(execution.GetAlgorithm())
		if err != nil {
			return err
		}
		if err := stream.Send(result(r, execution)); err != nil {
			return err
		}
		reports = record{window: numberOf(r.GetWindow()), node: number, at: now()}.append(reports)
	}
	return p.report(reports)
}

func (p *processor) report(records []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(records)
	return err
}

func result(r *pb.ExecutionRequest, execution *pb.ExecuteAlgorithm) *pb.ExecutionResult {
	sum := float32(1)
	for _, d := range execution.GetDependencies() {
		if rows := d.GetResult(); len(rows) > 0 {
			sum += rows[0].GetResult().GetSingleValue()
		}
	}
	return &pb.ExecutionResult{ExecId: r.GetExecId(), AlgorithmResult: &pb.AlgorithmResult{
		Algorithm: execution.GetAlgorithm(), Window: r.GetWindow(),
		Result: &pb.Result{
			Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: time.Now().Unix(),
			ResultData: &pb.Result_SingleValue{SingleValue: sum},
		},
	}}
}

// nodeOf is the number of an algorithm in its shape, which its name ends with.
func nodeOf(a *pb.Algorithm) (int, error) {
	name := a.GetName()
	digits := strings.TrimLeftFunc(name, func(r rune) bool { return r < '0' || r > '9' })
	i, err := strconv.Atoi(digits)
	if err != nil {
		return 0, errors.New("not an algorithm of this processor: " + name)
	}
	return i, nil
}
