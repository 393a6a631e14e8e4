package orca

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// session is one Run of a processor: a server, the connection to the core, and what keeps the core informed.
type session struct {
	listener  net.Listener
	server    *grpc.Server
	service   *service
	conn      *grpc.ClientConn
	announcer *announcer
	drain     time.Duration
	log       *slog.Logger
}

func (p *Processor) open(settings processorSettings, listener net.Listener) (*session, error) {
	conn, err := p.config.connect(settings.coreSettings)
	if err != nil {
		return nil, fmt.Errorf("core %s: %w", settings.core, err)
	}
	address := settings.announce(listener.Addr(), p.config.serverTLS != nil)
	log := p.config.logger().With("processor", p.name)
	if address.local() && !settings.core.local() {
		log.Warn("the core is on another machine and is told an address that only this one reaches;"+
			" set PROCESSOR_ADDRESS", "core", settings.core.String(), "address", address.String())
	}
	emitter := newClient(conn, settings.core.String(), clientConfig{coreConfig: p.config.coreConfig})
	service := newService(p.definitions, p.concurrency(), emitter.Emit, log)
	s := &session{
		listener: listener,
		server:   grpc.NewServer(p.serverOptions()...),
		service:  service,
		conn:     conn,
		announcer: &announcer{
			registration: p.registration(address.String(), settings.project),
			core:         pb.NewOrcaCoreClient(conn),
			console:      pb.NewOrcaConsoleClient(conn),
			conn:         conn,
			target:       settings.core.String(),
			heard:        service.heard,
			silence:      cmp.Or(p.config.silence, heartbeatSilence),
			starting:     service.serve,
			accepted:     func() { p.registeredOnce.Do(func() { close(p.registered) }) },
			log:          log.With("core", settings.core.String(), "address", address.String()),
		},
		drain: p.drainLimit(),
		log:   log,
	}
	pb.RegisterOrcaProcessorServer(s.server, service)
	return s, nil
}

func (p *Processor) serverOptions() []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxSendMsgSize(maxMessageBytes),
		// A core may check its connections as often as it likes to, within reason.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Calls beyond this wait at the core. Each holds its request in memory.
		grpc.MaxConcurrentStreams(256),
	}
	if p.config.serverTLS != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(p.config.serverTLS.Clone())))
	}
	return opts
}

// run serves and announces until the context ends or one of the two fails, then drains.
func (s *session) run(ctx context.Context) error {
	defer s.conn.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := s.server.Serve(s.listener)
		if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve processor: %w", err)
		}
		return nil
	})
	group.Go(func() error { return s.announcer.run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		s.stop()
		return nil
	})
	return group.Wait()
}

// cutOff is how long algorithms that were cancelled at the end of the drain have to return.
const cutOff = time.Second

// stop takes no more work and waits for what runs. Clients see their connection closed in the orderly way of HTTP/2,
// so that they send new work elsewhere without having lost a call.
func (s *session) stop() {
	s.service.drain()
	done := make(chan struct{})
	go func() {
		s.server.GracefulStop() // ends when the last handler has returned
		close(done)
	}()
	select {
	case <-done:
		return
	case <-time.After(s.drain):
	}
	s.log.Warn("stopping with unfinished algorithms; the core will have them executed again",
		"unfinished", s.service.active.Load(), "after", s.drain)
	go s.server.Stop() // cancels the calls
	select {
	case <-done:
	case <-time.After(cutOff):
		s.log.Warn("leaving algorithms behind that do not heed their context", "left", s.service.active.Load())
	}
}
