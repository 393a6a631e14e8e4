package orca_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

func newClient(t *testing.T, core *fakecore.Core, opts ...orca.ClientOption) *orca.Client {
	t.Helper()
	client, err := orca.NewClient(append([]orca.ClientOption{
		orca.WithoutEnvironment(), orca.WithCore(core.Addr), orca.WithLogger(quiet()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// emits scripts a core's answers to emits, one after the other, and records what came in.
type emits struct {
	answers []error // nil means accepted

	mu      sync.Mutex
	windows []*pb.Window
	keys    []string
}

func (e *emits) answer(ctx context.Context, w *pb.Window) (*pb.WindowEmitStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	e.windows = append(e.windows, w)
	e.keys = append(e.keys, strings.Join(md.Get("idempotency-key"), ","))
	if n := len(e.windows); n <= len(e.answers) && e.answers[n-1] != nil {
		return nil, e.answers[n-1]
	}
	err := grpc.SetHeader(ctx, metadata.Pairs("orca-window-id", "w-1"))
	return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_PROCESSING_TRIGGERED}, err
}

func TestEmitSendsTheWindow(t *testing.T) {
	t.Parallel()
	var e emits
	client := newClient(t, fakecore.Start(t, fakecore.Script{Emit: e.answer}))
	declared := orca.WindowType{Name: "Lap", Version: "1.0.0", Fields: []orca.Field{{Name: "car"}, {Name: "driver"}}}
	w := orca.Window{
		ID: "ignored", Type: declared, From: noon, To: noon.Add(time.Minute), Origin: "test",
		Metadata: map[string]any{"car": 7, "driver": nil, "more": []string{"a"}},
	}
	for range 2 {
		got, err := client.Emit(t.Context(), w)
		if diff := cmp.Diff(orca.Emission{WindowID: "w-1", Status: orca.ProcessingTriggered}, got); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	}
	if _, err := client.Emit(t.Context(), w, orca.IdempotencyKey("lap-7")); err != nil {
		t.Fatal(err)
	}
	want := wireWindow()
	want.Metadata = structure(t, map[string]any{"car": 7, "driver": nil, "more": []any{"a"}})
	if diff := cmp.Diff([]*pb.Window{want, want, want}, e.windows, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if len(e.keys[0]) < 20 || e.keys[0] == e.keys[1] || e.keys[2] != "lap-7" {
		t.Errorf("keys %q: want two fresh ones, then lap-7", e.keys)
	}
}

func TestEmitReportsEveryStatus(t *testing.T) {
	t.Parallel()
	var next atomic.Int32
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Emit: func(context.Context, *pb.Window) (*pb.WindowEmitStatus, error) {
			return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_StatusEnum(next.Load())}, nil
		},
	}))
	for wire, want := range []orca.EmitStatus{orca.TriggeringFailed, orca.NoTriggeredAlgorithms, orca.ProcessingTriggered} {
		next.Store(int32(wire))
		got, err := client.Emit(t.Context(), window(lap, noon, 0))
		if err != nil || got.Status != want || got.WindowID != "" {
			t.Errorf("%d: got %v, %v, want %v without an id", wire, got, err, want)
		}
	}
	next.Store(99)
	if _, err := client.Emit(t.Context(), window(lap, noon, 0)); err == nil || !strings.Contains(err.Error(), "unknown status 99") {
		t.Errorf("an unknown status: got %v", err)
	}
}

func TestEmitTriesAgainWithTheSameKey(t *testing.T) {
	t.Parallel()
	full, err := status.New(codes.ResourceExhausted, "full").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	e := emits{answers: []error{status.Error(codes.Unavailable, "outcome unknown"), full.Err(), nil}}
	client := newClient(t, fakecore.Start(t, fakecore.Script{Emit: e.answer}))
	slept := client.SkipSleeps()
	if _, err := client.Emit(t.Context(), window(lap, noon, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if len(e.keys) != 3 || e.keys[0] == "" || e.keys[1] != e.keys[0] || e.keys[2] != e.keys[0] {
		t.Errorf("keys %q: want one, three times", e.keys)
	}
	if s := slept(); len(s) != 2 || s[0] > 50*time.Millisecond || s[1] < 3*time.Second || s[1] > 4*time.Second {
		t.Errorf("pauses %v: want a short one, then the one that the core asked for", s)
	}
}

func TestEmitReachesACoreThatComesUpLater(t *testing.T) {
	t.Parallel()
	var e emits
	core := fakecore.Start(t, fakecore.Script{Emit: e.answer})
	core.Stop()
	client := newClient(t, core)
	emitted := make(chan error, 1)
	go func() {
		_, err := client.Emit(t.Context(), window(lap, noon, time.Minute))
		emitted <- err
	}()
	core.Restart()
	if err := await(t, emitted); err != nil {
		t.Error(err)
	}
}

func TestEmitGivesUp(t *testing.T) {
	t.Parallel()
	down := fakecore.Start(t, fakecore.Script{})
	down.Stop()

	client := newClient(t, down, orca.WithTimeout(50*time.Millisecond))
	_, err := client.Emit(t.Context(), window(lap, noon, time.Minute))
	if !errors.Is(err, orca.ErrUnavailable) || !strings.Contains(err.Error(), "emit window Lap 1.0.0 at "+down.Addr) ||
		!strings.Contains(err.Error(), "is a core running there?") || strings.Contains(err.Error(), "desc =") {
		t.Errorf("after the client's timeout: %v", err)
	}

	client = newClient(t, down)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = client.Emit(ctx, window(lap, noon, time.Minute))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client.Emit(canceled, window(lap, noon, time.Minute))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

func TestEmitTellsTheLastAnswerBeforeTheTimeWasUp(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Emit: func(ctx context.Context, _ *pb.Window) (*pb.WindowEmitStatus, error) {
			if calls.Add(1) == 1 {
				return nil, status.Error(codes.ResourceExhausted, "the disk is full")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}))
	client.SkipSleeps()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := client.Emit(ctx, window(lap, noon, time.Minute))
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, orca.ErrUnavailable) || !strings.Contains(err.Error(), "the disk is full (after 2 attempts)") {
		t.Errorf("got %v", err)
	}
}

func TestEmitDoesNotSleepPastItsDeadline(t *testing.T) {
	t.Parallel()
	full, err := status.New(codes.ResourceExhausted, "full for an hour").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	e := emits{answers: []error{full.Err()}}
	client := newClient(t, fakecore.Start(t, fakecore.Script{Emit: e.answer}), orca.WithTimeout(time.Minute))
	_, err = client.Emit(t.Context(), window(lap, noon, time.Minute))
	if !errors.Is(err, orca.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "full for an hour") {
		t.Errorf("got %v", err)
	}
}

func TestEmitDoesNotRepeatWhatIsFinal(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]error{
		codes.InvalidArgument:    orca.ErrInvalid,
		codes.NotFound:           orca.ErrNotFound,
		codes.AlreadyExists:      orca.ErrConflict,
		codes.FailedPrecondition: orca.ErrConflict,
		codes.Internal:           nil,
	} {
		e := emits{answers: []error{status.Error(code, "window type Lap 1.0.0")}}
		client := newClient(t, fakecore.Start(t, fakecore.Script{Emit: e.answer}))
		_, err := client.Emit(t.Context(), window(lap, noon, time.Minute))
		var call *orca.CallError
		if !errors.As(err, &call) || call.Code != code || status.Code(err) != code || call.Attempts != 1 || len(e.keys) != 1 {
			t.Errorf("%v: got %#v after %d calls", code, err, len(e.keys))
		}
		for _, kind := range []error{orca.ErrInvalid, orca.ErrNotFound, orca.ErrConflict, orca.ErrUnavailable} {
			if errors.Is(err, kind) != (kind == want) { //nolint:errorlint // sentinels, compared as such
				t.Errorf("%v: errors.Is(%v) is %v", code, kind, errors.Is(err, kind))
			}
		}
	}
}

func TestEmitRefusesWrongWindowsItself(t *testing.T) {
	t.Parallel()
	var e emits
	client := newClient(t, fakecore.Start(t, fakecore.Script{Emit: e.answer}))
	good := window(lap, noon, time.Minute)
	for want, change := range map[string]func(*orca.Window){
		`window type name "lap"`:     func(w *orca.Window) { w.Type.Name = "lap" },
		`window type version "1"`:    func(w *orca.Window) { w.Type.Version = "1" },
		"origin of the window":       func(w *orca.Window) { w.Origin = "" },
		"from time 1970-01-01":       func(w *orca.Window) { w.From = time.Unix(0, 0).UTC() },
		"to time 2262-04-11":         func(w *orca.Window) { w.To = time.Date(2262, 4, 11, 0, 0, 0, 1, time.UTC) },
		"it ends (2026-03-01T11:59:": func(w *orca.Window) { w.To = w.From.Add(-time.Second) },
		"declares car, driver, which": func(w *orca.Window) {
			w.Type.Fields = []orca.Field{{Name: "driver"}, {Name: "lap"}, {Name: "car"}}
			w.Metadata = map[string]any{"lap": nil}
		},
		"at most 67108864 are allowed": func(w *orca.Window) { w.Metadata = map[string]any{"f": strings.Repeat("x", 64<<20)} },
		`metadata: field "f"`:          func(w *orca.Window) { w.Metadata = map[string]any{"f": func() {}} },
	} {
		w := good
		change(&w)
		_, err := client.Emit(t.Context(), w)
		if !errors.Is(err, orca.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an ErrInvalid that says %q", err, want)
		}
	}
	if len(e.windows) > 0 {
		t.Errorf("the core was called: %v", e.windows)
	}
}

func TestAlgorithmsEmitWindows(t *testing.T) {
	t.Parallel()
	var e emits
	core := fakecore.Start(t, fakecore.Script{Emit: e.answer})
	p := newProcessor(core.Addr)
	orca.None(p, "Splitter", "1.0.0", lap, func(ctx context.Context, run *orca.Run) error {
		inner := run.Window
		inner.Type = day
		emission, err := run.Emit(ctx, inner, orca.IdempotencyKey("half"))
		if emission.WindowID != "w-1" {
			return errors.New("no window id")
		}
		return err
	})
	s := serve(t, core, p)
	results, err := execute(t, s, request("Splitter"))
	if r := results["Splitter"].GetAlgorithmResult().GetResult(); err != nil || r.GetStatus() != pb.ResultStatus_RESULT_STATUS_SUCEEDED {
		t.Fatal(err, r)
	}
	want := wireWindow()
	want.WindowTypeName, want.WindowTypeVersion = "Day", "2.1.0"
	if diff := cmp.Diff([]*pb.Window{want}, e.windows, protocmp.Transform()); diff != "" || e.keys[0] != "half" {
		t.Error(e.keys, diff)
	}
}

func ref(name string) *pb.AlgorithmRef {
	return &pb.AlgorithmRef{Processor: "racing", Name: name, Version: "1.0.0"}
}

func nodeEvent(n *pb.NodeInfo) *pb.WatchWindowResponse {
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Node{Node: n}}
}

func finishedEvent(state pb.RunState) *pb.WatchWindowResponse {
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Finished{Finished: &pb.RunInfo{
		Position: 17, Revision: 2, State: state,
		AcceptedAt: timestamppb.New(noon), FinishedAt: timestamppb.New(noon.Add(time.Second)),
	}}}
}

func succeeded(name string, r *pb.Result) *pb.NodeInfo {
	r.Status = pb.ResultStatus_RESULT_STATUS_SUCEEDED
	return &pb.NodeInfo{
		Algorithm: ref(name), Outcome: pb.Outcome_OUTCOME_SUCCEEDED, Result: r, Attempts: 1, SettledAt: timestamppb.New(noon),
	}
}

func TestWaitGivesTheOutcomeThroughBrokenStreams(t *testing.T) {
	t.Parallel()
	speed := nodeEvent(succeeded("Speed", &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: 61.5}}))
	pace := nodeEvent(&pb.NodeInfo{
		Algorithm: ref("Pace"), Outcome: pb.Outcome_OUTCOME_HANDLED_FAILED, Reason: "no signal", Attempts: 1,
		Result: &pb.Result{Error: structure(t, map[string]any{"message": "no signal"})}, SettledAt: timestamppb.New(noon),
	})
	score := nodeEvent(&pb.NodeInfo{
		Algorithm: ref("Score"), Outcome: pb.Outcome_OUTCOME_SKIPPED, Reason: "Pace 1.0.0 failed", SettledAt: timestamppb.New(noon),
	})
	type life struct {
		events []*pb.WatchWindowResponse
		end    error
	}
	lives := []life{
		{nil, status.Error(codes.Unavailable, "starting")},
		{[]*pb.WatchWindowResponse{speed}, status.Error(codes.Unavailable, "going down")},
		{[]*pb.WatchWindowResponse{speed, pace}, nil}, // ends too early
		{[]*pb.WatchWindowResponse{speed, pace, speed, score, finishedEvent(pb.RunState_RUN_STATE_FAILED)}, nil},
	}
	var calls atomic.Int32
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(r *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			if !proto.Equal(r, &pb.WatchWindowRequest{Id: "w-1"}) {
				return status.Errorf(codes.NotFound, "window %v", r)
			}
			life := lives[calls.Add(1)-1]
			for _, event := range life.events {
				if err := stream.Send(event); err != nil {
					return err
				}
			}
			return life.end
		},
	}))
	slept := client.SkipSleeps()
	outcome, err := client.Wait(t.Context(), "w-1")
	if err != nil {
		t.Fatal(err)
	}
	id := func(name string) orca.AlgorithmID {
		return orca.AlgorithmID{Processor: "racing", Name: name, Version: "1.0.0"}
	}
	want := &orca.Outcome{
		WindowID: "w-1", Position: 17, Revision: 2, State: orca.RunFailed, Accepted: noon, Finished: noon.Add(time.Second),
		Nodes: []orca.Node{
			{Algorithm: id("Speed"), State: orca.NodeSucceeded, Value: float32(61.5), Attempts: 1, Settled: noon},
			{Algorithm: id("Pace"), State: orca.NodeHandledFailed, Reason: "no signal", Error: map[string]any{"message": "no signal"}, Attempts: 1, Settled: noon},
			{Algorithm: id("Score"), State: orca.NodeSkipped, Reason: "Pace 1.0.0 failed", Settled: noon},
		},
	}
	if diff := cmp.Diff(want, outcome, ignoreWire); diff != "" {
		t.Error(diff)
	}
	if len(slept()) != 3 || int(calls.Load()) != len(lives) {
		t.Errorf("%d streams and pauses %v, want 4 and 3", calls.Load(), slept())
	}
	if err := outcome.Err(); !errors.Is(err, orca.ErrNoResult) || !strings.Contains(err.Error(), "Pace 1.0.0 of racing: handled failure: no signal") {
		t.Errorf("Err: %v", err)
	}

	typed := orca.Remote[float32](id("Speed"))
	if v, err := typed.In(outcome); v != 61.5 || err != nil {
		t.Errorf("Speed: %v, %v", v, err)
	}
	if _, err := orca.Remote[float32](id("Pace")).In(outcome); !errors.Is(err, orca.ErrNoResult) || !strings.Contains(err.Error(), "no signal") {
		t.Errorf("Pace: %v", err)
	}
	if _, err := orca.Remote[float32](id("Other")).In(outcome); !errors.Is(err, orca.ErrNoResult) || !strings.Contains(err.Error(), "no part of the run") {
		t.Errorf("Other: %v", err)
	}
	namesake := orca.AlgorithmID{Processor: "chassis", Name: "Speed", Version: "1.0.0"}
	if _, err := orca.Remote[float32](namesake).In(outcome); !errors.Is(err, orca.ErrNoResult) {
		t.Errorf("another processor's Speed: %v", err)
	}
	if _, err := orca.Remote[[]float32](id("Speed")).In(outcome); err == nil || !strings.Contains(err.Error(), "is a value, not an array") {
		t.Errorf("Speed as an array: %v", err)
	}
}

// ignoreWire leaves out what a node keeps for typed reading.
var ignoreWire = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".result" }, cmp.Ignore())

func TestWaitReadsEveryKindOfResult(t *testing.T) {
	t.Parallel()
	events := []*pb.WatchWindowResponse{
		nodeEvent(succeeded("Value", &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: float32(math.Inf(1))}})),
		nodeEvent(succeeded("Array", &pb.Result{ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{1, 2}}}})),
		nodeEvent(succeeded("Object", &pb.Result{ResultData: &pb.Result_StructValue{StructValue: &structpb.Struct{}}})),
		nodeEvent(succeeded("None", &pb.Result{})),
		finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED),
	}
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(_ *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			for _, event := range events {
				if err := stream.Send(event); err != nil {
					return err
				}
			}
			return nil
		},
	}))
	outcome, err := client.Wait(t.Context(), "w-1")
	if err != nil || outcome.Err() != nil {
		t.Fatal(err, outcome.Err())
	}
	var values []any
	for _, node := range outcome.Nodes {
		values = append(values, node.Value)
	}
	if diff := cmp.Diff([]any{float32(math.Inf(1)), []float32{1, 2}, map[string]any{}, nil}, values); diff != "" {
		t.Error(diff)
	}
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(r *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			switch r.GetId() {
			case "open":
				<-stream.Context().Done()
				return stream.Context().Err()
			case "odd":
				return stream.Send(finishedEvent(pb.RunState_RUN_STATE_OPEN))
			case "odd node":
				return stream.Send(nodeEvent(&pb.NodeInfo{Algorithm: ref("Speed"), Outcome: pb.Outcome_OUTCOME_OPEN}))
			}
			return status.Error(codes.NotFound, "window "+r.GetId())
		},
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Wait(ctx, "open"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v", err)
	}
	if _, err := client.Wait(t.Context(), "unknown"); !errors.Is(err, orca.ErrNotFound) || !strings.Contains(err.Error(), "wait for window unknown") {
		t.Errorf("unknown: %v", err)
	}
	if _, err := client.Wait(t.Context(), ""); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
	if _, err := client.Wait(t.Context(), "odd"); err == nil || !strings.Contains(err.Error(), "RUN_STATE_OPEN is not the state") {
		t.Errorf("odd: %v", err)
	}
	if _, err := client.Wait(t.Context(), "odd node"); err == nil || !strings.Contains(err.Error(), "OUTCOME_OPEN is not the outcome") {
		t.Errorf("odd node: %v", err)
	}
}

func TestResultsArePagedAndTyped(t *testing.T) {
	t.Parallel()
	info := func(n int) *pb.ResultInfo {
		return &pb.ResultInfo{WindowId: string(rune('a' + n)), Window: wireWindow(), Node: succeeded("Speed", &pb.Result{
			ResultData: &pb.Result_SingleValue{SingleValue: float32(n)}, Timestamp: noon.Unix(),
		})}
	}
	pages := map[string]*pb.ListResultsResponse{
		"":  {Results: []*pb.ResultInfo{info(0), info(1)}, PageToken: "2"},
		"2": {PageToken: "3"}, // an empty page is not the end
		"3": {Results: []*pb.ResultInfo{info(2)}},
	}
	var mu sync.Mutex
	var asked []*pb.ListResultsRequest
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Results: func(r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r)
			if len(asked) == 2 {
				return nil, status.Error(codes.Unavailable, "for a moment")
			}
			return pages[r.GetPageToken()], nil
		},
	}))
	client.SkipSleeps()
	speed := orca.Remote[float32](orca.AlgorithmID{Processor: "racing", Name: "Speed", Version: "1.0.0"})
	var got []orca.Row[float32]
	for row, err := range speed.Results(t.Context(), client, noon, time.Time{}, orca.Where(map[string]any{"car": 7})) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	var want []orca.Row[float32]
	for n, id := range []string{"a", "b", "c"} {
		w := window(lap, noon, time.Minute)
		w.ID, w.Metadata["car"] = id, 7.0
		want = append(want, orca.Row[float32]{Window: w, Value: float32(n), Computed: noon.Truncate(time.Second)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	request := &pb.ListResultsRequest{
		PageSize: 500, Name: "Speed", Version: "1.0.0", Processor: "racing", TimeFrom: timestamppb.New(noon),
		Metadata: structure(t, map[string]any{"car": 7}),
	}
	wantAsked := make([]*pb.ListResultsRequest, 4)
	for i, token := range []string{"", "2", "2", "3"} {
		wantAsked[i] = proto.Clone(request).(*pb.ListResultsRequest)
		wantAsked[i].PageToken = token
	}
	if diff := cmp.Diff(wantAsked, asked, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}

	for row, err := range speed.Results(t.Context(), client, time.Time{}, noon) {
		if row.Value == 0 || err != nil {
			break
		}
	}
	if len(asked) != 5 {
		t.Errorf("%d requests, want one more: breaking out of the loop stops the reading", len(asked))
	}
}

func TestResultsEndWithTheirError(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Results: func(r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
			if r.GetName() == "Gone" {
				return nil, status.Error(codes.NotFound, "algorithm Gone 1.0.0")
			}
			return &pb.ListResultsResponse{Results: []*pb.ResultInfo{
				{WindowId: "w-7", Node: succeeded(r.GetName(), &pb.Result{})}, {WindowId: "w-8"},
			}}, nil
		},
	}))
	last := func(name string, opts ...orca.ResultsOption) (err error) {
		times := 0
		a := orca.Remote[float32](orca.AlgorithmID{Processor: "racing", Name: name, Version: "1.0.0"})
		for _, err = range a.Results(t.Context(), client, time.Time{}, time.Time{}, opts...) {
			times++
		}
		if times != 1 {
			t.Errorf("%s: the loop ran %d times, want once", name, times)
		}
		return err
	}
	if err := last("Gone"); !errors.Is(err, orca.ErrNotFound) {
		t.Errorf("Gone: %v", err)
	}
	if err := last("Speed"); err == nil || !strings.Contains(err.Error(), "result for window w-7: the result is without data") {
		t.Errorf("wrong type: %v", err)
	}
	if err := last("Speed", orca.Where(map[string]any{"f": func() {}})); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("wrong filter: %v", err)
	}
}

func TestNewClientReportsWrongSettings(t *testing.T) {
	t.Parallel()
	if _, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore("core")); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
