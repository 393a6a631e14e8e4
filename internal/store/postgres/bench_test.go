package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// BenchmarkWindows accepts and settles windows of two results each, so many at once, by several cores that share a ledger: what
// the database is good for, without anything else that cores do.
func BenchmarkWindows(b *testing.B) {
	for _, cores := range []int{1, 3} {
		for _, callers := range []int{64, 2048} {
			b.Run(fmt.Sprintf("cores=%d/callers=%d", cores, callers), func(b *testing.B) { benchmarkWindows(b, cores, callers) })
		}
	}
}

func benchmarkWindows(b *testing.B, cores, callers int) {
	url, schema := pgtest.Schema(b)
	stores := make([]*Store, cores)
	for i := range stores {
		s, err := Open(b.Context(), url, Config{Schema: schema})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		if i == 0 {
			err = s.ChangeRegistry(b.Context(), registration())
		}
		if err == nil {
			err = s.Join(b.Context(), orca.Core{}, time.Hour)
		}
		if err != nil {
			b.Fatal(err)
		}
		serve(b, s)
		stores[i] = s
	}
	b.ResetTimer()
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			s := stores[c%cores]
			for i := c; i < b.N; i += callers {
				a := <-accept(s, ticking(i))
				if a.err == nil {
					a.err = <-settle(s, finish(a.Position))
				}
				if a.err != nil {
					b.Error(a.err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	commits := uint64(0)
	for _, s := range stores {
		commits += s.Stats().Commits
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "windows/s")
	b.ReportMetric(float64(commits)/float64(b.N), "commits/window")
}
