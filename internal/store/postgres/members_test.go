package postgres

import (
	"context"
	"errors"
	"fmt"
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
	s, err := Open(context.WithoutCancel(tb.Context()), url, Config{Schema: schema})
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

// next loads runs, above a position as far as they are the core's already.
func (s *sharer) next(after orca.Position, limit int) (positions []orca.Position) {
	s.tb.Helper()
	runs, err := s.NextRuns(s.tb.Context(), []orca.OpenSource{{After: after}}, limit)
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
	positionsEqual(t, "of a core that lives", other.next(0, 10))
	runs, cores, err := other.TakeOver(t.Context())
	if err != nil || runs != 1 || !slices.Equal(cores, []int32{slow.self()}) {
		t.Fatalf("took over %d runs of %v (%v), want 1 of core %d", runs, cores, err, slow.self())
	}
	for what, err := range map[string]error{
		"accept": func() error { _, err := slow.accept(false); return err }(),
		"settle": slow.settle(p),
		"renew":  slow.Renew(t.Context(), orca.CoreLoad{}, time.Hour),
		"claim":  func() error { _, err := slow.NextRuns(t.Context(), []orca.OpenSource{{}}, 10); return err }(),
		"page":   func() error { _, err := slow.OpenRuns(t.Context(), 0, 10); return err }(),
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
	positionsEqual(t, "taken over", other.next(p, 10), p) // though it is not above p
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
	if err := slow.Renew(t.Context(), orca.CoreLoad{ActiveRuns: 3, Calls: 2}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, cores, err := other.TakeOver(t.Context()); err != nil || len(cores) > 0 {
		t.Errorf("took over from %v (%v)", cores, err)
	}
	cores, err := other.Cores(t.Context())
	if err != nil || len(cores) != 2 || cores[0].Left < time.Minute || cores[0].CoreLoad != (orca.CoreLoad{ActiveRuns: 3, Calls: 2}) {
		t.Errorf("the cores are %+v (%v)", cores, err)
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
	left, err := other.Leftover(t.Context())
	if diff := cmp.Diff(orca.Leftover{Runs: true}, left, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("leftover (%v, -want +got):\n%s", err, diff)
	}
	positionsEqual(t, "given back", other.next(0, 10), p)
	if cores, err := other.Cores(t.Context()); err != nil || len(cores) != 1 {
		t.Errorf("the cores are %+v (%v), want the other one", cores, err)
	}
	if _, err := one.accept(false); !errors.Is(err, orca.Fenced) {
		t.Errorf("a core that has left accepts a window: %v", err)
	}
}

// TestAPageIsGivenBack with the next load, so that no run stays with a core that does not have it in memory.
func TestAPageIsGivenBack(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one, other := share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)
	one.announce()
	p, err := one.accept(true)
	if err != nil {
		t.Fatal(err)
	}
	page, err := one.OpenRuns(t.Context(), 0, 10)
	if err != nil || len(page) != 1 || page[0].Position != p {
		t.Fatalf("the page is %v (%v), want run %d", page, err, p)
	}
	positionsEqual(t, "while it is in a page", other.next(0, 10))
	positionsEqual(t, "the next load", one.next(p, 0))
	positionsEqual(t, "after the page", other.next(0, 10), p)
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
		admitted := make([]orca.Position, len(cores))
		var accepted sync.Map
		var all sync.WaitGroup
		for i, c := range cores {
			held[i] = map[orca.Position]bool{}
			steps := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 20).Draw(t, fmt.Sprintf("steps of core %d", i))
			all.Go(func() {
				for _, step := range steps {
					switch {
					case step < 2:
						if p, err := c.accept(step == 0); err != nil {
							c.tb.Error(err)
						} else {
							accepted.Store(p, true)
						}
					default:
						for _, p := range c.next(admitted[i], step) {
							held[i][p] = true
							admitted[i] = max(admitted[i], p)
						}
					}
				}
			})
		}
		all.Wait()
		for i, c := range cores {
			for _, p := range c.next(admitted[i], 1000) {
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
