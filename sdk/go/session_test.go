package orca

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestHealthTellsThePhase(t *testing.T) {
	t.Parallel()
	s := newService(nil, 1, nil, slog.New(slog.DiscardHandler))
	type answer struct {
		Status  pb.HealthCheckResponse_Status
		Message string
	}
	var got []answer
	ask := func() {
		response, err := s.HealthCheck(t.Context(), &pb.HealthCheckRequest{Timestamp: 1})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, answer{response.GetStatus(), response.GetMessage()})
	}
	ask()
	s.serve()
	ask()
	s.drain()
	ask()
	s.serve() // registering again during a drain does not undo it
	ask()
	want := []answer{
		{pb.HealthCheckResponse_STATUS_TRANSITIONING, "starting"},
		{pb.HealthCheckResponse_STATUS_SERVING, ""},
		{pb.HealthCheckResponse_STATUS_TRANSITIONING, "draining"},
		{pb.HealthCheckResponse_STATUS_TRANSITIONING, "draining"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(s.heard) != 1 {
		t.Error("the health checks were not taken for heartbeats")
	}
}

func TestTheMeterSeesCPUAndMemory(t *testing.T) {
	t.Parallel()
	m := newMeter()
	m.interval = time.Millisecond
	before, ok := m.cpuSeconds()
	if !ok {
		t.Skip("this platform does not tell a process's CPU time")
	}
	for used := before; used < before+0.02; { // two ticks of the clock that counts it
		used, _ = m.cpuSeconds()
	}
	if got := m.read(); got.GetCpuPercent() <= 0 || got.GetCpuPercent() > 100 || got.GetMemoryBytes() < 1<<20 {
		t.Errorf("got %v", got)
	}
	m.process = nil
	if got := m.read(); got.GetMemoryBytes() < 1<<20 {
		t.Errorf("without help of the platform: got %v", got)
	}
}

func TestADrainingProcessorSaysSo(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	p := NewProcessor("racing", WithoutEnvironment(), WithCore("127.0.0.1:1"), WithLogger(slog.New(slog.DiscardHandler)))
	None(p, "Slow", "1.0.0", WindowType{Name: "Lap", Version: "1.0.0"}, func(context.Context, *Run) error {
		close(begun)
		<-release
		return nil
	})
	settings, err := p.config.resolve(surroundings{env: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.open(settings, listener)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	processor := pb.NewOrcaProcessorClient(conn)
	if _, err := processor.ExecuteDagPart(t.Context(), &pb.ExecutionRequest{
		ExecId: "x", Window: &pb.Window{},
		AlgorithmExecutions: []*pb.ExecuteAlgorithm{{Algorithm: &pb.Algorithm{Name: "Slow", Version: "1.0.0"}}},
	}); err != nil {
		t.Fatal(err)
	}
	<-begun
	cancel()
	for refused := false; !refused; { // the port is closed once the drain has begun
		probe, err := net.Dial("tcp", listener.Addr().String())
		if refused = err != nil; !refused {
			_ = probe.Close()
		}
	}
	response, err := s.service.HealthCheck(t.Context(), &pb.HealthCheckRequest{Timestamp: 1})
	if err != nil || response.GetStatus() != pb.HealthCheckResponse_STATUS_TRANSITIONING || response.GetMetrics().GetActiveTasks() != 1 {
		t.Errorf("got %v, %v, want TRANSITIONING with one active task", response, err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}
