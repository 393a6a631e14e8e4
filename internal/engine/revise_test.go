package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

// failB emits a window whose B fails for good, and returns it when its run has ended.
func (c *core) failB() orca.Position {
	c.t.Helper()
	at := c.emit()
	c.succeed(c.next("1 p: A"))
	c.answer(c.next("1 p: B"), orca.StatusHandledFailed, "no")
	c.check(at, "failed", "A succeeded 1", "B handled-failed 1: no", "C skipped 0: needs B 1.0.0, which failed (handled)")
	return at
}

func refusedWith(t *testing.T, what string, err error, kind orca.Kind, words string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want %v and %q", what, err, kind, words)
	}
}

// A retry keeps the plan and the succeeded outcomes, runs the rest with their results, and sees the noStore fields that
// were given again.
func TestRetryRunsTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "B < A", "C < B", "D < Gone")
		kinds := planners{}
		kinds.plans = append(kinds.plans, p) // a second look at the registry would panic
		c := startCore(t, l, nil, func(with *setUp) { with.Planner = &kinds })
		at := c.emit()
		c.succeed(c.next("1 p: A"))
		c.answer(c.next("1 p: B"), orca.StatusHandledFailed, "no")
		synctest.Wait()
		got, err := c.Retry(t.Context(), at, []byte("given again"))
		want := orca.Accepted{Window: 1, Position: 2, Status: orca.ProcessingTriggered, Revision: 2}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("Retry: %v (-want +got):\n%s", err, diff)
		}
		call := c.next("2 p: B")
		x, err := call.Build(t.Context(), call.Algorithms)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(x.Algorithms[0].Dependencies[0].Current), string(encodedOf(1, idOf("A"))); got != want {
			t.Errorf("B is handed %q, want %q", got, want)
		}
		if got := string(x.Input.Metadata) + ", " + string(x.Stored.Metadata); got != "given again, stored" {
			t.Errorf("metadata %q", got)
		}
		c.succeed(call)
		c.succeed(c.next("2 p: C"))
		c.check(2, "incomplete", "A succeeded 1", "B succeeded 1", "C succeeded 1", "D skipped 0: needs Gone 1.0.0, which is retired")
		c.check(1, "failed", "A succeeded 1", "B handled-failed 1: no", "C skipped 0: needs B 1.0.0, which failed (handled)",
			"D skipped 0: needs Gone 1.0.0, which is retired")
		if n := c.Stats().Accepted; n != 1 {
			t.Errorf("%d windows count as accepted, want 1", n)
		}
		c.checkIdle()
	})
}

// Outcomes that a retry kept are kept by the next one too, and name the run that produced them.
func TestRetryOfARetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "C < B"))
		at := c.failB()
		for revision := 2; revision < 4; revision++ {
			if a, err := c.Retry(t.Context(), at, nil); err != nil || a.Revision != revision {
				t.Fatalf("Retry: %+v, %v", a, err)
			}
			c.answer(c.expect([]string{"2 p: B", "3 p: B"}[revision-2])[0], orca.StatusHandledFailed, "no")
			synctest.Wait()
		}
		if o := c.session.run(3).outcomes[0]; o.Algorithm != idOf("A") || o.ProducedAt != 1 {
			t.Errorf("run 3 has %+v, want A as run 1 produced it", o)
		}
		c.checkIdle()
	})
}

func TestRetryWithNothingToRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kinds planners
		kinds.plans = append(kinds.plans, dag(t, "A"), dag(t), dag(t, "A", "B < Gone"))
		c := startCore(t, newLedger(), nil, func(with *setUp) { with.Planner = &kinds })
		for range 3 {
			c.emit()
		}
		_, err := c.Retry(t.Context(), 1, nil)
		refusedWith(t, "an open run", err, orca.Precondition, "revision 1 of the window is open")
		for _, call := range c.expect("1 p: A", "3 p: A") {
			c.succeed(call)
		}
		synctest.Wait()
		for id, words := range map[orca.WindowID]string{1: "nothing to retry: reprocess", 2: "nothing to retry: reprocess", 3: "can never run under its plan"} {
			_, err := c.Retry(t.Context(), id, nil)
			refusedWith(t, "a run without anything to run", err, orca.Precondition, words)
		}
		_, err = c.Retry(t.Context(), 9, nil)
		refusedWith(t, "an unknown window", err, orca.NotFound, "9")
		if n := c.unanswered.Load(); n != 0 || len(c.session.runs) != 3 {
			t.Errorf("%d unanswered, %d runs", n, len(c.session.runs))
		}
	})
}

// A reprocess takes the current plan and nothing else; what that blocks, or a plan without nodes, ends it at once.
func TestReprocessTakesTheCurrentPlan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kinds planners
		kinds.plans = append(kinds.plans, dag(t, "A"), dag(t, "A", "B < A"), dag(t, "B < Gone"), dag(t))
		c := startCore(t, newLedger(), nil, func(with *setUp) { with.Planner = &kinds })
		at := c.emit()
		c.succeed(c.next("1 p: A"))
		synctest.Wait()
		again := func(want orca.Accepted) {
			t.Helper()
			got, err := c.Reprocess(t.Context(), at, nil)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("Reprocess: %v (-want +got):\n%s", err, diff)
			}
		}
		again(orca.Accepted{Window: 1, Position: 2, Status: orca.ProcessingTriggered, Revision: 2})
		c.succeed(c.next("2 p: A"))
		c.succeed(c.next("2 p: B"))
		c.check(2, "succeeded", "A succeeded 1", "B succeeded 1")
		again(orca.Accepted{Window: 1, Position: 3, Status: orca.TriggeringFailed, Revision: 3})
		c.check(3, "incomplete", "B skipped 0: needs Gone 1.0.0, which is retired")
		again(orca.Accepted{Window: 1, Position: 4, Status: orca.NoTriggeredAlgorithms, Revision: 4})
		c.check(4, "succeeded")
		c.checkIdle()
	})
}

// A window has one unfinished run at most, whoever asks first.
func TestRevisionsAtOnceMakeOneRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "C < B"), commitsTake(time.Second))
		at := c.emit()
		c.succeed(c.next("1 p: A"))
		c.pass(time.Second)
		c.answer(c.next("1 p: B"), orca.StatusHandledFailed, "no")
		c.pass(time.Second)
		errs := make(chan error, 2)
		for _, f := range []func(context.Context, orca.WindowID, []byte) (orca.Accepted, error){c.Retry, c.Reprocess} {
			go func() {
				_, err := f(t.Context(), at, nil)
				errs <- err
			}()
		}
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), orca.Precondition) {
			t.Errorf("%v and %v, want one run", first, second)
		}
		if n := len(c.session.runs); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
	})
}

// Revisions take part in the limits and in the order of positions: one that finds no room is a row.
func TestRevisionsAreAdmittedByPosition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "C < B"), activeRuns(1), func(with *setUp) { with.MaxBacklog = 3 })
		at := c.failB()
		c.emit()
		if _, err := c.Retry(t.Context(), at, nil); err != nil {
			t.Fatal(err)
		}
		c.emit()
		c.counts(3, 1)
		_, err := c.Reprocess(t.Context(), at, nil)
		refusedWith(t, "a full backlog", err, orca.Exhausted, "--max-backlog")
		c.answer(c.next("2 p: A"), orca.StatusHandledFailed, "no")
		c.succeed(c.next("3 p: B"))
		c.succeed(c.next("3 p: C"))
		c.next("4 p: A")
		c.check(3, "succeeded", "A succeeded 1", "B succeeded 1", "C succeeded 1")
	})
}

// A retry goes on after a crash: what it kept and what it settled since does not run again.
func TestRetrySurvivesACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "B < A", "C < B")
		c := startCore(t, l, p)
		at := c.failB()
		if _, err := c.Retry(t.Context(), at, []byte("given again")); err != nil {
			t.Fatal(err)
		}
		c.succeed(c.next("2 p: B"))
		c.next("2 p: C")
		c.crash()
		next := startCore(t, l, dag(t, "Z"))
		call := next.next("2 p: C")
		if x, err := call.Build(t.Context(), call.Algorithms); err != nil || string(x.Input.Metadata) != "given again" {
			t.Errorf("Build: %+v, %v", x, err)
		}
		next.succeed(call)
		next.check(2, "succeeded", "A succeeded 1", "B succeeded 1", "C succeeded 1")
		next.checkIdle()
	})
}

// A commit whose end was not seen may have made the run: it is found and carried out.
func TestRevisionOfUnknownOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "C < B"), func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if w.revision == nil {
					return false, nil
				}
				return true, orca.Errorf(orca.OutcomeUnknown, "the commit was cut off")
			}
		})
		at := c.failB()
		_, err := c.Retry(t.Context(), at, nil)
		refusedWith(t, "Retry", err, orca.OutcomeUnknown, "cut off")
		c.next("2 p: B")
	})
}
