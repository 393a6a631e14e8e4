package orca_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

// ignoreClock leaves out when a result was computed.
var ignoreClock = protocmp.IgnoreFields(&pb.Result{}, "timestamp")

func TestExecuteStreamsResultsWithTheirNames(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	var got orca.Window
	orca.Value(p, "NaN", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		got = run.Window
		return float32(math.NaN()), nil
	})
	orca.Array(p, "Empty", "1.0.0", lap, func(context.Context, *orca.Run) ([]float32, error) { return nil, nil })
	orca.Struct(p, "Object", "1.0.0", lap, func(context.Context, *orca.Run) (map[string]any, error) {
		return map[string]any{"inf": math.Inf(1)}, nil
	})
	orca.None(p, "None", "1.0.0", lap, func(context.Context, *orca.Run) error { return nil })
	s := serve(t, core, p)

	before := time.Now().Unix()
	results, err := execute(t, s, request("NaN", "Empty", "Object", "None"))
	if err != nil {
		t.Fatal(err)
	}
	named := wireWindow()
	named.Metadata = nil // which can be large, and secret
	want := map[string]*pb.ExecutionResult{}
	for name, result := range map[string]*pb.Result{
		"NaN":    {ResultData: &pb.Result_SingleValue{SingleValue: float32(math.NaN())}},
		"Empty":  {ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{}}},
		"Object": {ResultData: &pb.Result_StructValue{StructValue: structure(t, map[string]any{"inf": math.Inf(1)})}},
		"None":   {},
	} {
		result.Status = pb.ResultStatus_RESULT_STATUS_SUCEEDED
		want[name] = &pb.ExecutionResult{ExecId: "exec-1", AlgorithmResult: &pb.AlgorithmResult{
			Algorithm: &pb.Algorithm{Name: name, Version: "1.0.0"}, Result: result, Window: named,
		}}
		if at := results[name].GetAlgorithmResult().GetResult().GetTimestamp(); at < before || at > time.Now().Unix() {
			t.Errorf("%s: timestamp %d is not now, in seconds", name, at)
		}
	}
	if diff := cmp.Diff(want, results, protocmp.Transform(), ignoreClock, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
	wantWindow := window(lap, noon, time.Minute)
	wantWindow.Metadata["car"] = 7.0
	if diff := cmp.Diff(wantWindow, got); diff != "" {
		t.Errorf("the algorithm's window: %s", diff)
	}
}

func structure(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExecuteReadsBothGenerationsOfRequests(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	there := orca.Remote[float32](orca.AlgorithmID{Processor: "chassis", Name: "Speed", Version: "1.0.0"})
	orca.Array(p, "Both", "1.0.0", lap, func(_ context.Context, run *orca.Run) ([]float32, error) {
		return []float32{speed.From(run), there.From(run)}, nil
	}, orca.Needs(speed, there))
	s := serve(t, core, p)

	value := func(v float32) *pb.Result {
		return &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, ResultData: &pb.Result_SingleValue{SingleValue: v}}
	}
	speedID := &pb.Algorithm{Name: "Speed", Version: "1.0.0"}
	newer := request("Both")
	newer.AlgorithmExecutions[0].Algorithm = s.Registration.GetSupportedAlgorithms()[1]
	newer.AlgorithmExecutions[0].Dependencies = []*pb.AlgorithmDependencyResult{
		{Algorithm: speedID, Result: []*pb.AlgorithmDependencyResultRow{{Result: value(2), Window: wireWindow()}}},
		{Algorithm: speedID, Result: []*pb.AlgorithmDependencyResultRow{{Result: value(3), Window: wireWindow()}}},
	}
	older := withDeprecated(request(), &pb.AlgorithmResult{Algorithm: speedID, Result: value(2)},
		&pb.AlgorithmResult{Algorithm: speedID, Result: value(3), Window: wireWindow()})
	both := withDeprecated(proto.Clone(newer).(*pb.ExecutionRequest), &pb.AlgorithmResult{Algorithm: speedID, Result: value(9)})
	for name, r := range map[string]*pb.ExecutionRequest{"newer": newer, "older": older, "both": both} {
		results, err := execute(t, s, r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := results["Both"].GetAlgorithmResult().GetResult().GetFloatValues().GetValues()
		if diff := cmp.Diff([]float32{2, 3}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// withDeprecated asks for Both in the fields that older cores fill.
func withDeprecated(r *pb.ExecutionRequest, results ...*pb.AlgorithmResult) *pb.ExecutionRequest {
	r.Algorithms, r.AlgorithmResults = []*pb.Algorithm{{Name: "Both", Version: "1.0.0"}}, results //nolint:staticcheck // on purpose
	return r
}

func TestMessagesOfManyMegabytesPass(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	orca.Struct(p, "Echo", "1.0.0", lap, func(_ context.Context, run *orca.Run) (map[string]any, error) {
		return run.Window.Metadata, nil
	})
	s := serve(t, core, p)
	blob := strings.Repeat("x", 16<<20)
	r := request("Echo")
	r.Window.Metadata = structure(t, map[string]any{"blob": blob})
	results, err := execute(t, s, r)
	if err != nil {
		t.Fatal(err)
	}
	got := results["Echo"].GetAlgorithmResult().GetResult().GetStructValue().GetFields()["blob"].GetStringValue()
	if got != blob {
		t.Errorf("%d bytes came back, %d were sent", len(got), len(blob))
	}
}

func TestUnknownAlgorithmsAreRefusedAfterTheOthersResults(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	s := serve(t, core, p)
	results, err := execute(t, s, request("Gone", "Speed"))
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "Gone 1.0.0") {
		t.Errorf("got %v, want UNIMPLEMENTED that names it", err)
	}
	if len(results) != 1 || results["Speed"] == nil {
		t.Errorf("got %v, want the result of Speed", results)
	}
	for _, broken := range []*pb.ExecutionRequest{{}, {ExecId: "x"}, {Window: wireWindow()}} {
		if _, err := execute(t, s, broken); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: got %v, want INVALID_ARGUMENT", broken, err)
		}
	}
}

func TestAFastResultDoesNotWaitForASlowOne(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	release := make(chan struct{})
	orca.Value(p, "Slow", "1.0.0", lap, func(context.Context, *orca.Run) (float32, error) {
		<-release
		return 1, nil
	})
	orca.Value(p, "Fast", "1.0.0", lap, constant(1))
	s := serve(t, core, p)
	stream, err := s.ExecuteDagPart(t.Context(), request("Slow", "Fast"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Fast", "Slow"} {
		result, err := stream.Recv()
		if err != nil || result.GetAlgorithmResult().GetAlgorithm().GetName() != want {
			t.Fatalf("got %v, %v, want %s", result, err, want)
		}
		if want == "Fast" {
			close(release)
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
}

func TestCancelledCallsCancelTheirAlgorithms(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	begun, ended := make(chan struct{}), make(chan error, 1)
	orca.None(p, "Patient", "1.0.0", lap, func(ctx context.Context, _ *orca.Run) error {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	s := serve(t, core, p)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.ExecuteDagPart(ctx, request("Patient")); err != nil {
		t.Fatal(err)
	}
	await(t, begun)
	cancel()
	if err := await(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	const bound, calls = 3, 12
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr, orca.WithConcurrency(bound))
	var running, most atomic.Int32
	full := make(chan struct{})
	release := make(chan struct{})
	work := func(context.Context, *orca.Run) error {
		now := running.Add(1)
		defer running.Add(-1)
		for {
			if old := most.Load(); now <= old || most.CompareAndSwap(old, now) {
				break
			}
		}
		if now == bound {
			close(full)
		}
		<-release
		return nil
	}
	orca.None(p, "Work", "1.0.0", lap, work)
	orca.None(p, "MoreWork", "1.0.0", lap, work)
	s := serve(t, core, p)
	var group sync.WaitGroup
	for range calls {
		group.Go(func() {
			if _, err := execute(t, s, request("Work", "MoreWork")); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, full)
	health, err := s.HealthCheck(t.Context(), &pb.HealthCheckRequest{Timestamp: 1})
	if err != nil || health.GetMetrics().GetActiveTasks() != bound {
		t.Errorf("active tasks: got %v, %v, want %d", health.GetMetrics(), err, bound)
	}
	close(release)
	group.Wait()
	if most.Load() != bound {
		t.Errorf("%d ran at once, want %d", most.Load(), bound)
	}
}

func TestHealthIsTrue(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	s := serve(t, core, p)
	health, err := s.HealthCheck(t.Context(), &pb.HealthCheckRequest{Timestamp: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := health.GetMetrics()
	if health.GetStatus() != pb.HealthCheckResponse_STATUS_SERVING || m.GetActiveTasks() != 0 ||
		m.GetMemoryBytes() < 4<<20 || m.GetMemoryBytes() > 16<<30 ||
		m.GetCpuPercent() < 0 || m.GetCpuPercent() > 100 || m.GetUptimeSeconds() < 0 || m.GetUptimeSeconds() > 60 {
		t.Errorf("got %v", health)
	}
}

func TestDrainFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	begun, release := make(chan struct{}), make(chan struct{})
	orca.Value(p, "Slow", "1.0.0", lap, func(ctx context.Context, _ *orca.Run) (float32, error) {
		close(begun)
		<-release
		return 1, ctx.Err()
	})
	s := serve(t, core, p)
	stream, err := s.ExecuteDagPart(t.Context(), request("Slow"))
	if err != nil {
		t.Fatal(err)
	}
	await(t, begun)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	// New work is refused as soon as the drain has begun.
	other := fakecore.Dial(t, s.Registration.GetConnectionStr())
	for refused := false; !refused; {
		_, err := other.HealthCheck(t.Context(), &pb.HealthCheckRequest{Timestamp: 1})
		refused = status.Code(err) == codes.Unavailable
	}
	select {
	case err := <-stopped:
		t.Fatalf("Run returned %v while an algorithm was running", err)
	default:
	}
	close(release)
	result, err := stream.Recv()
	if err != nil || result.GetAlgorithmResult().GetResult().GetStatus() != pb.ResultStatus_RESULT_STATUS_SUCEEDED {
		t.Errorf("got %v, %v, want the result of the running algorithm", result, err)
	}
	if err := await(t, stopped); err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr, orca.WithDrain(20*time.Millisecond))
	begun, cause := make(chan struct{}), make(chan error, 1)
	orca.None(p, "Endless", "1.0.0", lap, func(ctx context.Context, _ *orca.Run) error {
		close(begun)
		<-ctx.Done()
		cause <- ctx.Err()
		return ctx.Err()
	})
	s := serve(t, core, p)
	if _, err := s.ExecuteDagPart(t.Context(), request("Endless")); err != nil {
		t.Fatal(err)
	}
	await(t, begun)
	if err := s.Stop(); err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
	if err := await(t, cause); !errors.Is(err, context.Canceled) {
		t.Errorf("the algorithm's context: %v, want context.Canceled", err)
	}
}

func TestRunMayBeCalledAgainButNotTwiceAtOnce(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	for range 2 {
		s := serve(t, core, p)
		if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "runs already") {
			t.Errorf("a second Run returned %v", err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ended); err != nil {
		t.Errorf("with a context that has ended: %v, want nil", err)
	}
}

func TestDefiningWhileRunningPanics(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	serve(t, core, p)
	defer func() {
		if v := recover(); v == nil || !strings.Contains(v.(string), "Late 1.0.0 of racing is defined while") {
			t.Errorf("got %v, want a panic that names it", v)
		}
	}()
	orca.Value(p, "Late", "1.0.0", lap, constant(1))
}

func TestAnOpenListenerIsServed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr, orca.WithListener(listener))
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	s := serve(t, core, p)
	if got := s.Registration.GetConnectionStr(); got != listener.Addr().String() || s.Registration.GetName() != p.Name() {
		t.Errorf("announced %s at %s, want the listener's %s", s.Registration.GetName(), got, listener.Addr())
	}
	if _, err := execute(t, s, request("Speed")); err != nil {
		t.Error(err)
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := newProcessor("127.0.0.1:1", orca.WithListen(taken.Addr().String()))
	err = p.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "address already in use; choose another port with PROCESSOR_PORT") {
		t.Errorf("got %v", err)
	}
}

func TestWrongSettingsEndRun(t *testing.T) {
	t.Parallel()
	for _, opt := range []orca.ProcessorOption{orca.WithCore("core"), orca.WithAddress("http://me:1")} {
		if err := newProcessor("127.0.0.1:1", opt).Run(t.Context()); !errors.Is(err, orca.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	}
}

func TestExecutionsOfManyWindowsRunAtOnce(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	speed := orca.Value(p, "Speed", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		return float32(run.Window.Duration().Seconds()), nil
	})
	orca.Value(p, "Twice", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		return 2 * speed.From(run), nil
	}, orca.Needs(speed))
	s := serve(t, core, p)
	got := make([]float32, 200)
	var group sync.WaitGroup
	for i := range got {
		group.Go(func() {
			r := request("Twice")
			r.AlgorithmExecutions[0].Dependencies = []*pb.AlgorithmDependencyResult{{
				Algorithm: &pb.Algorithm{Name: "Speed", Version: "1.0.0"},
				Result: []*pb.AlgorithmDependencyResultRow{{
					Result: &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: float32(i)}}, Window: wireWindow(),
				}},
			}}
			results, err := execute(t, s, r)
			if err != nil {
				t.Error(err)
			}
			got[i] = results["Twice"].GetAlgorithmResult().GetResult().GetSingleValue()
		})
	}
	group.Wait()
	want := slices.Collect(func(yield func(float32) bool) {
		for i := range got {
			yield(float32(2 * i))
		}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
