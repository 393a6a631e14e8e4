package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/orca-telemetry/orca/internal/fleet"
)

// A core whose lease has passed by its own clock gives work to nobody, though the instance has room; what is under way goes
// on, and its end begins nothing. A renewal sends out what has waited.
func TestNoWorkIsGivenWithoutALease(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		w.fleet.Lease(time.Now().Add(10 * time.Second))
		w.submit(1, "A")
		running := w.next(p)
		time.Sleep(10*time.Second - time.Nanosecond)
		w.submit(2, "A")
		w.next(p).succeed(t)
		time.Sleep(time.Nanosecond)
		late := w.submit(3, "A")
		w.idle(p)
		running.succeed(t)
		w.calls[0].wait()
		wantOutcome(t, w.calls[0], outcome{Results: map[string]float64{"A": 0}})
		time.Sleep(time.Hour)
		w.idle(p)
		if !late.open() {
			t.Errorf("something was reported of what has not gone out: %+v", late.soFar())
		}
		w.fleet.Lease(time.Now().Add(10 * time.Second))
		w.next(p).succeed(t)
		late.wait()
		synctest.Wait()
	})
}

// What has an instance for itself is no exception: its turn may come when the lease has passed.
func TestNoSoloWorkIsGivenWithoutALease(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		w.fleet.Lease(time.Now().Add(10 * time.Second))
		w.submit(1, "A")
		running := w.next(p)
		solo := w.submitSolo(2, "B")
		time.Sleep(11 * time.Second)
		running.succeed(t)
		w.idle(p)
		w.fleet.Lease(time.Now().Add(10 * time.Second))
		w.next(p).succeed(t)
		solo.wait()
	})
}
