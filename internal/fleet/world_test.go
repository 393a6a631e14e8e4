package fleet_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a running fleet in a bubble of synctest: the network is in memory, time is the bubble's, and a goroutine
// that is left behind fails the test. All else is real, gRPC on both sides included.
type world struct {
	t       *testing.T
	network *network
	fleet   *fleet.Fleet
	stop    func() // cancels Run and waits for it
	logged  *syncBuffer
	began   time.Time
	calls   []*call
	// registrations gives each announcement a time of its own.
	registrations orca.Time
}

// inWorld runs a test in a world of its own.
func inWorld(t *testing.T, cfg fleet.Config, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, cfg)) })
}

func newWorld(t *testing.T, cfg fleet.Config) *world {
	w := &world{t: t, network: newNetwork(), logged: new(syncBuffer), began: time.Now()}
	cfg.Log = slog.New(slog.NewTextHandler(w.logged, nil))
	cfg.DialOptions = w.network.dialOptions()
	w.fleet = fleet.New(cfg)
	w.stop = run(t, w.fleet)
	t.Cleanup(func() {
		w.stop()
		for _, c := range w.calls {
			c.checkOnce(t)
		}
	})
	return w
}

// run runs a fleet until the returned function is called, or the test ends.
func run(t *testing.T, f *fleet.Fleet) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// since is the bubble's time since the world began.
func (w *world) since() time.Duration { return time.Since(w.began) }

// serve starts a processor that listens at the address.
func (w *world) serve(address string, options ...grpc.ServerOption) *processor {
	return serve(w.t, w.network.listen(w.t, address), address, options...)
}

// instance is an announcement of the named algorithms by processor "p".
func (w *world) instance(address string, names ...string) orca.Instance {
	w.registrations++
	in := orca.Instance{
		Address: address, Connection: address, Processor: "p", RegisteredAt: w.registrations,
		Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{},
	}
	for _, name := range names {
		in.Algorithms[id("p", name)] = orca.DefinitionHash{1}
	}
	return in
}

// sync makes the instances the fleet and waits until all that follows at once has happened.
func (w *world) sync(instances ...orca.Instance) {
	w.fleet.Sync(instances)
	synctest.Wait()
}

// state returns the state of the instance at the address, zero when it is not there.
func (w *world) state(address string) orca.InstanceState {
	for _, p := range w.fleet.Status() {
		for _, in := range p.Instances {
			if in.Address == address {
				return in.State
			}
		}
	}
	return 0
}

func (w *world) wantState(address string, want orca.InstanceState) {
	w.t.Helper()
	synctest.Wait()
	if got := w.state(address); got != want {
		w.t.Fatalf("after %v %s is %v, want %v", w.since(), address, got, want)
	}
}

// submit submits a call to processor "p" for the named algorithms.
func (w *world) submit(position orca.Position, names ...string) *call {
	return w.submitCall(newCall(position, "p", names...))
}

func (w *world) submitCall(c *call) *call {
	w.calls = append(w.calls, c)
	synctest.Wait() // for the ends of requests that came before
	w.fleet.Submit(&c.Call)
	synctest.Wait()
	return c
}

// next returns the request that has reached a processor by now.
func (w *world) next(p *processor) *asked {
	w.t.Helper()
	synctest.Wait()
	select {
	case a := <-p.asked:
		return a
	default:
		w.t.Fatalf("after %v no request has reached %s", w.since(), p.address)
		return nil
	}
}

// idle checks that no further request has reached the processors by now.
func (w *world) idle(processors ...*processor) {
	w.t.Helper()
	synctest.Wait()
	for _, p := range processors {
		select {
		case a := <-p.asked:
			w.t.Fatalf("after %v a request for %v has reached %s", w.since(), a.names(), p.address)
		default:
		}
	}
}

// until waits for a request to reach the processor and returns it with the time that it took.
func (w *world) until(p *processor) (*asked, time.Duration) {
	from := time.Now()
	return <-p.asked, time.Since(from)
}

func id(processor, name string) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: processor, Name: name, Version: "1.0.0"}
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// call is a call that keeps what is reported of it.
type call struct {
	orca.Call
	done chan struct{} // closed when every algorithm is reported

	mu     sync.Mutex
	got    outcome
	counts map[string]int // reports by algorithm
}

// outcome is what was reported of a call.
type outcome struct {
	Results map[string]float64
	Ends    []ending
}

// ending is what tests compare of a CallEnd.
type ending struct {
	Kind    orca.CallEndKind
	Missing []string
	Alone   bool
	reason  string
	sent    orca.Time
	served  orca.Time
}

func newCall(position orca.Position, processor string, names ...string) *call {
	c := &call{done: make(chan struct{}), counts: map[string]int{}}
	c.Call = orca.Call{
		Position: position, Processor: processor, Result: c.result, End: c.end,
		Build: func(_ context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
			return execution(algorithms), nil
		},
	}
	for _, name := range names {
		c.Algorithms = append(c.Algorithms, orca.CalledAlgorithm{ID: id(processor, name), Definition: orca.DefinitionHash{1}})
	}
	return c
}

// execution asks for algorithms without inputs.
func execution(algorithms []orca.CalledAlgorithm) *orca.Execution {
	window := orca.Window{Type: orca.WindowTypeID{Name: "Minute", Version: "1.0.0"}, From: 1, To: 2, Origin: "test"}
	x := &orca.Execution{Input: window, Stored: window}
	for _, a := range algorithms {
		x.Algorithms = append(x.Algorithms, orca.AlgorithmExecution{Algorithm: &orca.Algorithm{
			ID: a.ID, WindowType: orca.WindowType{ID: window.Type}, ResultType: orca.ResultValue,
		}})
	}
	return x
}

func (c *call) result(_ context.Context, id orca.AlgorithmID, r orca.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got.Results == nil {
		c.got.Results = map[string]float64{}
	}
	c.got.Results[id.Name] = r.Value
	c.count(id)
}

func (c *call) end(e orca.CallEnd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ending := ending{Kind: e.Kind, Alone: e.Alone, reason: e.Reason, sent: e.Sent, served: e.Served}
	for _, id := range e.Missing {
		ending.Missing = append(ending.Missing, id.Name)
		c.count(id)
	}
	c.got.Ends = append(c.got.Ends, ending)
}

// count counts a report of an algorithm. The lock is held.
func (c *call) count(id orca.AlgorithmID) {
	c.counts[id.Name]++
	if len(c.counts) == len(c.Algorithms) && c.counts[id.Name] == 1 {
		close(c.done)
	}
}

// soFar returns what was reported until now, ends in a fixed order.
func (c *call) soFar() outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	got.Ends = slices.Clone(got.Ends)
	slices.SortFunc(got.Ends, func(a, b ending) int { return slices.Compare(a.Missing, b.Missing) })
	return got
}

// wait waits until every algorithm is reported.
func (c *call) wait() outcome {
	<-c.done
	return c.soFar()
}

// open reports whether an algorithm is not reported yet.
func (c *call) open() bool {
	synctest.Wait()
	return !isClosed(c.done)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// checkOnce checks that nothing was reported twice.
func (c *call) checkOnce(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.counts {
		if n > 1 {
			t.Errorf("%s of the call at position %d was reported %d times", name, c.Position, n)
		}
	}
}
