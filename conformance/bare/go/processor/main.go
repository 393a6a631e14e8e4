// Command processor is an Orca processor made from the generated stubs alone, as peers without our SDKs are. The
// README of conformance/bare says what the programs of all languages do; this one is the Go one.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func main() {
	core := flag.String("core", os.Getenv("ORCA_CORE"), "host:port of the core")
	name := flag.String("name", "bare-go", "name of this processor")
	fields := flag.String("fields", "new", "request fields to read: new or old")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *core, *name, *fields); err != nil {
		fmt.Fprintln(os.Stderr, "processor:", err)
		os.Exit(1)
	}
}

// run serves until the context is cancelled, and registers once it listens.
func run(ctx context.Context, core, name, fields string) error {
	read, err := reader(fields)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	address := listener.Addr().String()

	p := &processor{read: read, out: json.NewEncoder(os.Stdout), started: time.Now()}
	server := grpc.NewServer()
	pb.RegisterOrcaProcessorServer(server, p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Stop()

	if err := register(ctx, core, name, address); err != nil {
		return err
	}
	p.print(map[string]string{"listening": address})
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		server.GracefulStop()
		return <-served
	}
}

func register(ctx context.Context, core, name, address string) error {
	conn, err := grpc.NewClient(core, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to the core at %s: %w", core, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, err := pb.NewOrcaCoreClient(conn).RegisterProcessor(ctx, registration(name, address))
	if err != nil {
		return fmt.Errorf("register at the core at %s: %w", core, err)
	}
	if !status.GetReceived() {
		return fmt.Errorf("the core at %s did not take the registration: %s", core, status.GetMessage())
	}
	return nil
}

func registration(name, address string) *pb.ProcessorRegistration {
	reading := &pb.WindowType{
		Name:           "Reading",
		Version:        "1.0.0",
		Description:    "A stretch of readings of one asset",
		MetadataFields: []*pb.MetadataField{{Name: "asset", Description: "The asset that was read"}},
	}
	algorithm := func(algorithm, description string, result pb.ResultType, dependencies ...string) *pb.Algorithm {
		a := &pb.Algorithm{
			Name:        algorithm,
			Version:     "1.0.0",
			WindowType:  reading,
			ResultType:  result,
			Description: description,
		}
		for _, d := range dependencies {
			a.Dependencies = append(a.Dependencies, &pb.AlgorithmDependency{
				Name: d, Version: "1.0.0", ProcessorName: name, ProcessorRuntime: runtime.Version(),
			})
		}
		return a
	}
	return &pb.ProcessorRegistration{
		Name:          name,
		Runtime:       runtime.Version(),
		ConnectionStr: address,
		SupportedAlgorithms: []*pb.Algorithm{
			algorithm("Mean", "The mean of the readings", pb.ResultType_VALUE),
			algorithm("Spread", "The lowest and the highest reading", pb.ResultType_ARRAY, "Mean"),
			algorithm("Report", "A report for people", pb.ResultType_STRUCT, "Mean", "Spread"),
		},
	}
}

// A task is one algorithm to run, with what it is given, whichever fields of the request said so.
type task struct {
	name, version string
	window        *pb.Window
	dependencies  []dependency
	self          []*pb.AlgorithmDependencyResultRow
}

type dependency struct {
	name, version string
	rows          []*pb.AlgorithmDependencyResultRow
}

func reader(fields string) (func(*pb.ExecutionRequest) []task, error) {
	switch fields {
	case "new":
		return newFields, nil
	case "old":
		return oldFields, nil
	}
	return nil, fmt.Errorf("--fields is %q; give new or old", fields)
}

func newFields(r *pb.ExecutionRequest) []task {
	var tasks []task
	for _, e := range r.GetAlgorithmExecutions() {
		t := task{
			name:    e.GetAlgorithm().GetName(),
			version: e.GetAlgorithm().GetVersion(),
			window:  r.GetWindow(),
			self:    e.GetSelfResults(),
		}
		for _, d := range e.GetDependencies() {
			t.dependencies = append(t.dependencies, dependency{d.GetAlgorithm().GetName(), d.GetAlgorithm().GetVersion(), d.GetResult()})
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// oldFields reads a request as processors did before algorithm_executions: every algorithm finds its dependencies
// among the results of the whole request, by name and version.
func oldFields(r *pb.ExecutionRequest) []task {
	var tasks []task
	for _, a := range r.GetAlgorithms() { //nolint:staticcheck // deprecated, and read by old processors
		t := task{name: a.GetName(), version: a.GetVersion(), window: r.GetWindow()}
		for _, d := range a.GetDependencies() {
			found := dependency{name: d.GetName(), version: d.GetVersion()}
			for _, res := range r.GetAlgorithmResults() { //nolint:staticcheck // deprecated, and read by old processors
				if res.GetAlgorithm().GetName() == d.GetName() && res.GetAlgorithm().GetVersion() == d.GetVersion() {
					found.rows = append(found.rows, &pb.AlgorithmDependencyResultRow{Result: res.GetResult(), Window: res.GetWindow()})
				}
			}
			t.dependencies = append(t.dependencies, found)
		}
		tasks = append(tasks, t)
	}
	return tasks
}

type processor struct {
	pb.UnimplementedOrcaProcessorServer
	read    func(*pb.ExecutionRequest) []task
	started time.Time

	mu  sync.Mutex // guards out: calls run at the same time
	out *json.Encoder
}

func (p *processor) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{
		Status:  pb.HealthCheckResponse_STATUS_SERVING,
		Message: "serving",
		Metrics: &pb.ProcessorMetrics{UptimeSeconds: int64(time.Since(p.started).Seconds())},
	}, nil
}

func (p *processor) ExecuteDagPart(r *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	for _, t := range p.read(r) {
		p.print(t.report(r.GetExecId()))
		// No window, and of the algorithm only what names it: so old SDKs answer.
		err := stream.Send(&pb.ExecutionResult{
			ExecId: r.GetExecId(),
			AlgorithmResult: &pb.AlgorithmResult{
				Algorithm: &pb.Algorithm{Name: t.name, Version: t.version},
				Result:    t.result(),
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *processor) print(line any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.Encode(line); err != nil {
		fmt.Fprintln(os.Stderr, "processor: print a line:", err)
	}
}

// result computes a number that shows what was given: the seconds of the window and the newest result of each
// dependency, added up.
func (t task) result() *pb.Result {
	n := float32(t.window.GetTimeTo().AsTime().Sub(t.window.GetTimeFrom().AsTime()).Seconds())
	for _, d := range t.dependencies {
		if len(d.rows) == 0 {
			return failure(t.name + " was given no result of " + d.name)
		}
		n += number(d.rows[0].GetResult())
	}
	result := &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: time.Now().Unix()}
	switch t.name {
	case "Mean":
		result.ResultData = &pb.Result_SingleValue{SingleValue: n}
	case "Spread":
		result.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{n - 1, n + 1}}}
	case "Report":
		result.ResultData = &pb.Result_StructValue{StructValue: &structpb.Struct{Fields: map[string]*structpb.Value{
			"asset": t.window.GetMetadata().GetFields()["asset"],
			"value": structpb.NewNumberValue(float64(n)),
		}}}
	default:
		return failure("there is no algorithm " + t.name)
	}
	return result
}

// number is a single value, or the sum of an array.
func number(r *pb.Result) float32 {
	n := r.GetSingleValue()
	for _, v := range r.GetFloatValues().GetValues() {
		n += v
	}
	return n
}

func failure(message string) *pb.Result {
	return &pb.Result{
		Status:    pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED,
		Timestamp: time.Now().Unix(),
		Error:     &structpb.Struct{Fields: map[string]*structpb.Value{"message": structpb.NewStringValue(message)}},
	}
}

// report is the line that says what the task was given.
func (t task) report(execID string) map[string]any {
	dependencies := make([]map[string]any, 0, len(t.dependencies))
	for _, d := range t.dependencies {
		dependencies = append(dependencies, map[string]any{"name": d.name, "version": d.version, "rows": rows(d.rows)})
	}
	return map[string]any{
		"executed":     t.name,
		"version":      t.version,
		"execId":       execID,
		"window":       window(t.window),
		"dependencies": dependencies,
		"self":         rows(t.self),
	}
}

func rows(in []*pb.AlgorithmDependencyResultRow) []map[string]any {
	out := make([]map[string]any, 0, len(in))
	for _, r := range in {
		row := map[string]any{"window": window(r.GetWindow()), "status": int32(r.GetResult().GetStatus())}
		switch data := r.GetResult().GetResultData().(type) {
		case *pb.Result_SingleValue:
			row["value"] = data.SingleValue
		case *pb.Result_FloatValues:
			row["array"] = data.FloatValues.GetValues()
		case *pb.Result_StructValue:
			row["struct"] = data.StructValue.AsMap()
		}
		out = append(out, row)
	}
	return out
}

// window gives times in nanoseconds since the epoch, as text, since JSON's numbers do not hold them in every language.
func window(w *pb.Window) map[string]any {
	return map[string]any{
		"type":     w.GetWindowTypeName(),
		"version":  w.GetWindowTypeVersion(),
		"origin":   w.GetOrigin(),
		"from":     strconv.FormatInt(w.GetTimeFrom().AsTime().UnixNano(), 10),
		"to":       strconv.FormatInt(w.GetTimeTo().AsTime().UnixNano(), 10),
		"metadata": w.GetMetadata().AsMap(),
	}
}
