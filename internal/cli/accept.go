package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// answer is what a core says to a window.
type answer struct {
	id     string
	status pb.WindowEmitStatus_StatusEnum
}

// accept gives the window to the core, again and again while there is none or it is busy, until it answers or ctx
// ends. The caller closes the connection that it returns.
func (e *emission) accept(ctx context.Context) (*core, answer, error) {
	var last error
	for wait := newBackoff(); ; {
		core, a, err := e.offer(ctx)
		if err == nil {
			return core, a, nil
		}
		if errors.Is(err, context.DeadlineExceeded) && last != nil {
			err = last // a try that time cut short tells less than the one before
		}
		last = err
		if !retryable(err) {
			return nil, answer{}, e.unsure(ctx, err)
		}
		if wait.tries == 0 {
			fmt.Fprintf(e.shell.errs, "orca: %s; trying again\n", oneLine(err.Error()))
		}
		if !wait.pause(ctx, retryDelay(err)) {
			return nil, answer{}, e.unsure(ctx, err)
		}
	}
}

// offer gives the window to the core once.
func (e *emission) offer(ctx context.Context) (*core, answer, error) {
	core, err := dial(ctx, e.core)
	if err != nil {
		return nil, answer{}, err
	}
	var header metadata.MD
	out := metadata.AppendToOutgoingContext(ctx, "idempotency-key", e.key)
	status, err := core.windows.EmitWindow(out, e.window, grpc.Header(&header))
	if err != nil {
		core.close()
		return nil, answer{}, core.explain(err)
	}
	return core, answer{strings.Join(header.Get("orca-window-id"), ""), status.GetStatus()}, nil
}

// retryable reports whether the same emit may succeed later.
func retryable(err error) bool {
	away := (*unreachable)(nil)
	return errors.As(err, &away) || code(err) == codes.Unavailable || code(err) == codes.ResourceExhausted
}

// unsure says, of an emit that time ran out for, how it is repeated without emitting twice.
func (e *emission) unsure(ctx context.Context, err error) error {
	if !e.timeUp(ctx, err) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the core at %s gave no answer", e.core.address)
	}
	return fmt.Errorf("gave up after %s: %w (--idempotency-key %s makes it safe to repeat)", e.timeout, err, e.key)
}

// retryDelay is how long the core asks its clients to wait; 0 when it does not say.
func retryDelay(err error) time.Duration {
	r := (*refusal)(nil)
	if !errors.As(err, &r) {
		return 0
	}
	for _, d := range r.status.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// pauses are the waits between tries: from a tenth of a second, doubled each time, to two seconds, with a jitter.
type pauses struct {
	tries int
	next  time.Duration
}

const (
	firstPause = 100 * time.Millisecond
	mostPause  = 2 * time.Second
)

func newBackoff() *pauses { return &pauses{next: firstPause} }

// pause waits for the next time, or for least if that is longer. It reports false when ctx ended first.
func (p *pauses) pause(ctx context.Context, least time.Duration) bool {
	d := max(p.next/2+rand.N(p.next/2), least)
	p.tries, p.next = p.tries+1, min(2*p.next, mostPause)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
