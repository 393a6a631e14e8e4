// Command emitter emits one window with the generated stubs alone, as peers without our SDKs do. The README of
// conformance/bare says what the programs of all languages do; this one is the Go one.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func main() {
	core := flag.String("core", os.Getenv("ORCA_CORE"), "host:port of the core")
	windowType := flag.String("type", "Reading@1.0.0", "window type, as Name@1.0.0")
	origin := flag.String("origin", "bare-go", "origin of the window")
	from := flag.Int64("from", 0, "begin, in nanoseconds since the epoch")
	to := flag.Int64("to", 0, "end, in nanoseconds since the epoch")
	meta := flag.String("metadata", "{}", "metadata, as a JSON object")
	flag.Parse()

	fields := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(*meta), fields); err != nil {
		fail(fmt.Errorf("--metadata is not a JSON object: %w", err))
	}
	name, version, _ := strings.Cut(*windowType, "@")
	line, err := emit(*core, &pb.Window{
		TimeFrom:          timestamppb.New(time.Unix(0, *from)),
		TimeTo:            timestamppb.New(time.Unix(0, *to)),
		WindowTypeName:    name,
		WindowTypeVersion: version,
		Origin:            *origin,
		Metadata:          fields,
	})
	if encodeErr := json.NewEncoder(os.Stdout).Encode(line); encodeErr != nil {
		fail(encodeErr)
	}
	if err != nil {
		fail(err)
	}
}

// emit returns the line to print: the status and the id of the window, or the code and message of the refusal.
func emit(core string, window *pb.Window) (map[string]any, error) {
	conn, err := grpc.NewClient(core, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var header metadata.MD
	answer, err := pb.NewOrcaCoreClient(conn).EmitWindow(ctx, window, grpc.Header(&header))
	if err != nil {
		s := status.Convert(err)
		return map[string]any{"code": uint32(s.Code()), "message": s.Message()}, err
	}
	return map[string]any{
		"status":   answer.GetStatus().String(),
		"windowId": strings.Join(header.Get("orca-window-id"), ","),
	}, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "emitter:", err)
	os.Exit(1)
}
