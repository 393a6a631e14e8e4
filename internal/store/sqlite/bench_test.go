package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// benchmarkAlgorithms is how many outcomes each run gets in the benchmarks.
const benchmarkAlgorithms = 5

// benched opens a served store whose window type "Tick" triggers benchmarkAlgorithms algorithms.
func benched(b testing.TB, cfg Config) (*Store, orca.Emission, orca.Settlement) {
	return benchedLooking(b, cfg, orca.Lookback{})
}

// benchedLooking is benched with algorithms that look back at their own past.
func benchedLooking(b testing.TB, cfg Config, self orca.Lookback) (*Store, orca.Emission, orca.Settlement) {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "orca.db"), cfg)
	if err != nil {
		b.Fatal(err)
	}
	tick := orca.WindowType{ID: orca.WindowTypeID{Name: "Tick", Version: "1.0.0"}, Fields: []orca.MetadataField{{Name: "asset", Filter: true}}}
	change := orca.RegistryChange{WindowTypes: []orca.WindowType{tick}}
	settlement := orca.Settlement{End: orca.RunSucceeded}
	for i := range benchmarkAlgorithms {
		id := orca.AlgorithmID{Processor: "edge", Name: fmt.Sprint("Algorithm", i), Version: "1.0.0"}
		change.Algorithms = append(change.Algorithms, orca.KnownAlgorithm{
			Algorithm: orca.Algorithm{ID: id, WindowType: tick, ResultType: orca.ResultValue, Self: self}})
		settlement.Outcomes = append(settlement.Outcomes, orca.Outcome{Algorithm: id, Kind: orca.Succeeded, Attempts: 1,
			Result: &orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: 0.25, Encoded: make([]byte, 16)}})
	}
	if err := s.ChangeRegistry(b.Context(), change); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	emission := orca.Emission{Window: orca.Window{Type: tick.ID, Origin: "benchmark", Metadata: make([]byte, 60)},
		Plan: &orca.PlanContent{Hash: orca.PlanHash{1}, Content: make([]byte, 2000)}, Status: orca.ProcessingTriggered}
	return s, emission, settlement
}

// BenchmarkWindows writes windows of five results each: one accept, and one settlement per result. callers wait for
// their answers, as many as the commit can share.
func BenchmarkWindows(b *testing.B) {
	keys := map[string]func(i int) string{
		"none":    func(int) string { return "" },
		"ordered": func(i int) string { return fmt.Sprintf("%032x", i) }, // as those that begin with the time are
		"random":  func(i int) string { return fmt.Sprintf("%032x", uint64(i)*0x9E3779B97F4A7C15) },
	}
	for _, callers := range []int{1, 16, 256, 2048} {
		for _, kind := range []string{"none", "ordered", "random"} {
			b.Run(fmt.Sprintf("callers=%d/keys=%s", callers, kind), func(b *testing.B) { benchmarkKeys(b, callers, keys[kind]) })
		}
	}
}

// BenchmarkFilters writes windows as BenchmarkWindows does, of a thousand assets in turn: without filters, with the asset
// as a filter, and with a past that is looked back at.
func BenchmarkFilters(b *testing.B) {
	for _, callers := range []int{16, 64} {
		for _, kind := range []string{"none", "asset", "past"} {
			b.Run(fmt.Sprintf("callers=%d/filters=%s", callers, kind), func(b *testing.B) {
				var self orca.Lookback
				if kind == "past" {
					self.Range.Count = 1
				}
				s, emission, settlement := benchedLooking(b, Config{}, self)
				benchmarkWindows(b, s, callers, settlement, func(i int) orca.Emission {
					e := emission
					if kind != "none" {
						f := orca.FilterValue{Field: "asset"}
						binary.BigEndian.PutUint64(f.Hash[:], uint64(i%1000)*0x9E3779B97F4A7C15)
						e.Filters = []orca.FilterValue{f}
					}
					return e
				})
			})
		}
	}
}

func benchmarkKeys(b *testing.B, callers int, key func(int) string) {
	s, emission, settlement := benched(b, Config{})
	benchmarkWindows(b, s, callers, settlement, func(i int) orca.Emission {
		e := emission
		e.Key = orca.IdempotencyKey{Project: "p", Key: key(i), Digest: [32]byte{1}}
		return e
	})
}

func benchmarkWindows(b *testing.B, s *Store, callers int, settlement orca.Settlement, window func(int) orca.Emission) {
	b.ReportAllocs()
	b.ResetTimer()
	begun := time.Now()
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			done := make(chan error, 1)
			for i := c; i < b.N; i += callers {
				e := window(i)
				e.Window.From, e.Window.To = orca.Time(i+1)*1e9, orca.Time(i+2)*1e9
				var at orca.Position
				s.Accept(e, func(a orca.Accepted, err error) { at = a.Position; done <- err })
				if err := <-done; err != nil {
					b.Error(err)
					return
				}
				for j := range settlement.Outcomes {
					part := orca.Settlement{Position: at, Outcomes: settlement.Outcomes[j : j+1]}
					if j == benchmarkAlgorithms-1 {
						part.End = orca.RunSucceeded
					}
					s.Settle(part, func(err error) { done <- err })
					if err := <-done; err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	stats := s.Stats()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "windows/s")
	b.ReportMetric(float64(stats.Rows)/float64(stats.Commits), "rows/commit")
	b.ReportMetric(stats.CommitSeconds/float64(stats.Commits)*1e3, "ms/commit")
}

// BenchmarkResults reads one result of one run, as the engine does before each dependent.
func BenchmarkResults(b *testing.B) {
	s, emission, settlement := benched(b, Config{})
	done := make(chan error, 2)
	s.Accept(emission, func(_ orca.Accepted, err error) { done <- err })
	settlement.Position = 1
	s.Settle(settlement, func(err error) { done <- err })
	for range 2 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	id := []orca.AlgorithmID{settlement.Outcomes[0].Algorithm}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Results(b.Context(), 1, id); err != nil {
			b.Fatal(err)
		}
	}
}
