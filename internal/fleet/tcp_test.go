package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// The tests here use TCP and the machine's clock: what they show depends on neither.

// hosts are the names of processors that listen on TCP. One that comes back listens at another port, since its own may
// have been given to somebody else.
type hosts struct {
	mu sync.Mutex
	at map[string]string
}

// serve starts a processor that listens under the name from now on.
func (h *hosts) serve(t *testing.T, name string, options ...grpc.ServerOption) *processor {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[string]string{}
	}
	h.at[name] = l.Addr().String()
	return serve(t, l, name, options...)
}

func (h *hosts) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, name string) (net.Conn, error) {
		h.mu.Lock()
		address := cmp.Or(h.at[name], "127.0.0.1:1") // where nobody listens
		h.mu.Unlock()
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})}
}

// announced is an instance of processor "p" that runs the named algorithms.
func announced(address string, names ...string) orca.Instance {
	in := orca.Instance{
		Address: address, Connection: "grpc://" + address, Processor: "p", RegisteredAt: 1,
		Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{},
	}
	for _, name := range names {
		in.Algorithms[id("p", name)] = orca.DefinitionHash{1}
	}
	return in
}

// A processor that registers before it listens, works, dies with a call and comes back: each call ends as it should.
func TestOverTCP(t *testing.T) {
	t.Parallel()
	h := new(hosts)
	f := fleet.New(fleet.Config{DialOptions: h.dialOptions()})
	run(t, f)
	f.Sync([]orca.Instance{announced("alpha:1", "A")})
	first := newCall(1, "p", "A")
	f.Submit(&first.Call)

	p := h.serve(t, "alpha:1")
	listening := time.Now()
	a := <-p.asked
	t.Logf("work came %v after it listened", time.Since(listening))
	a.succeed(t)
	first.wait()
	wantOutcome(t, first, outcome{Results: map[string]float64{"A": 0}})

	second, third := newCall(2, "p", "A"), newCall(3, "p", "A")
	f.Submit(&second.Call)
	<-p.asked
	p.kill()
	second.wait()
	wantOutcome(t, second, outcome{Ends: []ending{{Kind: orca.EndLost, Missing: []string{"A"}, Alone: true}}})
	f.Submit(&third.Call)
	p = h.serve(t, "alpha:1")
	listening = time.Now()
	a = <-p.asked
	t.Logf("work came %v after it was back", time.Since(listening))
	a.succeed(t)
	third.wait()
	wantOutcome(t, third, outcome{Results: map[string]float64{"A": 0}})
}

// Messages of 64 MiB pass both ways.
func TestLargestMessages(t *testing.T) {
	t.Parallel()
	largest := 64 << 20
	if raceDetector {
		largest = 8 << 20 // takes ten times as long
	}
	h := new(hosts)
	p := h.serve(t, "alpha:1", grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest))
	f := fleet.New(fleet.Config{OmitLegacyFields: true, DialOptions: h.dialOptions()})
	run(t, f)
	f.Sync([]orca.Instance{announced("alpha:1", "B")})

	// Bytes of a field that nobody knows: quicker than anything that is looked into.
	filling := protowire.AppendBytes(protowire.AppendTag(nil, 100, protowire.BytesType), make([]byte, largest-1000))
	c := newCall(1, "p", "B")
	c.Build = func(ctx context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
		x, err := executionWithDependency(ctx, algorithms)
		if err == nil {
			d := &x.Algorithms[0].Dependencies[0]
			d.Current = append(d.Current, filling...)
		}
		return x, err
	}
	var received atomic.Int64
	c.Result = func(_ context.Context, _ orca.AlgorithmID, r orca.Result) {
		received.Store(int64(len(r.Encoded)))
		close(c.done)
	}
	f.Submit(&c.Call)
	a := <-p.asked
	sent := a.req.GetAlgorithmExecutions()[0].GetDependencies()[0].GetResult()[0].GetResult()
	if got := len(sent.ProtoReflect().GetUnknown()); got != len(filling) {
		t.Errorf("%d bytes of the row arrived, want %d", got, len(filling))
	}
	answer := resultOf(a.req.GetExecId(), "B", 0)
	answer.GetAlgorithmResult().GetResult().ProtoReflect().SetUnknown(filling)
	want := proto.Size(answer.GetAlgorithmResult().GetResult())
	a.send(t, answer)
	a.end(nil)
	c.wait()
	if got := c.soFar(); len(got.Ends) > 0 {
		t.Errorf("the call ended with %v", got.Ends)
	}
	if got := int(received.Load()); got != want {
		t.Errorf("the result has %d bytes, want %d", got, want)
	}
}

// Many instances share much work while all of them are killed and come back one after the other.
func TestRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	const calls, instances = 1000, 3
	h := new(hosts)
	f := fleet.New(fleet.Config{DialOptions: h.dialOptions()})
	run(t, f)
	var all []orca.Instance
	var processors []*processor
	for i := range instances {
		p := h.serve(t, address(i))
		p.answerAll(t)
		processors = append(processors, p)
		all = append(all, announced(p.address, "A"))
	}
	f.Sync(all)

	done := make(chan error, calls)
	for position := orca.Position(1); position <= calls; position++ {
		submitUntilDone(f, position, done)
	}
	for n := range calls {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n%(calls/10) != calls/20 {
			continue
		}
		p := &processors[n%instances]
		(*p).kill()
		*p = h.serve(t, (*p).address)
		(*p).answerAll(t)
	}
}

// submitUntilDone submits a call again, as the engine does, until its algorithm has a result.
func submitUntilDone(f *fleet.Fleet, position orca.Position, done chan<- error) {
	c := newCall(position, "p", "A")
	c.Result = func(context.Context, orca.AlgorithmID, orca.Result) { done <- nil }
	c.End = func(e orca.CallEnd) {
		if e.Kind != orca.EndLost && e.Kind != orca.EndBroken && e.Kind != orca.EndComplete {
			done <- fmt.Errorf("the call at position %d ended as %v: %s", position, e.Kind, e.Reason)
			return
		}
		submitUntilDone(f, position, done)
	}
	f.Submit(&c.Call)
}
