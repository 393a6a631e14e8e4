package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

// reviser asks that windows run again or are cancelled, and watches what comes of it. Several goroutines may use it.
type reviser struct {
	clients  []*orca.Client // of each core
	observer *observer
	seed     uint64

	mu   sync.Mutex // guards what follows
	asks []Ask
}

// The careers: one of so many windows is cancelled, or run again once it has ended.
const (
	cancelOne = 12
	rerunOne  = 8
	// cancelWithin is how long after its answer a window is cancelled at the latest; many have ended by then.
	cancelWithin = 500 * time.Millisecond
)

// live watches an answered window until its run has ended, and does what the seed has in store for it.
func (r *reviser) live(ctx context.Context, id string, n int64) error {
	random := rand.New(rand.NewPCG(r.seed, uint64(1000+n)))
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error { return r.observer.watch(within, id, 1) })
	cancels := random.IntN(cancelOne) == 0
	if cancels {
		after := time.Duration(random.Int64N(int64(cancelWithin)))
		group.Go(func() error { return r.cancel(within, id, after) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if random.IntN(rerunOne) != 0 && !cancels {
		return nil
	}
	for range 1 + random.IntN(2) {
		verb := []Verb{Retry, Retry, Reprocess}[random.IntN(3)]
		if err := r.rerun(ctx, id, n, verb); err != nil {
			return err
		}
	}
	return nil
}

// rerun asks for the next run of a window and watches it. It does not matter whether the core refuses or is away: what
// was asked for may have been done.
func (r *reviser) rerun(ctx context.Context, id string, n int64, verb Verb) error {
	ask := Ask{Verb: verb, WindowID: id, Begun: Now()}
	values := orca.NoStoreValues(unstored(n))
	client := r.clients[int(n)%len(r.clients)]
	again := client.Retry
	if verb == Reprocess {
		again = client.Reprocess
	}
	run, err := again(ctx, id, values)
	if err == nil {
		ask.Revision, ask.Position = run.Revision, run.Position
	}
	r.asked(ask, err)
	if err := bearable(err); err != nil {
		return fmt.Errorf("%s window %s: %w", verb, id, err)
	}
	newest, err := r.observer.newest(ctx, id)
	if err != nil {
		return err
	}
	return r.observer.watch(ctx, id, newest)
}

func (r *reviser) cancel(ctx context.Context, id string, after time.Duration) error {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ask := Ask{Verb: Cancel, WindowID: id, Begun: Now()}
	answer, err := r.observer.console().CancelWindow(ctx, &pb.CancelWindowRequest{Id: id}, grpc.WaitForReady(true))
	if err == nil {
		run := answer.GetRun()
		ask.Revision, ask.Position, ask.State = int(run.GetRevision()), run.GetPosition(), stateNames[run.GetState()]
	}
	r.asked(ask, err)
	if err := bearable(err); err != nil {
		return fmt.Errorf("cancel window %s: %w", id, err)
	}
	return nil
}

// bearable drops the errors of a core that is away, and of one that has nothing to retry or to cancel.
func bearable(err error) error {
	if errors.Is(err, orca.ErrConflict) || errors.Is(err, orca.ErrUnavailable) || passing(err) || status.Code(err) == codes.FailedPrecondition {
		return nil
	}
	return err
}

func (r *reviser) asked(a Ask, err error) {
	a.Ended = Now()
	if err != nil {
		a.Err = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asks = append(r.asks, a)
}
