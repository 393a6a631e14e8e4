package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// planners gives each emit the next plan.
type planners struct {
	mu    sync.Mutex
	plans []*plan.Plan
}

func (p *planners) Plan(context.Context, orca.WindowTypeID) (*plan.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.plans[0]
	p.plans = p.plans[1:]
	return next, nil
}

func TestEmitIsAnsweredAfterTheCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), commitsTake(time.Second))
		begun := time.Now()
		c.emit()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the answer took %v", took)
		}
	})
}

func TestEmitRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		full := orca.Errorf(orca.Exhausted, "the disk is full")
		var may error
		c := startCore(t, newLedger(), dag(t, "A"), func(with *setUp) {
			with.MaxBacklog = 2
			with.MayAccept = func() error { return may }
		})
		refused := func(what string, em orca.Emission, kind error) {
			t.Helper()
			if _, err := c.Emit(t.Context(), em); !errors.Is(err, kind) {
				t.Errorf("%s: %v, want %v", what, err, kind)
			}
		}
		stranger := emission()
		stranger.Window.Type.Name = "Stranger"
		refused("unknown type", stranger, orca.NotFound)
		may = full
		refused("host", emission(), full)
		may = nil
		c.emit()
		c.emit()
		refused("backlog", emission(), orca.Exhausted)
		for _, call := range c.expect("1 p: A", "2 p: A") {
			c.succeed(call)
		}
		synctest.Wait()
		c.emit()
		c.StopAccepting()
		refused("stopping", emission(), orca.Unavailable)
		if n := c.unanswered.Load(); n != 0 {
			t.Errorf("%d emits count as unanswered", n)
		}
		if n := len(c.session.runs); n != 3 {
			t.Errorf("%d windows are in the ledger, want the 3 that were accepted", n)
		}
	})
}

func TestUnansweredEmitsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), commitsTake(time.Second), func(with *setUp) { with.MaxAccept = 2 })
		var emits sync.WaitGroup
		for range 2 {
			emits.Go(func() { c.emit() })
		}
		synctest.Wait()
		if _, err := c.Emit(t.Context(), emission()); !errors.Is(err, orca.Exhausted) {
			t.Errorf("Emit: %v, want Exhausted", err)
		}
		emits.Wait()
		c.emit() // there is room at once
	})
}

// An emit refused before its commit leaves nothing; one that gives up during it still counts until it is answered.
func TestCancelledEmits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), commitsTake(time.Second), func(with *setUp) { with.MaxAccept = 1 })
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Emit(cancelled, emission()); !errors.Is(err, context.Canceled) {
			t.Errorf("Emit: %v, want its context's error", err)
		}
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := c.Emit(short, emission()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Emit: %v, want its context's error", err)
		}
		if _, err := c.Emit(t.Context(), emission()); !errors.Is(err, orca.Exhausted) {
			t.Errorf("Emit: %v, want Exhausted", err)
		}
		c.pass(time.Second)
		c.succeed(c.next("1 p: A")) // nobody waits for it, and it runs
		c.pass(time.Second)
		c.check(1, "succeeded", "A succeeded 1")
	})
}

// Before the backlog is known, its limit and the order of positions are not.
func TestEmitWaitsForTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), readsTake(time.Second))
		begun := time.Now()
		c.emit()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the answer took %v", took)
		}
		e := New(Config{Ledger: c.session, Planner: planner{}}) // nobody runs it
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Emit(ctx, emission()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Emit: %v, want its context's error", err)
		}
	})
}

func TestEmitsUnderWayAreAnsweredAfterTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		c := startCore(t, l, p, commitsTake(time.Second))
		var emits sync.WaitGroup
		emits.Go(func() { c.emit() })
		synctest.Wait()
		c.finish() // the ledger goes on
		emits.Wait()
		if n := c.unanswered.Load(); n != 0 {
			t.Errorf("%d emits count as unanswered", n)
		}
		if _, err := c.Emit(t.Context(), emission()); !errors.Is(err, orca.Unavailable) {
			t.Errorf("Emit: %v, want Unavailable", err)
		}
		c.stop()
		next := startCore(t, l, p)
		next.succeed(next.next("1 p: A"))
		next.checkIdle()
	})
}
