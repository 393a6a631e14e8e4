package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Whatever processors do, every algorithm is reported exactly once for each call, limits and solo calls are respected,
// and once the processors behave, all work is done without anybody waiting for a heartbeat. Heartbeats come once an
// hour here, so that they cannot hide a wake-up that was lost.
func TestUnruly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			inWorld(t, fleet.Config{MaxInFlight: 3, Heartbeat: time.Hour}, func(t *testing.T, w *world) {
				s := &simulation{world: w, rand: rand.New(rand.NewPCG(seed, seed)), open: map[*call]bool{}}
				s.run(t)
			})
		})
	}
}

// simulation is a small engine and some processors without manners.
type simulation struct {
	*world
	rand       *rand.Rand
	processors []*unruly
	behave     atomic.Bool

	mu   sync.Mutex
	open map[*call]bool
}

const (
	simulatedInstances = 4
	simulatedCalls     = 80
)

func (s *simulation) run(t *testing.T) {
	s.processors = make([]*unruly, simulatedInstances)
	for i := range s.processors {
		s.start(i)
	}
	s.announce()
	for position := orca.Position(1); position <= simulatedCalls; position++ {
		c := s.newCall(position, s.algorithms()...)
		c.Solo = s.rand.IntN(10) == 0
		s.fleet.Submit(&c.Call)
		time.Sleep(time.Duration(s.rand.IntN(20)) * time.Millisecond)
		s.disturb()
	}
	s.behave.Store(true)
	s.announce() // all algorithms everywhere, and what was denied is forgotten
	from := time.Now()
	for s.left() > 0 {
		if time.Since(from) > 5*time.Second {
			t.Fatalf("%d calls are still open 5 s after the processors behave: %+v", s.left(), s.fleet.Status())
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("all work was done %v after the processors began to behave", time.Since(from))
	time.Sleep(time.Second) // for streams that are still open
	synctest.Wait()
	for _, in := range s.fleet.Status()[0].Instances {
		if in.InFlight != 0 {
			t.Errorf("%d requests are under way at %s at the end", in.InFlight, in.Address)
		}
	}
	if queued := s.fleet.Status()[0].Queued; queued != 0 {
		t.Errorf("%d requests are queued at the end", queued)
	}
}

func (s *simulation) algorithms() []string {
	all := []string{"A", "B", "C"}
	s.rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return all[:1+s.rand.IntN(3)]
}

// newCall makes a call that is submitted again for what it left out, as the engine does.
func (s *simulation) newCall(position orca.Position, names ...string) *call {
	c := newCall(position, "p", names...)
	s.mu.Lock()
	s.open[c] = true
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	end := c.End
	c.End = func(e orca.CallEnd) {
		var missing []string
		for _, id := range e.Missing {
			missing = append(missing, id.Name)
		}
		if e.Kind != orca.EndStopped {
			s.fleet.Submit(&s.newCall(position, missing...).Call)
		}
		end(e)
	}
	return c
}

// left counts the calls that are not reported whole.
func (s *simulation) left() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if isClosed(c.done) {
			delete(s.open, c)
		}
	}
	return len(s.open)
}

// disturb now and then kills a processor, brings a dead one back or announces something else.
func (s *simulation) disturb() {
	i := s.rand.IntN(simulatedInstances)
	switch s.rand.IntN(25) {
	case 0, 1:
		s.processors[i].server.Stop()
		s.processors[i].dead = true
	case 2:
		s.announce()
	}
	for i, p := range s.processors {
		if p.dead && s.rand.IntN(20) == 0 {
			s.start(i)
		}
	}
}

// start starts the processor at an address in place of the one before.
func (s *simulation) start(i int) {
	p := &unruly{simulation: s, seed: s.rand.Uint64()}
	s.processors[i] = p
	p.server = grpc.NewServer()
	pb.RegisterOrcaProcessorServer(p.server, p)
	l := s.network.listen(s.t, address(i))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = p.server.Serve(l)
	}()
	s.t.Cleanup(func() {
		p.server.Stop()
		<-served
	})
}

func address(i int) string { return fmt.Sprintf("instance-%d:1", i) }

// announce makes the processors register with algorithms of their choice, or with all when they behave.
func (s *simulation) announce() {
	var instances []orca.Instance
	for i, p := range s.processors {
		if s.behave.Load() {
			if p.dead {
				s.start(i)
			}
			instances = append(instances, s.instance(address(i), "A", "B", "C"))
		} else if s.rand.IntN(5) > 0 {
			instances = append(instances, s.instance(address(i), s.algorithms()...))
		}
	}
	s.fleet.Sync(instances)
}

// unruly is a processor that now and then does everything wrong.
type unruly struct {
	pb.UnimplementedOrcaProcessorServer
	simulation *simulation
	server     *grpc.Server
	seed       uint64
	dead       bool
	requests   atomic.Uint64
	active     atomic.Int64
}

func (p *unruly) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
}

func (p *unruly) ExecuteDagPart(req *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	random := rand.New(rand.NewPCG(p.seed, p.requests.Add(1)))
	if active := p.active.Add(1); active > 3 {
		p.simulation.t.Errorf("%d requests are under way at one processor, and the limit is 3", active)
	}
	defer p.active.Add(-1)
	time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
	misdeed := random.IntN(12)
	if p.simulation.behave.Load() {
		misdeed = 99
	}
	switch misdeed {
	case 0:
		return status.Error(codes.Unavailable, "unruly")
	case 1, 2:
		return status.Error(codes.ResourceExhausted, "unruly")
	case 3:
		return status.Error(codes.Unimplemented, "unruly")
	case 4:
		return status.Error(codes.Internal, "unruly")
	}
	for _, x := range req.GetAlgorithmExecutions() {
		switch random.IntN(10) * misdeed {
		case 5:
			return status.Error(codes.Unavailable, "unruly")
		case 6:
			continue
		case 7:
			_ = stream.Send(resultOf("other", "A", 1))
		}
		if err := stream.Send(resultOf(req.GetExecId(), x.GetAlgorithm().GetName(), 1)); err != nil {
			return err
		}
		time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
	}
	return nil
}
