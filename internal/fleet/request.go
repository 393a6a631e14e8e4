package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// closeGrace is how long a stream may stay open after it gave every result.
const closeGrace = 5 * time.Second

var (
	errTimeout  = errors.New("no result in time")
	errComplete = errors.New("every result is there")
)

// request is one ExecuteDagPart under way. Its goroutine owns it.
type request struct {
	pool     *pool
	instance *instance
	part     *part
	// sent is when it took its place, served the instance's last SERVING before that.
	sent, served orca.Time

	execID string
	// missing algorithms have no result yet.
	missing []orca.AlgorithmID
	// invalid says what was wrong with the results that could not be read.
	invalid map[orca.AlgorithmID]string
}

// run carries the request out, gives back its place and reports what is missing.
func (r *request) run(ctx context.Context) {
	r.execID = r.pool.fleet.execs.new()
	for _, a := range r.part.algorithms {
		r.missing = append(r.missing, a.ID)
	}
	end := r.execute(ctx)
	r.pool.ended(r, end)
}

// end is how a request went, before it is decided what that means.
type end struct {
	kind   orca.CallEndKind // zero: nothing was sent, or it goes back to the queue for the reason in code
	code   codes.Code
	reason string
}

// execute sends the request and takes its results.
func (r *request) execute(ctx context.Context) end {
	x, err := r.part.call.Build(ctx, r.part.algorithms)
	if err != nil {
		if ctx.Err() != nil {
			return end{kind: orca.EndStopped, reason: "the core is stopping"}
		}
		return end{kind: orca.EndUnbuilt, reason: err.Error()}
	}
	cfg := &r.pool.fleet.cfg
	message, err := wire.EncodeRequest(r.execID, x, !cfg.OmitLegacyFields)
	if err != nil {
		return end{kind: orca.EndUnbuilt, reason: err.Error()}
	}
	if len(message) > cfg.MaxMessageSize {
		return end{kind: orca.EndTooLarge, reason: fmt.Sprintf("the request has %d bytes, and the limit is %d (--max-message-size)", len(message), cfg.MaxMessageSize)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := r.instance.conn.NewStream(ctx, &pb.OrcaProcessor_ServiceDesc.Streams[0], pb.OrcaProcessor_ExecuteDagPart_FullMethodName)
	if err != nil {
		return r.classify(ctx, err, false)
	}
	if err := stream.SendMsg(wire.Encoded(message)); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg has the status
		return r.classify(ctx, err, true)
	}
	if err := stream.CloseSend(); err != nil {
		return r.classify(ctx, err, true)
	}
	return r.receive(ctx, cancel, stream)
}

// receive takes results until the stream ends, each within the execution timeout.
func (r *request) receive(ctx context.Context, cancel context.CancelCauseFunc, stream grpc.ClientStream) end {
	timeout := r.pool.fleet.cfg.ExecutionTimeout
	timer := time.AfterFunc(timeout, func() { cancel(errTimeout) })
	defer timer.Stop()
	for {
		var answer pb.ExecutionResult
		err := stream.RecvMsg(&answer)
		switch {
		case errors.Is(err, io.EOF) || (err != nil && len(r.missing) == 0):
			return end{kind: orca.EndComplete, reason: "the processor ended the stream without a result"}
		case err != nil:
			return r.classify(ctx, err, true)
		}
		timer.Stop()
		r.take(ctx, &answer)
		if len(r.missing) > 0 {
			timer.Reset(timeout)
		} else {
			timer = time.AfterFunc(closeGrace, func() { cancel(errComplete) })
			defer timer.Stop()
		}
	}
}

// take hands over the first result of each algorithm that was asked for; everything else is dropped and logged.
func (r *request) take(ctx context.Context, answer *pb.ExecutionResult) {
	log := r.pool.fleet.cfg.Log.With("processor", r.pool.name, "instance", r.instance.address, "run", r.part.call.Position)
	execID, name, version, message := wire.AnswerOf(answer)
	if execID != r.execID {
		log.Warn("a result was dropped: it is for another execution", "exec_id", execID, "asked", r.execID)
		return
	}
	i := slices.IndexFunc(r.missing, func(id orca.AlgorithmID) bool { return id.Name == name && id.Version == version })
	if i < 0 {
		log.Warn("a result was dropped: the algorithm was not asked for, or has its result already", "algorithm", name+" "+version)
		return
	}
	id := r.missing[i]
	result, err := wire.Result(message)
	if err != nil {
		log.Warn("a result was dropped: it cannot be read", "algorithm", id.String(), "error", err)
		if r.invalid == nil {
			r.invalid = map[orca.AlgorithmID]string{}
		}
		r.invalid[id] = err.Error()
		return
	}
	r.missing = slices.Delete(r.missing, i, i+1)
	r.part.call.Result(ctx, id, result)
}

// classify tells how a request ended that did not end in order.
func (r *request) classify(ctx context.Context, err error, sent bool) end {
	s := status.Convert(err)
	e := end{code: s.Code(), reason: fmt.Sprintf("the processor at %s answered %v: %s", r.instance.address, s.Code(), s.Message())}
	got := len(r.missing) < len(r.part.algorithms)
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		e.kind, e.reason = orca.EndTimeout, fmt.Sprintf("no result within %v (--execution-timeout)", r.pool.fleet.cfg.ExecutionTimeout)
	case ctx.Err() != nil:
		e.kind, e.reason = orca.EndStopped, "the core is stopping"
	case got:
		e.kind = orca.EndBroken
	case s.Code() == codes.Unavailable:
		if sent {
			e.kind = orca.EndLost
		}
	case s.Code() == codes.ResourceExhausted && !ownLimit(s):
		// goes back to the queue
	case s.Code() == codes.Unimplemented:
		// goes back to the queue, for another instance
	case s.Code() == codes.InvalidArgument || s.Code() == codes.NotFound:
		e.kind = orca.EndRefused
	default:
		e.kind = orca.EndFailed
	}
	return e
}

// ownLimit reports whether the receive limit of this side was exceeded. grpc-go gives it the code that processors use
// for being busy, and tells the two apart by text alone.
func ownLimit(s *status.Status) bool {
	return strings.Contains(s.Message(), "received message larger than max")
}
