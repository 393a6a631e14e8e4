package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// stage is a scenario while it is played.
type stage struct {
	scenario
	t      testing.TB
	plans  []*plan.Plan
	ledger *ledger
	dice   dice
	done   chan struct{} // closed when every run has finished

	mu     sync.Mutex
	broken []string
	// breakage counts how often a processor broke with a node.
	breakage map[nodeOf]int
	core     *playedCore
	away     map[string]bool // processors
	over     bool
}

// leave has a processor be away at times.
func (st *stage) leave() {
	for _, a := range st.Absences {
		time.Sleep(a.After)
		st.setAway(true)
		time.Sleep(a.For)
		if a.For == longAbsence {
			st.checkOthers()
		}
		st.setAway(false)
	}
}

func (st *stage) setAway(away bool) {
	st.mu.Lock()
	c := st.core
	st.away[absent] = away
	if !away {
		slices.SortFunc(c.queue, func(a, b *orca.Call) int { return int(a.Position - b.Position) })
		for _, call := range c.queue {
			c.carryOut(call)
		}
		c.queue = nil
	}
	st.mu.Unlock()
	c.Served()
}

// checkOthers makes sure that an absence that was long held back only those that need the processor.
func (st *stage) checkOthers() {
	st.ledger.mu.Lock()
	newest := orca.Position(len(st.ledger.runs))
	st.ledger.mu.Unlock()
	for p := orca.Position(1); p <= newest; p++ {
		r := st.ledger.run(p)
		needs := slices.ContainsFunc(st.planOf(r).Nodes, func(n plan.Node) bool { return n.Algorithm.ID.Processor == absent })
		if !needs && r.State == orca.RunOpen {
			st.rule("run %d is held back by a processor that it does not need", p)
		}
	}
}

type nodeOf struct {
	run orca.Position
	id  orca.AlgorithmID
}

// dice are the random choices of a play.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
	faults int // left
}

func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

func (d *dice) duration(most time.Duration) time.Duration {
	return time.Duration(d.below(int(most) + 1))
}

// fault reports whether the ledger has a fault now.
func (d *dice) fault() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults == 0 || d.random.IntN(4) > 0 {
		return false
	}
	d.faults--
	return true
}

// play plays a scenario to its end, and returns the rules that were broken.
func play(t testing.TB, s scenario) []string {
	st := &stage{
		scenario: s, t: t, ledger: newLedger(), done: make(chan struct{}), breakage: map[nodeOf]int{}, away: map[string]bool{},
		dice: dice{random: rand.New(rand.NewPCG(s.Seed, 0)), faults: s.Faults},
	}
	finished := 0
	st.ledger.finished = func(orca.Position) {
		if finished++; finished == len(s.Emits) {
			close(st.done)
		}
	}
	for _, lines := range s.Plans {
		st.plans = append(st.plans, dag(t, lines...))
	}
	st.startCore()
	var emitters sync.WaitGroup
	for i, e := range s.Emits {
		emitters.Go(func() { st.emit(i, e) })
	}
	if len(s.Absences) > 0 {
		emitters.Go(st.leave)
	}
	for _, end := range s.Ends {
		time.Sleep(end.After)
		st.endCore(end.Crash)
		st.startCore()
	}
	select {
	case <-st.done:
		emitters.Wait()
		time.Sleep(time.Minute) // a write that was reported as failed is repeated
		synctest.Wait()
		st.broken = append(st.broken, st.core.leftovers()...)
	case <-time.After(24 * time.Hour):
		st.rule("after a day not every run has finished")
	}
	st.mu.Lock()
	st.over = true
	st.mu.Unlock()
	st.endCore(false)
	emitters.Wait()
	st.compare()
	return append(st.broken, st.ledger.broken...)
}

func (st *stage) rule(format string, args ...any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.broken = append(st.broken, fmt.Sprintf(format, args...))
}

// emit sends a window, with a key, until it is accepted.
func (st *stage) emit(i int, w windowComes) {
	time.Sleep(w.After)
	em := emission()
	em.Window.Type.Name = fmt.Sprint(w.Plan)
	em.Key.Key = fmt.Sprint(i)
	for {
		st.mu.Lock()
		c, over := st.core, st.over
		st.mu.Unlock()
		if over {
			return
		}
		if _, err := c.Emit(c.ctx, em); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Plan returns the plan that the window type names.
func (st *stage) Plan(_ context.Context, t orca.WindowTypeID) (*plan.Plan, error) {
	var i int
	_, err := fmt.Sscan(t.Name, &i)
	return st.plans[i], err
}

// planOf returns the plan of a run.
func (st *stage) planOf(r record) *plan.Plan {
	i := slices.IndexFunc(st.plans, func(p *plan.Plan) bool { return p.Content().Hash == r.Plan })
	return st.plans[i]
}

func (st *stage) startCore() {
	c := &playedCore{stage: st, asked: map[nodeOf]bool{}}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(st.t.Context()))
	st.mu.Lock()
	defer st.mu.Unlock()
	c.core = newCore(st.t, st.ledger, nil, func(with *setUp) {
		with.Fleet, with.Planner = c, st
		with.MaxActiveRuns, with.MaxAttempts, with.RetryHandled = st.MaxActiveRuns, st.MaxAttempts, st.RetryHandled
		with.MaxUnsettledBytes, with.MaxHeldBytes = st.MaxUnsettled, st.MaxHeld
		with.session.commitTime = func() time.Duration { return st.dice.duration(st.Commit) }
		with.session.answerTime = func() time.Duration { return st.dice.duration(st.Tell) }
		with.session.writeFault, with.session.readFault = st.writeFault, st.readFault
	})
	st.core = c
}

func (st *stage) writeFault(w *write) (kept bool, err error) {
	if !st.dice.fault() {
		return false, nil
	}
	if kept = st.dice.below(2) == 0; kept {
		st.ledger.repeats = true
		return true, orca.Errorf(orca.OutcomeUnknown, "the end of the commit was not seen")
	}
	if st.dice.below(2) == 0 {
		return false, orca.Errorf(orca.OutcomeUnknown, "the end of the commit was not seen, and nothing was written")
	}
	return false, orca.Errorf(orca.Unavailable, "nothing was written")
}

func (st *stage) readFault(method string) error {
	time.Sleep(st.dice.duration(st.Read))
	if method != "Backlog" && st.dice.fault() {
		return errFault
	}
	return nil
}

// endCore ends the core that is on, in order or by a crash.
func (st *stage) endCore(crash bool) {
	st.mu.Lock()
	c := st.core
	c.ended = true
	st.mu.Unlock()
	if crash {
		c.session.crash()
	}
	c.cancel()
	c.requests.Wait()
	c.stop()
}

// compare holds what the ledger has against what the plans and the fates of nodes make of each run.
func (st *stage) compare() {
	if got, want := len(st.ledger.runs), len(st.Emits); got != want && !st.t.Failed() {
		st.rule("%d runs for %d windows", got, want)
	}
	for p := orca.Position(1); int(p) <= len(st.ledger.runs); p++ {
		r := st.ledger.run(p)
		want := st.expected(p, st.planOf(r))
		got := map[string]string{"": r.State.String()}
		for _, o := range r.outcomes {
			got[o.Algorithm.Name] = o.Kind.String()
			least, most := st.attempts(st.fate(p, st.planOf(r), o.Algorithm))
			if o.Kind != orca.Skipped && (o.Attempts < least || o.Attempts > most) {
				st.rule("run %d: %v is %v after %d attempts, expected %d to %d", p, o.Algorithm, o.Kind, o.Attempts, least, most)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			st.rule("run %d (-want +got):\n%s", p, diff)
		}
	}
}

// expected returns the state of a run under "", and how its nodes settle under their names.
func (st *stage) expected(p orca.Position, pl *plan.Plan) map[string]string {
	want := map[string]string{}
	kinds := make([]orca.OutcomeKind, len(pl.Nodes))
	for i, n := range pl.Nodes {
		kinds[i] = st.fate(p, pl, n.Algorithm.ID).Final.kind()
		if n.Blocked != "" || slices.ContainsFunc(n.Needs, func(d int) bool { return kinds[d] != orca.Succeeded }) {
			kinds[i] = orca.Skipped
		}
		want[n.Algorithm.ID.Name] = kinds[i].String()
	}
	want[""] = orca.EndOf(kinds).String()
	return want
}

func (st *stage) fate(p orca.Position, pl *plan.Plan, id orca.AlgorithmID) fate {
	i, _ := pl.Index(id)
	fates := st.Fates[int(p-1)%len(st.Fates)]
	return fates[i%len(fates)]
}

// breakageLeft is how often a processor still has to break with a node before it answers.
func (st *stage) breakageLeft(p orca.Position, id orca.AlgorithmID) int {
	f := st.fate(p, st.planOf(st.ledger.run(p)), id)
	st.mu.Lock()
	defer st.mu.Unlock()
	return f.Breakage - st.breakage[nodeOf{p, id}]
}

func (st *stage) breaks(p orca.Position, id orca.AlgorithmID) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.breakage[nodeOf{p, id}]++
}
