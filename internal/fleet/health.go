package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// failuresToUnreachable is how many health checks in a row a serving instance may fail.
const failuresToUnreachable = 3

// restBetweenChecks is the part of Config.Probe that always lies between the beginnings of two health checks. It is
// what slows down an instance that answers SERVING and breaks down with each request.
const restBetweenChecks = 4

// watch connects to the instance, checks its health until ctx is cancelled, and closes the connection when nothing is
// under way any more.
func (in *instance) watch(ctx context.Context) {
	conn, err := dial(in.connection, &in.pool.fleet.cfg)
	if err != nil { // the registration checked the address, so this is one of the machine's faults
		in.update(func() bool { return in.setState(orca.Unreachable, err.Error()) })
		return
	}
	in.update(func() bool { in.conn = conn; return false })
	for ctx.Err() == nil {
		begun := time.Now()
		in.check(ctx, conn)
		in.pause(ctx, begun)
	}
	in.update(func() bool { in.retire(); return false })
	in.work.Wait()
	_ = conn.Close()
}

// update changes the instance's state under the pool's lock, and has the change written down and looked at.
func (in *instance) update(change func() (changed bool)) {
	in.pool.mu.Lock()
	changed := change()
	state, reason := in.state, in.reason
	in.pool.mu.Unlock()
	token(in.pool.wake)
	if changed {
		in.log(state, reason)
	}
}

// dial makes a connection that is attempted again at most a second after it was refused. It is made by name each time,
// so that a processor may come back at another address.
func dial(connection string, cfg *Config) (*grpc.ClientConn, error) {
	address, secure, err := wire.Address(connection)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if secure {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
		// Heartbeats keep every connection busy, so there are no pings. The timeout is what matters: what the machine at
		// the other end does not even acknowledge for so long breaks the connection, and the requests on it.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Minute, Timeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(cfg.MaxMessageSize), grpc.MaxCallSendMsgSize(cfg.MaxMessageSize),
			grpc.ForceCodecV2(wire.Codec{}),
		),
	}, cfg.DialOptions...)
	return grpc.NewClient("passthrough:///"+address, options...)
}

// check makes one health check. It waits for the connection, so that an instance is found as soon as it listens.
func (in *instance) check(ctx context.Context, conn *grpc.ClientConn) {
	cfg := &in.pool.fleet.cfg
	breaks := in.breaksSoFar()
	limited, cancel := context.WithTimeout(ctx, cfg.Heartbeat)
	defer cancel()
	answer, err := pb.NewOrcaProcessorClient(conn).HealthCheck(limited,
		&pb.HealthCheckRequest{Timestamp: int64(cfg.Now()) / int64(time.Millisecond)}, grpc.WaitForReady(true))
	if ctx.Err() != nil {
		return
	}
	in.update(func() bool {
		in.noteCheck(answer, err)
		switch {
		case in.state == retired || in.breaks != breaks: // the answer is older than what a request has found
			return false
		case err != nil:
			return in.silent(err)
		}
		return in.answered(answer)
	})
}

func (in *instance) breaksSoFar() uint64 {
	in.pool.mu.Lock()
	defer in.pool.mu.Unlock()
	return in.breaks
}

// silent takes note of a health check without an answer. The pool's lock is held.
func (in *instance) silent(err error) (changed bool) {
	in.failures++
	if in.state == orca.Serving && in.failures < failuresToUnreachable {
		return false
	}
	return in.setState(orca.Unreachable, "the health check failed: "+said(status.Convert(err).Message()))
}

// answered takes the answer to a health check. The pool's lock is held.
func (in *instance) answered(answer *pb.HealthCheckResponse) (changed bool) {
	in.failures = 0
	in.seen()
	in.metrics = metricsOf(answer.GetMetrics())
	if s := answer.GetStatus(); s != pb.HealthCheckResponse_STATUS_SERVING {
		reason := fmt.Sprintf("it answers health checks with %v", s)
		if m := answer.GetMessage(); m != "" {
			reason += ": " + said(m)
		}
		return in.setState(orca.NotServing, reason)
	}
	in.served = in.lastSeen
	return in.setState(orca.Serving, "")
}

// broke takes an instance that a request found broken down out of service until it answers SERVING again. The pool's
// lock is held.
func (in *instance) broke(reason string) (changed bool) {
	if in.state == retired {
		return false
	}
	in.breaks++
	token(in.kick)
	return in.setState(orca.Unreachable, reason)
}

// pause waits until the next health check is due. That is when one is asked for, or when the next heartbeat is, a little
// less so that those of many instances spread out. An instance that does not serve while work waits is due
// after the time of a probe; one that cannot be connected to has taken longer to be checked, since a check waits for the
// connection.
func (in *instance) pause(ctx context.Context, begun time.Time) {
	cfg := &in.pool.fleet.cfg
	early := rand.N(cfg.Heartbeat/16 + 1)
	for {
		wait := time.Until(in.together(in.due(begun).Add(-early))) // others put it off meanwhile
		if !in.serving() {
			age := time.Since(begun)
			if age >= cfg.Probe && in.pool.waiting() {
				break
			}
			wait = min(wait, cfg.Probe-age%cfg.Probe)
		}
		if wait <= 0 || !sleep(ctx, in.kick, wait) {
			break
		}
	}
	sleep(ctx, nil, time.Until(begun.Add(cfg.Probe/restBetweenChecks)))
}

// checksTogether is how many times in a heartbeat health checks begin.
const checksTogether = 64

// together puts the heartbeats of all instances on the same moments, a little earlier: of a thousand instances, sixteen
// then share what it takes to wake a process up.
func (in *instance) together(at time.Time) time.Time {
	moment := in.pool.fleet.cfg.Heartbeat / checksTogether
	if moment <= 0 {
		return at
	}
	return at.Add(-(at.Sub(in.pool.fleet.begun) % moment))
}

// sleep reports whether it lasted for the whole of d.
func sleep(ctx context.Context, wake <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
		return false
	case <-t.C:
		return true
	}
}

func (in *instance) serving() bool {
	in.pool.mu.Lock()
	defer in.pool.mu.Unlock()
	return in.state == orca.Serving
}

func metricsOf(m *pb.ProcessorMetrics) *orca.ProcessorMetrics {
	if m == nil {
		return nil
	}
	return &orca.ProcessorMetrics{
		ActiveTasks: m.GetActiveTasks(), MemoryBytes: m.GetMemoryBytes(),
		CPUPercent: m.GetCpuPercent(), UptimeSeconds: m.GetUptimeSeconds(),
	}
}
