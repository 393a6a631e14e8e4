package orca_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; reaching it is a failure.
const patience = 30 * time.Second

var (
	lap = orca.WindowType{Name: "Lap", Version: "1.0.0", Description: "One lap"}
	day = orca.WindowType{Name: "Day", Version: "2.1.0"}

	noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
)

func window(on orca.WindowType, from time.Time, d time.Duration) orca.Window {
	return orca.Window{Type: orca.WindowType{Name: on.Name, Version: on.Version}, From: from, To: from.Add(d),
		Origin: "test", Metadata: map[string]any{}}
}

func wireWindow() *pb.Window {
	return &pb.Window{
		TimeFrom:          timestamppb.New(noon),
		TimeTo:            timestamppb.New(noon.Add(time.Minute)),
		WindowTypeName:    "Lap",
		WindowTypeVersion: "1.0.0",
		Origin:            "test",
		Metadata:          &structpb.Struct{Fields: map[string]*structpb.Value{"car": structpb.NewNumberValue(7)}},
	}
}

func constant(v float32) orca.Func[float32] {
	return func(context.Context, *orca.Run) (float32, error) { return v, nil }
}

// serving is a processor that runs, and a connection to it as a core would have.
type serving struct {
	pb.OrcaProcessorClient
	Registration *pb.ProcessorRegistration
	// Stop ends Run and returns what it returned. It may be called several times.
	Stop func() error
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newProcessor returns a processor that listens on a free port and heeds nothing but its options.
func newProcessor(core string, opts ...orca.ProcessorOption) *orca.Processor {
	return orca.NewProcessor("racing", append([]orca.ProcessorOption{
		orca.WithoutEnvironment(), orca.WithCore(core), orca.WithListen("127.0.0.1:0"), orca.WithLogger(quiet()),
	}, opts...)...)
}

// serve runs a processor until the test ends, and waits until the fake core knows it.
func serve(t *testing.T, core *fakecore.Core, p *orca.Processor) serving {
	t.Helper()
	s := start(t, p)
	s.Registration = await(t, core.Registered)
	await(t, p.Registered()) // the answer has arrived
	s.OrcaProcessorClient = fakecore.Dial(t, s.Registration.GetConnectionStr())
	return s
}

// start runs a processor until the test ends.
func start(t *testing.T, p *orca.Processor) serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return serving{Stop: stop}
}

// await takes one value from a channel.
func await[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %v", patience)
		panic("unreachable")
	}
}

// request asks for algorithms by name, without dependencies.
func request(names ...string) *pb.ExecutionRequest {
	r := &pb.ExecutionRequest{ExecId: "exec-1", Window: wireWindow()}
	for _, name := range names {
		r.AlgorithmExecutions = append(r.AlgorithmExecutions, &pb.ExecuteAlgorithm{
			Algorithm: &pb.Algorithm{Name: name, Version: "1.0.0"},
		})
	}
	return r
}

// execute sends a request and returns the results by algorithm, and how the stream ended.
func execute(t *testing.T, to pb.OrcaProcessorClient, r *pb.ExecutionRequest) (map[string]*pb.ExecutionResult, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := to.ExecuteDagPart(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]*pb.ExecutionResult{}
	for {
		result, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return results, err
		}
		name := result.GetAlgorithmResult().GetAlgorithm().GetName()
		if results[name] != nil {
			t.Errorf("two results of %s", name)
		}
		results[name] = result
	}
}
