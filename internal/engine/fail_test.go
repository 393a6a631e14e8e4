package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

func TestHandledFailureSkipsDependentsWithReasons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "q/C < B", "D < q/C A", "Free"))
		p := c.emit()
		call := c.next("1 p: A Free")
		c.answer(call, orca.StatusHandledFailed, `{"why":"no signal"}`)
		c.check(p, "open",
			`A handled-failed 1: {"why":"no signal"}`,
			`B skipped 0: needs A 1.0.0, which failed (handled)`,
			`C skipped 0: needs B 1.0.0 of processor "p", which was skipped`,
			`D skipped 0: needs A 1.0.0, which failed (handled)`)
		c.succeed(call, "Free") // independent branches always finish
		synctest.Wait()
		r := c.session.run(p)
		if diff := cmp.Diff([]string{"A", "Free"}, withResult(r)); diff != "" {
			t.Errorf("outcomes with a result (-want +got):\n%s", diff)
		}
		if r.State != orca.RunFailed {
			t.Errorf("the run is %v", r.State)
		}
		c.checkIdle()
	})
}

func withResult(r record) (names []string) {
	for _, o := range r.outcomes {
		if o.Result != nil {
			names = append(names, o.Algorithm.Name)
		}
	}
	return names
}

func TestUnhandledFailureIsTriedAgainWithGrowingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A"), func(with *setUp) { with.MaxAttempts = 4 })
		p := c.emit()
		for _, pause := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
			c.answer(c.next("1 p: A"), orca.StatusUnhandledFailed, "stack")
			c.pass(pause - 1)
			c.expect()
			c.pass(1)
		}
		c.answer(c.next("1 p: A"), orca.StatusUnhandledFailed, "the last stack")
		c.check(p, "failed", "A unhandled-failed 4: the last stack", "B skipped 0: needs A 1.0.0, which failed (unhandled)")
		c.pass(time.Hour)
		c.expect()
		c.checkIdle()
	})
}

func TestHandledFailureIsTriedAgainWhereThatIsWanted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), func(with *setUp) { with.RetryHandled = true })
		p := c.emit()
		for range 2 {
			c.answer(c.next("1 p: A"), orca.StatusHandledFailed, "no")
			c.pass(time.Minute)
		}
		c.answer(c.next("1 p: A"), orca.StatusHandledFailed, "no, really")
		c.check(p, "failed", "A handled-failed 3: no, really")
	})
}

func TestBackoffIsFromFifthOfASecondToAMinuteWithJitter(t *testing.T) {
	t.Parallel()
	const almostOne = 1 - 1e-9
	var got []string
	for _, attempts := range []int{0, 1, 2, 3, 8, 9, 10, 1000000} {
		shortest, longest := backoff(attempts, 0), backoff(attempts, almostOne)
		got = append(got, fmt.Sprintf("%d: %v to %v", attempts, shortest, longest.Round(time.Microsecond)))
	}
	want := []string{
		"0: 0s to 0s", "1: 200ms to 400ms", "2: 400ms to 800ms", "3: 800ms to 1.6s", "8: 25.6s to 51.2s",
		"9: 30s to 1m0s", "10: 30s to 1m0s", "1000000: 30s to 1m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
}

// The pauses of an engine that nobody tampered with differ.
func TestPausesAreRandom(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	if e.random() == e.random() {
		t.Error("two random numbers are the same")
	}
}

func TestResultOfAnotherTypeFailsWithoutRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B"))
		p := c.emit()
		call := c.next("1 p: A B")
		wrong := success(p, idOf("A"))
		wrong.Type = orca.ResultArray
		call.Result(t.Context(), idOf("A"), wrong)
		unknown := success(p, idOf("B"))
		unknown.Status = 7
		call.Result(t.Context(), idOf("B"), unknown)
		c.check(p, "failed",
			"A unhandled-failed 1: the result is of type array, and value was declared",
			"B unhandled-failed 1: the result has the unknown status 7")
		c.checkIdle()
	})
}

func TestFailureWithoutDetailsSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B"), func(with *setUp) { with.MaxAttempts = 1 })
		p := c.emit()
		calls := c.expect("1 p: A", "1 q: B")
		c.answer(calls[0], orca.StatusHandledFailed, "")
		c.answer(calls[1], orca.StatusUnhandledFailed, "")
		c.check(p, "failed",
			"A handled-failed 1: the algorithm reported a failure without details",
			"B unhandled-failed 1: the algorithm broke without details")
	})
}

// A reason is kept for every run that is loaded and listed; the result has the details in full.
func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{strings.Repeat("x", maxReason), strings.Repeat("x", maxReason)},
		{strings.Repeat("x", maxReason+1), strings.Repeat("x", maxReason-3) + "…"},
		{strings.Repeat("x", maxReason-4) + "äää", strings.Repeat("x", maxReason-4) + "…"},
	} {
		if diff := cmp.Diff(test.want, shorten(test.text)); diff != "" {
			t.Errorf("shortened (-want +got):\n%s", diff)
		}
	}
	bubbled := orca.CallEnd{Kind: orca.EndComplete, Reason: strings.Repeat("x", 1<<20)}
	if got := afterEnd(bubbled, node{}, 1).reason; len(got) > maxReason {
		t.Errorf("the reason of an end has %d bytes", len(got))
	}
	if got := failureText(&orca.Result{Failure: bubbled.Reason}, ""); len(got) > maxReason {
		t.Errorf("the reason of a result has %d bytes", len(got))
	}
}

func TestBrokenStreamKeepsResultsAndTriesTheMissingOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B", "C"))
		p := c.emit()
		call := c.next("1 p: A B C")
		c.succeed(call, "A")
		c.end(call, orca.EndBroken, "B", "C")
		c.expect()
		c.pass(200 * time.Millisecond)
		calls := c.expect("1 p: B", "1 p: C")
		c.succeed(calls[0])
		c.succeed(calls[1])
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 2", "C succeeded 2")
		c.checkIdle()
	})
}

func TestStreamWithoutAResultIsAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B"))
		p := c.emit()
		call := c.next("1 p: A B")
		for _, pause := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond} {
			c.end(call, orca.EndComplete)
			c.pass(pause - 1)
			c.expect()
			c.pass(1)
			call = c.next("1 p: A B") // nothing says that one harmed the other
		}
		c.succeed(call, "B")
		c.end(call, orca.EndComplete, "A")
		c.check(p, "failed", "A unhandled-failed 3: it is complete", "B succeeded 3")
	})
}

func TestTimeoutIsAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B"), func(with *setUp) { with.MaxAttempts = 2 })
		p := c.emit()
		c.end(c.next("1 p: A B"), orca.EndTimeout)
		c.pass(time.Second)
		calls := c.expect("1 p: A", "1 p: B") // one of them may hang
		c.end(calls[0], orca.EndTimeout)
		c.succeed(calls[1])
		c.check(p, "failed", "A unhandled-failed 2: it is timeout", "B succeeded 2")
	})
}

func TestLostConnectionCountsOnlyIfTheInstanceServedSinceTheAttemptBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), func(with *setUp) { with.MaxAttempts = 3 })
		p := c.emit()
		lost := func(want string, sent, served orca.Time) {
			c.next(want).End(orca.CallEnd{
				Kind: orca.EndLost, Missing: []orca.AlgorithmID{idOf("A")}, Reason: "gone", Sent: sent, Served: served, Alone: true,
			})
		}
		lost("1 p: A", 10, 9)
		for range 5 { // at once, since the fleet waits for SERVING: the same breakdown seen again
			lost("1 p: A", 20, 10)
		}
		lost("1 p: A", 30, 11)
		lost("1 p: A solo", 40, 30)
		lost("1 p: A solo", 50, 31)
		c.check(p, "failed", "A unhandled-failed 3: gone")
	})
}

// The processor breaks down whenever it gets Pill.
func TestPoisonPillHarmsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B", "Pill", "C < A"))
		p := c.emit()
		c.end(c.next("1 p: A B Pill"), orca.EndLost)
		c.pass(time.Second) // the instance is back, takes the three requests at once, and breaks down again
		for _, call := range c.expect("1 p: A", "1 p: B", "1 p: Pill") {
			c.end(call, orca.EndLost)
		}
		c.pass(time.Second)
		calls := c.expect("1 p: A solo", "1 p: B solo", "1 p: Pill solo")
		c.end(calls[2], orca.EndLost)
		c.succeed(calls[0])
		c.succeed(calls[1])
		c.succeed(c.next("1 p: C"))
		c.check(p, "failed", "A succeeded 3", "B succeeded 3", "C succeeded 1", "Pill unhandled-failed 3: it is lost")
		c.checkIdle()
	})
}

// What a processor says of a request with several nodes need not concern all of them.
func TestRefusedRequestIsSplitBeforeItCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind orca.CallEndKind
		want string
	}{
		{orca.EndRefused, "A unhandled-failed 1: it is refused"},
		{orca.EndTooLarge, "A unhandled-failed 1: inputs too large: it is too large"},
	} {
		t.Run(test.kind.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := startCore(t, newLedger(), dag(t, "A", "B"))
				p := c.emit()
				c.end(c.next("1 p: A B"), test.kind)
				calls := c.expect("1 p: A", "1 p: B")
				c.succeed(calls[1])
				c.end(calls[0], test.kind)
				c.check(p, "failed", test.want, "B succeeded 1") // the first request was no attempt, and there is no other
			})
		})
	}
}

func TestOtherCodesAreTriedAgainAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B"))
		p := c.emit()
		c.end(c.next("1 p: A B"), orca.EndFailed)
		calls := c.expect("1 p: A", "1 p: B")
		c.succeed(calls[1])
		call := calls[0]
		for _, pause := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond} {
			c.end(call, orca.EndFailed)
			c.pass(pause - 1)
			c.expect()
			c.pass(1)
			call = c.next("1 p: A")
		}
		c.end(call, orca.EndFailed)
		c.check(p, "failed", "A unhandled-failed 3: it is failed", "B succeeded 1")
	})
}

// Inputs that cannot be put together say nothing of the algorithm: it waits, ever longer.
func TestUnbuiltRequestIsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A"))
		p := c.emit()
		call := c.next("1 p: A")
		for n := range 12 {
			c.end(call, orca.EndUnbuilt)
			c.pass(min(200*time.Millisecond<<n, 30*time.Second) - 1)
			c.expect()
			c.pass(1)
			call = c.next("1 p: A")
		}
		c.succeed(call)
		c.succeed(c.next("1 p: B"))
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 1")
	})
}

func TestUnknownEndIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"))
		p := c.emit()
		c.end(c.next("1 p: A"), 99)
		c.check(p, "failed", "A unhandled-failed 1: call end 99: it is call end 99")
	})
}

func TestWhatTheCoreStopsIsLeftToTheNextStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		c := startCore(t, l, p)
		at := c.emit()
		c.end(c.next("1 p: A"), orca.EndStopped)
		c.pass(time.Hour)
		c.expect()
		c.stop()
		next := startCore(t, l, p)
		next.succeed(next.next("1 p: A"))
		next.check(at, "succeeded", "A succeeded 1")
		next.checkIdle()
	})
}

// Later reports about a node that is settled, or waits for its next attempt, change nothing and cost nothing.
func TestLateReportsAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B"))
		p := c.emit()
		call := c.next("1 p: A B")
		c.succeed(call, "A")
		c.answer(call, orca.StatusHandledFailed, "late")
		c.end(call, orca.EndComplete)
		c.succeed(call, "B")
		call.Result(t.Context(), idOf("Stranger"), success(p, idOf("Stranger")))
		c.end(&orca.Call{Algorithms: []orca.CalledAlgorithm{{ID: idOf("Stranger")}}, End: call.End}, orca.EndComplete)
		c.check(p, "open", "A succeeded 1")
		c.pass(time.Minute)
		c.succeed(c.next("1 p: B"))
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 2")
		c.answer(call, orca.StatusHandledFailed, "very late")
		c.checkIdle()
	})
}

// A request may be cancelled right after its result came, by its timeout or as the core stops.
func TestResultOfACancelledRequest(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B"), func(with *setUp) { with.MaxUnsettledBytes = 40 }, commitsTake(time.Second))
		p := c.emit()
		calls := c.expect("1 p: A", "1 q: B")
		calls[0].Result(cancelled, idOf("A"), success(p, idOf("A")))     // there is room
		calls[1].Result(cancelled, idOf("q/B"), success(p, idOf("q/B"))) // there is none
		c.pass(time.Second)
		c.succeed(c.next("1 q: B"))
		c.pass(time.Second)
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 1")
		c.checkIdle()
	})
}
