package orca

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// connect makes the connection to a core. It does no I/O: gRPC dials when a call is made, and again whenever the
// connection is lost.
func (c coreConfig) connect(s coreSettings) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if s.tls {
		config := c.tls
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport = credentials.NewTLS(config.Clone())
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes),
		),
		// A core that comes back is found within a second.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		// Finds connections that died silently under a long stream. Servers refuse pings that come more often than
		// every five minutes, unless they say otherwise.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 5*time.Minute + 10*time.Second, Timeout: 20 * time.Second}),
		grpc.WithIdleTimeout(0),
	}
	opts = append(opts, s.showing()...)
	return grpc.NewClient(s.core.hostPort(), append(opts, c.dial...)...)
}
