package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// core is an engine with its session at a ledger. The test plays its processors: calls wait on a desk.
type core struct {
	*Engine
	t       testing.TB
	session *session
	desk    *desk
	parts   sync.WaitGroup
	// finish ends the engine, commit ends the session once everything is committed.
	finish, commit context.CancelFunc
}

// setUp changes what a core is made of, before it starts.
type setUp struct {
	Config
	session *session
}

// startCore starts a core on a ledger; it stops in order at the end of the test.
func startCore(t testing.TB, l *ledger, p *plan.Plan, changes ...func(*setUp)) *core {
	t.Helper()
	c := newCore(t, l, p, changes...)
	t.Cleanup(func() {
		c.stop()
		for _, rule := range l.broken {
			t.Error(rule)
		}
	})
	return c
}

// newCore starts a core that the caller ends. Its failures have the shortest pauses.
func newCore(t testing.TB, l *ledger, p *plan.Plan, changes ...func(*setUp)) *core {
	d := &desk{}
	with := &setUp{session: l.session(), Config: Config{Fleet: d, Planner: planner{p}}}
	for _, change := range changes {
		change(with)
	}
	with.Ledger = with.session
	c := &core{Engine: New(with.Config), t: t, session: with.session, desk: d}
	c.random = func() float64 { return 0 }
	var ctx, serve context.Context
	serve, c.commit = context.WithCancel(context.WithoutCancel(t.Context()))
	ctx, finish := context.WithCancel(serve)
	c.parts.Go(func() { c.session.serve(serve) })
	ended := make(chan struct{})
	c.parts.Go(func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	c.finish = func() { finish(); <-ended }
	return c
}

// stop ends the core in order: everything that it was told reaches the ledger.
func (c *core) stop() {
	c.finish()
	c.commit()
	c.parts.Wait()
}

// crash ends the core at once: what is not committed is forgotten.
func (c *core) crash() {
	c.session.crash()
	c.stop()
}

// emit accepts one window.
func (c *core) emit() orca.Position {
	c.t.Helper()
	a, err := c.Emit(c.t.Context(), emission())
	if err != nil {
		c.t.Fatal(err)
	}
	return a.Position
}

// emission is a window with a field that is not stored.
func emission() orca.Emission {
	return orca.Emission{
		Window:       orca.Window{Type: windowType.ID, From: 1, To: 2, Origin: "test", Metadata: []byte("stored")},
		FullMetadata: []byte("stored and not stored"),
	}
}

// pass lets virtual time pass.
func (c *core) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// look runs f in the loop.
func (c *core) look(f func()) {
	done := make(chan struct{})
	c.inbox.post(func() { defer close(done); f() })
	<-done
}

// desk is a fleet that does nothing: calls stay on it until the test takes them.
type desk struct {
	mu    sync.Mutex
	calls []*orca.Call
	// away are the processors that no instance serves, and expected those that the core says work waits for.
	away     map[string]bool
	expected map[string]bool
}

func (d *desk) Serving(id orca.AlgorithmID) orca.InstanceState {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away[id.Processor] {
		return orca.Unreachable
	}
	return orca.Serving
}

func (d *desk) Expect(processors map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected = processors
}

func (d *desk) Submit(c *orca.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, c)
}

// Withdraw takes algorithms off the calls that the test has not taken yet.
func (d *desk) Withdraw(processor string, p orca.Position, gone func(orca.AlgorithmID) bool) (taken []orca.AlgorithmID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.calls {
		if c.Position == p && c.Processor == processor {
			c.Algorithms = slices.DeleteFunc(c.Algorithms, func(a orca.CalledAlgorithm) bool {
				if gone(a.ID) {
					taken = append(taken, a.ID)
				}
				return gone(a.ID)
			})
		}
	}
	d.calls = slices.DeleteFunc(d.calls, func(c *orca.Call) bool { return len(c.Algorithms) == 0 })
	return taken
}

func (d *desk) take() []*orca.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

// expect waits until the core stands still, and takes from the desk what it submitted. Each call is written as
// "POSITION PROCESSOR: NAMES", with " solo" where that is asked for.
func (c *core) expect(want ...string) []*orca.Call {
	c.t.Helper()
	synctest.Wait()
	calls := c.desk.take()
	var got []string
	for _, call := range calls {
		text := fmt.Sprintf("%d %s:", call.Position, call.Processor)
		for _, a := range call.Algorithms {
			text += " " + a.ID.Name
		}
		if call.Solo {
			text += " solo"
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Fatalf("calls (-want +got):\n%s", diff)
	}
	return calls
}

// next is expect for one call.
func (c *core) next(want string) *orca.Call {
	c.t.Helper()
	return c.expect(want)[0]
}

// succeed reports a success of the named algorithms of a call, of all when none is named.
func (c *core) succeed(call *orca.Call, names ...string) {
	for _, a := range call.Algorithms {
		if len(names) == 0 || slices.Contains(names, a.ID.Name) {
			call.Result(c.t.Context(), a.ID, success(call.Position, a.ID))
		}
	}
}

func success(p orca.Position, id orca.AlgorithmID) orca.Result {
	return orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Encoded: encodedOf(p, id)}
}

func encodedOf(p orca.Position, id orca.AlgorithmID) []byte {
	return fmt.Appendf(nil, "result of %s/%s in run %d", id.Processor, id.Name, p)
}

// answer reports a result of a call's only algorithm.
func (c *core) answer(call *orca.Call, status orca.ResultStatus, details string) {
	id := call.Algorithms[0].ID
	call.Result(c.t.Context(), id, orca.Result{
		Status: status, Type: orca.ResultNone, Encoded: []byte(details), Error: details, Failure: details,
	})
}

// end reports that the named algorithms of a call, or all of them, got no result. The instance had served right before.
func (c *core) end(call *orca.Call, kind orca.CallEndKind, names ...string) {
	now := orca.TimeOf(time.Now())
	end := orca.CallEnd{Kind: kind, Reason: "it is " + kind.String(), Sent: now, Served: now - 1, Alone: len(call.Algorithms) == 1}
	for _, a := range call.Algorithms {
		if len(names) == 0 || slices.Contains(names, a.ID.Name) {
			end.Missing = append(end.Missing, a.ID)
		}
	}
	call.End(end)
}

// check waits until the core stands still, and compares what the ledger has of a run: its state, and its outcomes by
// plan order of their names, each as "NAME KIND ATTEMPTS: REASON".
func (c *core) check(p orca.Position, want ...string) {
	c.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, recorded(c.session.run(p))); diff != "" {
		c.t.Errorf("run %d (-want +got):\n%s", p, diff)
	}
}

func recorded(r record) []string {
	slices.SortFunc(r.outcomes, func(a, b orca.Outcome) int { return strings.Compare(a.Algorithm.Name, b.Algorithm.Name) })
	lines := []string{r.State.String()}
	for _, o := range r.outcomes {
		line := fmt.Sprintf("%s %v %d", o.Algorithm.Name, o.Kind, o.Attempts)
		if o.Reason != "" {
			line += ": " + o.Reason
		}
		lines = append(lines, line)
	}
	return lines
}

// checkIdle makes sure that nothing is left of finished runs.
func (c *core) checkIdle() {
	c.t.Helper()
	synctest.Wait()
	for _, left := range c.leftovers() {
		c.t.Error(left)
	}
}

// leftovers says what an idle engine has not given back: budget, memory, counts.
func (c *core) leftovers() []string {
	var left []string
	if !c.unsettled.TryAcquire(c.cfg.MaxUnsettledBytes) {
		left = append(left, "bytes of settled results are still in the budget")
	} else {
		c.unsettled.Release(c.cfg.MaxUnsettledBytes)
	}
	s := c.Stats()
	got := orca.RunStats{Open: s.Open, Active: s.Active, HeldBytes: s.HeldBytes}
	if diff := cmp.Diff(orca.RunStats{}, got); diff != "" {
		left = append(left, "an idle engine (-want +got):\n"+diff)
	}
	return left
}
