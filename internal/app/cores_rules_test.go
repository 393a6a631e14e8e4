package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// With --store-direct, a node that waits for a result of another core goes on when that is durable, and who watches a run of
// another core hears of its end, though neither core looks for what the other one did.
func TestAResultOfAnotherCoreIsHeardOf(t *testing.T) {
	t.Parallel()
	shared := orcatest.OnPostgres(t)
	settings := func(c *config.Config) {
		shared(c)
		c.StoreDirect, c.Poll = c.Store, time.Hour
	}
	one, other := orcatest.Start(t, settings), orcatest.Start(t, settings)
	release, given := make(chan struct{}), make(chan []string, 2)
	looks := plain("Looks", "L")
	looks.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: 1}
	looks.Run = func(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
		rows := []string{req.GetWindow().GetOrigin()}
		for _, r := range x.GetSelfResults() {
			rows = append(rows, r.GetWindow().GetOrigin())
		}
		given <- rows
		return heldBack(ctx, req, release)
	}
	one.Processor("p", looks)
	emit := func(c *orcatest.Core, i int, origin string) string {
		w := window("Looks", i)
		w.Origin = origin
		id, _ := c.Emit(w)
		return id
	}
	first := emit(one, 0, "1") // which is held back
	if diff := cmp.Diff([]string{"1"}, receive(t, "the first window is asked for", given)); diff != "" {
		t.Errorf("the first window was given (-want +got):\n%s", diff)
	}
	second := emit(other, 1, "2")
	ctx, cancel := context.WithTimeout(t.Context(), orcatest.Patience)
	defer cancel()
	w, err := other.GetWindow(ctx, &pb.GetWindowRequest{Id: second})
	if err != nil || len(w.GetNodes()) != 1 || !strings.HasPrefix(w.GetNodes()[0].GetReason(), "waits for L") {
		t.Fatalf("the second window is %v (%v), want it to wait", w, err)
	}
	watch, err := other.WatchWindow(ctx, &pb.WatchWindowRequest{Id: first})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if event, err := watch.Recv(); err != nil || event.GetFinished() != nil {
				ended <- err
				return
			}
		}
	}()
	close(release)
	if diff := cmp.Diff([]string{"2", "1"}, receive(t, "the second window is asked for", given)); diff != "" {
		t.Errorf("the second window was given (-want +got):\n%s", diff)
	}
	if err := receive(t, "the end of the first window is seen", ended); err != nil {
		t.Error(err)
	}
	other.Wait(second)
}

// What is registered at one core counts at another one at once: before that answers that a window's type is not there, or triggers
// nothing, it looks at the newest registry.
func TestARegistrationAtAnotherCoreIsKnownBeforeARefusal(t *testing.T) {
	t.Parallel()
	shared := orcatest.OnPostgres(t)
	cores := []*orcatest.Core{orcatest.Start(t, shared), orcatest.Start(t, shared)}
	p := orcatest.NewProcessor(t, "p", plain("W", "A"))
	nothing := p.Registration()
	nothing.SupportedAlgorithms = nil
	ctx, cancel := context.WithTimeout(t.Context(), orcatest.Patience)
	defer cancel()
	for i := range 20 {
		here, there := cores[i%2], cores[1-i%2]
		typeName := fmt.Sprintf("New%d", i)
		there.Processor(typeName, plain(typeName, "N"))
		if _, answer := here.Emit(window(typeName, 0)); answer != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
			t.Errorf("a window of a type that was just registered at another core is answered %v", answer)
		}
		if _, err := there.Register(p); err != nil {
			t.Fatal(err)
		}
		if _, answer := here.Emit(window("W", i)); answer != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
			t.Errorf("a window whose algorithm was just announced again at another core is answered %v", answer)
		}
		if _, err := here.RegisterProcessor(ctx, nothing); err != nil {
			t.Fatal(err)
		}
	}
}
