package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// smoother is an algorithm that looks back at its own newest result.
func smoother(t *testing.T) *plan.Plan {
	return build(t, []orca.Algorithm{{
		ID: idOf("A"), WindowType: windowType, ResultType: orca.ResultValue, Self: orca.Lookback{Range: orca.Extent{Count: 1}},
	}})
}

// emitAt accepts a window of an interval.
func (c *core) emitAt(from, to orca.Time) orca.Position {
	c.t.Helper()
	em := emission()
	em.Window.From, em.Window.To = from, to
	a, err := c.Emit(c.t.Context(), em)
	if err != nil {
		c.t.Fatal(err)
	}
	return a.Position
}

// self returns the own past results that a call's only algorithm is handed.
func (c *core) self(call *orca.Call) []string {
	c.t.Helper()
	x, err := call.Build(c.t.Context(), call.Algorithms)
	if err != nil {
		c.t.Fatal(err)
	}
	var rows []string
	for _, r := range x.Algorithms[0].Self {
		rows = append(rows, string(r.Result))
	}
	return rows
}

// A node waits for the past results that it is to be handed, and for nothing else; what is accepted later it never sees.
func TestNodeWaitsForItsPast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), smoother(t))
		c.emitAt(10, 20)
		c.emitAt(20, 30)
		c.emitAt(5, 15) // late: it looks back at none of them
		calls := c.expect("1 p: A", "3 p: A")
		if got := c.self(calls[0]); got != nil {
			t.Errorf("the first was handed %q", got)
		}
		c.succeed(calls[1])
		c.expect()
		c.succeed(calls[0])
		second := c.next("2 p: A")
		want := []string{string(encodedOf(1, second.Algorithms[0].ID))}
		if diff := cmp.Diff(want, c.self(second)); diff != "" {
			t.Errorf("the second was handed (-want +got):\n%s", diff)
		}
		c.succeed(second)
		c.checkIdle()
	})
}

// A failure is waited for like a success and passed over: the row is that of the window before.
func TestFailedPastIsPassedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), smoother(t))
		for i := range orca.Time(3) {
			c.emitAt(10*(i+1), 10*(i+2))
		}
		c.succeed(c.next("1 p: A"))
		c.answer(c.next("2 p: A"), orca.StatusHandledFailed, "no")
		third := c.next("3 p: A")
		want := []string{string(encodedOf(1, third.Algorithms[0].ID))}
		if diff := cmp.Diff(want, c.self(third)); diff != "" {
			t.Errorf("the third was handed (-want +got):\n%s", diff)
		}
	})
}

func TestAvailableWaitsForNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), smoother(t), func(with *setUp) { with.Available = true })
		c.emitAt(10, 20)
		c.emitAt(20, 30)
		calls := c.expect("1 p: A", "2 p: A")
		if got := c.self(calls[1]); got != nil {
			t.Errorf("the second was handed %q", got)
		}
	})
}

// Whatever settles between the read that misses it and the turn that hears of that read is not waited for in vain.
func TestOutcomeThatSettlesDuringALookIsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), smoother(t))
		c.emitAt(10, 20)
		first := c.next("1 p: A")
		c.session.readFault = func(string) error { time.Sleep(time.Second); return nil }
		c.emitAt(20, 30) // it reads for a second what is true now
		synctest.Wait()
		c.succeed(first)
		c.pass(10 * time.Second)
		c.succeed(c.next("2 p: A"))
		c.checkIdle()
	})
}

// A cancelled run is passed over, and those that waited for it look further back.
func TestCancelledPastWakesThoseWhoWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), smoother(t))
		for i := range orca.Time(3) {
			c.emitAt(10*(i+1), 10*(i+2))
		}
		c.succeed(c.next("1 p: A"))
		c.next("2 p: A")
		if _, err := c.Cancel(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		third := c.next("3 p: A")
		want := []string{string(encodedOf(1, third.Algorithms[0].ID))}
		if diff := cmp.Diff(want, c.self(third)); diff != "" {
			t.Errorf("the third was handed (-want +got):\n%s", diff)
		}
		if _, err := c.Cancel(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		c.checkIdle()
		if n := len(c.looking.waits); n > 0 {
			t.Errorf("%d waits are left", n)
		}
	})
}
