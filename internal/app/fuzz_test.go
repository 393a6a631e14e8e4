package app_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// FuzzProcessor has a processor stream anything back. Its run ends in order or is cancelled, with outcomes that it has
// sent and that stay; another processor's windows go on.
func FuzzProcessor(f *testing.F) {
	for _, script := range []string{
		"", "\x00", "\x00\x01\x02\x03", "\x10\x00\x00\x00\x11\x00", "\x20\x21\x00", "\x30\x31\x32\x33", "\x40\x00", "\x50\x01\x60\x02",
		"\x70\x06\x08\x02\x1d\x00\x00\xc0\x7f", "\x80\x05hello\x00", "\x80\xff", "\x9e", "\x00\x9d", "\xa0\xa1", "\x98\x00\x9c\x00\x93",
	} {
		f.Add([]byte(script))
	}
	core := orcatest.Start(f, func(c *config.Config) { c.MaxAttempts, c.MaxMessageSize = 1, config.MiB })
	core.Processor("sentinel", orcatest.Algorithm{Algorithm: orcatest.Define("Sentinel", "S")}).Forget()
	p := newPlayer(f)
	window := 0
	f.Fuzz(func(t *testing.T, script []byte) {
		core := core.For(t)
		window++
		p.load(script, orcatest.Window("F", "1.0.0", window, nil).GetTimeFrom().GetSeconds())
		if _, err := core.RegisterProcessor(t.Context(), p.registration()); err != nil {
			t.Fatal(err)
		}
		id, _ := core.Emit(orcatest.Window("F", "1.0.0", window, nil))
		settle(t, core, id)
		before := core.Wait(id)
		p.check(t, before)
		checkOnce(t, core, before)

		other, _ := core.Emit(orcatest.Window("Sentinel", "1.0.0", window, nil))
		if state := core.Wait(other).GetRun().GetState(); state != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("another processor's run is %v", state)
		}
		if diff := cmp.Diff(before, core.Wait(id), protocmp.Transform()); diff != "" {
			t.Errorf("the run has changed after its end (-before +after):\n%s", diff)
		}
	})
}

// settle gives the run a moment to end by itself, then cancels it: it may wait for the processor to serve again.
func settle(t *testing.T, core *orcatest.Core, id string) {
	t.Helper()
	const moment = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	stream, err := core.WatchWindow(ctx, &pb.WatchWindowRequest{Id: id})
	for err == nil {
		_, err = stream.Recv() // at its end, the end of the stream
	}
	_, err = core.CancelWindow(t.Context(), &pb.CancelWindowRequest{Id: id})
	if c := status.Code(err); c != codes.OK && c != codes.FailedPrecondition { // the latter when it has ended
		t.Fatalf("cancel: %v", err)
	}
}

// checkOnce holds that every algorithm has one outcome of the window.
func checkOnce(t *testing.T, core *orcatest.Core, w *pb.GetWindowResponse) {
	t.Helper()
	for _, n := range w.GetNodes() {
		found, err := core.ListResults(t.Context(), &pb.ListResultsRequest{
			Name: n.GetAlgorithm().GetName(), Version: "1.0.0", IncludeFailed: true,
			TimeFrom: w.GetWindow().GetWindow().GetTimeFrom(), TimeTo: w.GetWindow().GetWindow().GetTimeTo(),
		})
		if err != nil || len(found.GetResults()) != 1 {
			t.Errorf("%d outcomes of %v, %v; want one", len(found.GetResults()), n.GetAlgorithm(), err)
		}
	}
}

// player is a processor of bare frames. Each of its calls goes on in the script where the one before left it; when the
// script is over, it answers as it should.
type player struct {
	address string

	mu     sync.Mutex
	script []byte
	// sent are the results that may count, by the seconds of the window and the algorithm.
	sent map[int64]map[string][]*pb.Result
}

func newPlayer(f *testing.F) *player {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	p := &player{address: l.Addr().String(), sent: map[int64]map[string][]*pb.Result{}}
	server := grpc.NewServer(grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(p.serve))
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	f.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			f.Error(err)
		}
	})
	return p
}

func (p *player) load(script []byte, window int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = script
	p.sent = map[int64]map[string][]*pb.Result{window: {}}
}

func (p *player) registration() *pb.ProcessorRegistration {
	r := &pb.ProcessorRegistration{Name: "fuzzed", Runtime: "go-test", ConnectionStr: p.address}
	for name, kind := range map[string]pb.ResultType{"A": pb.ResultType_VALUE, "B": pb.ResultType_STRUCT, "C": pb.ResultType_ARRAY} {
		a := orcatest.Define("F", name)
		a.ResultType = kind
		r.SupportedAlgorithms = append(r.SupportedAlgorithms, a)
	}
	last := orcatest.Define("F", "D", orcatest.On("fuzzed", "A"))
	last.ResultType = pb.ResultType_NONE
	r.SupportedAlgorithms = append(r.SupportedAlgorithms, last)
	return r
}

func (p *player) serve(_ any, stream grpc.ServerStream) error {
	var frame []byte
	if err := stream.RecvMsg(&frame); err != nil {
		return err
	}
	if method, _ := grpc.MethodFromServerStream(stream); method == pb.OrcaProcessor_HealthCheck_FullMethodName {
		return stream.SendMsg(mustMarshal(&pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}))
	}
	req := new(pb.ExecutionRequest)
	if err := proto.Unmarshal(frame, req); err != nil {
		return err
	}
	for {
		op, ok := p.next()
		if !ok {
			break
		}
		if op>>4 == 9 {
			stream.SetTrailer(metadata.Pairs("grpc-status-details-bin", string(p.take()), "retry-after", "x"))
			return status.Error(codes.Code(op%18), "said \x00\xff by the processor")
		}
		if err := p.send(stream, req, p.frame(op, req)); err != nil {
			return err
		}
	}
	for _, x := range req.GetAlgorithmExecutions() {
		if err := p.send(stream, req, answer(req, x.GetAlgorithm(), good(x.GetAlgorithm().GetName(), 1))); err != nil {
			return err
		}
	}
	return nil
}

// next is the next byte of the script, take as many as the byte after it says.
func (p *player) next() (byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.script) == 0 {
		return 0, false
	}
	op := p.script[0]
	p.script = p.script[1:]
	return op, true
}

func (p *player) take() []byte {
	n, _ := p.next()
	p.mu.Lock()
	defer p.mu.Unlock()
	some := p.script[:min(int(n), len(p.script))]
	p.script = p.script[len(some):]
	return some
}

// frame is what an operation of the script sends: its upper half says what is done, the lower half to which algorithm.
func (p *player) frame(op byte, req *pb.ExecutionRequest) []byte {
	asked := req.GetAlgorithmExecutions()[int(op&15)%len(req.GetAlgorithmExecutions())].GetAlgorithm()
	result := good(asked.GetName(), float32(op))
	switch op >> 4 {
	case 0: // as it should be
	case 1:
		req = &pb.ExecutionRequest{ExecId: req.GetExecId() + "x"}
	case 2:
		result = good("ABCD"[op&3:][:1], 7) // perhaps another type
	case 3:
		result.Status = pb.ResultStatus(op & 3)
	case 4:
		asked = &pb.Algorithm{Name: "nobody's", Version: "1.0.0"}
	case 5:
		asked = nil
	case 6:
		result = nil
	case 7:
		result = &pb.Result{}
		if proto.Unmarshal(p.take(), result) != nil {
			result = nil
		}
	case 8:
		return p.take() // whatever that is
	default:
		return mustMarshal(&pb.ExecutionResult{ExecId: req.GetExecId(), AlgorithmResult: &pb.AlgorithmResult{Algorithm: asked, Result: &pb.Result{
			Status: pb.ResultStatus(op & 1), Error: &structpb.Struct{Fields: map[string]*structpb.Value{"message": structpb.NewStringValue(string([]rune{0, rune(op)}))}},
		}}})
	}
	return answer(req, asked, result)
}

// send sends a frame, and notes it first if it may count.
func (p *player) send(stream grpc.ServerStream, req *pb.ExecutionRequest, frame []byte) error {
	var read pb.ExecutionResult
	if proto.Unmarshal(frame, &read) == nil && read.GetExecId() == req.GetExecId() {
		p.mu.Lock()
		if sent := p.sent[req.GetWindow().GetTimeFrom().GetSeconds()]; sent != nil {
			name := read.GetAlgorithmResult().GetAlgorithm().GetName()
			sent[name] = append(sent[name], read.GetAlgorithmResult().GetResult())
		}
		p.mu.Unlock()
	}
	return stream.SendMsg(frame)
}

// check holds that the run has ended in order, with results that were sent.
func (p *player) check(t *testing.T, w *pb.GetWindowResponse) {
	t.Helper()
	sent := func(n *pb.NodeInfo) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range p.sent[w.GetWindow().GetWindow().GetTimeFrom().GetSeconds()][n.GetAlgorithm().GetName()] {
			if cmp.Equal(r, n.GetResult(), protocmp.Transform()) {
				return true
			}
		}
		return false
	}
	all := true
	for _, n := range w.GetNodes() {
		all = all && n.GetOutcome() == pb.Outcome_OUTCOME_SUCCEEDED
		switch n.GetOutcome() {
		case pb.Outcome_OUTCOME_SUCCEEDED, pb.Outcome_OUTCOME_HANDLED_FAILED:
			if !sent(n) {
				t.Errorf("%v has the result %v, which was not sent", n.GetAlgorithm(), n.GetResult())
			}
		case pb.Outcome_OUTCOME_UNHANDLED_FAILED, pb.Outcome_OUTCOME_SKIPPED, pb.Outcome_OUTCOME_CANCELLED:
			if n.GetReason() == "" {
				t.Errorf("%v is %v for no reason", n.GetAlgorithm(), n.GetOutcome())
			}
		case pb.Outcome_OUTCOME_UNSPECIFIED, pb.Outcome_OUTCOME_OPEN:
			t.Errorf("%v is %v in a finished run", n.GetAlgorithm(), n.GetOutcome())
		}
	}
	if all != (w.GetRun().GetState() == pb.RunState_RUN_STATE_SUCCEEDED) {
		t.Errorf("the run is %v, and its nodes are %v", w.GetRun().GetState(), w.GetNodes())
	}
}

// good is a result of the type that the algorithm declares.
func good(name string, v float32) *pb.Result {
	r := orcatest.Value(v)
	switch name {
	case "B":
		r.ResultData = &pb.Result_StructValue{StructValue: &structpb.Struct{}}
	case "C":
		r.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{v, v}}}
	case "D":
		r.ResultData = nil
	}
	return r
}

func answer(req *pb.ExecutionRequest, a *pb.Algorithm, r *pb.Result) []byte {
	named := &pb.Algorithm{Name: a.GetName(), Version: a.GetVersion()}
	return mustMarshal(&pb.ExecutionResult{ExecId: req.GetExecId(), AlgorithmResult: &pb.AlgorithmResult{Algorithm: named, Result: r}})
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// frames is a codec that leaves messages as they are.
type frames struct{}

func (frames) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (frames) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (frames) Name() string { return grpcproto.Name }

var _ encoding.CodecV2 = frames{}
