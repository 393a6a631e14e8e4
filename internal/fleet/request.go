package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// errTimeout is the cause of a request's cancellation when no result came in time.
var errTimeout = errors.New("no result in time")

// request is one ExecuteDagPart under way. Its goroutine owns it.
type request struct {
	pool     *pool
	instance *instance
	conn     *grpc.ClientConn
	part     *part
	execID   string
	// served is the instance's last SERVING before the request took its place; sent is zero until it goes out.
	served, sent orca.Time
	// registrations of the instance when the request took its place.
	registrations uint64
	// missing algorithms have no result yet.
	missing []orca.AlgorithmID
	// unreadable says what was wrong with the results that could not be read.
	unreadable map[orca.AlgorithmID]string
	dropped    int // results
}

// newRequest makes the request for a part that was given a place. The pool's lock is held.
func newRequest(p *pool, in *instance, pt *part) *request {
	r := &request{
		pool: p, instance: in, conn: in.conn, part: pt, execID: p.fleet.execs.new(), served: in.served, registrations: in.registrations,
		missing: make([]orca.AlgorithmID, len(pt.algorithms)),
	}
	for i, a := range pt.algorithms {
		r.missing[i] = a.ID
	}
	return r
}

// end is how a request went, before it is decided what that means.
type end struct {
	// kind is zero when the instance did not begin to work on it, for the reason in code; with codes.OK the request was
	// too large to be sent.
	kind   orca.CallEndKind
	code   codes.Code
	reason string
}

// execute sends the request and takes its results.
func (r *request) execute(ctx context.Context) end {
	message, problem := r.build(ctx)
	if message == nil {
		return problem
	}
	timed, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(r.pool.fleet.cfg.ExecutionTimeout, func() { cancel(errTimeout) })
	defer timer.Stop()

	r.sent = r.pool.fleet.cfg.Now()
	stream, err := r.conn.NewStream(timed, &pb.OrcaProcessor_ServiceDesc.Streams[0], pb.OrcaProcessor_ExecuteDagPart_FullMethodName)
	if err != nil {
		r.sent = 0
		return r.classify(timed, err)
	}
	if err := stream.SendMsg(wire.Encoded(message)); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg has the status
		return r.classify(timed, err)
	}
	if err := stream.CloseSend(); err != nil {
		return r.classify(timed, err)
	}
	return r.receive(ctx, timed, stream, timer)
}

// build returns the encoded request, or why there is none.
func (r *request) build(ctx context.Context) ([]byte, end) {
	cfg := &r.pool.fleet.cfg
	x, err := r.part.call.Build(ctx, r.part.algorithms)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			return nil, stopped
		case errors.Is(err, orca.Exhausted):
			return nil, end{reason: err.Error()}
		}
		return nil, end{kind: orca.EndUnbuilt, reason: err.Error()}
	}
	message, err := r.pool.fleet.encoder.Request(r.execID, x, !cfg.OmitLegacyFields)
	switch {
	case errors.Is(err, orca.Exhausted):
		return nil, end{reason: err.Error()}
	case err != nil:
		return nil, end{kind: orca.EndUnbuilt, reason: err.Error()}
	case len(message) > cfg.MaxMessageSize:
		return nil, end{reason: fmt.Sprintf("the request has %d bytes, and the limit is %d (--max-message-size)", len(message), cfg.MaxMessageSize)}
	}
	return message, end{}
}

var stopped = end{kind: orca.EndStopped, reason: "the core is stopping"}

// receive takes results until the stream ends, each within the execution timeout. What counts is a result that was
// waited for: a stream of others does not keep a request alive.
//
// Results are handed over with ctx and not with timed, so that one which came in time is not lost because time is up.
func (r *request) receive(ctx, timed context.Context, stream grpc.ClientStream, timer *time.Timer) end {
	cfg := &r.pool.fleet.cfg
	defer r.logDropped()
	var answer pb.ExecutionResult
	for {
		err := stream.RecvMsg(&answer)
		switch {
		case errors.Is(err, io.EOF) || err != nil && len(r.missing) == 0:
			return end{kind: orca.EndComplete, reason: "the processor ended the stream without a result"}
		case err != nil:
			return r.classify(timed, err)
		}
		id, result, ok := r.read(&answer)
		if !ok {
			continue
		}
		timer.Stop() // the engine may take its time
		r.part.call.Result(ctx, id, result)
		if len(r.missing) > 0 {
			timer.Reset(cfg.ExecutionTimeout)
		} else {
			timer.Reset(cfg.CloseGrace)
		}
	}
}

// read returns the first result of an algorithm that was asked for; everything else is dropped and logged.
func (r *request) read(answer *pb.ExecutionResult) (orca.AlgorithmID, orca.Result, bool) {
	execID, name, version, message := wire.AnswerOf(answer)
	if execID != r.execID {
		r.drop("it is for another execution", "exec_id", said(execID), "asked", r.execID)
		return orca.AlgorithmID{}, orca.Result{}, false
	}
	i := slices.IndexFunc(r.missing, func(id orca.AlgorithmID) bool { return id.Name == name && id.Version == version })
	if i < 0 {
		r.drop("the algorithm was not asked for, or has its result already", "algorithm", said(name+" "+version))
		return orca.AlgorithmID{}, orca.Result{}, false
	}
	id := r.missing[i]
	result, err := wire.Result(message)
	if err != nil {
		r.drop("it cannot be read", "algorithm", id.String(), "error", err)
		if r.unreadable == nil {
			r.unreadable = map[orca.AlgorithmID]string{}
		}
		r.unreadable[id] = err.Error()
		return orca.AlgorithmID{}, orca.Result{}, false
	}
	r.missing = slices.Delete(r.missing, i, i+1)
	return id, result, true
}

// maxDropLogs bounds the results of one request that are logged one by one.
const maxDropLogs = 5

func (r *request) drop(why string, about ...any) {
	if r.dropped++; r.dropped <= maxDropLogs {
		r.log().With(about...).Warn("a result was dropped", "why", why)
	}
}

func (r *request) logDropped() {
	if more := r.dropped - maxDropLogs; more > 0 {
		r.log().Warn("more results of the request were dropped", "count", more)
	}
}

func (r *request) log() *slog.Logger {
	return r.pool.fleet.cfg.Log.With("processor", r.pool.name, "instance", r.instance.address, "run", r.part.call.Position)
}

// classify tells how a request ended that did not end in order.
func (r *request) classify(ctx context.Context, err error) end {
	cfg := &r.pool.fleet.cfg
	s := status.Convert(err)
	e := end{code: s.Code(), reason: fmt.Sprintf("the processor at %s answered %v: %s", r.instance.address, s.Code(), said(s.Message()))}
	if e.code == codes.Unavailable { // gRPC's own word for a connection that was refused or lost
		e.reason = fmt.Sprintf("the processor at %s is not available: %s", r.instance.address, said(s.Message()))
	}
	timedOut := errors.Is(context.Cause(ctx), errTimeout)
	switch {
	case timedOut && r.sent == 0:
		e.code, e.reason = codes.Unavailable, fmt.Sprintf("the processor at %s took no request within %v", r.instance.address, cfg.ExecutionTimeout)
	case timedOut:
		e.kind, e.reason = orca.EndTimeout, fmt.Sprintf("no result within %v (--execution-timeout)", cfg.ExecutionTimeout)
	case ctx.Err() != nil:
		return stopped
	case len(r.missing) < len(r.part.algorithms) || r.unreadable != nil:
		e.kind = orca.EndBroken
	case s.Code() == codes.Unavailable && r.sent == 0,
		s.Code() == codes.ResourceExhausted && !ownLimit(s, cfg.MaxMessageSize),
		s.Code() == codes.Unimplemented:
		// The instance did not begin to work on it.
	case s.Code() == codes.Unavailable:
		e.kind = orca.EndLost
	case s.Code() == codes.InvalidArgument || s.Code() == codes.NotFound:
		e.kind = orca.EndRefused
	default:
		e.kind = orca.EndFailed
	}
	return e
}

// said returns what a processor said as text for people: short, and valid wherever it is stored.
func said(text string) string {
	const most = 1000 // bytes
	if len(text) > most {
		text = fmt.Sprintf("%s… (%d bytes)", text[:most], len(text))
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

// ownLimit reports whether a result exceeded the receive limit of this side. grpc-go gives that the code, and even the
// words, in which a processor says that a request is too large for it. They differ in the limit: a processor with the
// same one, or a larger one, would have taken the request, which is within ours.
func ownLimit(s *status.Status, limit int) bool {
	m := s.Message()
	return strings.HasPrefix(m, "grpc: ") && strings.Contains(m, "larger than max") &&
		(strings.HasSuffix(m, fmt.Sprintf(" vs. %d)", limit)) || strings.HasSuffix(m, fmt.Sprintf(" max %d", limit)))
}
