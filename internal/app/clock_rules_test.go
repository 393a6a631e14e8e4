package app_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// The system's clock jumps by an hour, forwards or backwards, while windows run, wait and are tried again: nobody who
// lives is forgotten and whoever is silent is, nothing that waits is given up, what broke is tried again, keys are known,
// and new windows run.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"forwards": time.Hour, "backwards": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ttl = 2 * time.Second
			var offset atomic.Int64
			core := orcatest.Start(t, func(c *config.Config) {
				c.Heartbeat, c.InstanceTTL, c.RetiredWait = 100*time.Millisecond, ttl, 30*time.Minute
				c.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
			})
			broken, mended := make(chan struct{}, 100), make(chan struct{})
			core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")},
				orcatest.Algorithm{Algorithm: orcatest.Define("Broken", "C"), Run: func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
					select {
					case <-mended:
						return orcatest.Value(1), nil
					default:
						broken <- struct{}{}
						return nil, errors.New("broken")
					}
				}})
			beats := make(chan struct{}, 10_000)
			living := serveProgram(t, "", succeed)
			living.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
				beats <- struct{}{}
				return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
			})
			announced(t, core, "living", living.address, orcatest.Define("L", "L"))
			gone := core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "B")})
			gone.Kill()
			waits, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
			if _, err := core.RegisterProcessor(t.Context(), &pb.ProcessorRegistration{Name: "q", Runtime: "go-test", ConnectionStr: gone.Address}); err != nil {
				t.Fatal(err)
			}
			keyed := emitKeyed(t, core)
			core.Wait(keyed)
			breaks, _ := core.Emit(orcatest.Window("Broken", "1.0.0", 0, nil))
			receive(t, "it breaks", broken)

			offset.Store(int64(jump))
			close(mended)
			if got := core.Wait(breaks).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
				t.Errorf("what was to be tried again is %v", got)
			}
			if again := emitKeyed(t, core); again != keyed {
				t.Errorf("the same key gave window %s and then %s", keyed, again)
			}
			later, _ := core.Emit(orcatest.Window("Broken", "1.0.0", 1, nil))
			core.Wait(later)
			eventually(t, "the silent instance is forgotten", func() bool { return len(instances(t, core)) == 2 })
			for range 3 * ttl / (100 * time.Millisecond) { // several looks at who is silent
				receive(t, "the instance that lives is asked", beats)
			}
			if n := len(instances(t, core)); n != 2 {
				t.Errorf("%d instances are known, want the two that live", n)
			}
			if w, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: waits}); err != nil || w.GetRun().GetState() != pb.RunState_RUN_STATE_OPEN {
				t.Errorf("the run that waits for a retired algorithm is %v, %v", w.GetRun(), err)
			}
			core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "B")})
			checkNodes(t, core.Wait(waits), pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1", "B succeeded of 1")
		})
	}
}

// emitKeyed emits the same window with the same key each time, and returns its id.
func emitKeyed(t *testing.T, core *orcatest.Core) string {
	t.Helper()
	answer, err := emitWith(core, "", "key", orcatest.Window("L", "1.0.0", 0, nil))
	if err != nil {
		t.Fatal(err)
	}
	return answer.ID
}
