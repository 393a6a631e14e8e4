package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// sharer is a store that shares its ledger, and is served.
type sharer struct {
	*Store
	tb  testing.TB
	end context.CancelFunc
}

// share opens a store as one core of several.
func share(tb testing.TB, url, schema string, lease time.Duration) *sharer {
	tb.Helper()
	return shareWith(tb, url, Config{Schema: schema}, lease)
}

func shareWith(tb testing.TB, url string, cfg Config, lease time.Duration) *sharer {
	tb.Helper()
	s, err := Open(context.WithoutCancel(tb.Context()), url, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Join(tb.Context(), orca.Core{Address: "here:1", Version: "1.2.3"}, lease); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-served, s.Close()); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(end)
	return &sharer{Store: s, tb: tb, end: end}
}

var sharedType = orca.WindowType{ID: orca.WindowTypeID{Name: "Shared", Version: "1.0.0"}}

// announce registers the window type of the tests.
func (s *sharer) announce() {
	s.tb.Helper()
	if err := s.ChangeRegistry(s.tb.Context(), orca.RegistryChange{WindowTypes: []orca.WindowType{sharedType}}); err != nil {
		s.tb.Fatal(err)
	}
}

// accept accepts a window whose run stays open.
func (s *sharer) accept(unclaimed bool) (orca.Position, error) {
	type answer struct {
		orca.Accepted
		error
	}
	done := make(chan answer, 1)
	s.Accept(orca.Emission{
		Window: orca.Window{Type: sharedType.ID, From: 1, To: 2}, Plan: &orca.PlanContent{Hash: orca.PlanHash{1}, Content: []byte("plan")},
		Unclaimed: unclaimed,
	}, func(a orca.Accepted, err error) { done <- answer{a, err} })
	a := <-done
	return a.Position, a.error
}

// settle ends a run.
func (s *sharer) settle(p orca.Position) error {
	done := make(chan error, 1)
	s.Settle(orca.Settlement{Position: p, End: orca.RunSucceeded}, func(err error) { done <- err })
	return <-done
}

// next claims runs.
func (s *sharer) next(limit int, lots ...*orca.Lot) (positions []orca.Position) {
	s.tb.Helper()
	sources := []orca.OpenSource{{}}
	for _, l := range lots {
		sources = append(sources, orca.OpenSource{Lot: l})
	}
	runs, err := s.NextRuns(s.tb.Context(), sources, limit)
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, r := range runs {
		positions = append(positions, r.Position)
	}
	return positions
}

func positionsEqual(tb testing.TB, what string, got []orca.Position, want ...orca.Position) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestAFencedCoreWritesNothing: its runs are taken over after its lease, and nothing that it sends later is written, be it a
// window, an outcome or a claim. It hears of it.
func TestAFencedCoreWritesNothing(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	slow, other := share(t, url, schema, time.Microsecond), share(t, url, schema, time.Hour)
	slow.announce()
	p, err := slow.accept(false) // its lease has run out, and nobody has taken over
	if err != nil {
		t.Fatal(err)
	}
	positionsEqual(t, "of a core that lives", other.next(10))
	runs, cores, err := other.TakeOver(t.Context())
	if err != nil || runs != 1 || !slices.Equal(cores, []int32{slow.self()}) {
		t.Fatalf("took over %d runs of %v (%v), want 1 of core %d", runs, cores, err, slow.self())
	}
	for what, err := range map[string]error{
		"accept": func() error { _, err := slow.accept(false); return err }(),
		"settle": slow.settle(p),
		"renew":  func() error { _, err := slow.Renew(t.Context(), orca.CoreLoad{}, nil, time.Hour); return err }(),
		"claim":  func() error { _, err := slow.NextRuns(t.Context(), []orca.OpenSource{{}}, 10); return err }(),
		"page":   func() error { _, err := slow.Unowned(t.Context(), 1, p, "", 10); return err }(),
		"owned":  func() error { _, err := slow.owned(); return err }(),
	} {
		if !errors.Is(err, orca.Fenced) {
			t.Errorf("%s: %v, want %v", what, err, orca.Fenced)
		}
	}
	select {
	case <-slow.Fenced():
	default:
		t.Error("the core does not hear that it is fenced")
	}
	positionsEqual(t, "taken over", other.next(10), p)
	b, err := other.Backlog(t.Context())
	if err != nil || b.Open != 1 || b.Newest != p {
		t.Errorf("%d runs are open, the newest at %d (%v); want 1 at %d", b.Open, b.Newest, err, p)
	}
}

// TestALeaseThatIsRenewedIsNotTakenOver, and one that nobody took over can be renewed late.
func TestALeaseThatIsRenewedIsNotTakenOver(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	slow, other := share(t, url, schema, time.Microsecond), share(t, url, schema, time.Hour)
	if _, err := slow.Renew(t.Context(), orca.CoreLoad{ActiveRuns: 3, Calls: 2}, nil, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, cores, err := other.TakeOver(t.Context()); err != nil || len(cores) > 0 {
		t.Errorf("took over from %v (%v)", cores, err)
	}
	around, err := other.Renew(t.Context(), orca.CoreLoad{}, nil, time.Hour)
	if cores := around.Cores; err != nil || len(cores) != 2 || cores[0].Left < time.Minute || cores[0].CoreLoad != (orca.CoreLoad{ActiveRuns: 3, Calls: 2}) {
		t.Errorf("the cores are %+v (%v)", cores, err)
	}
}

// TestCoresTellEachOtherWhatTheyFound: whatever an instance says of itself, with its age. A core does not hear of its own.
func TestCoresTellEachOtherWhatTheyFound(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one, other := share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)
	found := []orca.HealthCheck{
		{Address: "alpha\x00\"é:1", Serving: true, Age: time.Minute, Metrics: &orca.ProcessorMetrics{ActiveTasks: -1, MemoryBytes: 1 << 60, CPUPercent: float32(math.Inf(1)), UptimeSeconds: 5}},
		{Address: "beta:1", Age: 2 * time.Minute},
	}
	begun := time.Now()
	if _, err := one.Renew(t.Context(), orca.CoreLoad{}, found, time.Hour); err != nil {
		t.Fatal(err)
	}
	around, err := other.Renew(t.Context(), orca.CoreLoad{}, []orca.HealthCheck{{Address: "gamma:1"}}, time.Hour)
	if err != nil || around.Self != other.self() || len(around.Cores) != 2 {
		t.Fatalf("around are %+v (%v)", around, err)
	}
	heard, took := around.Cores[0].Checks, time.Since(begun)
	for i := range heard {
		if older := heard[i].Age - found[i].Age; older < 0 || older > took {
			t.Errorf("check %d is %v old, %v more than it was %v ago", i, heard[i].Age, older, took)
		}
		heard[i].Age = found[i].Age
	}
	if diff := cmp.Diff(found, heard); diff != "" || around.Cores[1].Checks != nil {
		t.Errorf("heard of its own: %v; of the other (-want +got):\n%s", around.Cores[1].Checks, diff)
	}
	if _, err := one.Renew(t.Context(), orca.CoreLoad{}, nil, time.Hour); err != nil {
		t.Fatal(err)
	}
	if around, err = other.Renew(t.Context(), orca.CoreLoad{}, nil, time.Hour); err != nil || around.Cores[0].Checks != nil {
		t.Errorf("heard of nothing: %v (%v)", around.Cores[0].Checks, err)
	}
}

// TestWhoLeavesGivesItsRunsBack at once.
func TestWhoLeavesGivesItsRunsBack(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one, other := share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)
	one.announce()
	p, err := one.accept(false)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	around, err := other.Renew(t.Context(), orca.CoreLoad{}, nil, time.Hour)
	if diff := cmp.Diff(orca.Leftover{Free: true}, around.Leftover, cmpopts.EquateEmpty()); diff != "" || err != nil || len(around.Cores) != 1 {
		t.Errorf("leftover (%v, -want +got):\n%s\nthe cores are %v, want the other one", err, diff, around.Cores)
	}
	positionsEqual(t, "given back", other.next(10), p)
	if _, err := one.accept(false); !errors.Is(err, orca.Fenced) {
		t.Errorf("a core that has left accepts a window: %v", err)
	}
}

// owned asks which runs the core owns.
func (s *sharer) owned() ([]orca.Position, error) {
	type answer struct {
		runs []orca.Position
		error
	}
	done := make(chan answer, 1)
	s.Owned(func(runs []orca.Position, err error) { done <- answer{runs, err} })
	a := <-done
	return a.runs, a.error
}

// TestOwnedRunsAreGivenBack: those that a page of a withdrawal claimed, which no other core gets meanwhile.
func TestOwnedRunsAreGivenBack(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one, other := share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)
	one.announce()
	p, err := one.accept(true)
	if err != nil {
		t.Fatal(err)
	}
	page, err := one.Unowned(t.Context(), p, p, "", 10)
	if err != nil || len(page) != 1 || page[0].Position != p {
		t.Fatalf("the page is %v (%v), want run %d", page, err, p)
	}
	positionsEqual(t, "while it is in a page", other.next(10))
	owned, err := one.owned()
	if err != nil {
		t.Fatal(err)
	}
	positionsEqual(t, "owned", owned, p)
	given := make(chan error, 1)
	one.GiveBack(owned, func(err error) { given <- err })
	if err := <-given; err != nil {
		t.Fatal(err)
	}
	positionsEqual(t, "after the page", other.next(10), p)
}

// TestNoRunIsClaimedTwice: whatever cores accept, load, finish and take over at the same time, each open run is with one
// core at most, and in the end all of them are with somebody.
func TestNoRunIsClaimedTwice(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	cores := []*sharer{share(t, url, schema, time.Hour), share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)}
	cores[0].announce()
	rapid.Check(t, func(t *rapid.T) {
		held := make([]map[orca.Position]bool, len(cores))
		var accepted sync.Map
		var all sync.WaitGroup
		for i, c := range cores {
			held[i] = map[orca.Position]bool{}
			steps := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 20).Draw(t, fmt.Sprintf("steps of core %d", i))
			all.Go(func() {
				for _, step := range steps {
					switch {
					case step < 2:
						p, err := c.accept(step == 0)
						if err != nil {
							c.tb.Error(err)
						}
						accepted.Store(p, true)
						if step == 1 {
							held[i][p] = true
						}
					default:
						for _, p := range c.next(step) {
							held[i][p] = true
						}
					}
				}
			})
		}
		all.Wait()
		for i, c := range cores {
			for _, p := range c.next(1000) {
				held[i][p] = true
			}
		}
		by := map[orca.Position]int{}
		for _, h := range held {
			for p := range h {
				by[p]++
			}
		}
		accepted.Range(func(p, _ any) bool {
			if n := by[p.(orca.Position)]; n != 1 {
				t.Errorf("run %d is with %d cores", p, n)
			}
			return true
		})
		for i, c := range cores {
			for p := range held[i] {
				if err := c.settle(p); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
