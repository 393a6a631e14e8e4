package engine

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// lines are the plans of a core by the names of their window types.
type lines map[string]*plan.Plan

func (l lines) Plan(_ context.Context, t orca.WindowTypeID) (*plan.Plan, error) {
	return l[t.Name], nil
}

// plans of the tests: of processor p, of q, of q twice, and of both.
func plansOfTwo(t *testing.T) lines {
	return lines{"S": chained(t, "S", "S"), "QS": chained(t, "QS", "q/S"), "P": dag(t, "A"), "Q": dag(t, "q/A"), "QQ": dag(t, "q/A", "q/B < q/A"), "PQ": dag(t, "A", "q/B < A")}
}

// chained is an algorithm that looks back at its own newest result.
func chained(t *testing.T, typ, name string) *plan.Plan {
	of := orca.WindowType{ID: orca.WindowTypeID{Name: typ, Version: windowType.ID.Version}}
	p, err := plan.Build(of.ID, []orca.Algorithm{{
		ID: idOf(name), WindowType: of, ResultType: orca.ResultValue, Self: orca.Lookback{Range: orca.Extent{Count: 1}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// emitChain accepts windows that follow one another.
func (c *core) emitChain(plan string, from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		em := emission()
		em.Window.Type.Name, em.Window.From, em.Window.To = plan, orca.Time(i+1), orca.Time(i+2)
		if _, err := c.Emit(c.t.Context(), em); err != nil {
			c.t.Fatal(err)
		}
	}
}

// startTwo starts a core with these plans.
func startTwo(t *testing.T, l *ledger, active int, changes ...func(*setUp)) *core {
	t.Helper()
	two := func(with *setUp) { with.Planner, with.MaxActiveRuns = plansOfTwo(t), active }
	return startCore(t, l, nil, append([]func(*setUp){two}, changes...)...)
}

func (c *core) emitTo(plan string) orca.Position {
	c.t.Helper()
	em := emission()
	em.Window.Type.Name = plan
	a, err := c.Emit(c.t.Context(), em)
	if err != nil {
		c.t.Fatal(err)
	}
	return a.Position
}

// away says whether processor q takes work.
func (c *core) away(away bool) {
	c.desk.mu.Lock()
	c.desk.away = map[string]bool{"q": away}
	c.desk.mu.Unlock()
	c.Served()
	synctest.Wait()
}

// pick takes the calls of a run from the desk and leaves the others.
func (d *desk) pick(p orca.Position) (picked []*orca.Call) {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = slices.DeleteFunc(d.calls, func(c *orca.Call) bool {
		if c.Position == p {
			picked = append(picked, c)
		}
		return c.Position == p
	})
	return picked
}

// finish succeeds with the calls of a run that are on the desk.
func (c *core) finishRun(p orca.Position) {
	c.t.Helper()
	calls := c.desk.pick(p)
	if len(calls) == 0 {
		c.t.Fatalf("run %d is not on the desk", p)
	}
	for _, call := range calls {
		c.succeed(call)
	}
	synctest.Wait()
}

// standing compares what is open, active and parked.
func (c *core) standing(open, active, parked int64) {
	c.t.Helper()
	synctest.Wait()
	s := c.Stats()
	if diff := cmp.Diff([]int64{open, active, parked}, []int64{s.Open, s.Active, s.Parked}); diff != "" {
		c.t.Errorf("open, active and parked (-want +got):\n%s", diff)
	}
}

// A processor that is away holds back only what needs it, also when that fills all places. When it is back its runs go
// on in the order of their positions, before those that came later.
func TestAbsentProcessorHoldsBackOnlyItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 2)
		c.away(true)
		for range 3 {
			c.emitTo("Q")
		}
		other := c.emitTo("P")
		c.finishRun(other)
		c.standing(3, 0, 3)
		work, err := c.Parked(t.Context())
		if diff := cmp.Diff(map[string]orca.ParkedWork{"q": {Runs: 3, Oldest: 1}}, work); diff != "" || err != nil {
			t.Errorf("parked (-want +got):\n%s%v", diff, err)
		}
		if !c.desk.expected["q"] {
			t.Error("the fleet was not told that work waits for q")
		}
		c.expect()
		c.away(false)
		for _, call := range c.expect("1 q: A", "2 q: A") {
			c.succeed(call)
		}
		c.finishRun(3)
		c.checkIdle()
		if len(c.desk.expected) > 0 {
			t.Errorf("the fleet still expects work for %v", c.desk.expected)
		}
	})
}

// While others wait for the same, a window takes no memory at all.
func TestWindowsOfAClosedLotAreParkedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedger()
		c := startTwo(t, l, 2)
		c.away(true)
		for range 4 {
			c.emitTo("Q")
		}
		c.standing(4, 0, 4)
		loads := c.session.loads
		for range 100 {
			c.emitTo("Q")
		}
		c.standing(104, 0, 104)
		if c.session.loads != loads {
			t.Errorf("runs that cannot go on were loaded %d times", c.session.loads-loads)
		}
		c.away(false)
		for p := orca.Position(1); p <= 104; p++ {
			c.finishRun(p)
		}
		c.checkIdle()
	})
}

// A run parks in the middle, and what has succeeded stays.
func TestRunParksBetweenItsNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 1)
		c.away(true)
		first, second := c.emitTo("PQ"), c.emitTo("P")
		c.finishRun(first)
		c.finishRun(second)
		c.standing(1, 0, 1)
		c.away(false)
		c.succeed(c.next("1 q: B"))
		c.check(first, "succeeded", "A succeeded 1", "B succeeded 1")
		c.checkIdle()
	})
}

// What an instance has taken keeps its run in memory.
func TestRequestUnderWayKeepsItsRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 1)
		first := c.emitTo("Q")
		calls := c.desk.pick(first)
		c.away(true)
		second := c.emitTo("P")
		c.standing(2, 1, 0)
		c.succeed(calls[0])
		c.finishRun(second)
		c.checkIdle()
	})
}

// A restart loads nothing that cannot go on.
func TestRestartLeavesParkedRunsWhereTheyAre(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedger()
		first := startTwo(t, l, 2)
		first.away(true)
		for range 5 {
			first.emitTo("Q")
		}
		first.standing(5, 0, 5)
		first.crash()
		gone := func(with *setUp) { with.Fleet.(*desk).away = map[string]bool{"q": true} }
		c := startTwo(t, l, 2, gone)
		c.standing(5, 0, 5)
		c.finishRun(c.emitTo("P"))
		c.emitTo("Q")
		c.standing(6, 0, 6)
		c.away(false)
		for p := range orca.Position(5) {
			c.finishRun(p + 1)
		}
		c.finishRun(7)
		c.checkIdle()
	})
}

// Attempts that were counted before are counted after.
func TestParkedRunKeepsItsTries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 1)
		first := c.emitTo("Q")
		for range 2 {
			c.pass(time.Second)
			c.end(c.desk.pick(first)[0], orca.EndLost)
		}
		synctest.Wait()
		c.away(true)
		c.finishRun(c.emitTo("P"))
		c.standing(1, 0, 1)
		c.away(false)
		call := c.next("1 q: A solo")
		time.Sleep(time.Second)
		c.end(call, orca.EndLost)
		c.check(first, "failed", "A unhandled-failed 3: it is lost")
		c.checkIdle()
	})
}

func TestParkedRunsAreCancelledAndForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 1)
		c.away(true)
		for range 4 {
			c.emitTo("Q")
		}
		c.standing(4, 0, 4)
		if _, err := c.Cancel(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		c.check(2, "cancelled", "A cancelled 0: cancelled by request")
		c.standing(3, 0, 3)
		runs, err := c.ForgetProcessor(t.Context(), "q")
		if runs != 3 || err != nil {
			t.Errorf("%d runs were forgotten: %v", runs, err)
		}
		c.check(3, "incomplete", `A skipped 0: processor "q" was forgotten`)
		c.checkIdle()
	})
}

func TestParkedRunsOfARetiredAlgorithmAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 1)
		c.away(true)
		c.emitTo("Q")
		c.emitTo("Q")
		c.emitTo("Q")
		c.standing(3, 0, 3)
		id := orca.AlgorithmID{Processor: "q", Name: "A", Version: "1.0.0"}
		c.Retired(map[orca.AlgorithmID]orca.Time{id: orca.TimeOf(time.Now())})
		c.pass(59 * time.Minute)
		c.standing(3, 0, 3)
		c.pass(2 * time.Minute)
		c.check(2, "incomplete", "A skipped 0: A 1.0.0 is retired, and no processor has announced it again for 1h0m0s")
		c.checkIdle()
	})
}

// A run that the ledger cannot park stays, and is asked about again after a pause.
func TestRunStaysWhenItCannotBeParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := 0
		fails := func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if w.parking == nil {
					return false, nil
				}
				if asked++; asked > 3 {
					return false, nil
				}
				return false, orca.Errorf(orca.Unavailable, "the disk is full")
			}
		}
		c := startTwo(t, newLedger(), 1, fails)
		c.away(true)
		c.emitTo("Q")
		second := c.emitTo("P")
		c.standing(2, 1, 0)
		c.pass(10 * time.Second)
		if asked != 4 {
			t.Errorf("the ledger was asked %d times, want 4", asked)
		}
		c.finishRun(second)
		c.standing(1, 0, 1)
		c.away(false)
		c.finishRun(1)
		c.checkIdle()
	})
}

// reparked brings a core to where run 1 is parked once more and run 2 is active, while the row of run 2 is in the same
// lot, from where it was loaded. With two nodes, run 3 is parked before the second one. Reads take a second from then on.
func reparked(t *testing.T, plan string) (c *core, second []*orca.Call) {
	c = startTwo(t, newLedger(), 3)
	c.away(true)
	for range 3 {
		c.emitTo(plan)
	}
	fourth := c.emitTo("P")
	c.standing(4, 1, 3)
	c.finishRun(fourth)
	c.away(false)
	second = c.desk.pick(2)
	c.finishRun(3)
	c.away(true)
	for range 3 {
		c.emitTo("P")
	}
	for p := range orca.Position(3) {
		c.finishRun(5 + p)
	}
	c.session.readFault = func(string) error { time.Sleep(time.Second); return nil }
	return c, second
}

// A load that brings a run as it was before its end does not bring it back to life.
func TestLoadDoesNotBringBackWhatHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, second := reparked(t, "Q")
		c.standing(2, 1, 1)
		c.away(false)
		c.succeed(second[0])
		c.pass(10 * time.Second)
		for _, call := range c.expect("1 q: A") {
			c.succeed(call)
		}
		c.pass(10 * time.Second)
		c.checkIdle()
	})
}

// A run that is parked while a load reads it does not come back as it was before.
func TestLoadDoesNotBringBackAnOlderState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, second := reparked(t, "QQ")
		c.standing(3, 1, 2)
		c.away(false) // the load begins
		c.succeed(second[0])
		c.pass(100 * time.Millisecond)
		c.away(true) // 2 stands still now, before its second node, as 3 does
		c.pass(100 * time.Millisecond)
		c.away(false) // and the load is still under way
		c.pass(10 * time.Second)
		for _, call := range c.expect("1 q: A", "2 q: B", "3 q: B") {
			c.succeed(call)
		}
		c.pass(10 * time.Second)
		c.check(2, "succeeded", "A succeeded 1", "B succeeded 1")
	})
}

// A window that is on its way into a lot while the lot is emptied is not left behind there.
func TestWindowOnItsWayIntoALotIsNotLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 4)
		c.away(true)
		for range 5 {
			c.emitTo("Q")
		}
		for p := range orca.Position(3) {
			if _, err := c.Cancel(t.Context(), 3+p); err != nil {
				t.Fatal(err)
			}
		}
		c.standing(2, 0, 2)
		c.session.commitTime = func() time.Duration { return time.Second }
		c.session.readFault = func(string) error { time.Sleep(2 * time.Second); return nil }
		accepted := make(chan orca.Position)
		go func() { accepted <- c.emitTo("Q") }()
		synctest.Wait()
		c.away(false)
		<-accepted
		c.pass(10 * time.Second)
		for _, call := range c.expect("1 q: A", "2 q: A", "6 q: A") {
			c.succeed(call)
		}
		c.pass(10 * time.Second)
		c.checkIdle()
	})
}

// Runs that wait for one another hold back nobody else, and go on one by one. The lower half of the places is theirs.
func TestRunsThatWaitForOutcomesMakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 4)
		c.emitChain("S", 0, 12)
		c.finishRun(c.emitTo("P"))
		c.standing(12, 2, 10)
		if n := len(c.looking.waits); n > 2 {
			t.Errorf("parked runs are known to %d waits in memory", n)
		}
		for p := range orca.Position(12) {
			c.finishRun(p + 1)
		}
		c.checkIdle()
	})
}

// A run that waits for a parked one is parked too, and no number of places is too small.
func TestRunsThatWaitForParkedOnesMakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startTwo(t, newLedger(), 1)
		c.away(true)
		c.emitChain("QS", 0, 3)
		c.finishRun(c.emitTo("P"))
		c.standing(3, 0, 3)
		c.away(false)
		for p := range orca.Position(3) {
			c.finishRun(p + 1)
		}
		c.checkIdle()
	})
}

// What was settled before a crash, and of which the parked runs were not told, wakes them at the start.
func TestCrashBeforeTheWakingIsMadeUpFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedger()
		first := startTwo(t, l, 2, func(with *setUp) {
			with.session.writeFault = func(w *write) (bool, error) {
				if w.woken != nil {
					return false, orca.Errorf(orca.Unavailable, "nothing was written")
				}
				return false, nil
			}
		})
		first.emitChain("S", 0, 4)
		first.finishRun(first.emitTo("P"))
		first.standing(4, 1, 3)
		first.finishRun(1)
		first.crash()
		c := startTwo(t, l, 2)
		for p := range orca.Position(3) {
			c.finishRun(p + 2)
		}
		c.checkIdle()
	})
}

// An outcome that settles while its waiter is being parked is not waited for in vain, nor is one whose waking fails.
func TestOutcomeThatSettlesDuringAParkingIsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fails := 3
		c := startTwo(t, newLedger(), 2, func(with *setUp) {
			with.session.commitTime = func() time.Duration { return time.Second }
			with.session.writeFault = func(w *write) (bool, error) {
				if w.woken != nil && fails > 0 {
					fails--
					return false, orca.Errorf(orca.Unavailable, "nothing was written")
				}
				return false, nil
			}
		})
		c.emitChain("S", 0, 4)
		c.emitTo("P") // now the others begin to be parked
		first := c.desk.pick(1)
		c.succeed(first[0])
		for p := range orca.Position(4) {
			c.pass(time.Minute)
			if p > 0 {
				c.finishRun(p + 1)
			}
		}
		c.finishRun(5)
		c.pass(time.Minute)
		c.checkIdle()
	})
}
