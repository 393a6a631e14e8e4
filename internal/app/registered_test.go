package app_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// An instance that answers UNIMPLEMENTED gets no such work until it registers again, also when it then announces
// exactly what it did before.
func TestUnimplementedUntilItRegistersAgain(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	denied := make(chan struct{}, 100)
	core := orcatest.Start(t)
	p := core.Processor("p", orcatest.Algorithm{
		Algorithm: orcatest.Define("W", "A"),
		Run: func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
			if ready.Load() {
				return orcatest.Value(1), nil
			}
			denied <- struct{}{}
			return nil, status.Error(codes.Unimplemented, "not yet")
		},
	})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	select {
	case <-denied:
	case <-time.After(orcatest.Patience):
		t.Fatal("the processor was never asked")
	}
	ready.Store(true)
	if _, err := core.Register(p); err != nil {
		t.Fatal(err)
	}
	if got := core.Wait(id).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
		t.Errorf("the run is %v", got)
	}
	if n := len(p.Requests()); n != 2 {
		t.Errorf("the processor was asked %d times, want once before it registered again and once after", n)
	}
}
