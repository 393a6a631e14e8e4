package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// Three cores that listen to each other, with a hundred processors and nothing to do, ask the database fewer than five questions a second, all together.
func TestIdleCoresAskLittle(t *testing.T) {
	t.Parallel()
	const processors, each, most, lasts = 100, 10, 5, 15 * time.Second
	server := pgtest.Own(t, "log_statement=all")
	var cores []*core
	for range 3 {
		cores = append(cores, startCore(t, "--store", server.URL(), "--store-direct", server.URL(), "--schema", "idle", "--lease", "10s", "--heartbeat", "5s"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*orcatest.Patience)
	defer cancel()
	for i := range processors {
		var algorithms []orcatest.Algorithm
		for k := range each {
			algorithms = append(algorithms, orcatest.Algorithm{Algorithm: orcatest.Define(fmt.Sprintf("W%d", i), fmt.Sprintf("A%d", k))})
		}
		p := orcatest.NewProcessor(t, fmt.Sprintf("p%d", i), algorithms...)
		if _, err := cores[i%len(cores)].RegisterProcessor(ctx, p.Registration(), grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cores {
		eventually(t, func() string {
			list, err := c.ListProcessors(ctx, &pb.ListProcessorsRequest{})
			if err != nil {
				return err.Error()
			}
			serving := 0
			for _, p := range list.GetProcessors() {
				for _, in := range p.GetInstances() {
					if in.GetState() == pb.InstanceState_INSTANCE_STATE_SERVING {
						serving++
					}
				}
			}
			if serving != processors {
				return fmt.Sprintf("core %s knows that %d processors serve, of %d", c.grpc, serving, processors)
			}
			return ""
		})
	}
	log := filepath.Join(filepath.Dir(server.Socket()), "log")
	before, begun := questions(t, log), time.Now()
	<-time.After(lasts) // a rate takes time
	asked, took := questions(t, log)[len(before):], time.Since(begun)
	rate := float64(len(asked)) / took.Seconds()
	t.Logf("%d statements in %v, %.1f per second", len(asked), took.Round(time.Millisecond), rate)
	if rate >= most || len(asked) == 0 {
		t.Errorf("%.1f statements per second, want fewer than %d:\n%s", rate, most, asked)
	}
}

// questions returns the statements that a server wrote to its log.
func questions(tb testing.TB, log string) [][]byte {
	tb.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		tb.Fatal(err)
	}
	return regexp.MustCompile(`LOG:  (statement|execute [^:]*): .*`).FindAll(b, -1)
}
