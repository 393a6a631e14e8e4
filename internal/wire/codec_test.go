package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/wire"
)

// echo is a processor that answers with what it was asked.
type echo struct {
	pb.UnimplementedOrcaProcessorServer
	asked chan *pb.ExecutionRequest
}

func (e echo) ExecuteDagPart(r *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	e.asked <- r
	return stream.Send(&pb.ExecutionResult{ExecId: r.ExecId})
}

// A plain server understands what the codec sends, encoded before or not, and is understood.
func TestCodecAgainstPlainServer(t *testing.T) {
	t.Parallel()
	asked := make(chan *pb.ExecutionRequest, 1)
	conn := dial(t, echo{asked: asked})
	request := &pb.ExecutionRequest{ExecId: "x", Window: secondWindow()}
	encoded, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	for what, sent := range map[string]any{"encoded": wire.Encoded(encoded), "message": request} {
		got := ask(t, conn, sent)
		if got.ExecId != "x" {
			t.Errorf("%s: answered %v", what, got)
		}
		if diff := cmp.Diff(request, <-asked, protocmp.Transform()); diff != "" {
			t.Errorf("%s: the server got another request (-want +got):\n%s", what, diff)
		}
	}
}

func dial(t *testing.T, processor pb.OrcaProcessorServer) *grpc.ClientConn {
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	pb.RegisterOrcaProcessorServer(server, processor)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:processor", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func ask(t *testing.T, conn *grpc.ClientConn, request any) *pb.ExecutionResult {
	stream, err := conn.NewStream(t.Context(), &pb.OrcaProcessor_ServiceDesc.Streams[0],
		pb.OrcaProcessor_ExecuteDagPart_FullMethodName, grpc.ForceCodecV2(wire.Codec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(request); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	got := new(pb.ExecutionResult)
	if err := stream.RecvMsg(got); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(pb.ExecutionResult)); !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ended with %v", err)
	}
	return got
}

func TestCodecRefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	if _, err := (wire.Codec{}).Marshal([]byte("x")); err == nil {
		t.Error("plain bytes were marshalled")
	}
}
