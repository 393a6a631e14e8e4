package postgres

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

var sharedAlgorithm = orca.Algorithm{
	ID: orca.AlgorithmID{Processor: "p", Name: "A", Version: "1.0.0"}, WindowType: sharedType, ResultType: orca.ResultValue,
}

// announceAll registers the window type of the tests and an algorithm.
func (s *sharer) announceAll() {
	s.tb.Helper()
	if err := s.ChangeRegistry(s.tb.Context(), orca.RegistryChange{
		WindowTypes: []orca.WindowType{sharedType}, Algorithms: []orca.KnownAlgorithm{{Algorithm: sharedAlgorithm}},
	}); err != nil {
		s.tb.Fatal(err)
	}
}

// fail settles the algorithm of a run, which stays open.
func (s *sharer) fail(p orca.Position) error {
	done := make(chan error, 1)
	s.Settle(orca.Settlement{Position: p, Outcomes: []orca.Outcome{{Algorithm: sharedAlgorithm.ID, Kind: orca.Skipped, SettledAt: 1}}},
		func(err error) { done <- err })
	return <-done
}

// park parks a run that waits for outcomes of others.
func (s *sharer) park(p orca.Position, awaited ...orca.Position) (parked bool, err error) {
	var expects []orca.OutcomeKey
	for _, on := range awaited {
		expects = append(expects, orca.OutcomeKey{Position: on, Algorithm: sharedAlgorithm.ID})
	}
	done := make(chan struct{})
	s.Park(orca.Parking{Position: p, Lot: orca.Expecting, Expects: expects}, func(ok bool, failure error) {
		parked, err = ok, failure
		close(done)
	})
	<-done
	return parked, err
}

// accepted accepts windows.
func (s *sharer) accepted(n int) (positions []orca.Position) {
	s.tb.Helper()
	for range n {
		p, err := s.accept(false)
		if err != nil {
			s.tb.Fatal(err)
		}
		positions = append(positions, p)
	}
	return positions
}

// TestNoWakeIsLost: however parkings at one core and settlements at another cross, a run that waits for what is settled is not
// parked: the core has it still, or it is free.
func TestNoWakeIsLost(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	waits, settles := share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)
	waits.announceAll()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(rt, "runs")
		on, waiting := settles.accepted(n), waits.accepted(n)
		parked := make([]bool, n)
		var all sync.WaitGroup
		for i := range n {
			second := rapid.IntRange(0, n-1).Draw(rt, "also waits for")
			all.Go(func() {
				var err error
				if parked[i], err = waits.park(waiting[i], on[i], on[second]); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if err := settles.fail(on[i]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		free := map[orca.Position]bool{}
		for _, p := range settles.next(100) {
			free[p] = true
		}
		for i, p := range waiting {
			owner := settles
			if parked[i] != free[p] {
				rt.Errorf("run %d: the core heard that it is parked: %v; it is free now that all is settled: %v", p, parked[i], free[p])
			}
			if !parked[i] {
				owner = waits
			}
			for s, p := range map[*sharer]orca.Position{owner: p, settles: on[i]} {
				if err := s.settle(p); err != nil {
					rt.Fatal(err)
				}
			}
		}
	})
}

// TestManyThatWaitAreFreed, more than one transaction frees.
func TestManyThatWaitAreFreed(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one := share(t, url, schema, time.Hour)
	one.announceAll()
	on := one.accepted(1)[0]
	const n = 2*wakeAtOnce + 1
	var accepted, parked sync.WaitGroup
	for range n {
		accepted.Add(1)
		parked.Add(1)
		one.Accept(orca.Emission{Window: orca.Window{Type: sharedType.ID, From: 1, To: 2}, Plan: &orca.PlanContent{Hash: orca.PlanHash{1}, Content: []byte("plan")}},
			func(a orca.Accepted, err error) {
				if err != nil {
					t.Error(err)
				}
				one.Park(orca.Parking{Position: a.Position, Lot: orca.Expecting, Expects: []orca.OutcomeKey{{Position: on, Algorithm: sharedAlgorithm.ID}}},
					func(ok bool, err error) {
						if !ok {
							t.Errorf("run %d is not parked: %v", a.Position, err)
						}
						parked.Done()
					})
				accepted.Done()
			})
	}
	accepted.Wait()
	parked.Wait()
	if err := one.fail(on); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < n; { // the rest is freed after the answer
		got += len(one.next(n))
		if t.Context().Err() != nil {
			t.Fatalf("%d of %d runs are free", got, n)
		}
	}
}

// TestWhatIsNotKnownIsStopped: when a core does not know what became of something that it sent, that waits for it to end, or
// has no effect any more; and the core goes on.
func TestWhatIsNotKnownIsStopped(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one := share(t, url, schema, time.Hour)
	one.announce()
	ghost, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ghost.Close(t.Context()) }()
	tx, err := ghost.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := one.member.Load()
	if _, err := tx.Exec(t.Context(), one.names.in(fence+ofLease), before.id, before.epoch); err != nil {
		t.Fatal(err)
	}
	one.unsure.Store(true)
	asked := make(chan error, 1)
	go func() {
		_, err := one.owned()
		asked <- err
	}()
	// Whoever waits for a lock is seen.
	for waiting := false; !waiting; {
		if err := one.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%')`,
			schema).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	if _, err := ghost.Exec(t.Context(), one.names.in(fence+ofLease), before.id, before.epoch); code(err) != divisionByZero {
		t.Errorf("something from before is written: %v", err)
	}
	if _, err := one.claimNext(t.Context(), before, nil, 1); !errors.Is(err, orca.Unavailable) {
		t.Errorf("a claim from before: %v, want %v", err, orca.Unavailable)
	}
	p := one.accepted(1)[0]
	if err := one.settle(p); err != nil {
		t.Errorf("the core cannot go on: %v", err)
	}
}

// TestACoreThatSettlesWhatItDoesNotOwnBeginsAnew, so that what its memory has wrong is gone.
func TestACoreThatSettlesWhatItDoesNotOwnBeginsAnew(t *testing.T) {
	t.Parallel()
	for what, lose := range map[string]func(*sharer, orca.Position){
		"free": func(s *sharer, p orca.Position) {
			given := make(chan error, 1)
			s.GiveBack([]orca.Position{p}, func(err error) { given <- err })
			if err := <-given; err != nil {
				s.tb.Fatal(err)
			}
		},
		"parked": func(s *sharer, p orca.Position) {
			if parked, err := s.park(p); !parked || err != nil {
				s.tb.Fatalf("parked: %v, %v", parked, err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			url, schema := pgtest.Schema(t)
			one := share(t, url, schema, time.Hour)
			one.announceAll()
			p := one.accepted(1)[0]
			lose(one, p)
			if err := one.fail(p); !errors.Is(err, orca.Fenced) {
				t.Errorf("settled with %v, want %v", err, orca.Fenced)
			}
			<-one.Fenced()
			if outcomes, err := one.Outcomes(t.Context(), p); len(outcomes) > 0 || err != nil {
				t.Errorf("the run has the outcomes %v (%v)", outcomes, err)
			}
		})
	}
}

// TestAParkingWhoseEndWasNotSeenIsAskedAgain: the run is not this core's any more, whoever has it by then.
func TestAParkingWhoseEndWasNotSeenIsAskedAgain(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	one, other := share(t, url, schema, time.Hour), share(t, url, schema, time.Hour)
	one.announceAll()
	runs := one.accepted(2)
	on, p := runs[0], runs[1]
	again := func(when string) {
		t.Helper()
		if parked, err := one.park(p, on); !parked || err != nil {
			t.Errorf("%s: parked: %v, %v", when, parked, err)
		}
	}
	again("at first")
	again("parked already")
	if err := one.fail(on); err != nil {
		t.Fatal(err)
	}
	again("free")
	positionsEqual(t, "free", other.next(10), p)
	again("another core's")
	if err := other.settle(p); err != nil {
		t.Fatal(err)
	}
	again("over")
}
