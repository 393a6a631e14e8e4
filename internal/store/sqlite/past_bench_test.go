package sqlite

import (
	"encoding/binary"
	"errors"
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

// pastDir keeps what BenchmarkPast makes for the next time. A store that "orca bench --stored" made will do, as past-N.db.
var pastDir = flag.String("past.dir", "", "folder in which BenchmarkPast finds stores that it made before, and leaves those that it makes")

// pastReads is how often each lookback is measured.
const pastReads = 400

// pastAssets is among how many assets so many results are: a thousand, or as many as have a thousand results each.
func pastAssets(results int) int { return min(1000, max(10, results/1000)) }

// BenchmarkPast reads lookbacks of one asset among a thousand, whose windows were written in random order of assets, as
// the engine does: what is in the past, and then once more with its rows. It reports p50 and p99 of both in milliseconds
// over the assets at random, p50 of the rows alone and, as "again", that of the asset that was looked at just before.
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
	s := pastStore(b, results)
	registry, err := s.LoadRegistry(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	of := registry.Algorithms[0].Algorithm.ID // there is no other, also in the stores of "orca bench --stored"
	most := results / pastAssets(results)
	for _, rows := range slices.Compact([]int{1, min(60, most-1), min(1000, most-1)}) {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			for b.Loop() {
				took, ofRows, again := lookBack(b, s, of, results, rows)
				b.ReportMetric(percentile(took, 50), "p50-ms")
				b.ReportMetric(percentile(took, 99), "p99-ms")
				b.ReportMetric(percentile(ofRows, 50), "p50-ms-rows")
				b.ReportMetric(percentile(again, 50), "p50-ms-again")
			}
			b.ReportMetric(0, "ns/op") // of everything together, which says nothing
		})
	}
}

// pastStore opens a store with so many results, and makes it where there is none.
func pastStore(b *testing.B, results int) *Store {
	dir := *pastDir
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("past-%d.db", results))
	if _, err := os.Stat(path); err != nil {
		begun := time.Now()
		s := openPast(b, path+".made")
		fillPast(b, s, results)
		if err := errors.Join(s.Close(), os.Rename(path+".made", path)); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d results written at %.0f/s, %d bytes each", results, float64(results)/time.Since(begun).Seconds(), info.Size()/int64(results))
	}
	s := openPast(b, path)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func openPast(b *testing.B, path string) *Store {
	s, err := Open(b.Context(), path, Config{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// fillPast makes windows of one result each: by the store's own means for one of each asset, and copies of these beyond,
// in as many other orders of assets. Every asset has one window in each minute.
func fillPast(b *testing.B, s *Store, results int) {
	minute := orca.WindowType{ID: orca.WindowTypeID{Name: "Minute", Version: "1.0.0"}, Fields: []orca.MetadataField{{Name: "asset", Filter: true}}}
	mean := orca.AlgorithmID{Processor: "edge", Name: "Mean", Version: "1.0.0"}
	if err := s.ChangeRegistry(b.Context(), orca.RegistryChange{WindowTypes: []orca.WindowType{minute}, Algorithms: []orca.KnownAlgorithm{
		{Algorithm: orca.Algorithm{ID: mean, WindowType: minute, ResultType: orca.ResultValue, Self: orca.Lookback{Range: orca.Extent{Count: 1000}}}}}}); err != nil {
		b.Fatal(err)
	}
	stop := serve(b, s)
	plan := &orca.PlanContent{Hash: orca.PlanHash{1}, Content: make([]byte, 2000), Nodes: 1, Algorithms: []orca.AlgorithmID{mean}}
	var last <-chan error
	for i := range pastAssets(results) {
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
	if err := s.grow(b.Context(), int64(results), func(int64) {}); err != nil {
		b.Fatal(err)
	}
}

func pastWindow(typ orca.WindowTypeID, plan *orca.PlanContent, asset int) orca.Emission {
	const at = orca.Time(1_700_000_000_000_000_000)
	f := orca.FilterValue{Field: "asset"}
	binary.BigEndian.PutUint64(f.Hash[:], uint64(asset)*0x9E3779B97F4A7C15)
	return orca.Emission{Window: orca.Window{Type: typ, From: at, To: at + 60e9, Origin: "benchmark", Metadata: make([]byte, 60)},
		Filters: []orca.FilterValue{f}, AcceptedAt: at + 61e9, Plan: plan, Status: orca.ProcessingTriggered}
}

// lookBack measures lookbacks from windows of the last minute in milliseconds: the first one of an asset, of that the
// part with rows, and others right after it.
func lookBack(b *testing.B, s *Store, of orca.AlgorithmID, results, rows int) (took, ofRows, again []float64) {
	random := rand.New(rand.NewPCG(3, 4))
	once := func(looks orca.WindowID) (all, part float64) {
		w, err := s.Window(b.Context(), looks)
		if err != nil {
			b.Fatal(err)
		}
		q := orca.PastQuery{Algorithm: of, Window: looks, Before: orca.Position(results + 1), To: w.Window.To, From: w.Window.From - 1,
			EarliestTo: orca.MinTime, Fields: []string{"asset"}}
		begun := time.Now()
		readPast(b, s, q, rows)
		settled := time.Now()
		q.Rows = true
		readPast(b, s, q, rows)
		return float64(time.Since(begun).Nanoseconds()) / 1e6, float64(time.Since(settled).Nanoseconds()) / 1e6
	}
	for i := range pastReads {
		looks := orca.WindowID(1 + random.IntN(pastAssets(results))) // these are the newest in time
		all, part := once(looks)
		took, ofRows = append(took, all), append(ofRows, part)
		if i%4 == 0 {
			all, _ := once(looks)
			again = append(again, all)
		}
	}
	return took, ofRows, again
}

// readPast reads so many runs of the past, or all of their rows.
func readPast(b *testing.B, s *Store, q orca.PastQuery, want int) {
	var runs []orca.PastRun
	var missing []orca.Position
	if err := s.Past(b.Context(), q, func(r orca.PastRun) bool {
		if runs = append(runs, r); r.Row == nil {
			missing = append(missing, r.Position)
		}
		return len(runs) < want
	}); err != nil || len(runs) != want {
		b.Fatalf("%d runs of %d (%v)", len(runs), want, err)
	}
	if q.Rows && len(missing) > 0 {
		if _, err := s.PastRows(b.Context(), q.Algorithm, missing); err != nil {
			b.Fatal(err)
		}
	}
}

func percentile(values []float64, p int) float64 {
	slices.Sort(values)
	return values[len(values)*p/100]
}
