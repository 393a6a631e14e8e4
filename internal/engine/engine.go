// Package engine accepts windows and runs their DAGs: it makes each window and each outcome durable through the
// ledger, works out from the plan what is ready, and hands that to the fleet.
//
// All state of active runs belongs to one goroutine, the loop in Run. Everybody else (emitters, the ledger's writer,
// the requests of the fleet) posts a function to its inbox and never waits for it. The loop itself never waits either:
// ledger and fleet take what it gives them at once and answer through the inbox.
//
// The package knows neither protobuf nor SQL nor gRPC. What it must not do: let a dependent start before the outcome
// that it needs is durable, or keep anything of a run in memory that the ledger could not give back.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// Ledger is the durable record. Accept and Settle return at once; done is called after the commit, in commit order,
// and must not block.
type Ledger interface {
	Accept(e orca.Emission, done func(orca.Accepted, error))
	Settle(s orca.Settlement, done func(error))
	OpenRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error)
	Plan(ctx context.Context, hash orca.PlanHash) ([]byte, error)
	Results(ctx context.Context, p orca.Position, ids []orca.AlgorithmID) ([]orca.Result, error)
	Backlog(ctx context.Context) (orca.Backlog, error)
}

// Fleet carries out calls. Submit returns at once; the fleet holds a call until an instance can take it.
type Fleet interface {
	Submit(*orca.Call)
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
	setDefault(&c.MaxUnsettledBytes, 256<<20)
	setDefault(&c.MaxHeldBytes, 256<<20)
	return c
}

func setDefault[T int | int64](v *T, d T) {
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

	// Owned by the loop.
	active    map[orca.Position]*run
	dirty     []*run // runs with ready nodes that are not submitted yet
	admission admission
	plans     planCache
}

// New returns an engine that does nothing until Run.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	return &Engine{
		cfg:       cfg,
		inbox:     newInbox(),
		unsettled: semaphore.NewWeighted(cfg.MaxUnsettledBytes),
		active:    map[orca.Position]*run{},
		watchers:  watchers{byRun: map[orca.Position][]chan struct{}{}},
	}
}

// Run works until ctx is cancelled, beginning with what the ledger says is unfinished. It returns nil after a
// cancellation, and an error when the ledger cannot be read at the start.
//
// When ctx is cancelled it still takes in what was posted before, so that results of calls that have ended are on
// their way to the ledger when Run returns.
func (e *Engine) Run(ctx context.Context) error {
	backlog, err := e.cfg.Ledger.Backlog(ctx)
	if err != nil {
		return fmt.Errorf("read the backlog: %w", err)
	}
	e.stats.open.Store(backlog.Open)
	e.admission.newest = max(e.admission.newest, backlog.Newest)
	e.admission.exhausted = false
	loads := e.startLoader(ctx)
	defer loads.wait()
	for {
		e.admit(loads)
		select {
		case <-ctx.Done():
			e.inbox.each()
			return nil
		case <-e.inbox.wake:
			e.inbox.each()
		}
		e.submitReady()
	}
}

// StopAccepting makes every further Emit answer Unavailable.
func (e *Engine) StopAccepting() { e.stopping.Store(true) }

// Emit makes the window durable with its run and returns when it is. Errors: Exhausted when a limit is reached,
// Unavailable while stopping, NotFound when the window type is not registered, Conflict when the idempotency key
// belongs to another window, OutcomeUnknown when the commit's end was not seen.
func (e *Engine) Emit(ctx context.Context, em orca.Emission) (orca.Accepted, error) {
	if err := e.mayAccept(); err != nil {
		return orca.Accepted{}, err
	}
	p, err := e.cfg.Planner.Plan(ctx, em.Window.Type)
	if err != nil {
		e.unanswered.Add(-1)
		return orca.Accepted{}, err
	}
	begin(&em, p, e.cfg.Now())
	type answer struct {
		accepted orca.Accepted
		err      error
	}
	answers := make(chan answer, 1)
	e.cfg.Ledger.Accept(em, func(a orca.Accepted, err error) {
		e.unanswered.Add(-1)
		if err == nil && !a.Replayed {
			e.accepted(em, p, a)
		}
		answers <- answer{a, err}
	})
	select {
	case a := <-answers:
		return a.accepted, a.err
	case <-ctx.Done():
		return orca.Accepted{}, ctx.Err()
	}
}

func (e *Engine) mayAccept() error {
	if e.stopping.Load() {
		return orca.Errorf(orca.Unavailable, "the core is stopping; send the window again, to another core or when this one is back")
	}
	if e.cfg.MayAccept != nil {
		if err := e.cfg.MayAccept(); err != nil {
			return err
		}
	}
	if limit := e.cfg.MaxBacklog; limit > 0 && e.stats.open.Load() >= limit {
		return orca.Errorf(orca.Exhausted, "%d runs are unfinished, which is the limit (--max-backlog); send the window again later", limit)
	}
	if e.unanswered.Add(1) > int64(e.cfg.MaxAccept) {
		e.unanswered.Add(-1)
		return orca.Errorf(orca.Exhausted, "%d emits are unanswered, which is the limit (--max-accept); send the window again later", e.cfg.MaxAccept)
	}
	return nil
}

// begin fills in what the plan makes of an emission: the answer, and the outcomes of nodes that can never run.
func begin(em *orca.Emission, p *plan.Plan, now orca.Time) {
	em.AcceptedAt = now
	em.Plan = p.Content()
	kinds := make([]orca.OutcomeKind, 0, len(p.Nodes))
	for _, n := range p.Nodes {
		if n.Blocked == "" {
			continue
		}
		kinds = append(kinds, orca.Skipped)
		em.Outcomes = append(em.Outcomes, orca.Outcome{
			Algorithm: n.Algorithm.ID, Kind: orca.Skipped, Reason: n.Blocked, SettledAt: now,
		})
	}
	switch {
	case len(p.Nodes) == 0:
		em.Status, em.End = orca.NoTriggeredAlgorithms, orca.RunSucceeded
	case len(kinds) == len(p.Nodes):
		em.Status, em.End = orca.TriggeringFailed, orca.EndOf(kinds)
	default:
		em.Status, em.End = orca.ProcessingTriggered, orca.RunOpen
	}
}

// accepted runs on the ledger's writer, in the order of positions.
func (e *Engine) accepted(em orca.Emission, p *plan.Plan, a orca.Accepted) {
	e.stats.accepted.Add(1)
	if em.End != orca.RunOpen {
		return
	}
	e.stats.open.Add(1)
	e.inbox.post(func() {
		if !e.mayStart(a.Position) {
			return
		}
		e.start(newRun(openRunOf(em, a), p))
	})
}

func openRunOf(em orca.Emission, a orca.Accepted) orca.OpenRun {
	input := em.Window
	if em.FullMetadata != nil {
		input.Metadata = em.FullMetadata
	}
	return orca.OpenRun{
		Run: orca.Run{
			Position: a.Position, Window: a.Window, Revision: 1, Kind: orca.RunEmit,
			Plan: em.Plan.Hash, AcceptedAt: em.AcceptedAt,
		},
		Input: input, Stored: em.Window, Outcomes: em.Outcomes,
	}
}

// jitter spreads d over 50 to 150 percent, so that what failed together does not come back together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + rand.Float64()))
}
