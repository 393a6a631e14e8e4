package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
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
	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/wire"
)

// history is a historyPlan while it is played.
type history struct {
	*historyPlan
	stage
	t *testing.T

	mu     sync.Mutex
	random *rand.Rand
	given  map[execKey]map[string]bool // what was handed over, as text
	broke  map[execKey]bool
	// cancelled are the origins of windows that somebody cancelled.
	cancelled map[string]bool
}

// execKey is an algorithm and the origin of a window.
type execKey struct {
	origin    string
	algorithm orca.AlgorithmID
}

// playHistory plays what a seed draws on so many cores, and returns how many inputs were compared.
func playHistory(t *testing.T, seed uint64, cores int) (inputs int64) {
	t.Logf("ORCA_HISTORY_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := &history{
		historyPlan: drawHistory(random), t: t, random: random,
		given: map[execKey]map[string]bool{}, broke: map[execKey]bool{}, cancelled: map[string]bool{},
	}
	h.stage = h.setStage(t, cores, random)
	var boundary int64 // the last position of the early registry
	for part, g := range []lookbackmodel.Registry{h.early, h.late} {
		h.announce(part, g)
		h.agree()
		h.part(part)
		if part == 0 {
			boundary = lastPosition(h.listed())
		}
	}
	h.waitIdle()
	return h.compare(h.listed(), boundary)
}

// announce has two processors serve a registry.
func (h *history) announce(part int, g lookbackmodel.Registry) {
	for _, name := range []string{"p", "q"} {
		var algorithms []orcatest.Algorithm
		for _, id := range slices.SortedFunc(maps.Keys(g), orca.AlgorithmID.Compare) {
			if a := g[id]; id.Processor == name {
				algorithms = append(algorithms, orcatest.Algorithm{Algorithm: wire.AlgorithmMessage(&a), Run: h.execute(id, a.ResultType)})
			}
		}
		p := orcatest.NewProcessor(h.t, name, algorithms...).Forget()
		if len(algorithms) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(h.t.Context(), orcatest.Patience)
		if _, err := h.on().RegisterProcessor(ctx, p.Registration(), grpc.WaitForReady(true)); err != nil {
			h.t.Fatalf("register %s in part %d: %v", name, part, err)
		}
		cancel()
	}
}

// execute is an algorithm: a pure function of what it is given.
func (h *history) execute(id orca.AlgorithmID, t orca.ResultType) func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
	return func(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
		text := wireText(req, x)
		key := execKey{req.GetWindow().GetOrigin(), id}
		h.mu.Lock()
		if h.given[key] == nil {
			h.given[key] = map[string]bool{}
		}
		h.given[key][text] = true
		breaks := h.breaks > 0 && h.random.IntN(h.breaks) == 0
		if breaks { // and with it all that was asked for and has no result yet
			for _, with := range req.GetAlgorithmExecutions() {
				a := with.GetAlgorithm()
				h.broke[execKey{key.origin, orca.AlgorithmID{Processor: id.Processor, Name: a.GetName(), Version: a.GetVersion()}}] = true
			}
		}
		takes := time.Duration(h.random.Int64N(int64(h.execution) + 1))
		h.mu.Unlock()
		if !pause(ctx, takes) {
			return nil, ctx.Err()
		}
		if breaks {
			return nil, status.Error(codes.Internal, "it breaks")
		}
		return resultOf(digest(text), t), nil
	}
}

// pause lets time pass, which is what a history is about.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// part lives through the windows of a part, while the core ends at times.
func (h *history) part(part int) {
	var windows sync.WaitGroup
	for _, c := range h.windows[part] {
		windows.Go(func() { h.live(c) })
	}
	for _, after := range h.kills[part] {
		pause(h.t.Context(), after)
		h.fault()
	}
	windows.Wait()
}

// call calls the core, and repeats that while it is away.
func (h *history) call(f func(context.Context, clients) error) error {
	deadline := time.Now().Add(orcatest.Patience)
	for {
		ctx, cancel := context.WithDeadline(h.t.Context(), deadline)
		err := f(ctx, h.on())
		cancel()
		if c := status.Code(err); c != codes.Unavailable && c != codes.Canceled || time.Now().After(deadline) {
			return err
		}
		pause(h.t.Context(), 5*time.Millisecond)
	}
}

// live emits a window, and does then what is asked of it. What the core refuses is not done.
func (h *history) live(c career) {
	pause(h.t.Context(), c.after)
	fields, err := structpb.NewStruct(c.Fields)
	if err != nil {
		h.t.Error(err)
		return
	}
	w := &pb.Window{
		TimeFrom: timestamppb.New(c.From.Std()), TimeTo: timestamppb.New(c.To.Std()), Origin: c.Origin,
		WindowTypeName: c.Type.Name, WindowTypeVersion: c.Type.Version, Metadata: fields,
	}
	var header metadata.MD
	if err := h.call(func(ctx context.Context, core clients) error {
		_, err := core.EmitWindow(metadata.AppendToOutgoingContext(ctx, "idempotency-key", c.Origin), w, grpc.Header(&header))
		return err
	}); err != nil {
		h.t.Errorf("emit %s: %v", c.Origin, err)
		return
	}
	for _, what := range c.asked {
		pause(h.t.Context(), h.pace)
		h.ask(c, what, header.Get("orca-window-id")[0])
	}
}

// ask cancels the run of a window, or makes the next one as soon as there is none that is open, if that takes not long.
func (h *history) ask(c career, what, id string) {
	var noStore *structpb.Struct
	if line, has := c.Fields["line"]; has {
		noStore, _ = structpb.NewStruct(map[string]any{"line": line}) // it was emitted
	}
	for range 5 {
		err := h.call(func(ctx context.Context, core clients) (err error) {
			switch what {
			case "retry":
				_, err = core.RetryWindow(ctx, &pb.RetryWindowRequest{Id: id, Metadata: noStore})
			case "reprocess":
				_, err = core.ReprocessWindow(ctx, &pb.ReprocessWindowRequest{Id: id, Metadata: noStore})
			case "cancel":
				h.mu.Lock()
				h.cancelled[c.Origin] = true
				h.mu.Unlock()
				_, err = core.CancelWindow(ctx, &pb.CancelWindowRequest{Id: id})
			}
			return err
		})
		switch {
		case err == nil, what == "cancel" && status.Code(err) == codes.FailedPrecondition:
			return
		case status.Code(err) != codes.FailedPrecondition:
			h.t.Errorf("%s %s: %v", what, c.Origin, err)
			return
		case !strings.Contains(err.Error(), "is open"):
			return // there is nothing to retry
		}
		pause(h.t.Context(), 20*time.Millisecond)
	}
}

// waitIdle waits until no run is open.
func (h *history) waitIdle() {
	for deadline := time.Now().Add(2 * orcatest.Patience); ; {
		var open *pb.ListWindowsResponse
		err := h.call(func(ctx context.Context, core clients) (err error) {
			open, err = core.ListWindows(ctx, &pb.ListWindowsRequest{State: pb.RunState_RUN_STATE_OPEN})
			return err
		})
		if err == nil && len(open.GetWindows()) > 0 {
			pause(h.t.Context(), 5*time.Millisecond)
		}
		switch {
		case err != nil:
			h.t.Fatalf("list open windows: %v", err)
		case len(open.GetWindows()) == 0:
			return
		case time.Now().After(deadline):
			h.t.Fatalf("%d runs do not finish%s", len(open.GetWindows()), h.standstill(open.GetWindows()))
		}
	}
}

// standstill describes what stands still: the lowest runs, what the core says that it waits for, and all that it is doing.
func (h *history) standstill(open []*pb.WindowInfo) string {
	var b strings.Builder
	ctx, cancel := context.WithTimeout(h.t.Context(), orcatest.Patience)
	defer cancel()
	say := func(m proto.Message, err error) { fmt.Fprintf(&b, "\n%v (%v)", m, err) }
	slices.SortFunc(open, func(a, b *pb.WindowInfo) int { return int(a.GetRun().GetPosition() - b.GetRun().GetPosition()) })
	for _, w := range open[:min(5, len(open))] {
		say(h.on().GetWindow(ctx, &pb.GetWindowRequest{Id: w.GetId()}))
	}
	say(h.on().GetStatus(ctx, &pb.GetStatusRequest{}))
	say(h.on().ListProcessors(ctx, &pb.ListProcessorsRequest{}))
	return b.String() + "\n" + h.doing()
}

// listed returns all runs by position.
func (h *history) listed() (runs []*pb.GetWindowResponse) {
	var page *pb.ListWindowsResponse
	if err := h.call(func(ctx context.Context, core clients) (err error) {
		page, err = core.ListWindows(ctx, &pb.ListWindowsRequest{PageSize: 1000})
		return err
	}); err != nil || page.GetPageToken() != "" {
		h.t.Fatalf("list windows: %v", err)
	}
	for _, w := range page.GetWindows() {
		for revision := range w.GetRun().GetRevision() {
			if err := h.call(func(ctx context.Context, core clients) error {
				run, err := core.GetWindow(ctx, &pb.GetWindowRequest{Id: w.GetId(), Revision: revision + 1})
				if err == nil {
					runs = append(runs, run)
				}
				return err
			}); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	slices.SortFunc(runs, func(a, b *pb.GetWindowResponse) int { return int(a.GetRun().GetPosition() - b.GetRun().GetPosition()) })
	return runs
}

func lastPosition(runs []*pb.GetWindowResponse) int64 {
	if len(runs) == 0 {
		return 0
	}
	return runs[len(runs)-1].GetRun().GetPosition()
}
