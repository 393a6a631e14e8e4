package orca_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

// program builds one of the examples and returns a command that runs it against a core.
func program(t *testing.T, name string, core *fakecore.Core) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../examples/"+name)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "ORCA_CORE="+core.Addr, "PROCESSOR_PORT=0", "ORCA_ENV=test")
	return cmd
}

func TestFirstProcessorRuns(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	cmd := program(t, "first-processor", core)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	processor := fakecore.Dial(t, await(t, core.Registered).GetConnectionStr())
	r := request("Speed")
	r.Window.TimeTo = timestamppb.New(noon.Add(58_910 * time.Millisecond))
	speed, err := execute(t, processor, r)
	if err != nil {
		t.Fatal(err)
	}
	r.AlgorithmExecutions = request("SpeedKmh").GetAlgorithmExecutions()
	r.AlgorithmExecutions[0].Dependencies = []*pb.AlgorithmDependencyResult{{
		Algorithm: &pb.Algorithm{Name: "Speed", Version: "1.0.0"},
		Result: []*pb.AlgorithmDependencyResultRow{
			{Result: speed["Speed"].GetAlgorithmResult().GetResult(), Window: r.GetWindow()},
		},
	}}
	kmh, err := execute(t, processor, r)
	if err != nil {
		t.Fatal(err)
	}
	got := []float32{
		speed["Speed"].GetAlgorithmResult().GetResult().GetSingleValue(),
		kmh["SpeedKmh"].GetAlgorithmResult().GetResult().GetSingleValue(),
	}
	if diff := cmp.Diff([]float32{100, 360}, got); diff != "" {
		t.Error(diff)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v\n%s", err, log.String())
	}
	if !strings.Contains(log.String(), "registered processor=racing") {
		t.Errorf("it does not say that it is registered: %s", log.String())
	}
}

func TestFirstWindowPrintsItsResults(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{
		Emit: func(ctx context.Context, w *pb.Window) (*pb.WindowEmitStatus, error) {
			err := grpc.SetHeader(ctx, metadata.Pairs("orca-window-id", w.GetOrigin()))
			return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_PROCESSING_TRIGGERED}, err
		},
		Watch: func(r *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			node := succeeded("Speed", &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: 66.9}})
			node.Algorithm.Processor = r.GetId()
			if err := stream.Send(nodeEvent(node)); err != nil {
				return err
			}
			return stream.Send(finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED))
		},
	})
	out, err := program(t, "first-window", core).CombinedOutput()
	if want := "Speed 1.0.0 of first-window succeeded 66.9 \n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// TestReadmeShowsCodeThatRuns holds the code of the README against the programs and examples that the tests run.
func TestReadmeShowsCodeThatRuns(t *testing.T) {
	t.Parallel()
	var sources string
	for _, name := range []string{
		"../../examples/first-processor/main.go", "../../examples/first-window/main.go", "example_test.go",
	} {
		sources += flat(t, name)
	}
	blocks := strings.Split("\n"+readText(t, "README.md"), "\n```go\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("%d blocks of Go in the README", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(sources, flatten(code)) {
			t.Errorf("no program or example has this code of the README:\n%s", code)
		}
	}
	if lines := strings.Count(readText(t, "../../examples/first-processor/main.go"), "\n"); lines > 30 {
		t.Errorf("the first processor has %d lines, at most 30 are promised", lines)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func flat(t *testing.T, name string) string { return flatten(readText(t, name)) }

// flatten leaves out indentation, which differs where code is cut out of a function.
func flatten(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n") + "\n"
}
