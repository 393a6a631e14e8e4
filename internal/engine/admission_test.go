package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

func activeRuns(n int) func(*setUp) { return func(with *setUp) { with.MaxActiveRuns = n } }

// counts compares the runs that are unfinished and those of them in memory.
func (c *core) counts(open, active int64) {
	c.t.Helper()
	synctest.Wait()
	s := c.Stats()
	if diff := cmp.Diff([]int64{open, active}, []int64{s.Open, s.Active}); diff != "" {
		c.t.Errorf("open and active (-want +got):\n%s", diff)
	}
}

func TestLowestPositionsAreActive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(2))
		for range 5 {
			c.emit()
		}
		calls := c.expect("1 p: A", "2 p: A")
		c.counts(5, 2)
		c.succeed(calls[1])
		third := c.next("3 p: A")
		c.counts(4, 2)
		c.succeed(calls[0])
		c.succeed(third)
		calls = c.expect("4 p: A", "5 p: A")
		c.emit()
		c.succeed(calls[0])
		c.succeed(calls[1])
		c.succeed(c.next("6 p: A"))
		c.checkIdle()
	})
}

func TestLongBacklogIsReadInLargeSteps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(8))
		for range 11 {
			c.emit()
		}
		synctest.Wait()
		calls := c.desk.take()
		c.succeed(calls[7])
		c.expect()
		c.succeed(calls[6])
		c.expect("9 p: A", "10 p: A")
		c.counts(9, 8)
	})
}

// A run that is accepted while rows are read follows them from memory, in its place. Otherwise a busy core would read
// each run back that it has just written.
func TestRunsAcceptedDuringALoadFollowItFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		first := startCore(t, l, p)
		first.emit()
		first.crash()
		c := startCore(t, l, p, readsTake(time.Second))
		c.pass(1500 * time.Millisecond) // the backlog is counted, and the rows are being read
		c.emit()
		c.emit()
		c.expect()
		c.pass(time.Second) // the plan is being read
		c.pass(time.Second)
		c.expect("1 p: A", "2 p: A", "3 p: A")
		if c.session.loads != 1 {
			t.Errorf("rows were read %d times", c.session.loads)
		}
		c.counts(3, 3)
	})
}

func readsTake(d time.Duration) func(*setUp) {
	return func(with *setUp) { with.session.readFault = func(string) error { time.Sleep(d); return nil } }
}

// What finds no room in memory beside a load becomes rows.
func TestRunsBeyondTheRoomBesideALoadAreRows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		first := startCore(t, l, p)
		first.emit()
		first.crash()
		c := startCore(t, l, p, activeRuns(3), readsTake(time.Second))
		c.pass(1500 * time.Millisecond)
		for range 5 {
			c.emit()
		}
		c.counts(6, 0)
		c.look(func() {
			if n := len(c.admission.tail); n > 3 {
				t.Errorf("%d runs are in memory beside a load of 3", n)
			}
		})
		c.pass(10 * time.Second)
		calls := c.expect("1 p: A", "2 p: A", "3 p: A")
		c.counts(6, 3)
		for _, call := range calls {
			c.succeed(call)
		}
		c.pass(10 * time.Second)
		for _, call := range c.expect("4 p: A", "5 p: A", "6 p: A") {
			c.succeed(call)
		}
		c.checkIdle()
	})
}

// A run of which nobody was told is looked for to the end, however few rows are loaded at once.
func TestRunOfUnknownCommitIsFoundBehindABacklog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(1), func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if w.emission == nil || len(with.session.runs) < 3 {
					return false, nil
				}
				return true, orca.Errorf(orca.OutcomeUnknown, "the commit was cut off")
			}
		})
		for range 3 {
			c.emit()
		}
		_, err := c.Emit(t.Context(), emission())
		refusedWith(t, "Emit", err, orca.OutcomeUnknown, "cut off")
		for _, call := range []string{"1 p: A", "2 p: A", "3 p: A", "4 p: A"} {
			c.succeed(c.next(call))
		}
		c.checkIdle()
	})
}

// Nobody was told of a run that ends as a row, before a load has brought it: it is not taken off the count.
func TestRunThatNobodyWasToldOfIsNotCountedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A"), activeRuns(1), func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if w.emission == nil || len(with.session.runs) != 1 {
					return false, nil
				}
				return true, orca.Errorf(orca.OutcomeUnknown, "the commit was cut off")
			}
		})
		c.emit()
		_, err := c.Emit(t.Context(), emission())
		refusedWith(t, "Emit", err, orca.OutcomeUnknown, "cut off")
		c.emit()
		if _, err := c.Cancel(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		c.counts(2, 1)
		c.succeed(c.next("1 p: A"))
		c.succeed(c.next("3 p: A"))
		c.checkIdle()
	})
}

// A load may bring a run before the loop is told that it was accepted.
func TestRunThatIsLoadedBeforeItIsToldOfCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := dag(t, "A")
		c := startCore(t, newLedger(), p)
		c.look(func() {
			told := func(at orca.Position) *emit {
				x := &emit{engine: c.Engine, emission: emission(), plan: p, accepted: orca.Accepted{Window: at, Position: at}}
				x.fill(0)
				return x
			}
			loaded := func(at orca.Position) *run { return newRun(openRunOf(told(at).emission, told(at).accepted), p) }
			c.admission.begin(1)
			c.admission.loading, c.admission.doubt = true, true
			c.stats.open.Store(1)
			c.Engine.loaded(&load{limit: 3, newest: 1, rows: 2, last: 2, runs: []*run{loaded(1), loaded(2)}})
			c.admitNext(told(2))
			if got := c.Stats().Open; got != 2 {
				t.Errorf("%d runs count as open, want 2", got)
			}
		})
		c.expect("1 p: A", "2 p: A")
	})
}

func TestRestartResumesFromDurableOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "B < A", "q/C < A", "D < B q/C", "E < Gone")
		c := startCore(t, l, p)
		at := c.emit()
		c.succeed(c.next("1 p: A"))
		calls := c.expect("1 p: B", "1 q: C")
		c.succeed(calls[1])
		synctest.Wait()
		c.session.commitTime = func() time.Duration { return time.Hour }
		c.succeed(calls[0])
		synctest.Wait()
		c.crash() // before B is durable

		// A later plan of the window type does not concern this run.
		next := startCore(t, l, dag(t, "Z"))
		next.counts(1, 1)
		call := next.next("1 p: B")
		checkInputs(t, call, p)
		next.succeed(call)
		call = next.next("1 p: D")
		checkInputs(t, call, p)
		next.succeed(call)
		next.check(at, "incomplete", "A succeeded 1", "B succeeded 1", "C succeeded 1", "D succeeded 1",
			"E skipped 0: needs Gone 1.0.0, which is retired")
		next.emit()
		next.succeed(next.next("2 p: Z"))
		next.checkIdle()
	})
}

// The outcomes of a run may all be durable without its end, and a failure without what it takes with it.
func TestRestartFinishesWhatOnlyLacksItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A", "B < A")
		c := startCore(t, l, p)
		whole, half := c.emit(), c.emit()
		c.crash()
		l.settle(&orca.Settlement{Position: whole, Outcomes: []orca.Outcome{
			{Algorithm: idOf("A"), Kind: orca.Succeeded, Result: &orca.Result{}},
			{Algorithm: idOf("B"), Kind: orca.UnhandledFailed, Attempts: 3, Reason: "no"},
		}})
		l.settle(&orca.Settlement{Position: half, Outcomes: []orca.Outcome{{Algorithm: idOf("A"), Kind: orca.Cancelled}}})
		next := startCore(t, l, p)
		next.expect()
		next.check(whole, "failed", "A succeeded 0", "B unhandled-failed 3: no")
		next.check(half, "cancelled", "A cancelled 0", "B skipped 0: needs A 1.0.0, which was cancelled")
		next.checkIdle()
	})
}

func TestReadFaultsAreOutlived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, p := newLedger(), dag(t, "A")
		first := startCore(t, l, p)
		first.emit()
		first.crash()
		faults := map[string]int{}
		c := startCore(t, l, p, func(with *setUp) {
			with.session.readFault = func(method string) error {
				if faults[method]++; method != "Backlog" && faults[method] < 5 {
					return errFault
				}
				return nil
			}
		})
		c.expect()
		c.pass(time.Minute)
		c.expect("1 p: A")
		c.counts(1, 1)
	})
}

func TestRunWhosePlanCannotBeReadHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*ledger, orca.PlanHash){
		"broken":  func(l *ledger, h orca.PlanHash) { l.plans[h] = &orca.PlanContent{Content: []byte("{"), Nodes: 1} },
		"missing": func(l *ledger, h orca.PlanHash) { delete(l.plans, h) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLedger()
				bad := startCore(t, l, dag(t, "Bad"))
				bad.emit()
				bad.crash()
				p := dag(t, "A")
				good := startCore(t, l, p, activeRuns(1))
				good.emit()
				good.crash()
				harm(l, dag(t, "Bad").Content().Hash)
				c := startCore(t, l, p, activeRuns(1))
				c.emit()
				c.succeed(c.next("2 p: A"))
				c.counts(2, 1)
				c.succeed(c.next("3 p: A"))
				c.counts(1, 0)
				c.emit()
				c.succeed(c.next("4 p: A"))
				c.counts(1, 0)
			})
		})
	}
}

// A commit whose end was not seen may have made a run. It is found and carried out, however the ledger shows it.
func TestRunsOfUnknownCommits(t *testing.T) {
	t.Parallel()
	unknown := orca.Errorf(orca.OutcomeUnknown, "the commit was cut off")
	doubtful := func(kept bool) func(*setUp) {
		first := true
		return func(with *setUp) {
			with.session.writeFault = func(*write) (bool, error) {
				if !first {
					return false, nil
				}
				first = false
				return kept, unknown
			}
		}
	}
	keyed := emission()
	keyed.Key.Key = "k"
	tryEmit := func(t *testing.T, c *core) {
		t.Helper()
		synctest.Wait() // nothing else is under way
		if _, err := c.Emit(t.Context(), keyed); !errors.Is(err, orca.OutcomeUnknown) {
			t.Fatalf("Emit: %v, want the outcome to be unknown", err)
		}
	}
	hide := func(with *setUp) { with.session.hidden = map[orca.Position]bool{1: true} }

	t.Run("it is there", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := startCore(t, newLedger(), dag(t, "A"), doubtful(true))
			tryEmit(t, c)
			c.succeed(c.next("1 p: A"))
			c.emit()
			c.succeed(c.next("2 p: A"))
			c.checkIdle()
		})
	})
	t.Run("it is not there", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := startCore(t, newLedger(), dag(t, "A"), doubtful(false))
			tryEmit(t, c)
			c.expect()
			c.emit()
			c.succeed(c.next("1 p: A"))
			c.checkIdle()
		})
	})
	t.Run("it shows during a load", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l, p := newLedger(), dag(t, "A")
			first := startCore(t, l, p)
			first.emit()
			first.crash()
			c := startCore(t, l, p, doubtful(true), readsTake(time.Second))
			c.pass(1500 * time.Millisecond) // a load is under way that has not seen it
			tryEmit(t, c)
			c.pass(5 * time.Second)
			for _, call := range c.expect("1 p: A", "2 p: A") {
				c.succeed(call)
			}
			c.checkIdle()
		})
	})
	t.Run("the next position shows it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := startCore(t, newLedger(), dag(t, "A"), doubtful(true), hide)
			tryEmit(t, c)
			c.expect()
			c.session.hidden = nil
			c.emit()
			for _, call := range c.expect("1 p: A", "2 p: A") {
				c.succeed(call)
			}
			c.checkIdle()
		})
	})
	t.Run("its key shows it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			kinds := &planners{plans: []*plan.Plan{dag(t, "A"), dag(t, "Later"), dag(t, "Later")}}
			c := startCore(t, newLedger(), nil, doubtful(true), hide, func(with *setUp) { with.Planner = kinds })
			tryEmit(t, c)
			c.expect()
			c.session.hidden = nil
			for range 2 {
				if a, err := c.Emit(t.Context(), keyed); err != nil || !a.Replayed || a.Position != 1 {
					t.Fatalf("Emit: %+v, %v, want a replay of run 1", a, err)
				}
			}
			c.succeed(c.next("1 p: A"))
			c.checkIdle()
			if n := c.Stats().Accepted; n != 0 {
				t.Errorf("%d windows count as accepted; nobody was told so", n)
			}
		})
	})
}

// Windows that have nothing to do take positions too.
func TestPositionsWithoutWorkAreNoGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedger()
		kinds := &planners{plans: []*plan.Plan{dag(t), dag(t, "A"), dag(t, "A < Gone"), dag(t, "B")}}
		c := startCore(t, l, nil, func(with *setUp) { with.Planner = kinds })
		for range 4 {
			c.emit()
		}
		c.expect("2 p: A", "4 p: B")
		c.counts(2, 2)
		if c.session.loads != 0 {
			t.Errorf("rows were read %d times", c.session.loads)
		}
	})
}

// A long batch does not hold back what its first part made ready.
func TestLongBatchHoldsNothingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran, before int
		c := startCore(t, newLedger(), dag(t, "A"), func(with *setUp) {
			with.Fleet = onSubmit(func(*orca.Call) { before = ran })
		})
		hold := make(chan struct{})
		c.inbox.post(func() { <-hold })
		synctest.Wait()
		var emitted sync.WaitGroup
		emitted.Go(func() { c.emit() })
		synctest.Wait()
		for range 100_000 {
			c.inbox.post(func() { ran++ })
		}
		close(hold)
		emitted.Wait()
		synctest.Wait()
		if ran != 100_000 || before > 1000 {
			t.Errorf("%d posted functions ran, %d of them before a call that was ready", ran, before)
		}
	})
}

type onSubmit func(*orca.Call)

func (f onSubmit) Submit(c *orca.Call) { f(c) }

func (f onSubmit) Withdraw(string, orca.Position, func(orca.AlgorithmID) bool) []orca.AlgorithmID {
	return nil
}

func (f onSubmit) Serving(orca.AlgorithmID) orca.InstanceState { return orca.Serving }

func (f onSubmit) Expect(map[string]bool) {}

func TestBacklogThatCannotBeReadEndsTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newLedger().session()
		s.readFault = func(string) error { return errFault }
		e := New(Config{Ledger: s, Planner: planner{}})
		emitted := make(chan error, 1)
		go func() {
			_, err := e.Emit(t.Context(), emission())
			emitted <- err
		}()
		synctest.Wait()
		if err := e.Run(t.Context()); !errors.Is(err, errFault) {
			t.Errorf("Run: %v, want the fault", err)
		}
		if err := <-emitted; !errors.Is(err, orca.Unavailable) {
			t.Errorf("Emit: %v, want Unavailable", err)
		}
	})
}

func TestCancelledStartIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := New(Config{Ledger: newLedger().session()}).Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
