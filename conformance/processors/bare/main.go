// A test processor that is made from the contract's generated stubs alone, as peers without our SDKs are: it is what its
// script says. README.md of conformance has the rules. It reads the fields of requests that it is told to: the new ones, or
// the deprecated ones alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/orca-telemetry/orca/conformance/script"
	pb "github.com/orca-telemetry/orca/contract/go"
)

func main() {
	fields := flag.String("fields", "new", "request fields to read: new or old")
	flag.Parse()
	if err := run(*fields); err != nil {
		fmt.Fprintln(os.Stderr, "processor:", err)
		os.Exit(1)
	}
}

func run(fields string) error {
	read := map[string]func(*pb.ExecutionRequest) []task{"new": newFields, "old": oldFields}[fields]
	if read == nil {
		return fmt.Errorf("--fields is %q; give new or old", fields)
	}
	s, err := script.Load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:"+os.Getenv("PROCESSOR_PORT"))
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(os.Getenv("ORCA_CORE"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer conn.Close()
	p := newProcessor(s, read, pb.NewOrcaCoreClient(conn))
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	pb.RegisterOrcaProcessorServer(server, p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Stop()
	if err := register(ctx, p.core, s, listener.Addr().String()); err != nil {
		return err
	}
	fmt.Println("registered")
	for {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			server.GracefulStop()
			return <-served
		case <-p.heard:
		case <-time.After(silence): // the core may have lost what it was told
			if err := register(ctx, p.core, s, listener.Addr().String()); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// silence is how long the core may not ask for the health of a processor that it knows.
const silence = 3 * time.Second

func register(ctx context.Context, core pb.OrcaCoreClient, s script.Script, address string) error {
	registration := &pb.ProcessorRegistration{
		Name: s.Processor, Runtime: runtime.Version(), ConnectionStr: address, ProjectName: os.Getenv("PROJECT_NAME"),
	}
	for _, a := range s.Algorithms {
		registration.SupportedAlgorithms = append(registration.SupportedAlgorithms, a.Proto(runtime.Version()))
	}
	status, err := core.RegisterProcessor(ctx, registration)
	if err == nil && !status.GetReceived() {
		err = errors.New(status.GetMessage())
	}
	return err
}

// A task is one algorithm to run, with what it is given, whichever fields of the request said so.
type task struct {
	algorithm *pb.Algorithm
	window    *pb.Window
	needs     [][]*pb.AlgorithmDependencyResultRow
	self      []*pb.AlgorithmDependencyResultRow
}

func newFields(r *pb.ExecutionRequest) (tasks []task) {
	for _, e := range r.GetAlgorithmExecutions() {
		t := task{algorithm: e.GetAlgorithm(), window: r.GetWindow(), self: e.GetSelfResults()}
		for _, d := range e.GetDependencies() {
			t.needs = append(t.needs, d.GetResult())
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// oldFields reads a request as processors did before algorithm_executions: every algorithm finds its dependencies among
// the results of the whole request, by name and version.
func oldFields(r *pb.ExecutionRequest) (tasks []task) {
	for _, a := range r.GetAlgorithms() { //nolint:staticcheck // deprecated, and read by old processors
		t := task{algorithm: a, window: r.GetWindow()}
		for _, d := range a.GetDependencies() {
			var rows []*pb.AlgorithmDependencyResultRow
			for _, given := range r.GetAlgorithmResults() { //nolint:staticcheck // deprecated, and read by old processors
				if given.GetAlgorithm().GetName() == d.GetName() && given.GetAlgorithm().GetVersion() == d.GetVersion() {
					rows = append(rows, &pb.AlgorithmDependencyResultRow{Result: given.GetResult(), Window: given.GetWindow()})
				}
			}
			t.needs = append(t.needs, rows)
		}
		tasks = append(tasks, t)
	}
	return tasks
}

func emit(ctx context.Context, core pb.OrcaCoreClient, w script.Window) error {
	window, err := w.Proto()
	if err != nil {
		return err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", "bare-"+w.Origin)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = core.EmitWindow(ctx, window)
	return err
}
