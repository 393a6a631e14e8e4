package orca

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Rerun is the core's word that it has the next run of a window on disk.
type Rerun struct {
	WindowID string
	// Revision is the run's number among those of the window; [Client.Outcome] takes it.
	Revision int
	// Position is the run's place in the order of acceptance, over all windows.
	Position int64
	// Status says what a reprocess has set in motion. A retry leaves it zero.
	Status EmitStatus
}

// RerunOption says more about a retry or a reprocess.
type RerunOption func(*rerunConfig)

type rerunConfig struct{ noStore map[string]any }

// NoStoreValues gives the values of the fields that the window's type marks NoStore. The core has not kept them, so
// that a window of such a type cannot run again without them.
func NoStoreValues(fields map[string]any) RerunOption {
	return func(c *rerunConfig) { c.noStore = fields }
}

// Retry makes the next run of a window: the same algorithms, the results of those that succeeded kept, the others run
// again. It is an [ErrConflict] while a run of the window is not finished, or where [NoStoreValues] are missing.
//
// While the core is unreachable or takes no more, Retry waits, as [Client.Emit] does. A call whose answer was lost is
// not repeated, since the run may have been made: the error is then an [ErrUnavailable], and the window's newest run
// tells.
func (c *Client) Retry(ctx context.Context, windowID string, opts ...RerunOption) (Rerun, error) {
	op := "retry window " + windowID
	metadata, err := rerunArguments(windowID, opts)
	if err != nil {
		return Rerun{}, fmt.Errorf("%s: %w", op, err)
	}
	request := &pb.RetryWindowRequest{Id: windowID, Metadata: metadata}
	var answer *pb.RetryWindowResponse
	err = c.once(ctx, op, func(ctx context.Context, opts ...grpc.CallOption) (err error) {
		answer, err = c.console.RetryWindow(ctx, request, opts...)
		return err
	})
	return rerunOf(windowID, answer.GetRun()), err
}

// Reprocess makes the next run of a window with the algorithms that are registered now, and from nothing. Otherwise it
// is like [Client.Retry].
func (c *Client) Reprocess(ctx context.Context, windowID string, opts ...RerunOption) (Rerun, error) {
	op := "reprocess window " + windowID
	metadata, err := rerunArguments(windowID, opts)
	if err != nil {
		return Rerun{}, fmt.Errorf("%s: %w", op, err)
	}
	request := &pb.ReprocessWindowRequest{Id: windowID, Metadata: metadata}
	var answer *pb.ReprocessWindowResponse
	err = c.once(ctx, op, func(ctx context.Context, opts ...grpc.CallOption) (err error) {
		answer, err = c.console.ReprocessWindow(ctx, request, opts...)
		return err
	})
	if err != nil {
		return Rerun{}, err
	}
	rerun := rerunOf(windowID, answer.GetRun())
	if rerun.Status, err = emitStatusOf(answer.GetStatus()); err != nil {
		return rerun, fmt.Errorf("%s at %s: %w", op, c.target, err)
	}
	return rerun, nil
}

// Cancel settles what is open in a window's newest run as cancelled; what has an outcome keeps it. It is an
// [ErrConflict] when that run is finished.
func (c *Client) Cancel(ctx context.Context, windowID string) error {
	op := "cancel window " + windowID
	if err := checkWindowID(windowID); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return c.once(ctx, op, func(ctx context.Context, opts ...grpc.CallOption) error {
		_, err := c.console.CancelWindow(ctx, &pb.CancelWindowRequest{Id: windowID}, opts...)
		return err
	})
}

// Outcome returns the outcome of one run of a window by its revision: 1 for that of the emit, 0 for the newest. It
// waits like [Client.Wait] while that run is not finished. A revision that the window does not have is [ErrNotFound].
func (c *Client) Outcome(ctx context.Context, windowID string, revision int) (*Outcome, error) {
	if err := checkRevision("outcome of window "+windowID, windowID, revision); err != nil {
		return nil, err
	}
	return c.waitFor(ctx, windowID, int32(revision))
}

func rerunArguments(windowID string, opts []RerunOption) (*structpb.Struct, error) {
	var config rerunConfig
	for _, opt := range opts {
		opt(&config)
	}
	if err := checkWindowID(windowID); err != nil {
		return nil, err
	}
	if len(config.noStore) == 0 {
		return nil, nil
	}
	metadata, err := structOf(config.noStore)
	if err != nil {
		return nil, invalid("noStore values: %v", err)
	}
	return metadata, nil
}

func checkWindowID(id string) error {
	if id == "" {
		return invalid("window id: must not be empty")
	}
	return nil
}

func rerunOf(windowID string, run *pb.RunInfo) Rerun {
	if run == nil {
		return Rerun{}
	}
	return Rerun{WindowID: windowID, Revision: int(run.GetRevision()), Position: run.GetPosition()}
}

// once makes a call that must not be made twice. It waits for the core to be there, and tries again only what the core
// refused because it was busy, until the context's deadline, or for the client's timeout where there is none.
func (c *Client) once(ctx context.Context, op string, call func(context.Context, ...grpc.CallOption) error) error {
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		ctx = bounded
	}
	for attempts := 1; ; attempts++ {
		err := call(ctx, grpc.WaitForReady(true))
		if err == nil {
			return nil
		}
		if status.Code(err) != codes.ResourceExhausted {
			return newCallError(op, c.target, attempts, err, ctx.Err())
		}
		pause := callPauses.after(attempts, err)
		if end, ok := ctx.Deadline(); ok && time.Until(end) < pause {
			return newCallError(op, c.target, attempts, err, context.DeadlineExceeded)
		}
		if ended := c.sleep(ctx, pause); ended != nil {
			return newCallError(op, c.target, attempts, err, ended)
		}
	}
}
