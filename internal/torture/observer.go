package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// observer watches windows until they are finished, and keeps what it is told. Several goroutines may use it.
type observer struct {
	consoles []pb.OrcaConsoleClient // of each core
	asked    atomic.Int64

	mu        sync.Mutex // guards what follows
	last      map[nodeKey]Settled
	sightings []Sighting
	denials   []Denial
}

// console is that of one core after the other.
func (o *observer) console() pb.OrcaConsoleClient {
	return o.consoles[int(o.asked.Add(1))%len(o.consoles)]
}

// nodeKey is a node of a run.
type nodeKey struct {
	window    string
	revision  int
	algorithm ID
}

// watch returns when a run of a window is finished, or the core denies the window. It tries on while the core is away.
func (o *observer) watch(ctx context.Context, id string, revision int) error {
	return o.ask(ctx, id, func() error { return o.stream(ctx, id, revision) })
}

// newest returns the newest revision of a window.
func (o *observer) newest(ctx context.Context, id string) (revision int, err error) {
	err = o.ask(ctx, id, func() error {
		answer, err := o.console().GetWindow(ctx, &pb.GetWindowRequest{Id: id}, grpc.WaitForReady(true))
		revision = int(answer.GetRun().GetRevision())
		return err
	})
	return revision, err
}

// ask asks until there is an answer.
func (o *observer) ask(ctx context.Context, id string, question func() error) error {
	for {
		err := question()
		switch {
		case err == nil:
			return nil
		case status.Code(err) == codes.NotFound:
			o.denied(id)
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("window %s: %w", id, context.Cause(ctx))
		case !passing(err):
			return fmt.Errorf("watch window %s: %w", id, err)
		}
		timer := time.NewTimer(rewatch)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// rewatch is the pause before a broken stream is opened again.
const rewatch = 20 * time.Millisecond

// passing says whether an error is one of a core that is going, gone or coming.
func passing(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.Aborted, codes.DeadlineExceeded, codes.ResourceExhausted:
		return true
	}
	return false
}

// errCut is a stream that ended before the run did.
var errCut = status.Error(codes.Unavailable, "the stream ended before the run")

func (o *observer) stream(ctx context.Context, id string, revision int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := o.console().WatchWindow(ctx, &pb.WatchWindowRequest{Id: id, Revision: int32(revision)}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		seen := Now()
		switch {
		case errors.Is(err, io.EOF):
			return errCut
		case err != nil:
			return err
		case event.GetFinished() != nil:
			return nil
		}
		o.saw(seen, id, revision, event.GetNode())
	}
}

func (o *observer) denied(window string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.denials = append(o.denials, Denial{Now(), window})
}

func (o *observer) saw(seen Instant, window string, revision int, node *pb.NodeInfo) {
	key, settled := nodeKey{window, revision, idOf(node)}, settledOf(node)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last[key] == settled {
		return
	}
	o.last[key] = settled
	o.sightings = append(o.sightings, Sighting{seen, window, revision, key.algorithm, settled})
}
