package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	defaultCore = "127.0.0.1:33670"
	// connectTimeout is how long a core may take to answer at all.
	connectTimeout = 5 * time.Second
	// callTimeout is how long one call may take. A list is one call per page.
	callTimeout = 30 * time.Second
)

// core is a connection to a core, for one verb.
type core struct {
	target
	conn    *grpc.ClientConn
	console pb.OrcaConsoleClient
	windows pb.OrcaCoreClient
	// dialed is how the last attempt to reach the address went, TLS included; nil before the first has ended.
	dialed atomic.Pointer[dialResult]
}

type dialResult struct{ err error }

// open connects to the core that a verb's flags name.
func (s *shell) open(c *cobra.Command, f *coreFlag) (*core, error) {
	at, err := s.resolve(c, f)
	if err != nil {
		return nil, err
	}
	return dial(c.Context(), at)
}

// dial connects to a core, or says why there is none. The caller closes it.
func dial(ctx context.Context, at target) (*core, error) {
	c := &core{target: at}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(c.transport()),
		grpc.WithContextDialer(c.dialTCP),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: connectTimeout,
		}),
	}
	if at.token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(at.token)))
	}
	conn, err := grpc.NewClient("passthrough:///"+at.address, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", at.address, err)
	}
	c.conn, c.console, c.windows = conn, pb.NewOrcaConsoleClient(conn), pb.NewOrcaCoreClient(conn)
	if err := c.connect(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// dialTCP dials, and keeps how it went: gRPC's own account of it is prose.
func (c *core) dialTCP(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	c.dialed.Store(&dialResult{err})
	return conn, err
}

// connect waits until the core has answered.
func (c *core) connect(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c.conn.Connect()
	for state := c.conn.GetState(); state != connectivity.Ready; state = c.conn.GetState() {
		if state == connectivity.TransientFailure || !c.conn.WaitForStateChange(limited, state) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return c.unreachable()
		}
	}
	return nil
}

func (c *core) close() { _ = c.conn.Close() }

// unreachable is that nothing at an address answers as a core does.
type unreachable struct{ text string }

func (u *unreachable) Error() string { return u.text }

func (c *core) unreachable() error {
	const advice = `; start one with "orca start" or say where it is with --core`
	dialed := c.dialed.Load()
	switch {
	case dialed == nil:
		return &unreachable{fmt.Sprintf("no core answers at %s within %s", c.address, connectTimeout) + advice}
	case dialed.err == nil && c.tls == nil:
		return &unreachable{fmt.Sprintf("what listens at %s does not answer as a core does on its gRPC port", c.address) + advice +
			`; if it speaks TLS, write grpcs://` + c.address}
	case dialed.err == nil:
		return &unreachable{fmt.Sprintf("what listens at %s does not answer as a core does on its gRPC port", c.address) + advice}
	case errors.As(dialed.err, new(*handshakeError)):
		return c.noTLS(dialed.err)
	case errors.Is(dialed.err, syscall.ECONNREFUSED):
		return &unreachable{fmt.Sprintf("no core answers at %s", c.address) + advice}
	}
	cause := dialed.err.Error()
	if op := (*net.OpError)(nil); errors.As(dialed.err, &op) {
		cause = op.Err.Error()
	}
	if name := (*net.DNSError)(nil); errors.As(dialed.err, &name) {
		cause = name.Err
	}
	return &unreachable{fmt.Sprintf("no core answers at %s (%s)", c.address, cause) + advice}
}

// ask calls one method of the core, with a limit of time, and explains what goes wrong.
func ask[Q, A any](ctx context.Context, c *core, method func(context.Context, Q, ...grpc.CallOption) (A, error), q Q) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	a, err := method(ctx, q)
	return a, c.explain(err)
}

// refusal is an error that the core answered, or the lack of an answer, in words for people.
type refusal struct {
	text   string
	status *status.Status
}

func (r *refusal) Error() string { return r.text }

// code returns the gRPC code of a refusal, and OK for every other error.
func code(err error) codes.Code {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.status.Code()
	}
	return codes.OK
}

// explain turns the error of a call into a refusal; a call that was interrupted into context.Canceled.
func (c *core) explain(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	text := s.Message()
	switch s.Code() {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		text = fmt.Sprintf("the core at %s gave no answer in time", c.address)
	case codes.Unavailable:
		text = fmt.Sprintf("the core at %s is not available: %s", c.address, text)
	case codes.Unimplemented:
		text = fmt.Sprintf("what answers at %s does not know this question; it is no core, or one of another version: %s", c.address, text)
	}
	if text == "" {
		text = fmt.Sprintf("the core at %s answered %s and said no more", c.address, s.Code())
	}
	return &refusal{text, s}
}
