package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Loop says when the next window is emitted.
type Loop string

const (
	// Closed emits the next window when one has been processed whole: so many are under way, never more.
	Closed Loop = "closed"
	// Open emits windows at a rate, whatever becomes of them: so many emits are unanswered, never more.
	Open Loop = "open"
)

// load emits windows of one shape, numbered in the order in which they are begun.
type load struct {
	core        pb.OrcaCoreClient
	shape       Shape
	assets      int
	concurrency int
	tally       *tally
	// fromSent lets the windows of an open loop count from when they were sent, not from when they were due.
	fromSent bool
	next     atomic.Int64
}

// closed emits until stop is closed, and returns when its emitters have their answers and their windows are processed.
func (l *load) closed(ctx context.Context, stop <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	for range l.concurrency {
		group.Go(func() error {
			wake := make(chan struct{}, 1)
			for { // each emits once at least
				n := l.next.Add(1) - 1
				if err := l.emit(ctx, n, now(), wake); err != nil {
					return err
				}
				select {
				case <-wake:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if isClosed(stop) {
					return nil
				}
			}
		})
	}
	return group.Wait()
}

// open emits at a rate per second until stop is closed, and returns when its emitters have their answers. A window
// counts from when it was due, so that a core that makes emitters wait does not look better for it.
func (l *load) open(ctx context.Context, rate float64, stop <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	first, begun := l.next.Load(), now()
	for range l.concurrency {
		group.Go(func() error {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for {
				n := l.next.Add(1) - 1
				due := begun + instant(float64(n-first)/rate*float64(time.Second))
				timer.Reset(due.since(now()))
				select {
				case <-timer.C:
				case <-stop:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if isClosed(stop) && n > first { // the first one is due at once
					return nil
				}
				if l.fromSent {
					due = now()
				}
				if err := l.emit(ctx, n, due, nil); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// number emits so many windows as fast as they are taken, and returns when they are answered.
func (l *load) number(ctx context.Context, windows int64) error {
	group, ctx := errgroup.WithContext(ctx)
	end := l.next.Load() + windows
	for range l.concurrency {
		group.Go(func() error {
			for n := l.next.Add(1) - 1; n < end; n = l.next.Add(1) - 1 {
				if err := l.emit(ctx, n, now(), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	l.next.Store(end) // what was taken beyond it was not emitted
	return err
}

// emit emits one window. Back-pressure is an answer, every other refusal an error.
func (l *load) emit(ctx context.Context, number int64, due instant, wake chan<- struct{}) error {
	w := l.shape.window(number, l.assets)
	l.tally.sent(number, due, wake)
	got, err := l.core.EmitWindow(ctx, w)
	at := now()
	switch {
	case status.Code(err) == codes.ResourceExhausted:
		l.tally.answered(number, refused, at)
		if wake != nil {
			return fmt.Errorf("emit window %d: refused with %d under way: %w", number, l.concurrency, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("emit window %d: %w", number, err)
	case got.GetStatus() != pb.WindowEmitStatus_PROCESSING_TRIGGERED:
		return fmt.Errorf("emit window %d: answered %v", number, got.GetStatus())
	}
	l.tally.answered(number, accepted, at)
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
