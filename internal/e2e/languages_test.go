package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// bare is a processor of conformance/bare: a program in another language, without an SDK.
type bare struct {
	tb      testing.TB
	command []string
	cmd     *exec.Cmd
	exited  chan struct{}
	// executed gets a token for each execution that it tells of.
	executed chan struct{}
}

// startBare runs the program, and skips the test where it was not built.
func startBare(tb testing.TB, c *core, command ...string) *bare {
	tb.Helper()
	for _, path := range command {
		if _, err := os.Stat(path); strings.Contains(path, "..") && err != nil {
			tb.Skipf("%v; run make bare", err)
		}
	}
	b := &bare{tb: tb, command: append(command, "--core", c.grpc, "--name", "bare"), executed: make(chan struct{}, 10_000)}
	b.start()
	tb.Cleanup(b.kill)
	return b
}

// start returns when it has registered.
func (b *bare) start() {
	b.tb.Helper()
	b.cmd = exec.Command(b.command[0], b.command[1:]...)
	said := &tail{}
	b.cmd.Stderr = said
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		b.tb.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.tb.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() || !strings.Contains(lines.Text(), "listening") {
		_ = b.cmd.Process.Kill() // the error says what there is to say
		b.tb.Fatalf("the processor said %q\n%s", lines.Text(), said)
	}
	cmd, exited := b.cmd, make(chan struct{})
	b.exited = exited
	go func() {
		for lines.Scan() {
			var line struct{ Executed string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Executed != "" {
				b.executed <- struct{}{}
			}
		}
		_ = cmd.Wait() // it was killed
		close(exited)
	}()
}

func (b *bare) kill() {
	_ = b.cmd.Process.Kill() // it may have been killed before
	<-b.exited
}

// await waits for n executions.
func (b *bare) await(n int) {
	b.tb.Helper()
	timeout := time.After(4 * orcatest.Patience)
	for range n {
		select {
		case <-b.executed:
		case <-timeout:
			b.tb.Fatal("the processor runs too little")
		}
	}
}

// The core and a processor in another language are killed in turns while windows are emitted with keys: each is there
// once, and every result is the right one.
func TestKillsWithOtherLanguages(t *testing.T) {
	t.Parallel()
	programs := filepath.Join("..", "..", "conformance", "bare")
	for name, command := range map[string][]string{
		"python": {filepath.Join("..", "..", ".cache", "bare", "python", "bin", "python"), filepath.Join(programs, "python", "processor.py")},
		"nodejs": {"node", filepath.Join(programs, "nodejs", "dist", "processor.js")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const windows, kills, between = 120, 3, 40
			c := startCore(t, "--heartbeat", "200ms", "--max-attempts", "20")
			b := startBare(t, c, command...)
			emitted := make(chan error, 1)
			go func() { emitted <- emitReadings(t.Context(), c.grpc, windows) }()
			for range kills {
				b.await(between)
				c.kill()
				c.start()
				b.await(between)
				b.kill()
				b.start()
			}
			if err := <-emitted; err != nil {
				t.Fatal(err)
			}
			c.waitIdle()
			checkReadings(t, c, windows)
		})
	}
}

// readingSeconds is the length of the i-th window.
func readingSeconds(i int) int { return 1 + i%9 }

// emitReadings emits windows one after the other, each with a key and until it is answered.
func emitReadings(ctx context.Context, address string, n int) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range n {
		from := time.Unix(1_700_000_000+int64(i)*100, 0)
		w := &pb.Window{
			TimeFrom: timestamppb.New(from), TimeTo: timestamppb.New(from.Add(time.Duration(readingSeconds(i)) * time.Second)),
			WindowTypeName: "Reading", WindowTypeVersion: "1.0.0", Origin: fmt.Sprint(i),
			Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{"asset": structpb.NewStringValue("pump")}},
		}
		keyed := metadata.AppendToOutgoingContext(ctx, "idempotency-key", w.GetOrigin())
		for {
			_, err := pb.NewOrcaCoreClient(conn).EmitWindow(keyed, w, grpc.WaitForReady(true))
			if err == nil {
				break
			}
			if status.Code(err) != codes.Unavailable {
				return fmt.Errorf("emit %d: %w", i, err)
			}
		}
	}
	return nil
}

// checkReadings holds the ledger against what the programs compute.
func checkReadings(t *testing.T, c *core, n int) {
	t.Helper()
	want, got := map[string]map[string]string{}, map[string]map[string]string{}
	for i := range n {
		s := readingSeconds(i)
		want[fmt.Sprint(i)] = map[string]string{
			"Mean": fmt.Sprint(s), "Spread": fmt.Sprint([]int{2*s - 1, 2*s + 1}), "Report": fmt.Sprint(map[string]any{"asset": "pump", "value": 6 * s}),
		}
	}
	for id, w := range c.windows() {
		origin := w.GetWindow().GetWindow().GetOrigin()
		if got[origin] != nil {
			t.Errorf("%s is there twice, once as %s", origin, id)
		}
		got[origin] = map[string]string{}
		for _, node := range w.GetNodes() {
			got[origin][node.GetAlgorithm().GetName()] = readingText(node)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func readingText(node *pb.NodeInfo) string {
	switch data := node.GetResult().GetResultData().(type) {
	case *pb.Result_SingleValue:
		return fmt.Sprint(data.SingleValue)
	case *pb.Result_FloatValues:
		return fmt.Sprint(data.FloatValues.GetValues())
	case *pb.Result_StructValue:
		return fmt.Sprint(data.StructValue.AsMap())
	}
	return fmt.Sprintf("%v: %s", node.GetOutcome(), node.GetReason())
}
