package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

var errFault = errors.New("the disk is on fire")

// failSettlements makes the ledger fail with the first n settlements, each of which it writes nevertheless if kept.
func failSettlements(n int, kept bool) func(*setUp) {
	return func(with *setUp) {
		with.session.writeFault = func(w *write) (bool, error) {
			if w.settlement == nil || n == 0 {
				return false, nil
			}
			n--
			with.session.repeats = with.session.repeats || kept
			return kept, errFault
		}
	}
}

func TestRunStates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		dag    []string
		status orca.EmitStatus
		fails  []string
		want   []string
	}{
		{"every node succeeded", []string{"A", "q/B"}, orca.ProcessingTriggered, nil,
			[]string{"succeeded", "A succeeded 1", "B succeeded 1"}},
		{"a node failed", []string{"A", "q/B"}, orca.ProcessingTriggered, []string{"A"},
			[]string{"failed", "A handled-failed 1: no", "B succeeded 1"}},
		{"some are skipped", []string{"A", "q/B < Gone", "q/C < q/B A"}, orca.ProcessingTriggered, nil,
			[]string{"incomplete", "A succeeded 1",
				`B skipped 0: needs Gone 1.0.0 of processor "p", which is retired`, "C skipped 0: needs B 1.0.0, which was skipped"}},
		{"failed beside skipped", []string{"A", "q/B < Gone"}, orca.ProcessingTriggered, []string{"A"},
			[]string{"failed", "A handled-failed 1: no", `B skipped 0: needs Gone 1.0.0 of processor "p", which is retired`}},
		{"none can run", []string{"A < Gone", "B < A"}, orca.TriggeringFailed, nil,
			[]string{"incomplete", "A skipped 0: needs Gone 1.0.0, which is retired", "B skipped 0: needs A 1.0.0, which was skipped"}},
		{"no nodes", nil, orca.NoTriggeredAlgorithms, nil, []string{"succeeded"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := startCore(t, newLedger(), dag(t, test.dag...))
				a, err := c.Emit(t.Context(), emission())
				if diff := cmp.Diff(orca.Accepted{Window: 1, Position: 1, Status: test.status}, a); diff != "" || err != nil {
					t.Fatalf("Emit: %v (-want +got):\n%s", err, diff)
				}
				synctest.Wait()
				for _, call := range c.desk.take() {
					if slices.Contains(test.fails, call.Algorithms[0].ID.Name) {
						c.answer(call, orca.StatusHandledFailed, "no")
					} else {
						c.succeed(call)
					}
				}
				c.check(1, test.want...)
				c.checkIdle()
				if got := c.Stats(); got.Accepted != 1 || sum(got.Outcomes) != len(test.want)-1 {
					t.Errorf("stats %+v do not count one window and every outcome", got)
				}
			})
		})
	}
}

func sum(outcomes map[orca.OutcomeKind]int64) (n int) {
	for _, k := range outcomes {
		n += int(k)
	}
	return n
}

// What a node that failed takes with it stays as it is when a second one of its needs fails.
func TestSkippedOnceIsSkippedForGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B", "C < A q/B"))
		p := c.emit()
		for _, call := range c.expect("1 p: A", "1 q: B") {
			c.answer(call, orca.StatusHandledFailed, "no")
			synctest.Wait()
		}
		c.check(p, "failed", "A handled-failed 1: no", "B handled-failed 1: no", "C skipped 0: needs A 1.0.0, which failed (handled)")
		c.checkIdle()
	})
}

func TestOutcomesDecidedDuringACommitShareTheNextOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var settlements [][]string
		c := startCore(t, newLedger(), dag(t, "A", "B", "C"), commitsTake(time.Second), func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if s := w.settlement; s != nil {
					names := []string{s.End.String()}
					for _, o := range s.Outcomes {
						names = append(names, o.Algorithm.Name)
					}
					settlements = append(settlements, names)
				}
				return false, nil
			}
		})
		p := c.emit()
		call := c.next("1 p: A B C")
		for _, name := range []string{"A", "B", "C"} {
			c.succeed(call, name)
			synctest.Wait()
		}
		c.pass(2 * time.Second)
		if diff := cmp.Diff([][]string{{"open", "A"}, {"succeeded", "B", "C"}}, settlements); diff != "" {
			t.Errorf("settlements (-want +got):\n%s", diff)
		}
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 1", "C succeeded 1")
	})
}

func TestSettlementsAreRepeatedUntilTheyAreDurable(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]bool{"nothing was written": false, "it was written": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := startCore(t, newLedger(), dag(t, "A", "B < A"), failSettlements(9, kept))
				p := c.emit()
				c.succeed(c.next("1 p: A"))
				delay := 100 * time.Millisecond
				for range 9 {
					c.expect()
					c.pass(delay - 1)
					c.expect()
					c.pass(1)
					delay = min(2*delay, 5*time.Second)
				}
				c.succeed(c.next("1 p: B"))
				c.check(p, "succeeded", "A succeeded 1", "B succeeded 1")
				c.checkIdle()
			})
		})
	}
}

// The end of a run is durable only with every outcome: what the ledger failed to write is not overtaken.
func TestEndOfARunWaitsForASettlementThatFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "q/B", "r/C"), failSettlements(1, false), commitsTake(10*time.Millisecond))
		p := c.emit()
		calls := c.expect("1 p: A", "1 q: B", "1 r: C")
		c.succeed(calls[0])
		synctest.Wait()
		c.succeed(calls[1])
		c.pass(10 * time.Millisecond) // the settlement of A fails
		c.succeed(calls[2])           // as the ledger is held off
		c.pass(90 * time.Millisecond)
		c.check(p, "open") // and the ledger of the test looks whether an end comes with less than all
		c.pass(time.Second)
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 1", "C succeeded 1")
		c.checkIdle()
	})
}

func TestStreamsWaitWhileTooManyBytesAreUnsettled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		size := int64(len(encodedOf(1, idOf("A"))))
		c := startCore(t, newLedger(), dag(t, "A", "B", "C", "D"), commitsTake(time.Second), func(with *setUp) {
			with.MaxUnsettledBytes = 2 * size
		})
		p := c.emit()
		call := c.next("1 p: A B C D")
		var taken sync.Map
		var streams sync.WaitGroup
		for _, name := range []string{"A", "B", "C"} {
			streams.Go(func() {
				c.succeed(call, name)
				taken.Store(name, true)
			})
			synctest.Wait()
		}
		if _, ok := taken.Load("C"); ok {
			t.Error("the third result was taken beyond the budget")
		}
		c.pass(time.Second)
		streams.Wait() // A is durable
		huge := success(p, idOf("D"))
		huge.Encoded = make([]byte, 10*size)
		call.Result(t.Context(), idOf("D"), huge) // takes all of the budget for itself
		c.pass(10 * time.Second)
		c.check(p, "succeeded", "A succeeded 1", "B succeeded 1", "C succeeded 1", "D succeeded 1")
		c.checkIdle()
	})
}

// Everything that a result costs beside its encoding counts.
func TestWeightOfAResult(t *testing.T) {
	t.Parallel()
	e := New(Config{MaxUnsettledBytes: 20})
	for _, test := range []struct {
		result orca.Result
		want   int64
	}{
		{orca.Result{}, 0},
		{orca.Result{Encoded: make([]byte, 5), JSON: "{}", Error: "{...}", Failure: "no"}, 14},
		{orca.Result{Encoded: make([]byte, 1000)}, 20},
	} {
		if got := e.weight(&test.result); got != test.want {
			t.Errorf("weight %d, want %d", got, test.want)
		}
	}
}

// The budget is given back once whatever becomes of a result.
func TestBudgetIsGivenBackOnEveryPath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B", "C", "D < C"), failSettlements(2, true))
		p := c.emit()
		call := c.next("1 p: A B C")
		c.answer(call, orca.StatusUnhandledFailed, "tried again")
		c.answer(call, orca.StatusUnhandledFailed, "dropped")
		c.succeed(call, "B")
		call.Result(t.Context(), idOf("C"), orca.Result{Status: orca.StatusHandledFailed, Encoded: []byte("failed")})
		c.pass(10 * time.Second)
		c.succeed(c.next("1 p: A"))
		c.check(p, "failed", "A succeeded 2", "B succeeded 1",
			"C handled-failed 1: the algorithm reported a failure without details", "D skipped 0: needs C 1.0.0, which failed (handled)")
		c.checkIdle()
	})
}

func TestResultsAreHeldWhileDependentsNeedThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		size := int64(len(encodedOf(1, idOf("A"))))
		c := startCore(t, newLedger(), dag(t, "A", "q/B", "C < A q/B", "D < A", "E < D"))
		held := func(want int64) {
			t.Helper()
			synctest.Wait()
			if got := c.Stats().HeldBytes; got != want {
				t.Errorf("%d bytes are held, want %d", got, want)
			}
		}
		c.emit()
		calls := c.expect("1 p: A", "1 q: B")
		c.succeed(calls[0])
		held(size) // A
		d := c.next("1 p: D")
		c.succeed(d)
		held(2 * size) // A and D
		c.succeed(c.next("1 p: E"))
		held(size) // A; nobody needs E
		c.answer(calls[1], orca.StatusHandledFailed, "no")
		held(0) // C is skipped
		c.checkIdle()
	})
}

func TestHeldResultsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		size := int64(len(encodedOf(1, idOf("A"))))
		c := startCore(t, newLedger(), dag(t, "A", "B", "C", "D < A B C"), func(with *setUp) { with.MaxHeldBytes = 2 * size })
		c.emit()
		c.succeed(c.next("1 p: A B C"))
		c.expect("1 p: D")
		if got := c.Stats().HeldBytes; got != 2*size {
			t.Errorf("%d bytes are held, want %d", got, 2*size)
		}
	})
}

func TestWhatWasPostedBeforeTheEndReachesTheLedger(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]func(*setUp){
		"during a commit": {commitsTake(time.Second)},
		"while the ledger is held off after a failure": {failSettlements(1, false)},
		"when the commit under way fails":              {commitsTake(time.Second), failSettlements(1, false)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, p := newLedger(), dag(t, "A", "q/B", "q/C < q/B")
				c := startCore(t, l, p, changes...)
				at := c.emit()
				calls := c.expect("1 p: A", "1 q: B")
				c.succeed(calls[0])
				synctest.Wait()
				c.answer(calls[1], orca.StatusHandledFailed, "no") // posted, and perhaps not looked at yet
				c.stop()
				if got := recorded(l.run(at)); !slices.Contains(got, "B handled-failed 1: no") {
					t.Errorf("the ledger has not got what was posted: %q", got)
				}
				next := startCore(t, l, p)
				synctest.Wait()
				for _, call := range next.desk.take() {
					next.succeed(call)
				}
				next.check(at, "failed", "A succeeded 1", "B handled-failed 1: no", "C skipped 0: needs B 1.0.0, which failed (handled)")
				next.checkIdle()
			})
		})
	}
}

// Whether the loop sees a result or its own end first is chance, so there are several chances.
func TestResultsThatTheLoopHasNotSeenReachTheLedger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		for range 20 {
			c := startCore(t, l, p)
			at := c.emit()
			call := c.expect(fmt.Sprintf("%d p: A", at))[0]
			hold := make(chan struct{})
			c.inbox.post(func() { <-hold })
			synctest.Wait()
			c.succeed(call)
			go c.finish()
			synctest.Wait()
			close(hold)
			c.stop()
			if diff := cmp.Diff([]string{"succeeded", "A succeeded 1"}, recorded(l.run(at))); diff != "" {
				t.Fatalf("run %d (-want +got):\n%s", at, diff)
			}
		}
	})
}

func TestWatchersAreToldAfterTheCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A"), commitsTake(time.Second))
		p := c.emit()
		changed, end := c.Watch(p)
		again, endAgain := c.Watch(p)
		other, endOther := c.Watch(p + 1)
		defer endOther()
		told := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, []int{len(changed), len(again), len(other)}); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		}
		c.succeed(c.next("1 p: A"))
		told(0, 0, 0)
		c.pass(time.Second)
		told(1, 1, 0)
		<-changed
		endAgain()
		c.succeed(c.next("1 p: B"))
		c.pass(time.Second)
		told(1, 1, 0) // the one that was not taken stays one
		end()
		end()
		if n := len(c.watchers.byRun); n != 1 {
			t.Errorf("%d runs are watched, want the other one", n)
		}
	})
}
