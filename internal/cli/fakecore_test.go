package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// fakeCore is a core with scripted answers, behind the real gRPC stack.
type fakeCore struct {
	pb.UnimplementedOrcaConsoleServer
	pb.UnimplementedOrcaCoreServer

	processors []*pb.ProcessorInfo
	algorithms []*pb.AlgorithmInfo
	windows    []*pb.WindowInfo
	window     map[string]*pb.GetWindowResponse
	inputs     []*pb.Input
	results    []*pb.ResultInfo
	status     *pb.GetStatusResponse
	// perPage is how many rows a page has at most; 0 means as many as asked for.
	perPage int
	// emit answers the n-th emit, from 0; it may send a header.
	emit func(ctx context.Context, n int) (*pb.WindowEmitStatus, error)
	// watch plays the n-th stream, from 0.
	watch func(n int, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error
	// orders answers what makes runs, ends them and forgets.
	orders

	mu       sync.Mutex
	asked    []proto.Message
	keys     []string
	watching int
}

// start serves the core on a port of its own until the test ends, and returns its address.
func (f *fakeCore) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, f, f)
	return l.Addr().String()
}

// startConsole serves a console of a test's own, on a port of its own.
func startConsole(t *testing.T, console pb.OrcaConsoleServer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, console, &fakeCore{})
	return l.Addr().String()
}

// startCore serves a core of a test's own, on a port of its own.
func startCore(t *testing.T, core pb.OrcaCoreServer) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, &fakeCore{}, core)
	return l.Addr().String()
}

func serve(t *testing.T, l net.Listener, console pb.OrcaConsoleServer, core pb.OrcaCoreServer, options ...grpc.ServerOption) {
	server := grpc.NewServer(options...)
	pb.RegisterOrcaConsoleServer(server, console)
	pb.RegisterOrcaCoreServer(server, core)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
}

func (f *fakeCore) note(m proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, proto.Clone(m))
}

// questions returns what the core was asked so far.
func (f *fakeCore) questions() []proto.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// page cuts a page from rows; its token is the index of the next row.
func page[T any](f *fakeCore, rows []T, size int32, token string) ([]T, string, error) {
	from := 0
	if token != "" {
		var err error
		if from, err = strconv.Atoi(token); err != nil {
			return nil, "", status.Errorf(codes.InvalidArgument, "page_token %q is not from here", token)
		}
	}
	n := int(size)
	if f.perPage > 0 {
		n = min(n, f.perPage)
	}
	if from+n >= len(rows) {
		return rows[from:], "", nil
	}
	return rows[from : from+n], strconv.Itoa(from + n), nil
}

func (f *fakeCore) ListProcessors(_ context.Context, r *pb.ListProcessorsRequest) (*pb.ListProcessorsResponse, error) {
	f.note(r)
	rows, next, err := page(f, f.processors, r.GetPageSize(), r.GetPageToken())
	return &pb.ListProcessorsResponse{Processors: rows, PageToken: next}, err
}

func (f *fakeCore) ListAlgorithms(_ context.Context, r *pb.ListAlgorithmsRequest) (*pb.ListAlgorithmsResponse, error) {
	f.note(r)
	var kept []*pb.AlgorithmInfo
	for _, a := range f.algorithms {
		of := a.GetAlgorithm().GetWindowType()
		if (r.GetWindowTypeName() == "" || r.GetWindowTypeName() == of.GetName()) &&
			!(r.GetExcludeRetired() && a.GetState() == pb.AlgorithmState_ALGORITHM_STATE_RETIRED) {
			kept = append(kept, a)
		}
	}
	rows, next, err := page(f, kept, r.GetPageSize(), r.GetPageToken())
	return &pb.ListAlgorithmsResponse{Algorithms: rows, PageToken: next}, err
}

func (f *fakeCore) ListWindows(_ context.Context, r *pb.ListWindowsRequest) (*pb.ListWindowsResponse, error) {
	f.note(r)
	rows, next, err := page(f, f.windows, r.GetPageSize(), r.GetPageToken())
	return &pb.ListWindowsResponse{Windows: rows, PageToken: next}, err
}

func (f *fakeCore) GetWindow(_ context.Context, r *pb.GetWindowRequest) (*pb.GetWindowResponse, error) {
	f.note(r)
	if w := f.window[fmt.Sprintf("%s/%d", r.GetId(), r.GetRevision())]; w != nil {
		return w, nil
	}
	return nil, status.Errorf(codes.NotFound, "window %q: this ledger gave no such id; \"orca windows\" lists those that it did", r.GetId())
}

func (f *fakeCore) ListInputs(_ context.Context, r *pb.ListInputsRequest) (*pb.ListInputsResponse, error) {
	f.note(r)
	rows, next, err := page(f, f.inputs, r.GetPageSize(), r.GetPageToken())
	return &pb.ListInputsResponse{Inputs: rows, PageToken: next}, err
}

func (f *fakeCore) ListResults(_ context.Context, r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
	f.note(r)
	rows, next, err := page(f, f.results, r.GetPageSize(), r.GetPageToken())
	return &pb.ListResultsResponse{Results: rows, PageToken: next}, err
}

func (f *fakeCore) GetStatus(_ context.Context, r *pb.GetStatusRequest) (*pb.GetStatusResponse, error) {
	f.note(r)
	if f.status == nil {
		return nil, status.Error(codes.Unavailable, "the store is being reopened")
	}
	return f.status, nil
}

func (f *fakeCore) EmitWindow(ctx context.Context, w *pb.Window) (*pb.WindowEmitStatus, error) {
	f.note(w)
	md, _ := metadata.FromIncomingContext(ctx)
	f.mu.Lock()
	n := len(f.keys)
	f.keys = append(f.keys, fmt.Sprint(md.Get("idempotency-key")))
	f.mu.Unlock()
	return f.emit(ctx, n)
}

func (f *fakeCore) WatchWindow(r *pb.WatchWindowRequest, s grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
	f.note(r)
	f.mu.Lock()
	n := f.watching
	f.watching++
	f.mu.Unlock()
	return f.watch(n, s)
}

// accepted is the answer to an emit that made window id.
func accepted(ctx context.Context, id string, s pb.WindowEmitStatus_StatusEnum) (*pb.WindowEmitStatus, error) {
	if err := grpc.SetHeader(ctx, metadata.Pairs("orca-window-id", id)); err != nil {
		return nil, err
	}
	return &pb.WindowEmitStatus{Status: s}, nil
}

// at is a moment of the day on which everything in these tests happens.
func at(clock string) *timestamppb.Timestamp {
	t, err := time.Parse(time.RFC3339Nano, "2026-01-31T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return timestamppb.New(t)
}

// fields makes a struct of name, value, name, value.
func fields(pairs ...any) *structpb.Struct {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := 0; i < len(pairs); i += 2 {
		v, err := structpb.NewValue(pairs[i+1])
		if err != nil {
			panic(err)
		}
		s.Fields[pairs[i].(string)] = v
	}
	return s
}
