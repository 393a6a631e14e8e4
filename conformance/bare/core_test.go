package bare

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// A core is a gRPC server that plays one: it hands out what it is told, and answers as a core would.
type core struct {
	pb.UnimplementedOrcaCoreServer
	address       string
	registrations chan *pb.ProcessorRegistration
	windows       chan *pb.Window
}

const windowID = "0198-window"

func startCore(t *testing.T) *core {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &core{
		address:       listener.Addr().String(),
		registrations: make(chan *pb.ProcessorRegistration, 1),
		windows:       make(chan *pb.Window, 1),
	}
	server := grpc.NewServer()
	pb.RegisterOrcaCoreServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *core) RegisterProcessor(_ context.Context, r *pb.ProcessorRegistration) (*pb.Status, error) {
	c.registrations <- r
	return &pb.Status{Received: true}, nil
}

// EmitWindow knows every window type but Unknown.
func (c *core) EmitWindow(ctx context.Context, w *pb.Window) (*pb.WindowEmitStatus, error) {
	if w.GetWindowTypeName() == "Unknown" {
		return nil, status.Error(codes.NotFound, "window type Unknown 1.0.0 is not registered")
	}
	if err := grpc.SetHeader(ctx, metadata.Pairs("orca-window-id", windowID)); err != nil {
		return nil, err
	}
	c.windows <- w
	return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_PROCESSING_TRIGGERED}, nil
}

// dial reaches a processor as a core does: at the address that it registered with.
func dial(t *testing.T, r *pb.ProcessorRegistration) pb.OrcaProcessorClient {
	t.Helper()
	address := strings.TrimPrefix(r.GetConnectionStr(), "grpc://")
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pb.NewOrcaProcessorClient(conn)
}
