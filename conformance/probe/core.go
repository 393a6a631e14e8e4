package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Await plays the core on a listener, which it closes, until a processor has registered, and returns what it announced.
// What else it is asked is answered with UNIMPLEMENTED. It speaks TLS where that is not nil.
func Await(ctx context.Context, listener net.Listener, speaks *tls.Config) (*pb.ProcessorRegistration, error) {
	c := &core{announced: make(chan *pb.ProcessorRegistration, 1)}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.Creds(transport(speaks)))
	pb.RegisterOrcaCoreServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case r := <-c.announced:
		server.GracefulStop() // the processor gets its answer
		return r, <-served
	case <-ctx.Done():
		server.Stop()
		return nil, errors.Join(ctx.Err(), <-served)
	case err := <-served:
		return nil, errors.Join(fmt.Errorf("wait for a processor at %s", listener.Addr()), err)
	}
}

// core takes one registration.
type core struct {
	pb.UnimplementedOrcaCoreServer
	announced chan *pb.ProcessorRegistration // holds the first
}

func (c *core) RegisterProcessor(_ context.Context, r *pb.ProcessorRegistration) (*pb.Status, error) {
	select {
	case c.announced <- r:
	default: // it has registered again meanwhile
	}
	return &pb.Status{Received: true, Message: "taken by orca conform"}, nil
}
