package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

func (c *core) cancel(id orca.WindowID) {
	c.t.Helper()
	if revision, err := c.Cancel(c.t.Context(), id); err != nil || revision != 1 {
		c.t.Fatalf("Cancel: revision %d, %v", revision, err)
	}
}

// A cancel settles all open nodes at once: those under way, delayed and waiting. What succeeded stays.
func TestCancelOfAnActiveRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "C < A", "D < B", "q/E", "F"), commitsTake(time.Second))
		at := c.emit()
		calls := c.expect("1 p: A F", "1 q: E")
		c.succeed(calls[0], "A")
		c.pass(time.Second)
		both := c.next("1 p: B C")
		c.answer(calls[1], orca.StatusUnhandledFailed, "broken") // E waits for its next attempt
		c.cancel(at)
		const why = ": cancelled by request"
		want := []string{"cancelled", "A succeeded 1", "B cancelled 0" + why, "C cancelled 0" + why, "D cancelled 0" + why,
			"E cancelled 1" + why, "F cancelled 0" + why}
		c.check(at, want...)
		c.succeed(both) // too late
		c.succeed(calls[0], "F")
		c.pass(time.Minute)
		c.expect()
		c.check(at, want...)
		c.checkIdle()
	})
}

// What waits for an absent processor is taken back from the fleet; what it has already asks nothing of a processor.
func TestCancelTakesCallsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B"))
		c.emit()
		synctest.Wait()
		late := c.desk.calls[0]
		c.cancel(1)
		c.expect()
		if _, err := late.Build(t.Context(), []orca.CalledAlgorithm{{ID: idOf("A")}}); err == nil {
			t.Error("a cancelled node's request is still put together")
		}
		c.checkIdle()
	})
}

// A cancelled node that waits for its next attempt does not come back while the rest of its run goes on.
func TestForgottenNodeIsNotTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B"))
		c.emit()
		calls := c.expect("1 p: A", "1 q: B")
		c.answer(calls[1], orca.StatusUnhandledFailed, "broken")
		synctest.Wait()
		c.forget("q", 1)
		c.pass(time.Minute)
		c.expect()
		c.succeed(calls[0])
		c.check(1, "incomplete", "A succeeded 1", `B skipped 1: processor "q" was forgotten`)
		c.checkIdle()
	})
}

func TestCancelRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), commitsTake(time.Second))
		c.emit()
		call := c.next("1 p: A")
		_, err := c.Cancel(t.Context(), 9)
		refusedWith(t, "an unknown window", err, orca.NotFound, "9")
		c.succeed(call)
		_, err = c.Cancel(t.Context(), 1) // the outcome is on its way
		refusedWith(t, "a run that is finishing", err, orca.Precondition, "no open node")
		c.pass(time.Second)
		_, err = c.Cancel(t.Context(), 1)
		refusedWith(t, "a finished run", err, orca.Precondition, "revision 1 is succeeded")
	})
}

// A run that is a row is cancelled without a place in memory, and never starts.
func TestCancelOfAPendingRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A"), activeRuns(1))
		for range 4 {
			c.emit()
		}
		call := c.next("1 p: A")
		c.counts(4, 1)
		c.cancel(3)
		c.counts(3, 1)
		c.check(3, "cancelled", "A cancelled 0: cancelled by request", "B cancelled 0: cancelled by request")
		for _, next := range []string{"1 p: B", "2 p: A", "2 p: B", "4 p: A", "4 p: B"} {
			c.succeed(call)
			call = c.next(next)
		}
		c.succeed(call)
		c.checkIdle()
	})
}

// A run that would start from memory, behind rows, is not started as it was before its cancellation.
func TestCancelOfARunInTheTail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(8))
		for range 10 { // two are rows
			c.emit()
		}
		synctest.Wait()
		calls := c.desk.take()
		c.succeed(calls[0])
		c.counts(9, 7)
		c.emit()
		c.look(func() {
			if len(c.admission.tail) != 1 {
				t.Errorf("%d runs are in the tail, want 1", len(c.admission.tail))
			}
		})
		c.cancel(11)
		c.succeed(calls[1])
		c.expect("9 p: A", "10 p: A")
		c.succeed(calls[2])
		c.expect()
		c.check(11, "cancelled", "A cancelled 0: cancelled by request")
	})
}

// A cancel that comes while the run is being loaded waits for it.
func TestCancelDuringALoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		first := startCore(t, l, p)
		first.emit()
		first.emit()
		first.crash()
		c := startCore(t, l, p, readsTake(time.Second))
		c.pass(1500 * time.Millisecond) // the rows are being read
		cancelled := make(chan error, 1)
		go func() {
			_, err := c.Cancel(t.Context(), 1)
			cancelled <- err
		}()
		if err := <-cancelled; err != nil {
			t.Error(err)
		}
		c.pass(5 * time.Second)
		c.next("2 p: A")
		c.check(1, "cancelled", "A cancelled 0: cancelled by request")
	})
}

// What a cancel has settled stays so after a crash, and a retry runs it.
func TestCancelSurvivesACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "B < A")
		c := startCore(t, l, p)
		at := c.emit()
		c.succeed(c.next("1 p: A"))
		c.next("1 p: B")
		c.cancel(at)
		c.crash()
		next := startCore(t, l, p)
		next.expect()
		next.check(at, "cancelled", "A succeeded 1", "B cancelled 0: cancelled by request")
		if _, err := next.Retry(t.Context(), at, nil); err != nil {
			t.Fatal(err)
		}
		next.succeed(next.next("2 p: B"))
		next.check(2, "succeeded", "A succeeded 1", "B succeeded 1")
		next.checkIdle()
	})
}

// A crash before a cancel was committed leaves the run as it was, with nothing cancelled.
func TestCancelThatWasNotCommitted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "B < A")
		c := startCore(t, l, p)
		c.emit()
		c.next("1 p: A")
		c.session.commitTime = func() time.Duration { return time.Hour }
		ctx, stop := context.WithCancel(t.Context())
		cancelled := make(chan error, 1)
		go func() {
			_, err := c.Cancel(ctx, 1)
			cancelled <- err
		}()
		synctest.Wait()
		c.crash()
		stop()
		if err := <-cancelled; err == nil {
			t.Error("a cancel that was not committed was confirmed")
		}
		next := startCore(t, l, p)
		next.next("1 p: A")
		next.check(1, "open")
	})
}

// A cancel outlives the ledger's faults.
func TestCancelIsWrittenAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		faults := 3
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(1), func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if w.settlement == nil || faults == 0 {
					return false, nil
				}
				faults--
				return false, errFault
			}
		})
		c.emit()
		c.emit()
		c.next("1 p: A")
		c.cancel(2)
		faults = 3
		c.cancel(1)
		c.check(1, "cancelled", "A cancelled 0: cancelled by request")
		c.checkIdle()
	})
}

// forget forgets a processor, in so many runs.
func (c *core) forget(name string, runs int64) {
	c.t.Helper()
	if got, err := c.ForgetProcessor(c.t.Context(), name); err != nil || got != runs {
		c.t.Errorf("ForgetProcessor: %d runs, %v; want %d", got, err, runs)
	}
}

// The open nodes of a forgotten processor are skipped, with what depends on them; all others go on. Runs accepted later
// are not concerned.
func TestForgetProcessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B < A", "C < q/B", "q/D < C", "E < A"))
		c.emit()
		c.emit()
		calls := c.expect("1 p: A", "2 p: A")
		c.succeed(calls[0])
		under := c.expect("1 p: E", "1 q: B")
		c.forget("q", 2)
		c.forget("nobody", 0)
		c.succeed(under[1]) // too late
		c.succeed(under[0])
		c.succeed(calls[1])
		c.succeed(c.next("2 p: E"))
		const why = `: processor "q" was forgotten`
		for p := range orca.Position(2) {
			c.check(p+1, "incomplete", "A succeeded 1", "B skipped 0"+why, `C skipped 0: needs B 1.0.0 of processor "q", which was skipped`,
				"D skipped 0"+why, "E succeeded 1")
		}
		c.emit()
		c.succeed(c.next("3 p: A"))
		c.expect("3 p: E", "3 q: B")
	})
}

// Rows are walked in pages, however many there are, while what is active goes on; a run that finishes so takes no place.
func TestForgetWalksTheBacklog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kinds planners
		const many = 3*pageSize + 7
		mixed, own := dag(t, "A", "q/B"), dag(t, "q/B", "C < q/B")
		for i := range many {
			kinds.plans = append(kinds.plans, mixed)
			if i%2 == 1 {
				kinds.plans[i] = own
			}
		}
		kinds.plans = append(kinds.plans, mixed)
		c := startCore(t, newLedger(), nil, activeRuns(2), func(with *setUp) {
			with.Planner = &kinds
			with.session.commitTime = func() time.Duration { return time.Millisecond }
		})
		for range many {
			c.emit()
		}
		synctest.Wait()
		c.forget("q", many)
		left := int64(many / 2)
		c.counts(many-left, 2)
		c.emit() // not concerned
		c.check(2, "incomplete", `B skipped 0: processor "q" was forgotten`, `C skipped 0: needs B 1.0.0 of processor "q", which was skipped`)
		c.check(many, "open", `B skipped 0: processor "q" was forgotten`)
		calls := c.desk.take()
		for n := 0; len(calls) > 0; n++ {
			for _, call := range calls {
				if call.Processor == "q" && call.Position <= many {
					t.Fatalf("run %d asks q for %v", call.Position, call.Algorithms)
				}
				c.succeed(call)
			}
			c.pass(time.Second)
			calls = c.desk.take()
		}
		c.check(many+1, "succeeded", "A succeeded 1", "B succeeded 1")
		c.checkIdle()
	})
}

// Runs that are loaded between two pages of the walk are taken as they start.
func TestForgetBesideLoads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "q/B")
		first := startCore(t, l, p, activeRuns(1))
		const many = 2 * pageSize
		for range many {
			first.emit()
		}
		first.crash()
		c := startCore(t, l, p, activeRuns(4), readsTake(time.Second))
		forgot := make(chan error, 1)
		go func() {
			_, err := c.ForgetProcessor(t.Context(), "q")
			forgot <- err
		}()
		for range 4 * many { // the processor keeps up, so that loads come between
			c.pass(10 * time.Millisecond)
			for _, call := range c.desk.take() {
				if call.Processor == "q" {
					if call.Position > 4 {
						t.Fatalf("run %d asks q", call.Position)
					}
					continue
				}
				c.succeed(call)
			}
		}
		select {
		case err := <-forgot:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the walk has not ended")
		}
		for range many {
			c.pass(time.Second)
			for _, call := range c.desk.take() {
				c.succeed(call)
			}
		}
		for p := range orca.Position(many) {
			c.check(p+1, "incomplete", "A succeeded 1", `B skipped 0: processor "q" was forgotten`)
		}
		c.checkIdle()
	})
}

// A walk that a crash cuts off leaves each run whole: as it was, or with all of the processor's nodes skipped.
func TestForgetCutOffByACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "q/A", "q/B", "C < q/B")
		c := startCore(t, l, p, activeRuns(1))
		const many = 2 * pageSize
		for range many {
			c.emit()
		}
		synctest.Wait()
		settlements := 0
		c.session.writeFault = func(w *write) (bool, error) {
			if settlements++; settlements == pageSize/2 {
				go c.session.crash()
			}
			return false, nil
		}
		c.session.commitTime = func() time.Duration { return time.Second }
		if _, err := c.withTimeout(time.Minute).forgetting("q"); err == nil {
			t.Error("a walk that was cut off was confirmed")
		}
		c.crash()
		next := startCore(t, l, p, activeRuns(1))
		synctest.Wait()
		if open := next.Stats().Open; open == 0 || open == many {
			t.Errorf("%d of %d runs are left; the walk was not cut off in its middle", open, many)
		}
		next.forget("q", next.Stats().Open)
		for p := range orca.Position(many) {
			const why = `: processor "q" was forgotten`
			next.check(p+1, "incomplete", "A skipped 0"+why, "B skipped 0"+why, `C skipped 0: needs B 1.0.0 of processor "q", which was skipped`)
		}
		next.checkIdle()
	})
}

// limited is a core whose requests end after a while.
type limited struct {
	*core
	d time.Duration
}

func (c *core) withTimeout(d time.Duration) limited { return limited{c, d} }

func (c limited) forgetting(name string) (int64, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), c.d)
	defer cancel()
	return c.ForgetProcessor(ctx, name)
}

func TestWithdrawalsEndWithTheCore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(1), commitsTake(time.Second))
		c.emit()
		cancelled := make(chan error, 1)
		go func() {
			_, err := c.Cancel(t.Context(), 1)
			cancelled <- err
		}()
		synctest.Wait()
		c.finish()
		if err := <-cancelled; !errors.Is(err, orca.Unavailable) {
			t.Errorf("Cancel: %v, want Unavailable", err)
		}
		if _, err := c.ForgetProcessor(t.Context(), "p"); !errors.Is(err, orca.Unavailable) {
			t.Errorf("ForgetProcessor: %v, want Unavailable", err)
		}
		c.stop()
		c.check(1, "cancelled", "A cancelled 0: cancelled by request") // it was on its way
	})
}

// retire says that algorithms are retired since now.
func (c *core) retire(names ...string) {
	since := map[orca.AlgorithmID]orca.Time{}
	for _, name := range names {
		since[idOf(name)] = orca.TimeOf(time.Now())
	}
	c.Retired(since)
	synctest.Wait()
}

func retiredWait(d time.Duration) func(*setUp) { return func(with *setUp) { with.RetiredWait = d } }

// A node whose algorithm stays retired for the whole of RetiredWait is skipped, wherever its run is then; runs that come
// later skip it at once.
func TestRetiredAlgorithmsAreSkippedAfterAWhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B", "C < q/B"), activeRuns(2), retiredWait(10*time.Minute))
		for range 3 {
			c.emit()
		}
		for _, call := range c.expect("1 p: A", "1 q: B", "2 p: A", "2 q: B") {
			if call.Processor == "p" {
				c.succeed(call)
			}
		}
		c.pass(time.Hour) // nothing is retired
		c.retire("q/B")
		c.pass(10*time.Minute - 1)
		c.counts(3, 2)
		c.expect()
		c.pass(1)
		want := []string{"incomplete", "A succeeded 1", "B skipped 0: B 1.0.0 is retired, and no processor has announced it again for 10m0s",
			`C skipped 0: needs B 1.0.0 of processor "q", which was skipped`}
		c.check(1, want...)
		c.check(2, want...)
		c.succeed(c.next("3 p: A"))
		c.check(3, want...)
		c.checkIdle()
	})
}

// An algorithm that was announced again in time is waited for, and one that retires later has its own time.
func TestRetiredAlgorithmsComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B"), retiredWait(10*time.Minute))
		c.emit()
		calls := c.expect("1 p: A", "1 q: B")
		c.retire("q/B")
		c.pass(9 * time.Minute)
		c.retire("A") // and B is back
		c.pass(9 * time.Minute)
		c.check(1, "open")
		c.succeed(calls[1])
		c.pass(time.Minute)
		c.check(1, "incomplete", "A skipped 0: A 1.0.0 is retired, and no processor has announced it again for 10m0s", "B succeeded 1")
		c.checkIdle()
	})
}

// There is one timer, however many nodes wait.
func TestRetiredAlgorithmsHaveOneTimer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), retiredWait(time.Minute))
		for i := range 100 {
			c.emit()
			c.retire("A", fmt.Sprint("Other", i))
		}
		hold := make(chan struct{})
		c.inbox.post(func() { <-hold })
		c.pass(time.Hour)
		c.inbox.mu.Lock()
		if n := len(c.inbox.posted); n != 1 {
			t.Errorf("%d timers fired, want 1", n)
		}
		c.inbox.mu.Unlock()
		close(hold)
		c.counts(0, 0)
	})
}
