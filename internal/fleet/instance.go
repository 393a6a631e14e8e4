package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// failuresToUnreachable is how many health checks in a row a serving instance may fail.
const failuresToUnreachable = 3

// instance is one address of a processor.
type instance struct {
	pool       *pool
	address    string
	connection string           // as announced
	conn       *grpc.ClientConn // made by newInstance, closed by watch
	gone       chan struct{}    // closed when it is no longer announced
	kick       chan struct{}    // holds a token when a health check is wanted now
	idle       chan struct{}    // holds a token when inFlight has become zero

	// All below is guarded by pool.mu.

	algorithms map[orca.AlgorithmID]orca.DefinitionHash
	// unimplemented algorithms are those that it has denied since it registered.
	unimplemented map[orca.AlgorithmID]bool
	runtime       string
	registeredAt  orca.Time
	state         orca.InstanceState
	reason        string
	served        orca.Time // its last SERVING
	lastSeen      orca.Time
	metrics       *orca.ProcessorMetrics
	failures      int // health checks in a row
	inFlight      int
	// limit of inFlight: MaxInFlight, and fewer after the instance said that it has too much.
	limit     int
	soloing   bool   // a solo request is under way
	reserved  *part  // begins when inFlight is zero; nothing else does until then
	lastStart uint64 // pool.starts when its last request began
}

func newInstance(p *pool, a orca.Instance) *instance {
	in := &instance{
		pool: p, address: a.Address, connection: a.Connection,
		gone: make(chan struct{}), kick: make(chan struct{}, 1), idle: make(chan struct{}, 1),
		state: orca.Connecting, reason: "it has not answered yet", limit: p.fleet.cfg.MaxInFlight,
	}
	in.take(a)
	conn, err := dial(a.Connection, &p.fleet.cfg)
	if err != nil { // the registration checked the address, so this is one of the machine's faults
		in.state, in.reason = orca.Unreachable, err.Error()
		return in
	}
	in.conn = conn
	return in
}

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
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 800 * time.Millisecond},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(cfg.MaxMessageSize), grpc.MaxCallSendMsgSize(cfg.MaxMessageSize),
			grpc.ForceCodecV2(wire.Codec{}),
		),
	}, cfg.DialOptions...)
	return grpc.NewClient("passthrough:///"+address, options...)
}

// take makes an announcement the instance's own. The pool's lock is held, or the instance is new.
func (in *instance) take(a orca.Instance) {
	in.algorithms, in.runtime, in.registeredAt = a.Algorithms, a.Runtime, a.RegisteredAt
	in.unimplemented = nil
}

// announce takes a repeated announcement, which often means that the instance has just started. The pool's lock is held.
func (in *instance) announce(a orca.Instance) {
	if a.RegisteredAt == in.registeredAt {
		return
	}
	in.take(a)
	if in.state != orca.Serving {
		in.probeSoon()
	}
}

// retire lets watch close the connection once nothing is in flight. The pool's lock is held.
func (in *instance) retire() {
	if in.reserved != nil {
		in.pool.queue.push(in.reserved)
		in.reserved = nil
	}
	in.state, in.reason = orca.NotServing, "it is no longer announced"
	close(in.gone)
}

func (in *instance) probeSoon() {
	select {
	case in.kick <- struct{}{}:
	default:
	}
}

// runs reports whether it announced the algorithm and has not denied it since. The pool's lock is held.
func (in *instance) runs(id orca.AlgorithmID) bool {
	_, announced := in.algorithms[id]
	return announced && !in.unimplemented[id]
}

// free reports whether a request may go to the instance; a solo one may when it can be reserved. The pool's lock is held.
func (in *instance) free(solo bool) bool {
	if in.state != orca.Serving || in.soloing || in.reserved != nil {
		return false
	}
	return solo || in.inFlight < in.limit
}

// better reports whether a goes rather to in than to other. The pool's lock is held.
func (in *instance) better(other *instance, a orca.CalledAlgorithm) bool {
	if x, y := in.algorithms[a.ID] == a.Definition, other.algorithms[a.ID] == a.Definition; x != y {
		return x
	}
	if x, y := in.runtime == a.Runtime, other.runtime == a.Runtime; a.Runtime != "" && x != y {
		return x
	}
	if in.inFlight != other.inFlight {
		return in.inFlight < other.inFlight
	}
	return in.lastStart < other.lastStart
}

// watch checks the instance's health until it is gone or ctx is cancelled, and closes its connection in the end.
func (in *instance) watch(ctx context.Context) {
	if in.conn == nil {
		return
	}
	defer func() { _ = in.conn.Close() }()
	announced, cancel := context.WithCancel(ctx)
	var children sync.WaitGroup
	children.Go(func() {
		select {
		case <-in.gone:
			cancel()
		case <-announced.Done():
		}
	})
	for announced.Err() == nil {
		in.probe(announced)
		in.pause(announced)
	}
	in.finishWork(ctx)
	cancel()
	children.Wait()
}

// pause waits until the next health check is due.
func (in *instance) pause(ctx context.Context) {
	cfg := &in.pool.fleet.cfg
	due := time.NewTimer(cfg.Heartbeat)
	defer due.Stop()
	probe := time.NewTicker(cfg.Probe)
	defer probe.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
			return
		case <-in.kick:
			return
		case <-probe.C:
			if !in.serving() && in.pool.waiting() {
				return
			}
		}
	}
}

func (in *instance) serving() bool {
	in.pool.mu.Lock()
	defer in.pool.mu.Unlock()
	return in.state == orca.Serving
}

// finishWork waits until nothing is in flight, if the instance is gone; a cancelled ctx ends its requests anyway.
func (in *instance) finishWork(ctx context.Context) {
	for {
		in.pool.mu.Lock()
		busy := in.inFlight > 0
		in.pool.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-in.idle:
		}
	}
}

// probe makes one health check. It waits for the connection, so that an instance that comes back is seen at once and
// not at the next round.
func (in *instance) probe(ctx context.Context) {
	cfg := &in.pool.fleet.cfg
	ctx, cancel := context.WithTimeout(ctx, cfg.Heartbeat)
	defer cancel()
	answer, err := pb.NewOrcaProcessorClient(in.conn).HealthCheck(ctx,
		&pb.HealthCheckRequest{Timestamp: int64(cfg.Now()) / int64(time.Millisecond)}, grpc.WaitForReady(true))
	in.checked(answer, err)
}

// checked takes the answer of a health check.
func (in *instance) checked(answer *pb.HealthCheckResponse, err error) {
	p := in.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-in.gone:
		return
	default:
	}
	if err != nil {
		in.failures++
		if in.state != orca.Serving || in.failures >= failuresToUnreachable {
			in.setState(orca.Unreachable, fmt.Sprintf("the health check failed: %s", status.Convert(err).Message()))
		}
		return
	}
	in.failures = 0
	in.lastSeen = p.fleet.cfg.Now()
	in.metrics = metricsOf(answer.GetMetrics())
	if answer.GetStatus() != pb.HealthCheckResponse_STATUS_SERVING {
		in.setState(orca.NotServing, fmt.Sprintf("it answers %s %s", answer.GetStatus(), answer.GetMessage()))
		return
	}
	in.served = in.lastSeen
	in.setState(orca.Serving, "")
	p.signal()
}

// setState notes and logs a change. The pool's lock is held.
func (in *instance) setState(s orca.InstanceState, reason string) {
	if in.state != s {
		in.pool.fleet.cfg.Log.Info("processor instance changed", "processor", in.pool.name, "instance", in.address, "state", s.String(), "reason", reason)
	}
	in.state, in.reason = s, reason
	if s != orca.Serving && in.reserved != nil {
		in.pool.queue.push(in.reserved)
		in.reserved = nil
	}
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
