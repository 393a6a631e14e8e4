package orca_test

import (
	"context"
	"errors"
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
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

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

func TestEmitTellsTheLastAnswerBeforeItWasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int32
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Emit: func(ctx context.Context, _ *pb.Window) (*pb.WindowEmitStatus, error) {
			if calls.Add(1) == 1 {
				return nil, status.Error(codes.ResourceExhausted, "the disk is full")
			}
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}))
	client.SkipSleeps()
	_, err := client.Emit(ctx, window(lap, noon, time.Minute))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the disk is full (after 2 attempts)") {
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
