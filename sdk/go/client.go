package orca

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	defaultTimeout = 30 * time.Second
	// attemptTimeout bounds one attempt, so that a connection that swallows calls does not use up the whole time.
	attemptTimeout = 20 * time.Second
)

var callPauses = pauses{shortest: 50 * time.Millisecond, longest: 5 * time.Second}

// Client emits windows, waits for what becomes of them, and reads results. It may be used by several goroutines at
// once; one for a program is enough.
type Client struct {
	conn    *grpc.ClientConn
	core    pb.OrcaCoreClient
	console pb.OrcaConsoleClient
	target  string
	timeout time.Duration
	sleep   func(context.Context, time.Duration) error
	log     *slog.Logger
}

// NewClient returns a client of the core that the options, the environment or orca.json name (see [WithCore]). It
// does not connect yet, so the core may come up later. Close it in the end.
func NewClient(opts ...ClientOption) (*Client, error) {
	var config clientConfig
	for _, opt := range opts {
		opt.applyToClient(&config)
	}
	around, err := look(config.hermetic)
	if err != nil {
		return nil, err
	}
	settings, err := config.resolve(around)
	if err != nil {
		return nil, err
	}
	conn, err := config.connect(settings)
	if err != nil {
		return nil, fmt.Errorf("core %s: %w", settings.core, err)
	}
	return newClient(conn, settings.core.String(), config), nil
}

func newClient(conn *grpc.ClientConn, target string, config clientConfig) *Client {
	timeout := config.timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Client{
		conn:    conn,
		core:    pb.NewOrcaCoreClient(conn),
		console: pb.NewOrcaConsoleClient(conn),
		target:  target,
		timeout: timeout,
		sleep:   sleep,
		log:     config.logger(),
	}
}

// Close gives the connection up. Calls that are under way end.
func (c *Client) Close() error { return c.conn.Close() }

// try makes a call until it succeeds, is answered for good, or the time is up: the context's deadline, or the
// client's timeout where there is none.
func (c *Client) try(ctx context.Context, op string, call func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		ctx = bounded
	}
	var last error
	for attempts := 1; ; attempts++ {
		err := attempt(ctx, call)
		if err == nil {
			return nil
		}
		if code := status.Code(err); last != nil && (code == codes.DeadlineExceeded || code == codes.Canceled) {
			err = last // it tells more than that the time was up
		}
		last = err
		if attempts == 3 && transient(err) {
			c.log.Warn("the core does not take a call, trying on", "core", c.target, "call", op, "error", wordsOf(err))
		}
		if ctx.Err() != nil || !transient(err) {
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

func attempt(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return call(ctx)
}

// transient says whether the same call may succeed a little later. The caller knows whether it has the time.
func transient(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
		return true
	}
	return false
}
