package e2e

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// Whatever the registry, the pace of processors and of those who emit, retry, reprocess and cancel, and whenever a core is
// killed: every algorithm is handed exactly the rows, equal to the bit, that the rules of lookbacks make of the order in
// which runs were accepted, and the ledger has what came of them. Most cores are processes that are killed, the
// others are in this process and stopped at once. ORCA_HISTORY_FOR says how long histories are played, 20s by default, and
// ORCA_HISTORY_SEED which one is played alone: it brings back what is done, and not how it meets.
func TestHistoryDecidesWhatProcessorsAreGiven(t *testing.T) {
	t.Parallel()
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("ORCA_HISTORY_FOR"), "20s"))
	if err != nil {
		t.Fatalf("ORCA_HISTORY_FOR: %v", err)
	}
	if text := os.Getenv("ORCA_HISTORY_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("ORCA_HISTORY_SEED: %v", err)
		}
		playHistory(t, seed, 1)
		return
	}
	first, end := rand.Uint64N(1<<40), time.Now().Add(lasts)
	var played, rows atomic.Int64
	var players sync.WaitGroup
	for range 3 {
		players.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				seed := first + uint64(played.Add(1)) //nolint:gosec // it is positive
				t.Run(fmt.Sprint(seed), func(t *testing.T) { rows.Add(playHistory(t, seed, 1)) })
			}
		})
	}
	players.Wait()
	t.Logf("%d histories from seed %d, %d inputs compared", played.Load(), first+1, rows.Load())
	if rows.Load() == 0 {
		t.Error("no input was compared")
	}
}

// historyPlan is everything about a history that is drawn before it begins.
type historyPlan struct {
	killed      bool // the core is a process, else it is in this one
	early, late lookbackmodel.Registry
	// windows that come while the early registry holds, and while the late one does.
	windows [2][]career
	// kills are when the core ends and starts again, in each part.
	kills [2][]time.Duration

	maxActive, maxAttempts int
	// breaks: of so many executions one breaks its request; zero for none.
	breaks int
	// The longest times that an execution takes, and until something is done.
	execution, pace time.Duration
}

// career is what happens to a window: when it comes, and what is asked of it then, at which pace.
type career struct {
	*lookbackmodel.Window
	after time.Duration
	asked []string // cancel, retry or reprocess
}

func drawHistory(r *rand.Rand) *historyPlan {
	p := &historyPlan{
		killed: r.IntN(4) > 0, maxActive: 1 + r.IntN(4), maxAttempts: 1 + r.IntN(2),
		execution: []time.Duration{0, time.Millisecond, 5 * time.Millisecond}[r.IntN(3)],
		pace:      []time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond}[r.IntN(3)],
	}
	p.early, p.late = lookbackmodel.DrawRegistries(r, "p", "q")
	if r.IntN(5) == 0 { // window types that look back at each other
		p.early = lookbackmodel.DrawMutual(r, 2+r.IntN(2), "p", "q")
		p.late = p.early
	}
	if r.IntN(4) == 0 {
		p.maxActive = 100
	}
	if r.IntN(4) == 0 {
		p.breaks = 60
	}
	values := []any{0.0, math.Copysign(0, -1), math.NaN(), 1.0, "1", true, nil, []any{1.0, "a"}, map[string]any{"a": nil, "b": []any{}}}
	r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	for part, g := range []lookbackmodel.Registry{p.early, p.late} {
		for range r.IntN(3) {
			p.kills[part] = append(p.kills[part], time.Duration(r.IntN(300))*time.Millisecond)
		}
		if len(g) == 0 {
			continue // no window type is known
		}
		for i := range 4 + r.IntN(30) {
			c := career{Window: lookbackmodel.DrawWindow(r, g.WindowTypes(), values[:3])}
			c.Origin, c.after = fmt.Sprintf("%d/%d", part, i), time.Duration(r.Int64N(int64(p.pace)+1))*10
			for range max(0, r.IntN(6)-2) {
				c.asked = append(c.asked, []string{"cancel", "retry", "reprocess"}[r.IntN(3)])
			}
			p.windows[part] = append(p.windows[part], c)
		}
	}
	return p
}

// clients of a core, as it is until it ends.
type clients struct {
	pb.OrcaCoreClient
	pb.OrcaConsoleClient
}

// stage is where a history is played.
type stage struct {
	// on returns the clients of a core.
	on func() clients
	// fault ends a core at once and starts it again on its store, or has one of several stand still.
	fault func()
	// agree waits until all cores know the same registry.
	agree func()
	// doing tells what the core logged and what its goroutines do, for a test that fails. A core in a process ends by it.
	doing func() string
}

// setStage starts so many cores.
func (p *historyPlan) setStage(t *testing.T, n int, random *rand.Rand) stage {
	t.Helper()
	options := []string{"--max-active-runs", fmt.Sprint(p.maxActive), "--max-attempts", fmt.Sprint(p.maxAttempts)}
	if n > 1 {
		cs := startCores(t, n, rand.New(rand.NewPCG(random.Uint64(), 0)), options...)
		faults := rand.New(rand.NewPCG(random.Uint64(), 0))
		return stage{on: cs.on, agree: func() { cs.agree(t) }, doing: cs.state, fault: func() {
			if long := shortLease + time.Duration(faults.Int64N(int64(shortLease))); faults.IntN(2) == 0 {
				cs.stop(t.Context(), long)
			} else {
				cs.kill(t.Context(), long-shortLease)
			}
		}}
	}
	one, restart, doing := p.startOne(t, options)
	var mu sync.Mutex
	return stage{
		on:    func() clients { mu.Lock(); defer mu.Unlock(); return one },
		fault: func() { again := restart(); mu.Lock(); defer mu.Unlock(); one = again },
		agree: func() {},
		doing: doing,
	}
}

// startOne starts a core, and returns its clients, what ends it at once and starts it again on its store, and what tells
// what it is doing.
func (p *historyPlan) startOne(t *testing.T, options []string) (first clients, restart func() clients, doing func() string) {
	t.Helper()
	if p.killed {
		c := startCore(t, options...)
		now := func() clients { return clients{c.OrcaCoreClient, c.OrcaConsoleClient} }
		return now(), func() clients { c.kill(); c.start(); return now() }, c.dump
	}
	c := orcatest.Start(t, func(c *config.Config) { c.MaxActiveRuns, c.MaxAttempts, c.Drain = p.maxActive, p.maxAttempts, 0 })
	now := func() clients { return clients{c.OrcaCoreClient, c.OrcaConsoleClient} }
	return now(), func() clients { c.Restart(); return now() }, orcatest.Stacks
}
