package conformance

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/orca-telemetry/orca/conformance/probe"
	pb "github.com/orca-telemetry/orca/contract/go"
)

// The command finds nothing wrong with the test processors, which register with it as with a core.
func TestConform(t *testing.T) {
	t.Parallel()
	programs := build(t)
	scenarios, err := load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	s := named(t, scenarios, "dependencies")
	for _, make := range sdks {
		with := make(t, programs)
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			needFile(t, with.needs)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conform, err := launch("orca conform", ".", nil, filepath.Join(programs, "orca"), "conform", "--listen", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conform.kill() }()
			st := &stage{scenario: s, sdk: with, dir: t.TempDir(), patience: patience, processors: map[string]*process{}}
			err = eventually(ctx, func() error { _, st.core.grpc, err = asks(conform.stderr.String()); return err })
			if err != nil {
				t.Fatal(err)
			}
			if err := st.startProcessor(ctx, "main"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-conform.exited:
			case <-ctx.Done():
				t.Error("orca conform does not end")
			}
			if code := conform.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("orca conform ended with %d: %s", code, conform.stderr)
			}
			if err := st.end(t.Context(), false); err != nil {
				t.Error(err)
			}
		})
	}
}

// asks finds the address in what the command says.
func asks(said string) (before, address string, err error) {
	before, address, ok := strings.Cut(strings.TrimSpace(said), "ORCA_CORE=")
	if !ok {
		return "", "", exec.ErrNotFound
	}
	return before, address, nil
}

func named(t *testing.T, scenarios []scenario, name string) scenario {
	t.Helper()
	for _, s := range scenarios {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no scenario %s", name)
	return scenario{}
}

// careless is a processor with the mistakes that authors make first.
type careless struct {
	pb.UnimplementedOrcaProcessorServer
}

func (careless) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{}, nil
}

func (careless) ExecuteDagPart(*pb.ExecutionRequest, grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	return nil
}

// Each mistake is found by its check.
func TestProbeFindsMistakes(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterOrcaProcessorServer(server, careless{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	on := &pb.WindowType{Name: "Reading", Version: "1.0.0"}
	announced := &pb.ProcessorRegistration{Name: "careless", Runtime: "none", ConnectionStr: listener.Addr().String(), SupportedAlgorithms: []*pb.Algorithm{
		{Name: "Mean", Version: "1.0.0", WindowType: on},
	}}
	got := map[string]probe.Verdict{}
	err = probe.Run(t.Context(), probe.Config{Address: listener.Addr().String(), Announced: announced}, func(f probe.Finding) { got[f.Check] = f.Verdict })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]probe.Verdict{
		"registration": probe.Failed, "health": probe.Failed, "unknown algorithm": probe.Failed,
		"request without algorithms": probe.Passed, "each algorithm alone": probe.Failed, "all algorithms at once": probe.Failed,
		"calls at the same time": probe.Failed, "a large request": probe.Failed, "a cancelled call": probe.Failed, "health afterwards": probe.Failed,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
