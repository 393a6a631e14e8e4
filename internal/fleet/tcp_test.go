package fleet_test

import (
	"context"
	"fmt"
	"net"
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

func listenTCP(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tcpInstance(address string, registered orca.Time, names ...string) orca.Instance {
	in := orca.Instance{
		Address: address, Connection: "grpc://" + address, Processor: "p", RegisteredAt: registered,
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
	l := listenTCP(t, "127.0.0.1:0")
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f := fleet.New(fleet.Config{})
	run(t, f)
	f.Sync([]orca.Instance{tcpInstance(address, 1, "A")})
	first := newCall(1, "p", "A")
	f.Submit(&first.Call)

	p := serve(t, listenTCP(t, address), address)
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
	p = serve(t, listenTCP(t, address), address)
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
	l := listenTCP(t, "127.0.0.1:0")
	p := serve(t, l, l.Addr().String(), grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest))
	f := fleet.New(fleet.Config{OmitLegacyFields: true})
	run(t, f)
	f.Sync([]orca.Instance{tcpInstance(p.address, 1, "B")})

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

// Many instances on TCP share much work while all of them are killed and come back one after the other.
func TestRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	const calls, instances = 1000, 3
	f := fleet.New(fleet.Config{})
	run(t, f)
	serveAll := func(l net.Listener) *processor {
		p := serve(t, l, l.Addr().String())
		p.answerAll(t)
		return p
	}
	var announced []orca.Instance
	var processors []*processor
	for range instances {
		p := serveAll(listenTCP(t, "127.0.0.1:0"))
		processors = append(processors, p)
		announced = append(announced, tcpInstance(p.address, 1, "A"))
	}
	f.Sync(announced)

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
		i := n % instances
		processors[i].kill()
		processors[i] = serveAll(listenTCP(t, processors[i].address))
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
