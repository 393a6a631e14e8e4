package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// outcome follows one run to its end.
type outcome struct {
	emission *emission
	core     *core
	id       string
	seen     map[refView]bool
	view     *emissionView
	run      *pb.RunInfo // nil until the run is finished
}

// await prints each node of the window's run as it settles, gathers them in v, and returns an error when the run did not succeed.
func (e *emission) await(ctx context.Context, core *core, v *emissionView) error {
	if v.ID == "" {
		return fmt.Errorf("the core at %s gives no window ids, so that its windows cannot be waited for", core.address)
	}
	o := &outcome{emission: e, core: core, id: v.ID, seen: map[refView]bool{}, view: v}
	if err := o.follow(ctx); err != nil {
		return o.unfinished(ctx, err)
	}
	v.Run = viewRun(o.run)
	if !e.json {
		e.say("window %s: %s", v.ID, runText(o.run))
	}
	if o.run.GetState() != pb.RunState_RUN_STATE_SUCCEEDED {
		return fmt.Errorf("the run of window %s did not succeed: it is %s", v.ID, v.Run.State)
	}
	return nil
}

// follow watches until the run is finished. A core that goes away is waited for.
func (o *outcome) follow(ctx context.Context) error {
	for wait := newBackoff(); ; {
		before := len(o.seen)
		err := o.watch(ctx)
		if o.run != nil {
			return nil
		}
		if err != nil && !retryable(err) {
			return err
		}
		if len(o.seen) > before {
			wait = newBackoff()
		}
		if !wait.pause(ctx, retryDelay(err)) {
			return ctx.Err()
		}
	}
}

// watch reads one stream of events to its end.
func (o *outcome) watch(ctx context.Context) error {
	events, err := o.core.console.WatchWindow(ctx, &pb.WatchWindowRequest{Id: o.id, Revision: 1}, grpc.WaitForReady(true))
	if err != nil {
		return o.core.explain(err)
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return o.core.explain(err)
		}
		switch e := event.GetEvent().(type) {
		case *pb.WatchWindowResponse_Node:
			o.settled(viewNode(e.Node))
		case *pb.WatchWindowResponse_Finished:
			o.run = e.Finished
		}
	}
}

// settled tells of a node, once: a stream that is opened anew begins with those that are settled already.
func (o *outcome) settled(n nodeView) {
	if o.seen[n.Algorithm] {
		return
	}
	o.seen[n.Algorithm] = true
	o.view.Nodes = append(o.view.Nodes, n)
	if o.emission.json {
		return
	}
	text := fmt.Sprintf("%s %s", n.Algorithm, n.Outcome)
	if value := valueText(n.result); value != "" {
		text += ": " + value
	}
	if n.Reason != "" {
		text += ": " + shorten(oneLine(n.Reason), shownReason)
	}
	o.emission.say("%s", text)
}

// unfinished says how a window stands that is waited for no longer.
func (o *outcome) unfinished(ctx context.Context, err error) error {
	look := fmt.Sprintf("%q shows how it stands", "orca window "+o.id)
	switch {
	case o.emission.timeUp(ctx, err):
		return fmt.Errorf("window %s is accepted and was not finished after %s; %s", o.id, o.emission.timeout, look)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; window %s is accepted and goes on; %s", o.id, look)
	case code(err) == codes.NotFound:
		return fmt.Errorf("window %s is accepted, but the core does not find it: %w", o.id, err)
	}
	return fmt.Errorf("window %s is accepted, but cannot be waited for: %w", o.id, err)
}
