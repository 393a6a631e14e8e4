package fleet_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// wantServing compares what the fleet says of algorithm A, and whether it told of a change since the last time.
func (w *world) wantServing(want orca.InstanceState, changes *atomic.Int64) {
	w.t.Helper()
	synctest.Wait()
	if got := w.fleet.Serving(id("p", "A")); got != want {
		w.t.Errorf("after %v algorithm A is %v, want %v", w.since(), got, want)
	}
	if changes.Swap(0) == 0 {
		w.t.Errorf("nobody was told that algorithm A is %v", want)
	}
}

// Serving follows the instances that run the algorithm, and every change is told.
func TestServing(t *testing.T) {
	var changes atomic.Int64
	inWorld(t, fleet.Config{OnChange: func() { changes.Add(1) }}, func(t *testing.T, w *world) {
		changes.Store(1)
		w.wantServing(orca.Unreachable, &changes)
		w.sync(w.instance("alpha:1", "A"))
		w.wantServing(orca.Connecting, &changes)
		time.Sleep(6 * time.Second)
		w.wantServing(orca.Unreachable, &changes)
		p := w.serve("alpha:1")
		time.Sleep(6 * time.Second)
		w.wantServing(orca.Serving, &changes)
		p.answerStatus(pb.HealthCheckResponse_STATUS_NOT_SERVING)
		time.Sleep(6 * time.Second)
		w.wantServing(orca.Unreachable, &changes)
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		time.Sleep(6 * time.Second)
		w.wantServing(orca.Serving, &changes)
		w.sync(w.instance("alpha:1", "B"))
		w.wantServing(orca.Unreachable, &changes)
	})
}

// Work that waits outside of the fleet has an absent instance probed like work in the queue.
func TestExpectedWorkIsProbedFor(t *testing.T) {
	inWorld(t, fleet.Config{Heartbeat: time.Minute}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		p.answerStatus(pb.HealthCheckResponse_STATUS_NOT_SERVING)
		w.sync(w.instance("alpha:1", "A"))
		w.wantState("alpha:1", orca.NotServing)
		w.fleet.Expect(map[string]bool{"p": true})
		time.Sleep(10 * time.Second)
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		time.Sleep(1100 * time.Millisecond)
		w.wantState("alpha:1", orca.Serving)
		w.fleet.Expect(nil)
		p.answerStatus(pb.HealthCheckResponse_STATUS_NOT_SERVING)
		time.Sleep(time.Minute)
		w.wantState("alpha:1", orca.NotServing)
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		time.Sleep(2 * time.Second)
		w.wantState("alpha:1", orca.NotServing)
	})
}
