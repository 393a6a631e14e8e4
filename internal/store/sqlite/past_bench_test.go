package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// pastResults are the sizes of BenchmarkPast. Ten million take a quarter of an hour to make, and 4 GB of disk.
var pastResults = flag.String("past.results", "10000", "numbers of stored results for BenchmarkPast, separated by commas")

const (
	pastAssets = 1000
	// pastReads is how often each lookback is measured.
	pastReads = 400
)

// BenchmarkPast reads lookbacks of one asset among a thousand, whose windows were written in random order of assets:
// the past, and the rows of what it finds. It reports p50 and p99 of a lookback in milliseconds, over the assets at
// random and, as "again", of the asset that was looked at just before.
func BenchmarkPast(b *testing.B) {
	for size := range strings.SplitSeq(*pastResults, ",") {
		results, err := strconv.Atoi(size)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("results="+size, func(b *testing.B) { benchmarkPast(b, results) })
	}
}

func benchmarkPast(b *testing.B, results int) {
	path := filepath.Join(b.TempDir(), "orca.db")
	s, err := Open(b.Context(), path, Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	begun := time.Now()
	mean := fillPast(b, s, results)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d results written at %.0f/s, %d MiB", results, float64(results)/time.Since(begun).Seconds(), info.Size()>>20)
	most := results/pastAssets - 1
	for _, rows := range slices.Compact([]int{1, min(60, most), min(1000, most)}) {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			for b.Loop() {
				took, again := lookBack(b, s, mean, results, rows)
				b.ReportMetric(percentile(took, 50), "p50-ms")
				b.ReportMetric(percentile(took, 99), "p99-ms")
				b.ReportMetric(percentile(again, 50), "p50-ms-again")
				b.ReportMetric(percentile(again, 99), "p99-ms-again")
			}
			b.ReportMetric(0, "ns/op") // of everything together, which says nothing
		})
	}
}

// fillPast makes windows of one result each: by the store's own means for one of each asset, and copies of these beyond,
// in as many other orders of assets. Every asset has one window in each minute.
func fillPast(b *testing.B, s *Store, results int) orca.AlgorithmID {
	minute := orca.WindowType{ID: orca.WindowTypeID{Name: "Minute", Version: "1.0.0"}, Fields: []orca.MetadataField{{Name: "asset", Filter: true}}}
	mean := orca.AlgorithmID{Processor: "edge", Name: "Mean", Version: "1.0.0"}
	if err := s.ChangeRegistry(b.Context(), orca.RegistryChange{WindowTypes: []orca.WindowType{minute}, Algorithms: []orca.KnownAlgorithm{
		{Algorithm: orca.Algorithm{ID: mean, WindowType: minute, ResultType: orca.ResultValue}}}}); err != nil {
		b.Fatal(err)
	}
	stop := serve(b, s)
	plan := &orca.PlanContent{Hash: orca.PlanHash{1}, Content: make([]byte, 2000), Nodes: 1, Algorithms: []orca.AlgorithmID{mean}}
	var last <-chan error
	for i := range pastAssets {
		e := pastWindow(minute.ID, plan, i)
		accept(s, e)
		last = settle(s, orca.Settlement{Position: orca.Position(i + 1), End: orca.RunSucceeded, At: e.AcceptedAt, Outcomes: []orca.Outcome{{
			Algorithm: mean, Kind: orca.Succeeded, Attempts: 1, SettledAt: e.AcceptedAt,
			Result: &orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: 0.25, Encoded: make([]byte, 20)}}}})
	}
	if err := <-last; err != nil {
		b.Fatal(err)
	}
	stop()
	copyPast(b, s, results)
	return mean
}

func pastWindow(typ orca.WindowTypeID, plan *orca.PlanContent, asset int) orca.Emission {
	const at = orca.Time(1_700_000_000_000_000_000)
	f := orca.FilterValue{Field: "asset"}
	binary.BigEndian.PutUint64(f.Hash[:], uint64(asset)*0x9E3779B97F4A7C15)
	return orca.Emission{Window: orca.Window{Type: typ, From: at, To: at + 60e9, Origin: "benchmark", Metadata: make([]byte, 60)},
		Filters: []orca.FilterValue{f}, AcceptedAt: at + 61e9, Plan: plan, Status: orca.ProcessingTriggered}
}

// copyPast copies the first windows, minute by minute, in SQL, which takes minutes where emitting would take hours.
func copyPast(b *testing.B, s *Store, results int) {
	run := func(query string) {
		if err := s.writer.conn.exec(b.Context(), query); err != nil {
			b.Fatal(err)
		}
	}
	run(`PRAGMA synchronous = off; CREATE TEMP TABLE shuffled (new INTEGER PRIMARY KEY, old INTEGER); BEGIN`)
	random := rand.New(rand.NewPCG(1, 2))
	for at := pastAssets; at < results; at += pastAssets {
		order := random.Perm(pastAssets)
		if err := s.writer.conn.execEach(b.Context(), `INSERT OR REPLACE INTO shuffled VALUES (?, ?)`, pastAssets, func(i int) ([]driver.Value, error) {
			return []driver.Value{int64(i + 1), int64(order[i] + 1)}, nil
		}); err != nil {
			b.Fatal(err)
		}
		run(fmt.Sprintf(`
			INSERT INTO window SELECT new + %[1]d, type, time_from + %[2]d, time_to + %[2]d, origin, metadata, filters, filter_key
				FROM shuffled CROSS JOIN window ON id = old;
			INSERT INTO run SELECT new + %[1]d, new + %[1]d, revision, kind, plan, state, accepted_at, finished_at
				FROM shuffled CROSS JOIN run ON position = old;
			INSERT INTO outcome (key, kind, attempts, settled_at, produced_at, reason, result_status,
				result_type, result_timestamp, result_value, result_json, result_error, result)
				SELECT (new + %[1]d) << 20 | algorithm, kind, attempts, settled_at, produced_at, reason, result_status,
				result_type, result_timestamp, result_value, result_json, result_error, result
				FROM shuffled CROSS JOIN outcome ON key BETWEEN old << 20 AND (old << 20 | 1048575)`, at, int64(at/pastAssets)*60e9))
		if at/pastAssets%100 == 0 {
			run(`COMMIT; BEGIN`)
		}
	}
	run(`COMMIT`)
}

// lookBack measures lookbacks from windows of the last minute in milliseconds: the first one of an asset, and others
// right after it.
func lookBack(b *testing.B, s *Store, mean orca.AlgorithmID, results, rows int) (took, again []float64) {
	random := rand.New(rand.NewPCG(3, 4))
	last, err := s.Window(b.Context(), orca.Position(results))
	if err != nil {
		b.Fatal(err)
	}
	once := func(looks orca.Position) float64 {
		q := orca.PastQuery{Algorithm: mean, Window: looks, Before: looks, To: last.Window.To, From: last.Window.From - 1,
			EarliestTo: orca.MinTime, Fields: []string{"asset"}}
		begun := time.Now()
		var positions []orca.Position
		err := s.Past(b.Context(), q, func(r orca.PastRun) bool {
			positions = append(positions, r.Position)
			return len(positions) < rows
		})
		if err != nil {
			b.Fatal(err)
		}
		found, err := s.PastRows(b.Context(), mean, positions)
		if err != nil || len(found) != rows {
			b.Fatalf("%d rows of %d (%v)", len(found), rows, err)
		}
		return float64(time.Since(begun).Nanoseconds()) / 1e6
	}
	for i := range pastReads {
		looks := orca.Position(results - random.IntN(pastAssets))
		took = append(took, once(looks))
		if i%4 == 0 {
			again = append(again, once(looks), once(looks))
		}
	}
	return took, again
}

func percentile(values []float64, p int) float64 {
	slices.Sort(values)
	return values[len(values)*p/100]
}
