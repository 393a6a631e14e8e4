package app_test

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

type stream = grpc.ServerStreamingServer[pb.ExecutionResult]

// unruly is a case of a processor, announced with algorithms B and C, that does not do what it should.
type unruly struct {
	// misbehave is what it does with requests; nil makes it do what it should.
	misbehave executeFunc
	// begin is called before the first window, with the processor.
	begin func(*testing.T, *program)
	// recover is called when another processor's windows have gone on beside it; nil if nothing has to happen.
	recover func(*testing.T, *orcatest.Core, *program)
	// state and nodes are what becomes of its window, which has the position 1.
	state pb.RunState
	nodes []string
	// attempts of B, when they matter.
	attempts int32
}

func broke(reason string) []string {
	return []string{"B unhandled_failed of 1: " + reason, "C unhandled_failed of 1: " + reason}
}

var bothSucceed = []string{"B succeeded of 1", "C succeeded of 1"}

// with answers what is asked with the results that a function gives for each algorithm.
func with(f func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult) executeFunc {
	return func(req *pb.ExecutionRequest, s stream) error {
		for _, x := range req.GetAlgorithmExecutions() {
			for _, r := range f(req, x.GetAlgorithm().GetName()) {
				if err := s.Send(r); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func health(s pb.HealthCheckResponse_Status) func(context.Context) (*pb.HealthCheckResponse, error) {
	return func(context.Context) (*pb.HealthCheckResponse, error) {
		return &pb.HealthCheckResponse{Status: s}, nil
	}
}

func hangs(_ *pb.ExecutionRequest, s stream) error {
	<-s.Context().Done()
	return s.Context().Err()
}

// unrulyProcessors are what processors do. Those that fail have two attempts, and half a second without a result each.
func unrulyProcessors() map[string]unruly {
	const failed, succeeded = pb.RunState_RUN_STATE_FAILED, pb.RunState_RUN_STATE_SUCCEEDED
	noResult := broke("the processor ended the stream without a result")
	return map[string]unruly{
		"is down and comes back": {
			begin:   func(_ *testing.T, p *program) { p.server.Stop() },
			recover: func(t *testing.T, _ *orcatest.Core, p *program) { serveProgram(t, p.address, succeed) },
			state:   succeeded, nodes: bothSucceed, attempts: 1,
		},
		"is down and moves": {
			begin: func(_ *testing.T, p *program) { p.server.Stop() },
			recover: func(t *testing.T, core *orcatest.Core, _ *program) {
				announced(t, core, "bad", serveProgram(t, "", succeed).address, orcatest.Define("V", "B"), orcatest.Define("V", "C"))
			},
			state: succeeded, nodes: bothSucceed, attempts: 1,
		},
		"answers NOT_SERVING": {
			begin: func(_ *testing.T, p *program) {
				p.answerHealth(health(pb.HealthCheckResponse_STATUS_NOT_SERVING))
			},
			recover: func(_ *testing.T, _ *orcatest.Core, p *program) {
				p.answerHealth(health(pb.HealthCheckResponse_STATUS_SERVING))
			},
			state: succeeded, nodes: bothSucceed, attempts: 1,
		},
		"hangs":           {misbehave: hangs, state: failed, nodes: broke("no result within 500ms (--execution-timeout)"), attempts: 2},
		"returns nothing": {misbehave: func(*pb.ExecutionRequest, stream) error { return nil }, state: failed, nodes: noResult, attempts: 2},
		"returns the wrong type": {
			misbehave: with(func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
				r := fixedResult(0)
				r.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{1}}}
				return []*pb.ExecutionResult{resultOf(req.GetExecId(), name, r)}
			}),
			state: failed, nodes: broke("the result is of type array, and value was declared"), attempts: 1,
		},
		"names another execution": {
			misbehave: with(func(_ *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
				return []*pb.ExecutionResult{resultOf("another", name, fixedResult(1))}
			}),
			state: failed, nodes: noResult, attempts: 2,
		},
		"names unknown algorithms": {
			misbehave: with(func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
				return []*pb.ExecutionResult{
					resultOf(req.GetExecId(), "Ghost", fixedResult(1)), {ExecId: req.GetExecId()}, resultOf(req.GetExecId(), "A", fixedResult(1)),
				}
			}),
			state: failed, nodes: noResult, attempts: 2,
		},
		"answers twice": {
			misbehave: with(func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
				second := handled()
				return []*pb.ExecutionResult{resultOf(req.GetExecId(), name, fixedResult(1)), resultOf(req.GetExecId(), name, second)}
			}),
			state: succeeded, nodes: bothSucceed, attempts: 1,
		},
		"returns NaN": {
			misbehave: with(func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
				return []*pb.ExecutionResult{resultOf(req.GetExecId(), name, fixedResult(float32(math.NaN())))}
			}),
			state: succeeded, nodes: bothSucceed, attempts: 1,
		},
		"dies with every request": {
			misbehave: func(*pb.ExecutionRequest, stream) error { return status.Error(codes.Unavailable, "out of memory") },
			state:     failed, attempts: 2,
		},
		"panics in health checks": {
			begin: func(_ *testing.T, p *program) {
				p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) { return nil, errors.New("panic") })
			},
			recover: func(_ *testing.T, _ *orcatest.Core, p *program) { p.answerHealth(nil) },
			state:   succeeded, nodes: bothSucceed, attempts: 1,
		},
	}
}

// Whatever a processor does, the windows of another go on beside it, and its own get what the rules say.
func TestUnrulyProcessors(t *testing.T) {
	t.Parallel()
	for name, bad := range unrulyProcessors() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := orcatest.Start(t, func(cfg *config.Config) {
				cfg.MaxAttempts, cfg.ExecutionTimeout, cfg.Heartbeat = 2, 500*time.Millisecond, 100*time.Millisecond
			})
			core.Processor("good", plain("W", "A"))
			execute := bad.misbehave
			if execute == nil {
				execute = succeed
			}
			p := serveProgram(t, "", execute)
			if bad.begin != nil {
				bad.begin(t, p)
			}
			announced(t, core, "bad", p.address, orcatest.Define("V", "B"), orcatest.Define("V", "C"))
			id, _ := core.Emit(window("V", 0))
			for i := range 20 {
				w, _ := core.Emit(window("W", i))
				if got := core.Wait(w).GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
					t.Errorf("a window of another processor is %v", got)
				}
			}
			if bad.recover != nil {
				if n := len(p.requests()); n != 0 {
					t.Errorf("it was asked %d times although it takes no work", n)
				}
				bad.recover(t, core, p)
			}
			checkUnruly(t, core.Wait(id), bad)
		})
	}
}

func checkUnruly(t *testing.T, w *pb.GetWindowResponse, bad unruly) {
	t.Helper()
	if bad.nodes != nil {
		checkNodes(t, w, bad.state, bad.nodes...)
	}
	if got := w.GetRun().GetState(); got != bad.state {
		t.Errorf("the run is %v, want %v", got, bad.state)
	}
	if got := w.GetNodes()[0].GetAttempts(); got != bad.attempts {
		t.Errorf("%d attempts of B, want %d: %v", got, bad.attempts, nodesOf(w))
	}
}

// Eight million floats are a result like any other, to a dependent too.
func TestEightMillionFloats(t *testing.T) {
	t.Parallel()
	const many = 8_000_000
	core := orcatest.Start(t)
	large := orcatest.Define("V", "B")
	large.ResultType = pb.ResultType_ARRAY
	core.Processor("p", orcatest.Algorithm{Algorithm: large, Run: func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) {
		values := make([]float32, many)
		for i := range values {
			values[i] = float32(i)
		}
		r := fixedResult(0)
		r.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: values}}
		return r, nil
	}})
	core.Processor("good", plain("W", "A"))
	id, _ := core.Emit(window("V", 0))
	for i := range 20 {
		w, _ := core.Emit(window("W", i))
		core.Wait(w)
	}
	got := core.Wait(id).GetNodes()[0].GetResult().GetFloatValues().GetValues()
	if len(got) != many || got[1] != 1 || got[many-1] != many-1 {
		t.Errorf("%d floats came back, want %d", len(got), many)
	}
}

// Another program at the address of a processor that is gone is no processor: whatever it answers, the window waits, and
// nothing counts as an attempt.
func TestAnotherProgramAtAnOldAddress(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(*testing.T, string){
		"a gRPC server of something else": func(t *testing.T, address string) {
			serveUntilEnd(t, grpc.NewServer(), listenAt(t, address))
		},
		"a processor that does not know the algorithm": func(t *testing.T, address string) {
			serveProgram(t, address, func(*pb.ExecutionRequest, stream) error { return status.Error(codes.Unimplemented, "no A here") })
		},
		"no gRPC at all": func(t *testing.T, address string) { serveNoise(t, listenAt(t, address)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := orcatest.Start(t, func(cfg *config.Config) { cfg.Heartbeat, cfg.MaxAttempts = 50*time.Millisecond, 1 })
			gone := core.Processor("p", plain("W", "A"))
			core.Processor("q", plain("V", "B"))
			gone.Kill()
			serve(t, gone.Address)
			id, _ := core.Emit(window("W", 0))
			for i := range 20 {
				other, _ := core.Emit(window("V", i))
				core.Wait(other)
			}
			core.Processor("p", plain("W", "A")) // where it is now
			w := core.Wait(id)
			checkNodes(t, w, pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1")
			if got := w.GetNodes()[0].GetAttempts(); got != 1 {
				t.Errorf("%d attempts, want only the one that succeeded", got)
			}
		})
	}
}

// serveNoise answers every connection with a line and closes it.
func serveNoise(t *testing.T, l net.Listener) {
	t.Helper()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = c.Write([]byte("220 mail.example ESMTP ready\r\n"))
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
}

// A pod that restarts behind an address which answers UNAVAILABLE meanwhile costs nothing: no window fails for good.
func TestUnavailableForAWhile(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Heartbeat = 50 * time.Millisecond })
	p := serveProgram(t, "", succeed)
	announced(t, core, "p", p.address, orcatest.Define("W", "A"), orcatest.Define("W", "B", orcatest.On("p", "A")))
	unavailable, checks := status.Error(codes.Unavailable, "no healthy upstream"), make(chan struct{}, 10_000)
	p.do(func(*pb.ExecutionRequest, stream) error { return unavailable })
	p.answerHealth(func(context.Context) (*pb.HealthCheckResponse, error) {
		checks <- struct{}{}
		return nil, unavailable
	})
	ids := make([]string, 50)
	for i := range ids {
		ids[i], _ = core.Emit(window("W", i))
	}
	for range 5 { // more often than a node has attempts
		receive(t, "the address is asked for its health", checks)
	}
	p.do(succeed)
	p.answerHealth(nil)
	for _, id := range ids {
		w := core.Wait(id)
		if w.GetRun().GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("window %s: %v", id, nodesOf(w))
		}
	}
}

// All instances of a processor break down for one reason, one after the other as each is given the work: that is one
// breakdown, and one attempt.
func TestBreakdownOfAllInstancesIsOneAttempt(t *testing.T) {
	t.Parallel()
	const many = 6 // more than there are attempts
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Heartbeat = time.Hour })
	asked, over := make(chan struct{}, 10*many), make(chan struct{})
	for range many {
		p := serveProgram(t, "", func(req *pb.ExecutionRequest, s stream) error {
			select {
			case <-over:
				return succeed(req, s)
			default:
				asked <- struct{}{}
				return status.Error(codes.Unavailable, "no database")
			}
		})
		p.answerHealth(onceUntil(over))
		announced(t, core, "p", p.address, orcatest.Define("W", "A"))
	}
	eventually(t, "all serve", func() bool { return serving(t, core) == many })
	id, _ := core.Emit(window("W", 0))
	for range many {
		receive(t, "each instance is asked", asked)
	}
	close(over)
	w := core.Wait(id)
	checkNodes(t, w, pb.RunState_RUN_STATE_SUCCEEDED, "A succeeded of 1")
	if got := w.GetNodes()[0].GetAttempts(); got != 2 {
		t.Errorf("%d attempts, want one for the breakdown and the one that succeeded", got)
	}
}

// onceUntil answers one health check, and the others when it is over.
func onceUntil(over <-chan struct{}) func(context.Context) (*pb.HealthCheckResponse, error) {
	var first atomic.Bool
	return func(ctx context.Context) (*pb.HealthCheckResponse, error) {
		if !first.CompareAndSwap(false, true) {
			select {
			case <-over:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
	}
}

// serving returns how many instances a core takes for healthy.
func serving(t *testing.T, core *orcatest.Core) (n int) {
	t.Helper()
	list, err := core.ListProcessors(t.Context(), &pb.ListProcessorsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.GetProcessors() {
		for _, in := range p.GetInstances() {
			if in.GetState() == pb.InstanceState_INSTANCE_STATE_SERVING {
				n++
			}
		}
	}
	return n
}

// A poison input kills its processor each time: it fails for good after its attempts, and what went out together with it,
// in its run and in others, succeeds.
func TestPoisonInput(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Heartbeat = 50 * time.Millisecond })
	var mu sync.Mutex
	deaths := 0
	var address string
	var restart func()
	execute := func(req *pb.ExecutionRequest, s stream) error {
		poison := req.GetWindow().GetOrigin() == "poison" && slices.ContainsFunc(req.GetAlgorithmExecutions(),
			func(x *pb.ExecuteAlgorithm) bool { return x.GetAlgorithm().GetName() == "Pill" })
		if poison {
			restart()
			<-s.Context().Done() // the process dies with everything that it has
			return s.Context().Err()
		}
		return succeed(req, s)
	}
	p := newMortal(t, execute)
	address = p.address
	restart = func() {
		mu.Lock()
		defer mu.Unlock()
		deaths++
		p.die()
	}
	announced(t, core, "p", address, orcatest.Define("W", "A"), orcatest.Define("W", "Pill"), orcatest.Define("W", "C", orcatest.On("p", "A")))
	var ids []string
	for i := range 10 {
		w := window("W", i)
		if i == 3 {
			w.Origin = "poison"
		}
		id, _ := core.Emit(w)
		ids = append(ids, id)
	}
	for i, id := range ids {
		w := core.Wait(id)
		if i != 3 {
			if w.GetRun().GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
				t.Errorf("window %d: %v", i, nodesOf(w))
			}
			continue
		}
		outcomes := map[string]pb.Outcome{}
		for _, n := range w.GetNodes() {
			outcomes[n.GetAlgorithm().GetName()] = n.GetOutcome()
			if n.GetAlgorithm().GetName() == "Pill" && n.GetAttempts() != 3 {
				t.Errorf("Pill has %d attempts, want 3", n.GetAttempts())
			}
		}
		if outcomes["Pill"] != pb.Outcome_OUTCOME_UNHANDLED_FAILED || outcomes["A"] != pb.Outcome_OUTCOME_SUCCEEDED || outcomes["C"] != pb.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("the run with the poison: %v", nodesOf(w))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if deaths < 3 {
		t.Errorf("the processor died %d times, want at least 3", deaths)
	}
}

// mortal is a processor that dies and is started again at its address.
type mortal struct {
	address string
	deaths  chan struct{}
}

func newMortal(t *testing.T, execute executeFunc) *mortal {
	m := &mortal{deaths: make(chan struct{}, 100)}
	l := listenAt(t, "")
	m.address = l.Addr().String()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			s := grpc.NewServer()
			pb.RegisterOrcaProcessorServer(s, &program{execute: execute})
			served := make(chan struct{})
			go func(l net.Listener) {
				defer close(served)
				_ = s.Serve(l)
			}(l)
			end := false
			select {
			case <-m.deaths:
			case <-stop:
				end = true
			}
			s.Stop()
			<-served
			if end {
				return
			}
			var err error
			if l, err = net.Listen("tcp", m.address); err != nil {
				t.Errorf("the processor does not come back: %v", err)
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return m
}

func (m *mortal) die() { m.deaths <- struct{}{} }
