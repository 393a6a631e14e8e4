package e2e

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// memoryBound is what the core's process may hold while small windows are emitted as fast as it takes them, however many.
const memoryBound = 256 << 20

// Memory stays bounded however many windows are emitted in one run. `make million` emits a million of them.
func TestManyWindows(t *testing.T) {
	n := 20_000
	if text := os.Getenv("ORCA_TEST_WINDOWS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("ORCA_TEST_WINDOWS=%s: want a number", text)
		}
	}
	c := startCore(t)
	c.register(orcatest.NewProcessor(t, "p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")}).Forget())
	idle := c.residentBytes()
	begun := time.Now()
	var next, peak atomic.Int64
	var emitters sync.WaitGroup
	for range 64 {
		emitters.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if _, err := c.EmitWindow(context.Background(), orcatest.Window("W", "1.0.0", int(i), map[string]any{"asset": "pump"})); err != nil {
					t.Errorf("window %d: %v", i, err)
					return
				}
				if i%1000 == 0 {
					raise(&peak, c.residentBytes())
				}
			}
		})
	}
	emitters.Wait()
	emitted := time.Since(begun)
	c.waitIdle()
	raise(&peak, c.residentBytes())
	t.Logf("%d windows emitted in %v, finished after %v; memory %d MiB idle, %d MiB at most, %d MiB in the end",
		n, emitted.Round(time.Second), time.Since(begun).Round(time.Second), idle>>20, peak.Load()>>20, c.residentBytes()>>20)
	if got := peak.Load(); got > memoryBound {
		t.Errorf("the core held %d MiB, want at most %d", got>>20, memoryBound>>20)
	}
	if failed, err := c.ListWindows(t.Context(), &pb.ListWindowsRequest{PageSize: 1, State: pb.RunState_RUN_STATE_FAILED}); err != nil || len(failed.GetWindows()) > 0 {
		t.Errorf("failed windows: %v, %v; want none", failed.GetWindows(), err)
	}
}

func raise(peak *atomic.Int64, v int64) {
	for {
		old := peak.Load()
		if v <= old || peak.CompareAndSwap(old, v) {
			return
		}
	}
}
