package engine

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orca-telemetry/orca/internal/lookbackmodel"
)

var (
	historySeeds = flag.Int("history.seeds", 0, "how many histories are played; 0 for as many as there is time for")
	historyFirst = flag.Uint64("history.seed", 0, "the first seed; 0 for one of the clock")
	historyTime  = flag.Duration("history.time", 3*time.Second, "how long histories are played")
)

// Whatever the registry, the delays, the faults, the crashes, the absences of processors and the number of runs in memory:
// every run finishes, and every algorithm is handed exactly the rows, in exactly the order, that the rules of lookbacks
// make of the sequence of accepted runs, and of the outcomes that were not an algorithm's own. What an algorithm returns
// depends on all that it is handed, so that one wrong row changes all that comes after it. A seed brings back what
// happens when; who is first at one instant of virtual time remains chance.
func TestHistoryDecidesWhatIsHandedOver(t *testing.T) {
	t.Parallel()
	playHistories(t, *historyTime, drawHistory)
}

// Window types whose algorithms look back at each other: their windows end at the same times, come in any order, fail and
// break down. With few places in memory, down to one, all of them finish, since every wait leads to a lower position.
func TestMutualWaitsFinish(t *testing.T) {
	t.Parallel()
	playHistories(t, *historyTime/3, drawMutualWaits)
}

// playHistories plays what the seeds draw.
func playHistories(t *testing.T, lasts time.Duration, draw func(*rand.Rand) *historyPlan) {
	t.Helper()
	seed, most, end := *historyFirst, uint64(*historySeeds), time.Now().Add(lasts) //nolint:gosec // a count
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any number does
	}
	var next, played atomic.Uint64
	var players sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for {
				n := next.Add(1) - 1
				if most > 0 && n >= most || most == 0 && played.Load() > 0 && time.Now().After(end) || t.Failed() {
					return
				}
				var broken []string
				synctest.Test(t, func(t *testing.T) { broken = playHistory(t, seed+n, draw) })
				if len(broken) > 0 {
					t.Errorf("-run=%s -history.seed=%d -history.seeds=1 broke rules:\n%s", t.Name(), seed+n, strings.Join(broken, "\n"))
				}
				played.Add(1)
			}
		})
	}
	players.Wait()
	t.Logf("%d histories from seed %d", played.Load(), seed)
}

// historyPlan is everything about a history that is drawn before it begins.
type historyPlan struct {
	early, late lookbackmodel.Registry
	// announced is when the late registry takes the place of the early one.
	announced time.Duration
	windows   []*lookbackmodel.Window
	careers   []career // by window
	ends      []coreEnds
	absences  []absence
	faults    int // of the ledger

	maxActive, maxAttempts int
	recent                 int64 // bytes
	// breaks: of so many requests, and answers, one breaks down; zero for none.
	breaks int
	// The longest pauses.
	commit, tell, read, request, answer time.Duration
}

// career is what happens to a window: when it comes, and what is asked of it then.
type career struct {
	after time.Duration
	asked []asked
}

type asked struct {
	after time.Duration
	what  string // cancel, retry or reprocess
}

func drawHistory(r *rand.Rand) *historyPlan {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(r.IntN(int(d/time.Millisecond)+1)) * time.Millisecond
	}
	p := &historyPlan{
		announced: upTo(time.Second), faults: max(0, r.IntN(12)-4), maxActive: 1 + r.IntN(4), maxAttempts: 1 + r.IntN(3), recent: []int64{0, 1, 500, 3000}[r.IntN(4)],
		commit: upTo(40 * time.Millisecond), tell: upTo(20 * time.Millisecond), read: upTo(40 * time.Millisecond),
		request: upTo(200 * time.Millisecond), answer: upTo(50 * time.Millisecond),
	}
	p.early, p.late = lookbackmodel.DrawRegistries(r, "p", absent)
	if r.IntN(3) == 0 {
		p.maxActive = 50
	}
	if r.IntN(2) == 0 {
		p.breaks = 4 + r.IntN(20)
	}
	longest := []time.Duration{0, 300 * time.Millisecond, 2 * time.Second}[r.IntN(3)]
	for i := range 2 + r.IntN(14) {
		w := lookbackmodel.DrawWindow(r, p.late.WindowTypes(), []any{1.0, 2.0})
		w.Origin = fmt.Sprint(i)
		p.windows = append(p.windows, w)
		c := career{after: upTo(longest)}
		for range max(0, r.IntN(6)-2) {
			c.asked = append(c.asked, asked{upTo(time.Second), []string{"cancel", "retry", "reprocess"}[r.IntN(3)]})
		}
		p.careers = append(p.careers, c)
	}
	for range max(0, r.IntN(6)-2) {
		p.ends = append(p.ends, coreEnds{upTo(time.Second), r.IntN(2) == 0})
	}
	for range max(0, r.IntN(5)-2) {
		p.absences = append(p.absences, absence{upTo(500 * time.Millisecond), upTo(2 * time.Second)})
	}
	return p
}

// drawMutualWaits draws no registry that changes, no processor that is away and nothing that is asked of a window: nothing
// but windows that wait for each other.
func drawMutualWaits(r *rand.Rand) *historyPlan {
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
	g := lookbackmodel.DrawMutual(r, 2+r.IntN(2), "p", "r")
	p := &historyPlan{
		early: g, late: g, maxActive: []int{1, 2, 4}[r.IntN(3)], maxAttempts: 1 + r.IntN(2), recent: []int64{1, 3000, 1 << 20}[r.IntN(3)],
		breaks: []int{0, 10}[r.IntN(2)], commit: upTo(20 * time.Millisecond), tell: upTo(10 * time.Millisecond), read: upTo(20 * time.Millisecond),
		request: upTo(200 * time.Millisecond), answer: upTo(50 * time.Millisecond),
	}
	longest := upTo(time.Second)
	for i, w := range lookbackmodel.DrawMutualWindows(r, g.WindowTypes(), 6, 1.0, 1.0, 2.0) {
		w.Origin = fmt.Sprint(i)
		p.windows = append(p.windows, w)
		p.careers = append(p.careers, career{after: upTo(longest + 1)})
	}
	if r.IntN(3) == 0 {
		p.ends = append(p.ends, coreEnds{upTo(time.Second), true})
	}
	return p
}
