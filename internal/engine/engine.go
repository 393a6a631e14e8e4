package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// Ledger is the durable record. Accept, Revise and Settle return at once; done is called after the commit and must not
// block. Those of Accept and Revise are called in the order of positions.
type Ledger interface {
	Accept(e orca.Emission, done func(orca.Accepted, error))
	// Revise is refused with orca.Precondition when its base is not the newest run of the window any more, or open.
	Revise(r orca.Revision, done func(orca.Accepted, error))
	// Settle may be repeated: of two outcomes of one node the first one stays.
	Settle(s orca.Settlement, done func(error))
	// OpenRuns returns unfinished runs with positions above after, parked or not, the lowest first.
	OpenRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error)
	Plan(ctx context.Context, hash orca.PlanHash) ([]byte, error)
	// Results returns the results of nodes that succeeded, in the order asked.
	Results(ctx context.Context, p orca.Position, ids []orca.AlgorithmID) ([]orca.Result, error)
	// Past calls yield with the past of an algorithm, from the newest window on, until it returns false. Nothing that is
	// settled comes as not settled after its commit.
	Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error
	// PastRows returns results of an algorithm in runs where it succeeded, in the order asked.
	PastRows(ctx context.Context, id orca.AlgorithmID, runs []orca.Position) ([]orca.PastRow, error)
	Backlog(ctx context.Context) (orca.Backlog, error)
	// Park makes a run that is unfinished a row of a lot, and tells whether it is one now. It is not when an outcome that
	// it expects is settled.
	Park(p orca.Parking, done func(parked bool, err error))
	// Wake puts parked runs that expect outcomes which are settled now into orca.Woken. When there is more it is to be
	// called again.
	Wake(settled []orca.OutcomeKey, done func(woken []orca.WokenRun, more bool, err error))
	// NextRuns returns the unfinished runs of the lowest positions of all sources.
	NextRuns(ctx context.Context, sources []orca.OpenSource, limit int) ([]orca.OpenRun, error)
	Window(ctx context.Context, id orca.WindowID) (orca.WindowRecord, error)
	// Outcomes returns those of one run, without the results.
	Outcomes(ctx context.Context, p orca.Position) ([]orca.Outcome, error)
}

// Fleet carries out calls. Submit returns at once; the fleet holds a call until an instance can take it.
type Fleet interface {
	Submit(*orca.Call)
	// Withdraw takes algorithms of a run out of the calls that wait for an instance of a processor, and returns which. It
	// returns at once, and nothing is reported of them. What is under way goes on.
	Withdraw(processor string, p orca.Position, gone func(orca.AlgorithmID) bool) []orca.AlgorithmID
	// Serving returns the best state of the instances that run an algorithm. After a change somebody calls
	// Engine.Served.
	Serving(id orca.AlgorithmID) orca.InstanceState
	// Expect says which processors work waits for outside of the fleet.
	Expect(processors map[string]bool)
}

// Planner knows the plan of a window type; every registered type has one, if an empty one.
type Planner interface {
	Plan(ctx context.Context, t orca.WindowTypeID) (*plan.Plan, error)
}

// Config of an Engine. Ledger, Fleet and Planner are required; of the rest the zero value means the default.
type Config struct {
	Ledger  Ledger
	Fleet   Fleet
	Planner Planner
	// Shared is set when other cores work on the ledger too; default nil, this one is alone.
	Shared Shared
	// Poll is how often the engine looks at most for what other cores did that somebody waits for; default some times a
	// second, and every two seconds while they are heard (News).
	Poll time.Duration
	// MayAccept says why no window can be accepted now, such as a full disk; default nil, never.
	MayAccept func() error
	// Log receives what went wrong with runs; default none.
	Log *slog.Logger
	// Now is the clock of AcceptedAt and SettledAt; default the system's.
	Now func() orca.Time
	// MaxAccept bounds the emits that are not answered yet; default 1,024.
	MaxAccept int
	// MaxActiveRuns bounds the runs in memory; default 4,096.
	MaxActiveRuns int
	// MaxBacklog bounds the unfinished runs; default 0, no limit.
	MaxBacklog int64
	// MaxAttempts of an algorithm that fails without handling it; default 3.
	MaxAttempts int
	// RetryHandled retries handled failures too; default false.
	RetryHandled bool
	// RetiredWait is how long a node waits for its retired algorithm to be announced again; default 1 h.
	RetiredWait time.Duration
	// Available has lookbacks take what is settled and wait for nothing; default false.
	Available bool
	// MaxRequestBytes bounds the past results of one dependency; default 64 MiB.
	MaxRequestBytes int64
	// MaxRecentBytes bounds the past results kept in memory for lookbacks, about; what is not there is read from the
	// ledger. Negative keeps nothing, as with Shared. Default 64 MiB.
	MaxRecentBytes int64
	// MaxUnsettledBytes bounds the results that are received and not durable yet; streams wait beyond it. Default 256 MiB.
	MaxUnsettledBytes int64
	// MaxHeldBytes bounds the results kept in memory for dependents in their run; beyond it they are read back from
	// the ledger. Default 256 MiB.
	MaxHeldBytes int64
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = func() orca.Time { return orca.TimeOf(time.Now()) }
	}
	setDefault(&c.MaxAccept, 1024)
	setDefault(&c.MaxActiveRuns, 4096)
	setDefault(&c.MaxAttempts, 3)
	setDefault(&c.RetiredWait, time.Hour)
	setDefault(&c.MaxRequestBytes, 64<<20)
	setDefault(&c.MaxRecentBytes, 64<<20)
	if c.Shared != nil {
		c.MaxRecentBytes = -1
	}
	setDefault(&c.MaxUnsettledBytes, 256<<20)
	setDefault(&c.MaxHeldBytes, 256<<20)
	return c
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Engine runs windows. Make it with New; all methods are safe for concurrent use.
type Engine struct {
	cfg       Config
	inbox     *inbox
	watchers  watchers
	unsettled *semaphore.Weighted // bytes of results between a stream and the ledger
	stats     counters
	// unanswered emits, at most cfg.MaxAccept.
	unanswered atomic.Int64
	stopping   atomic.Bool
	begun      chan struct{} // closed once Run knows what is in the ledger, or has failed
	over       chan struct{} // closed once Run has returned

	// full: what is accepted now is left to whichever core has room.
	full atomic.Bool
	// heard: what other cores do is told as it happens.
	heard atomic.Bool
	// loads are the goroutines that read for the loop; Run waits for them.
	loads sync.WaitGroup

	// Owned by the loop.
	active    map[orca.Position]*run
	touched   []*run // runs to be looked at in the end of this turn
	group     []int  // nodes of the call that is being made
	admission admission
	// withdrawals are under way; bounded by the requests that wait for them.
	withdrawals []*withdrawal
	page        int // runs of a withdrawal's page that are not durable, and the page itself
	retirement  retirement
	parking     parking
	looking     looking
	recent      recent
	foreign     foreign
	sharing     sharing
	plans       planCache      // for the load that is under way
	random      func() float64 // in [0, 1)
}

// New returns an engine that does nothing until Run.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	return &Engine{
		cfg:       cfg,
		inbox:     newInbox(),
		watchers:  watchers{byRun: map[orca.Position][]chan struct{}{}},
		unsettled: semaphore.NewWeighted(cfg.MaxUnsettledBytes),
		begun:     make(chan struct{}),
		over:      make(chan struct{}),
		active:    map[orca.Position]*run{},
		admission: admission{shared: cfg.Shared != nil},
		recent:    newRecent(cfg.MaxRecentBytes),
		looking:   looking{waits: map[outcomeKey]map[nodeRef]bool{}},
		parking:   parking{lots: map[orca.LotHash]*lot{}, served: map[orca.AlgorithmID]orca.InstanceState{}},
		random:    rand.Float64,
	}
}

// Run works until ctx is cancelled, beginning with what the ledger says is unfinished. It returns nil after a
// cancellation, and an error when the ledger cannot be read at the start. It is called once.
//
// When ctx is cancelled it still takes in what was posted before, so that results of calls that have ended are on
// their way to the ledger when Run returns.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.over)
	defer e.StopAccepting()
	if err := e.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer e.loads.Wait()
	e.wakeParked()
	e.share(ctx)
	e.admit(ctx, &e.loads)
	for {
		select {
		case <-ctx.Done():
			e.end()
			return nil
		case <-e.inbox.wake:
		}
		for turn := range slices.Chunk(e.inbox.take(), turnSize) {
			e.run(turn)
			e.endTurn()
			e.admit(ctx, &e.loads)
			e.walk(ctx, &e.loads)
			e.startLooks(ctx, &e.loads)
			e.askShared(ctx)
		}
	}
}

// beginAgain is when a ledger that was away is asked again.
const beginAgain = 500 * time.Millisecond

// begin finds out what is in the ledger before any emit can add to it.
func (e *Engine) begin(ctx context.Context) error {
	defer close(e.begun)
	backlog, err := e.cfg.Ledger.Backlog(ctx)
	for errors.Is(err, orca.Unavailable) && sleep(ctx, beginAgain) {
		e.cfg.Log.Warn("the ledger is away; trying again", "error", err)
		backlog, err = e.cfg.Ledger.Backlog(ctx)
	}
	if err != nil {
		e.StopAccepting()
		return fmt.Errorf("read the backlog: %w", err)
	}
	e.stats.open.Store(backlog.Open)
	e.admission.begin(backlog.Newest)
	if e.admission.shared { // nothing is claimed before this core has heard what all are to withdraw
		for _, l := range backlog.Lots {
			e.noteLot(l.Lot)
		}
		return nil
	}
	e.recent.begin(backlog.Newest, backlog.Windows)
	e.beginLots(backlog.Lots)
	e.parking.settled = backlog.Settled
	return nil
}

// turnSize is how many posted functions run before what they made ready goes out, however many more there are.
const turnSize = 256

func (e *Engine) run(posted []func()) {
	for i, f := range posted {
		posted[i] = nil
		f()
	}
}

// touch has a run looked at in the end of this turn.
func (e *Engine) touch(r *run) {
	if !r.touched {
		r.touched = true
		e.touched = append(e.touched, r)
	}
}

// endTurn sends out what this turn made ready and what it settled.
func (e *Engine) endTurn() {
	for i, r := range e.touched {
		e.touched[i] = nil
		r.touched = false
		e.submitReady(r)
		e.send(r)
		e.suspect(r)
	}
	e.touched = e.touched[:0]
	e.makeRoom()
	e.wakeParked()
	if e.admission.shared {
		e.settleDown()
		e.full.Store(e.isFull())
	}
}

// end takes in what was posted and hands it to the ledger. Nothing new is begun.
func (e *Engine) end() {
	e.run(e.inbox.close())
	e.retirement.stop()
	for _, p := range slices.Sorted(maps.Keys(e.active)) {
		e.sendLast(e.active[p])
	}
}

// StopAccepting makes every further Emit answer Unavailable.
func (e *Engine) StopAccepting() { e.stopping.Store(true) }
