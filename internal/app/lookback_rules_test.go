package app_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// With --lookback=available an algorithm takes the results that are there and waits for none, neither of its own past nor
// of another window type: while the second window is under way, the third is given the first one's.
func TestAvailableTakesWhatIsSettledAndWaitsForNothing(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(c *config.Config) { c.Lookback = config.LookbackAvailable })
	release, given := make(chan struct{}), make(chan []string, 3)
	base := plain("Base", "B")
	base.Run = func(ctx context.Context, req *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
		return heldBack(ctx, req, release)
	}
	looks := plain("Looks", "L", last("B", 3, 0))
	looks.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: 3}
	looks.Run = func(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
		rows := []string{req.GetWindow().GetOrigin()}
		for _, r := range append(x.GetDependencies()[0].GetResult(), x.GetSelfResults()...) {
			rows = append(rows, r.GetWindow().GetWindowTypeName()+" "+r.GetWindow().GetOrigin())
		}
		given <- rows
		return heldBack(ctx, req, release)
	}
	core.Processor("p", base, looks)
	emit := func(typeName string, i int) string {
		w := window(typeName, i)
		w.Origin = fmt.Sprint(i)
		id, _ := core.Emit(w)
		return id
	}
	for i, want := range [][]string{{"0", "Base 0"}, {"1", "Base 0", "Looks 0"}, {"2", "Base 2", "Base 0", "Looks 0"}} {
		b := emit("Base", i)
		if i != 1 {
			core.Wait(b)
		}
		l := emit("Looks", i)
		if diff := cmp.Diff(want, receive(t, fmt.Sprintf("window %d is asked for", i), given)); diff != "" {
			t.Errorf("window %d was given (-want +got):\n%s", i, diff)
		}
		if i != 1 {
			core.Wait(l)
		}
	}
	close(release)
}

// heldBack is a result that comes at once, and of the window with origin 1 on release.
func heldBack(ctx context.Context, req *pb.ExecutionRequest, release <-chan struct{}) (*pb.Result, error) {
	if req.GetWindow().GetOrigin() == "1" {
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return orcatest.Value(1), nil
}
