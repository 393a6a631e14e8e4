package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// waiting is how a verb that sets a run in motion tells of it, and whether it waits for its end.
type waiting struct {
	shell   *shell
	wait    bool
	json    bool
	timeout time.Duration
}

func (w *waiting) add(c *cobra.Command) {
	c.Flags().BoolVar(&w.wait, "wait", false, "wait until the run is finished")
	c.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "give up after this long, the waiting included; 0 never does")
}

func (w *waiting) check(c *cobra.Command) error {
	if w.timeout < 0 {
		return wrong(c, "--timeout %s: want a duration such as 30s, or 0 for none", w.timeout)
	}
	return nil
}

// limit returns a context that ends with --timeout.
func (w *waiting) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, w.timeout)
}

// timeUp reports whether err is that --timeout has passed, which the core may notice before this side does.
func (w *waiting) timeUp(ctx context.Context, err error) bool {
	return w.timeout > 0 && (errors.Is(ctx.Err(), context.DeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || code(err) == codes.DeadlineExceeded)
}

func (w *waiting) say(format string, args ...any) {
	fmt.Fprintln(w.shell.out, oneLine(fmt.Sprintf(format, args...)))
}

// startedView is what a verb that sets a run in motion prints as JSON. Nodes are there with --wait, in the order of settling.
type startedView struct {
	ID     string     `json:"id"`
	Status string     `json:"status,omitempty"`
	Run    *runView   `json:"run,omitempty"`
	Nodes  []nodeView `json:"nodes,omitempty"`
}

// outcome follows one run to its end.
type outcome struct {
	waiting  *waiting
	core     *core
	id       string
	revision int32
	seen     map[refView]bool
	view     *startedView
	run      *pb.RunInfo // nil until the run is finished
}

// await prints each node of a run of v's window as it settles, gathers them in v, and returns an error when the run did not succeed.
func (w *waiting) await(ctx context.Context, core *core, revision int32, v *startedView) error {
	if v.ID == "" {
		return fmt.Errorf("the core at %s gives no window ids, so that its windows cannot be waited for", core.address)
	}
	o := &outcome{waiting: w, core: core, id: v.ID, revision: revision, seen: map[refView]bool{}, view: v}
	if err := o.follow(ctx); err != nil {
		return o.unfinished(ctx, err)
	}
	v.Run = viewRun(o.run)
	if !w.json {
		w.say("window %s: %s", v.ID, runText(o.run))
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
	events, err := o.core.console.WatchWindow(ctx, &pb.WatchWindowRequest{Id: o.id, Revision: o.revision}, grpc.WaitForReady(true))
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
	if o.waiting.json {
		return
	}
	text := fmt.Sprintf("%s %s", n.Algorithm, outcomeText(n, o.position()))
	if value := valueText(n.result); value != "" {
		text += ": " + value
	}
	if n.Reason != "" {
		text += ": " + shorten(oneLine(n.Reason), shownReason)
	}
	o.waiting.say("%s", text)
}

// position is that of the run, or 0 while it is not known.
func (o *outcome) position() int64 {
	if o.view.Run == nil {
		return 0
	}
	return o.view.Run.Position
}

// unfinished says how a run stands that is waited for no longer.
func (o *outcome) unfinished(ctx context.Context, err error) error {
	run := "window " + o.id
	if o.revision > 1 {
		run = fmt.Sprintf("revision %d of window %s", o.revision, o.id)
	}
	look := fmt.Sprintf("%q shows how it stands", "orca window "+o.id)
	switch {
	case o.waiting.timeUp(ctx, err):
		return fmt.Errorf("%s is accepted and was not finished after %s; %s, and \"orca status\" which processors are waited for", run, o.waiting.timeout, look)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; %s is accepted and goes on; %s", run, look)
	case code(err) == codes.NotFound:
		return fmt.Errorf("%s is accepted, but the core does not find it: %w", run, err)
	}
	return fmt.Errorf("%s is accepted, but cannot be waited for: %w", run, err)
}
