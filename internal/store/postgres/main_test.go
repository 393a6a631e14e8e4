package postgres

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// TestMain makes properties as many random runs as fit beside all other tests; -rapid.checks asks for more.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// The registry of these tests: ticks trigger cpu and mem. Ticks have a noStore field.
var (
	tick = orca.WindowType{ID: orca.WindowTypeID{Name: "Tick", Version: "1.0.0"},
		Fields: []orca.MetadataField{{Name: "token", NoStore: true}}}
	cpu = orca.AlgorithmID{Processor: "edge", Name: "Cpu", Version: "1.0.0"}
	mem = orca.AlgorithmID{Processor: "edge", Name: "Mem", Version: "1.0.0"}
)

func registration() orca.RegistryChange {
	return orca.RegistryChange{
		WindowTypes: []orca.WindowType{tick},
		Algorithms: []orca.KnownAlgorithm{
			{Algorithm: orca.Algorithm{ID: cpu, WindowType: tick, ResultType: orca.ResultValue}},
			{Algorithm: orca.Algorithm{ID: mem, WindowType: tick, ResultType: orca.ResultValue}},
		},
	}
}

// ticking returns the window of second i.
func ticking(i int) orca.Emission {
	return orca.Emission{
		Window:     orca.Window{Type: tick.ID, From: orca.Time(i) * 1e9, To: orca.Time(i+1) * 1e9, Origin: "test", Metadata: []byte("m")},
		AcceptedAt: orca.Time(i+1) * 1e9,
		Plan:       &orca.PlanContent{Hash: orca.PlanHash{1}, Content: []byte("plan")},
		Status:     orca.ProcessingTriggered,
	}
}

// finish returns the settlement that ends a run.
func finish(at orca.Position) orca.Settlement {
	outcome := func(id orca.AlgorithmID) orca.Outcome {
		return orca.Outcome{Algorithm: id, Kind: orca.Succeeded, Attempts: 1,
			Result: &orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: float64(at)}}
	}
	return orca.Settlement{Position: at, Outcomes: []orca.Outcome{outcome(cpu), outcome(mem)}, End: orca.RunSucceeded, At: 1}
}

// opened returns a registered store in a new schema.
func opened(t testing.TB, cfg Config) *Store {
	t.Helper()
	url, schema := pgtest.Schema(t)
	cfg.Schema = schema
	return openedAt(t, url, cfg)
}

func openedAt(t testing.TB, url string, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.ChangeRegistry(t.Context(), registration()); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs the store's writer until the test ends.
func serve(t testing.TB, s *Store) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// accepted is an answer to Accept.
type accepted struct {
	orca.Accepted
	err error
}

func accept(s *Store, e orca.Emission) <-chan accepted {
	done := make(chan accepted, 1)
	s.Accept(e, func(a orca.Accepted, err error) { done <- accepted{a, err} })
	return done
}

func settle(s *Store, st orca.Settlement) <-chan error {
	done := make(chan error, 1)
	s.Settle(st, func(err error) { done <- err })
	return done
}
