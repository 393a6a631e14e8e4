package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// emitted is what an emit was answered.
type emitted struct {
	ID     string
	Status pb.WindowEmitStatus_StatusEnum
}

// emitWith emits with a project and an idempotency key, each empty for none.
func emitWith(core *orcatest.Core, project, key string, w *pb.Window) (emitted, error) {
	ctx, cancel := context.WithTimeout(context.Background(), orcatest.Patience)
	defer cancel()
	headers := metadata.MD{}
	for name, value := range map[string]string{"orca-project": project, "idempotency-key": key} {
		if value != "" {
			headers.Set(name, value)
		}
	}
	ctx = metadata.NewOutgoingContext(ctx, headers)
	var header metadata.MD
	answer, err := core.EmitWindow(ctx, w, grpc.Header(&header))
	return emitted{strings.Join(header.Get("orca-window-id"), " "), answer.GetStatus()}, err
}

// stored returns the ids of all windows of a core, the newest first.
func stored(t *testing.T, core *orcatest.Core) (ids []string) {
	t.Helper()
	list, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list.GetWindows() {
		ids = append(ids, w.GetId())
	}
	return ids
}

// typed is an algorithm whose windows declare metadata fields.
func typed(name string, fields ...*pb.MetadataField) *pb.Algorithm {
	a := orcatest.Define("W", name)
	for _, f := range fields {
		f.Description = f.GetName()
	}
	a.WindowType.MetadataFields = fields
	return a
}

// What is wrong with a window is refused by name, and leaves nothing.
func TestWindowsThatAreRefused(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	announced(t, core, "p", "127.0.0.1:1", typed("A", &pb.MetadataField{Name: "car"}, &pb.MetadataField{Name: "lap"}))
	for name, test := range map[string]struct {
		change func(*pb.Window)
		code   codes.Code
		words  []string
	}{
		"an unknown type":         {func(w *pb.Window) { w.WindowTypeName = "Ghost" }, codes.NotFound, []string{"Ghost 1.0.0"}},
		"an unknown version":      {func(w *pb.Window) { w.WindowTypeVersion = "9.0.0" }, codes.NotFound, []string{"W 9.0.0"}},
		"every missing field":     {func(w *pb.Window) { w.Metadata = nil }, codes.InvalidArgument, []string{`"car"`, `"lap"`}},
		"the epoch":               {func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{} }, codes.InvalidArgument, []string{"time_from", "after 1970-01-01"}},
		"before the epoch":        {func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{Seconds: -1} }, codes.InvalidArgument, []string{"time_from", "after 1970-01-01"}},
		"after the last instant":  {func(w *pb.Window) { w.TimeTo = timestamppb.New(time.Unix(0, math.MaxInt64).Add(1)) }, codes.InvalidArgument, []string{"time_to", "2262-04-11"}},
		"nanos outside a second":  {func(w *pb.Window) { w.TimeTo.Nanos = 1e9 }, codes.InvalidArgument, []string{"time_to", "nanos"}},
		"an end before its start": {func(w *pb.Window) { w.TimeFrom, w.TimeTo = w.TimeTo, w.TimeFrom }, codes.InvalidArgument, []string{"let it end when it begins, or later"}},
		"no origin":               {func(w *pb.Window) { w.Origin = "" }, codes.InvalidArgument, []string{"origin"}},
	} {
		w := orcatest.Window("W", "1.0.0", 0, map[string]any{"car": 7, "lap": nil})
		test.change(w)
		_, err := core.EmitWindow(t.Context(), w)
		for _, words := range test.words {
			checkRefused(t, name, err, test.code, words)
		}
	}
	if ids := stored(t, core); len(ids) != 0 {
		t.Errorf("refused windows are in the ledger: %v", ids)
	}
}

// Windows at the edge of what is allowed are accepted, and come back as they were sent.
func TestWindowsThatAreAccepted(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", orcatest.Algorithm{Algorithm: typed("A", &pb.MetadataField{Name: "car"})})
	for name, change := range map[string]func(*pb.Window){
		"null":                func(*pb.Window) {},
		"an undeclared field": func(w *pb.Window) { w.Metadata.Fields["extra"] = structpb.NewStringValue("kept") },
		"a point":             func(w *pb.Window) { w.TimeTo = w.GetTimeFrom() },
		"the first instant":   func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{Nanos: 1} },
		"the last instant":    func(w *pb.Window) { w.TimeTo = timestamppb.New(time.Unix(0, math.MaxInt64)) },
	} {
		w := orcatest.Window("W", "1.0.0", 0, map[string]any{"car": nil})
		change(w)
		before := len(p.Requests())
		id, _ := core.Emit(w)
		if diff := cmp.Diff(w, core.Wait(id).GetWindow().GetWindow(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: the stored window (-sent +stored):\n%s", name, diff)
		}
		if diff := cmp.Diff(w, p.Requests()[before].GetWindow(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: what the algorithm is given (-sent +given):\n%s", name, diff)
		}
	}
}

// The three answers, each with an id of the window, which is kept in each case.
func TestAnswersToAnEmit(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "A"), plain("W", "Base"))
	core.Processor("q", plain("V", "B", orcatest.On("p", "Base")), plain("V", "C", orcatest.On("q", "B")))
	announced(t, core, "p", p.Address, orcatest.Define("W", "A")) // Base is retired
	announced(t, core, "r", "127.0.0.1:1", orcatest.Define("U", "E"))
	announced(t, core, "r", "127.0.0.1:1") // E as well
	want := map[string]pb.WindowEmitStatus_StatusEnum{
		"W": pb.WindowEmitStatus_PROCESSING_TRIGGERED,
		"U": pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS,
		"V": pb.WindowEmitStatus_TRIGGERING_FAILED,
	}
	ids := map[string]string{}
	for typeName, status := range want {
		id, got := core.Emit(window(typeName, 0))
		if got != status {
			t.Errorf("a window of %s is answered %v, want %v", typeName, got, status)
		}
		ids[typeName] = id
	}
	if n := len(stored(t, core)); n != 3 {
		t.Errorf("%d windows are kept, want 3", n)
	}
	failed := core.Wait(ids["V"])
	position := failed.GetRun().GetPosition()
	checkNodes(t, failed, pb.RunState_RUN_STATE_INCOMPLETE,
		`B skipped of `+fmt.Sprint(position)+`: needs Base 1.0.0 of processor "p", which is retired`,
		`C skipped of `+fmt.Sprint(position)+`: needs B 1.0.0, which was skipped`)

	// A later algorithm can be run over a window that triggered nothing.
	core.Processor("r", plain("U", "E"))
	answer, err := core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: ids["U"]})
	if err != nil || answer.GetStatus() != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
		t.Fatalf("%v, %v", answer, err)
	}
	checkNodes(t, core.Wait(ids["U"]), pb.RunState_RUN_STATE_SUCCEEDED, "E succeeded of 4")
}

// checkExhausted checks that an emit was turned away for a limit, with how long to wait.
func checkExhausted(t *testing.T, err error, flag string) {
	t.Helper()
	checkRefused(t, "beyond the limit", err, codes.ResourceExhausted, flag)
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Errorf("%v says nothing about when to try again", err)
}

// While --max-backlog runs are unfinished no window is accepted; when one has finished, one is.
func TestMaxBacklog(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.MaxBacklog, cfg.Drain = 2, time.Millisecond })
	free := make(chan struct{})
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"), Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		select {
		case <-free:
			return orcatest.Value(1), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
	first, _ := core.Emit(window("W", 0))
	second, _ := core.Emit(window("W", 1))
	_, err := core.EmitWindow(t.Context(), window("W", 2))
	checkExhausted(t, err, "--max-backlog")
	core.Restart() // which does not forget how many there are
	_, err = core.EmitWindow(t.Context(), window("W", 2))
	checkExhausted(t, err, "--max-backlog")
	close(free)
	core.Wait(first)
	core.Wait(second)
	core.Emit(window("W", 2))
	if n := len(stored(t, core)); n != 3 {
		t.Errorf("%d windows are stored, want 3", n)
	}
}

// With less free disk than --disk-reserve no window is accepted, and the core says that it is not ready.
func TestDiskReserve(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.DiskReserve = math.MaxInt64 })
	announced(t, core, "p", "127.0.0.1:1", orcatest.Define("W", "A"))
	_, err := core.EmitWindow(t.Context(), window("W", 0))
	checkExhausted(t, err, "--disk-reserve")
	answer, err := core.GetStatus(t.Context(), &pb.GetStatusRequest{})
	if err != nil || !strings.Contains(answer.GetNotReady(), "--disk-reserve") {
		t.Errorf("the status is %v, %v; want it not ready for the disk", answer, err)
	}
	if ids := stored(t, core); len(ids) != 0 {
		t.Errorf("refused windows are stored: %v", ids)
	}
}

// Emits beyond --max-accept unanswered ones are turned away at once; the others are accepted, and nothing else is stored.
func TestMaxAccept(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.MaxAccept = 1 })
	announced(t, core, "p", "127.0.0.1:1", orcatest.Define("W", "A"))
	var mu sync.Mutex
	var accepted []string
	var refused error
	eventually(t, "two emits come together", func() bool {
		var emits sync.WaitGroup
		for i := range 50 {
			emits.Go(func() {
				e, err := emitWith(core, "", "", window("W", i))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					accepted = append(accepted, e.ID)
				} else {
					refused = err
				}
			})
		}
		emits.Wait()
		return refused != nil
	})
	checkExhausted(t, refused, "--max-accept")
	slices.Sort(accepted)
	there := stored(t, core)
	slices.Sort(there)
	if diff := cmp.Diff(accepted, there); diff != "" {
		t.Errorf("windows (-accepted +stored):\n%s", diff)
	}
}

// Each clause of what an idempotency key means.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "A"))
	emit := func(project, key string, w *pb.Window) emitted {
		t.Helper()
		e, err := emitWith(core, project, key, w)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := emit("plant", "k", window("W", 0))
	if again := emit("plant", "k", window("W", 0)); again != first {
		t.Errorf("the repeat is answered %v, want %v", again, first)
	}
	core.Wait(first.ID)
	announced(t, core, "p", p.Address) // a window would trigger nothing now
	core.Restart()
	if again := emit("plant", "k", window("W", 0)); again != first {
		t.Errorf("the repeat to a restarted core is answered %v, want the first answer %v", again, first)
	}
	_, err := emitWith(core, "plant", "k", window("W", 1))
	checkRefused(t, "another window", err, codes.AlreadyExists, `"k"`)
	garden, none := emit("garden", "k", window("W", 0)), emit("", "k", window("W", 0))
	without, withoutAgain := emit("plant", "", window("W", 0)), emit("plant", "", window("W", 0))
	all := []string{first.ID, garden.ID, none.ID, without.ID, withoutAgain.ID}
	slices.Reverse(all)
	if diff := cmp.Diff(all, stored(t, core)); diff != "" {
		t.Errorf("a key holds for its project, and without a key each emit is a window (-want +got):\n%s", diff)
	}
	_, err = emitWith(core, "plant", "refused", window("Ghost", 0))
	checkRefused(t, "an unknown type", err, codes.NotFound, "Ghost")
	emit("plant", "refused", window("W", 3))
	if n := len(p.Requests()); n != 1 {
		t.Errorf("A ran %d times, want once", n)
	}
}

// Repeats that come while the first is under way wait for it and get its answer.
func TestRepeatsAtOnce(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", plain("W", "A"))
	const rounds, repeats = 10, 20
	for round := range rounds {
		answers := make([]emitted, repeats)
		var emits sync.WaitGroup
		for i := range repeats {
			emits.Go(func() {
				var err error
				if answers[i], err = emitWith(core, "", fmt.Sprint("key ", round), window("W", round)); err != nil {
					t.Error(err)
				}
			})
		}
		emits.Wait()
		if distinct := slices.Compact(answers); len(distinct) != 1 || distinct[0].ID == "" {
			t.Errorf("%d repeats at once are answered %v", repeats, answers)
		}
		core.Wait(answers[0].ID)
	}
	if n := len(p.Requests()); n != rounds {
		t.Errorf("A ran %d times, want %d", n, rounds)
	}
}

// A key is forgotten after its time, and the window is then a new one.
func TestIdempotencyKeyExpires(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.IdempotencyTTL = 500 * time.Millisecond })
	announced(t, core, "p", "127.0.0.1:1", orcatest.Define("W", "A"))
	first, err := emitWith(core, "", "k", window("W", 0))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is free", func() bool {
		again, err := emitWith(core, "", "k", window("W", 0))
		return err == nil && again != first
	})
}

// logOf keeps what a core logs beside what the test shows of it.
type logOf struct {
	testing.TB
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logOf) Logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.all, format, args...)
}

// files returns the bytes of every file of a store whose core is stopped.
func files(t *testing.T, path string) (all []byte) {
	t.Helper()
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-redo"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// The value of a noStore field reaches the algorithms, is in the store while the run is open, over a restart too, and then
// nowhere: not in the stored window, a list, the dependency rows, the log or a byte of the files.
func TestNoStoreValuesAreGoneAfterTheRun(t *testing.T) {
	t.Parallel()
	const secret = "the-token-that-nobody-may-find"
	log := &logOf{TB: t}
	var path string
	core := orcatest.Start(log, func(cfg *config.Config) {
		cfg.Drain, cfg.LogLevel = time.Millisecond, -4
		path = strings.TrimPrefix(cfg.Store, "sqlite:")
	})
	begun, free := make(chan struct{}, 10), make(chan struct{})
	fields := []*pb.MetadataField{{Name: "car"}, {Name: "token", NoStore: true}, {Name: "driver", NoStore: true, Filter: true}}
	second := typed("B", fields...)
	second.Dependencies = []*pb.AlgorithmDependency{orcatest.On("p", "A")}
	p := core.Processor("p", orcatest.Algorithm{Algorithm: typed("A", fields...)}, orcatest.Algorithm{Algorithm: second,
		Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
			begun <- struct{}{}
			select {
			case <-free:
				return orcatest.Value(1), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, map[string]any{"car": 7, "token": secret, "driver": secret + "-2"}))
	receive(t, "B runs", begun)
	core.Stop()
	if !bytes.Contains(files(t, path), []byte(secret)) {
		t.Error("an open run has lost its noStore values")
	}
	core.Restart()
	receive(t, "B runs again", begun)
	close(free)
	w := core.Wait(id)
	list, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	core.Stop()

	requests := p.Requests()
	for _, r := range requests {
		if got := r.GetWindow().GetMetadata().GetFields()["token"].GetStringValue(); got != secret {
			t.Errorf("%s was given the token %q", r.GetAlgorithmExecutions()[0].GetAlgorithm().GetName(), got)
		}
	}
	last := requests[len(requests)-1]
	rows := fmt.Sprint(last.GetAlgorithmExecutions()[0].GetDependencies(), last.GetAlgorithmResults()) //nolint:staticcheck // older processors read it
	log.mu.Lock()
	defer log.mu.Unlock()
	for what, text := range map[string][]byte{
		"the window": []byte(w.String()), "a list": []byte(list.String()), "a dependency's rows": []byte(rows),
		"the core's log": log.all.Bytes(), "the files": files(t, path),
	} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s: the noStore value is there", what)
		}
	}
	if want := []string{"car"}; !slices.Equal(want, keysOf(w.GetWindow().GetWindow().GetMetadata())) {
		t.Errorf("the stored window has the fields %v, want %v", keysOf(w.GetWindow().GetWindow().GetMetadata()), want)
	}
}

func keysOf(s *structpb.Struct) []string { return slices.Sorted(mapsKeys(s.GetFields())) }
