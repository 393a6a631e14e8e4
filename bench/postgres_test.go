package bench

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/pgserver"
)

// One core and several on PostgreSQL come to their end beside one on SQLite, with nothing lost and nothing twice, and with
// the time and the transactions of the server.
func TestRunPostgres(t *testing.T) {
	t.Parallel()
	cfg := short(t)
	cfg.Shapes = Shapes()[:2]
	report, err := RunPostgres(t.Context(), cfg, 2)
	if errors.Is(err, pgserver.ErrNone) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Shape, Store string
		Cores        int
	}
	var got []row
	for _, r := range report.Postgres.Rows {
		got = append(got, row{r.Shape, r.Store, r.Cores})
		sane(t, r.Shape, r.Core)
		if r.Core.WindowsPerSecond == 0 {
			continue // a machine that was busy elsewhere for all of the turn
		}
		if onServer := r.Store == "postgres"; onServer != (r.Core.TransactionsPerWindow > 0) || onServer != (r.Core.ServerCPUPerWindow > 0) {
			t.Errorf("%s on %s has %v transactions and %v µs of the server a window", r.Shape, r.Store, r.Core.TransactionsPerWindow, r.Core.ServerCPUPerWindow)
		}
	}
	want := []row{
		{"single", "sqlite", 1}, {"single", "postgres", 1}, {"single", "postgres", 2},
		{"chain", "sqlite", 1}, {"chain", "postgres", 1}, {"chain", "postgres", 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	var text bytes.Buffer
	if err := errors.Join(report.Print(&text), report.Faults()); err != nil {
		t.Error(err)
	}
	if strings.Count(text.String(), "postgres") != 4 {
		t.Errorf("the report says:\n%s", &text)
	}
}

// A backlog for a processor that was away is processed by several cores at once, with nothing lost and nothing twice.
func TestRunDrain(t *testing.T) {
	t.Parallel()
	cfg := short(t)
	cfg.options = []string{"--max-active-runs", "128"} // so that most of them are rows
	report, err := RunDrain(t.Context(), cfg, 3, 3000)
	if errors.Is(err, pgserver.ErrNone) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := report.Drain
	whole, working := 0, 0
	for _, n := range d.Shares {
		if whole += int(n); n > 0 {
			working++
		}
	}
	if got, want := []int{d.Lost, d.Duplicated, whole}, []int{0, 0, 3000}; !cmp.Equal(got, want) {
		t.Errorf("lost, duplicated and what the cores have settled are %d, want %d", got, want)
	}
	if len(d.Shares) != 3 || working < 2 {
		t.Errorf("the cores have settled %d; want three cores of which several have worked", d.Shares)
	}
	if d.PeakMiB <= 0 || d.Emit.TransactionsPerWindow <= 0 || d.Drained.ServerCPUPerWindow <= 0 {
		t.Errorf("got %+v; want memory, transactions and the time of the server", d)
	}
}
