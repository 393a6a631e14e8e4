package orca

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Wait returns the outcome of a window's newest run when it has finished, which may have been long ago. It waits as
// long as the context allows, also while the core is away. A window that the core does not know is [ErrNotFound].
func (c *Client) Wait(ctx context.Context, windowID string) (*Outcome, error) {
	return c.waitFor(ctx, windowID, 0)
}

// waitFor waits for the end of a window's run by its revision; 0 is the newest.
func (c *Client) waitFor(ctx context.Context, windowID string, revision int32) (*Outcome, error) {
	op := "wait for window " + windowID
	if windowID == "" {
		return nil, fmt.Errorf("wait: %w", invalid("window id: must not be empty"))
	}
	for failures := 0; ; {
		outcome, progress, err := c.watch(ctx, windowID, revision)
		if err == nil {
			return outcome, nil
		}
		if progress {
			failures = 0
		}
		failures++
		if ctx.Err() != nil || !resumable(err) {
			return nil, newCallError(op, c.target, failures, err, ctx.Err())
		}
		if failures == 2 {
			c.log.Warn("lost the core while waiting for a window, trying on", "window", windowID, "core", c.target,
				"error", wordsOf(err))
		}
		if ended := c.sleep(ctx, callPauses.after(failures, err)); ended != nil {
			return nil, newCallError(op, c.target, failures, err, ended)
		}
	}
}

// errBroken is a stream that ended before the run did.
var errBroken = status.Error(codes.Unavailable, "the stream ended before the run did")

// watch follows a run over one stream. A stream tells all from the start, so nothing is carried over from a broken
// one; progress says whether it told anything.
func (c *Client) watch(ctx context.Context, windowID string, revision int32) (outcome *Outcome, progress bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.console.WatchWindow(ctx, &pb.WatchWindowRequest{Id: windowID, Revision: revision})
	if err != nil {
		return nil, false, err
	}
	var nodes []Node
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errBroken
		}
		if err != nil {
			return nil, progress, err
		}
		progress = true
		switch event := event.GetEvent().(type) {
		case *pb.WatchWindowResponse_Node:
			node, err := nodeOf(event.Node)
			if err != nil {
				return nil, true, err
			}
			nodes = settle(nodes, node)
		case *pb.WatchWindowResponse_Finished:
			outcome, err := outcomeOf(windowID, event.Finished, nodes)
			return outcome, true, err
		}
	}
}

// settle adds a node, or replaces what was known of it.
func settle(nodes []Node, node Node) []Node {
	known := slices.IndexFunc(nodes, func(n Node) bool { return n.Algorithm == node.Algorithm })
	if known < 0 {
		return append(nodes, node)
	}
	nodes[known] = node
	return nodes
}

func outcomeOf(windowID string, run *pb.RunInfo, nodes []Node) (*Outcome, error) {
	state, err := runStateOf(run.GetState())
	if err != nil {
		return nil, err
	}
	return &Outcome{
		WindowID: windowID,
		Position: run.GetPosition(),
		Revision: int(run.GetRevision()),
		State:    state,
		Accepted: run.GetAcceptedAt().AsTime(),
		Finished: run.GetFinishedAt().AsTime(),
		Nodes:    nodes,
	}, nil
}

// resumable says whether a broken stream is worth another.
func resumable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Aborted, codes.Internal:
		return true
	}
	return false
}
