package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// slow is a processor with a chain of two algorithms that take some time, and a record of what it ran.
type slow struct {
	*orcatest.Processor
	mu       sync.Mutex
	executed []execution
	progress chan struct{} // gets a token per execution while there is room
}

type execution struct {
	origin, algorithm string
	at                time.Time
}

func startSlow(tb testing.TB, takes time.Duration) *slow {
	tb.Helper()
	s := &slow{progress: make(chan struct{}, 10_000)}
	work := func(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
		s.mu.Lock()
		s.executed = append(s.executed, execution{req.GetWindow().GetOrigin(), x.GetAlgorithm().GetName(), time.Now()})
		s.mu.Unlock()
		timer := time.NewTimer(takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case s.progress <- struct{}{}:
		default:
		}
		return orcatest.Value(1), nil
	}
	s.Processor = orcatest.NewProcessor(tb, "slow",
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "First"), Run: work},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "Second", orcatest.On("slow", "First")), Run: work},
	)
	return s
}

// await waits for n executions.
func (s *slow) await(tb testing.TB, n int) {
	tb.Helper()
	timeout := time.After(4 * orcatest.Patience)
	for range n {
		select {
		case <-s.progress:
		case <-timeout:
			tb.Fatalf("the processor ran too little: %d executions", len(s.executed))
		}
	}
}

func (c *core) register(p *orcatest.Processor) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orcatest.Patience)
	defer cancel()
	if _, err := c.RegisterProcessor(ctx, p.Registration(), grpc.WaitForReady(true)); err != nil {
		c.tb.Fatalf("register %s: %v", p.Name, err)
	}
}

// emitAll emits n windows from several goroutines, each window with its own origin, and returns the ids of those that
// were answered. It stops early when the core is gone.
func emitAll(c *core, n int) (answered map[string]string) {
	answered = map[string]string{}
	client := c.OrcaCoreClient
	var mu sync.Mutex
	var emitters sync.WaitGroup
	for e := range 16 {
		emitters.Go(func() {
			for i := e; i < n; i += 16 {
				w := orcatest.Window("W", "1.0.0", i, nil)
				w.Origin = fmt.Sprintf("window-%d", i)
				var header metadata.MD
				if _, err := client.EmitWindow(context.Background(), w, grpc.Header(&header)); err != nil {
					return
				}
				mu.Lock()
				answered[w.GetOrigin()] = header.Get("orca-window-id")[0]
				mu.Unlock()
			}
		})
	}
	emitters.Wait()
	return answered
}

// checkLedger checks what emitters were answered and what the processor ran against the ledger of an idle core: every
// answered window succeeded, each node has one outcome, and what had settled before the core was started last did not
// run again.
func checkLedger(t *testing.T, c *core, s *slow, answered map[string]string, restarted time.Time) {
	t.Helper()
	windows := c.windows()
	settledBefore := map[execution]bool{}
	for origin, id := range answered {
		w := windows[id]
		if w == nil {
			t.Errorf("window %s of %s was answered and is lost", id, origin)
			continue
		}
		if got := w.GetWindow().GetWindow().GetOrigin(); got != origin {
			t.Errorf("window %s is of %s, want %s", id, got, origin)
		}
	}
	for id, w := range windows {
		var names []string
		for _, n := range w.GetNodes() {
			names = append(names, n.GetAlgorithm().GetName())
			if n.GetOutcome() != pb.Outcome_OUTCOME_SUCCEEDED {
				t.Errorf("window %s: %s is %v (%s)", id, n.GetAlgorithm().GetName(), n.GetOutcome(), n.GetReason())
			}
			if n.GetSettledAt().AsTime().Before(restarted) {
				settledBefore[execution{origin: w.GetWindow().GetWindow().GetOrigin(), algorithm: n.GetAlgorithm().GetName()}] = true
			}
		}
		if want := []string{"First", "Second"}; !slices.Equal(names, want) || w.GetRun().GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("window %s: the run is %v with the nodes %v, want it succeeded with %v", id, w.GetRun().GetState(), names, want)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.executed {
		if x.at.After(restarted) && settledBefore[execution{origin: x.origin, algorithm: x.algorithm}] {
			t.Errorf("%s of %s had settled and ran again", x.algorithm, x.origin)
		}
	}
	t.Logf("%d windows answered, %d in the ledger, %d nodes settled before the restart, %d executions",
		len(answered), len(windows), len(settledBefore), len(s.executed))
}

// kill -9 in the middle of 500 windows whose algorithms take 200 ms: after the restart each of them finishes, none
// has two outcomes, and nothing settled runs again.
func TestKillInTheMiddle(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	s := startSlow(t, 200*time.Millisecond)
	c.register(s.Processor)
	answered := emitAll(c, 500)
	if len(answered) != 500 {
		t.Fatalf("%d of 500 windows were answered", len(answered))
	}
	s.await(t, 150)
	c.kill()
	restarted := time.Now()
	c.start()
	c.waitIdle()
	checkLedger(t, c, s, answered, restarted)
}

// kill -9 while windows are being emitted: every window that was answered finishes after the restart.
func TestKillWhileEmitting(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	s := startSlow(t, time.Millisecond)
	c.register(s.Processor)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		s.await(t, 300)
		c.kill()
	}()
	answered := emitAll(c, 100_000)
	<-killed
	restarted := time.Now()
	c.start()
	c.waitIdle()
	checkLedger(t, c, s, answered, restarted)
}

// SIGTERM under load: the core finishes what is in flight, exits 0, and after the next start everything answered is
// finished too.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	s := startSlow(t, 20*time.Millisecond)
	c.register(s.Processor)
	emitted := make(chan map[string]string)
	go func() { emitted <- emitAll(c, 100_000) }()
	s.await(t, 100)
	if code := c.stop(); code != 0 {
		t.Errorf("the core exited with %d, want 0\n%s", code, c.stderr)
	}
	answered := <-emitted
	s.mu.Lock()
	before := len(s.executed)
	s.mu.Unlock()
	restarted := time.Now()
	c.start()
	c.waitIdle()
	checkLedger(t, c, s, answered, restarted)
	windows := len(c.windows())
	if s.mu.Lock(); len(s.executed) != 2*windows {
		t.Errorf("%d executions for %d windows of two algorithms: what was in flight at the stop ran again (%d before it)", len(s.executed), windows, before)
	}
	s.mu.Unlock()
}
