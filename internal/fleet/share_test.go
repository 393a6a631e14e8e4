package fleet_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// circle is the fleets of several cores on one network, which tell each other what they have found.
type circle struct {
	*world
	fleets []*fleet.Fleet
	lines  []*line

	mu     sync.Mutex
	silent map[int]bool // tell nothing, and hear nothing
}

// newCircle adds cores to the world's one, until there are n of them. They tell each other once a second, as members of a
// ledger do.
func newCircle(w *world, n int) *circle {
	c := &circle{world: w, silent: map[int]bool{}}
	var ids []int32
	for i := range n {
		l := &line{network: w.network}
		f := fleet.New(fleet.Config{DialOptions: []grpc.DialOption{grpc.WithContextDialer(l.dial)}})
		run(w.t, f)
		c.fleets, c.lines, ids = append(c.fleets, f), append(c.lines, l), append(ids, int32(i+1))
	}
	for i, f := range c.fleets {
		f.Share(ids[i], ids)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				c.tell()
			}
		}
	}()
	w.t.Cleanup(func() { close(stop); <-stopped })
	return c
}

func (c *circle) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range c.fleets {
		var others []orca.HealthCheck
		for k, other := range c.fleets {
			if k != i && !c.silent[i] && !c.silent[k] {
				others = append(others, other.Checked(3*time.Second)...)
			}
		}
		f.Heard(others)
	}
}

func (c *circle) silence(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent[i] = true
}

func (c *circle) syncAll(instances ...orca.Instance) {
	for _, f := range c.fleets {
		f.Sync(instances)
	}
	synctest.Wait()
}

// asker returns which core asks the instance at an address, and one that does not.
func (c *circle) asker(address string) (asks, trusts int) {
	for i, f := range c.fleets {
		if f.Asks(address) {
			asks = i
		} else {
			trusts = i
		}
	}
	return asks, trusts
}

func (c *circle) status(i int, address string) orca.InstanceStatus {
	for _, p := range c.fleets[i].Status() {
		for _, in := range p.Instances {
			if in.Address == address {
				return in
			}
		}
	}
	return orca.InstanceStatus{}
}

func (c *circle) submit(i int, position orca.Position, names ...string) *call {
	call := newCall(position, "p", names...)
	c.calls = append(c.calls, call)
	c.fleets[i].Submit(&call.Call)
	synctest.Wait()
	return call
}

// line is one core's way into the network. It can be cut.
type line struct {
	network *network

	mu    sync.Mutex
	cut   bool
	conns []interface{ Close() error }
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// Cores that share instances ask each of them about as often as one core alone would, all know what came of it, and every
// core asks its share.
func TestCoresShareHeartbeats(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		c := newCircle(w, 3)
		var processors []*processor
		var instances []orca.Instance
		asks := map[int]int{}
		for i := range 20 {
			address := fmt.Sprintf("p%d:1", i)
			p := w.serve(address)
			p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
				return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING, Metrics: &pb.ProcessorMetrics{ActiveTasks: int32(i)}}, nil
			})
			processors, instances = append(processors, p), append(instances, w.instance(address, "A"))
			asked, _ := c.asker(address)
			asks[asked]++
		}
		c.syncAll(instances...)
		for range 43 {
			time.Sleep(7 * time.Second)
			synctest.Wait()
			for k := range c.fleets {
				for i := range instances {
					s := c.status(k, instances[i].Address)
					if s.State != orca.Serving || s.Silent > 8*time.Second || s.Metrics.ActiveTasks != int32(i) || time.Since(s.LastSeen.Std()) > 8*time.Second {
						t.Fatalf("core %d knows %+v", k, s)
					}
				}
			}
		}
		for i, p := range processors {
			if got := p.checks.Load(); got < 58 || got > 78 {
				t.Errorf("three cores asked instance %d %d times in five minutes, want some more than the 60 of one", i, got)
			}
		}
		for k := range c.fleets {
			if asks[k] < 3 {
				t.Errorf("core %d asks %d of 20 instances", k, asks[k])
			}
		}
	})
}

// Every core gives work to an instance that has just come, or has come back, as soon as it would alone, whoever is to ask it.
func TestEveryCoreFindsAnInstanceItself(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		c := newCircle(w, 3)
		for k := range c.fleets {
			c.silence(k) // what others say may help, and is not needed
		}
		c.syncAll(w.instance("alpha:1", "A"))
		for range 5 {
			for k := range c.fleets {
				c.submit(k, 1, "A")
			}
			time.Sleep(time.Minute + 300*time.Millisecond)
			p, back := w.serve("alpha:1"), time.Now()
			for range c.fleets {
				(<-p.asked).succeed(t)
			}
			if took := time.Since(back); took > time.Second {
				t.Errorf("all cores gave it work after %v, want a second at most", took)
			}
			time.Sleep(20 * time.Second)
			p.kill()
		}
	})
}

// When an instance takes no work any more all cores stop giving it some, soon after the one that asks has found out.
func TestBadNewsSpread(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name   string
		answer func(context.Context) (*pb.HealthCheckResponse, error)
		state  orca.InstanceState
		within time.Duration
	}{
		{"another answer", func(context.Context) (*pb.HealthCheckResponse, error) {
			return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_NOT_SERVING}, nil
		}, orca.NotServing, 7 * time.Second}, // a heartbeat, and at the next telling
		{"no answer", hang, orca.Unreachable, 27 * time.Second}, // four heartbeats and the same, and a check that was on its way
	} {
		t.Run(k.name, func(t *testing.T) {
			inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
				c := newCircle(w, 3)
				p := w.serve("alpha:1")
				c.syncAll(w.instance("alpha:1", "A"))
				time.Sleep(time.Minute)
				for checks := p.checks.Load(); p.checks.Load() == checks; time.Sleep(10 * time.Millisecond) {
				}
				p.answerHealth(k.answer) // the next question comes as late as can be
				time.Sleep(k.within)
				synctest.Wait()
				for i := range c.fleets {
					if s := c.status(i, "alpha:1"); s.State != k.state {
						t.Errorf("after %v core %d says %v, want %v", k.within, i, s.State, k.state)
					}
					c.submit(i, 1, "A")
				}
				w.idle(p)
			})
		})
	}
}

// When the core that asks an instance dies, the others find out about the instance as long as they do not know of it, and one of
// them asks when they do.
func TestOthersAskWhenACoreIsGone(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		c := newCircle(w, 3)
		p := w.serve("alpha:1")
		c.syncAll(w.instance("alpha:1", "A"))
		time.Sleep(time.Minute)
		asks, trusts := c.asker("alpha:1")
		c.silence(asks)
		c.lines[asks].set(true)
		p.answerHealth(hang)
		time.Sleep(30 * time.Second) // no word for 8 s, and three failures
		synctest.Wait()
		if s := c.status(trusts, "alpha:1"); s.State != orca.Unreachable {
			t.Errorf("a core that heard nothing says %v", s.State)
		}
		p.answerStatus(pb.HealthCheckResponse_STATUS_SERVING)
		var rest []int32
		for i := range c.fleets {
			if i != asks {
				rest = append(rest, int32(i+1))
			}
		}
		for i, f := range c.fleets {
			if i != asks {
				f.Share(int32(i+1), rest)
			}
		}
		time.Sleep(20 * time.Second)
		checks := p.checks.Load()
		time.Sleep(10 * time.Minute)
		if checks = p.checks.Load() - checks; checks < 115 || checks > 140 {
			t.Errorf("the two that are left asked %d times in ten minutes, want some more than 120", checks)
		}
	})
}

// A core that cannot reach an instance which the one that asks reaches finds out with its own request, believes nobody then
// and goes on when it can.
func TestACoreThatIsCutOffFindsOutItself(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		c := newCircle(w, 3)
		p := w.serve("alpha:1")
		c.syncAll(w.instance("alpha:1", "A"))
		time.Sleep(time.Minute)
		asks, trusts := c.asker("alpha:1")
		c.lines[trusts].set(true)
		waits := c.submit(trusts, 1, "A")
		time.Sleep(time.Second)
		if !waits.open() { // it went out as the connection broke
			waits = c.submit(trusts, 2, "A")
		}
		for range 100 {
			if got, other := c.status(trusts, "alpha:1"), c.status(asks, "alpha:1"); got.State != orca.Unreachable || other.State != orca.Serving {
				t.Fatalf("the core that is cut off says %v, and the one that asks %v", got.State, other.State)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := c.status(trusts, "alpha:1"); got.Silent > 8*time.Second {
				t.Fatalf("the core that is cut off takes the instance for silent for %v, though others hear from it", got.Silent)
			}
		}
		w.idle(p)
		c.lines[trusts].set(false)
		if a, took := w.until(p); took > time.Second {
			t.Errorf("work went on after %v, want a second at most", took)
		} else {
			a.succeed(t)
		}
		waits.wait()
	})
}
