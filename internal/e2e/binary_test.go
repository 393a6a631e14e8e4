// Package e2e drives the built binary from outside, as its users do: it starts cores, kills them, and looks at what
// emitters were answered, what processors ran and what the ledger says.
package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/loopback"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	os.Exit(build(m.Run))
}

func build(run func() int) int {
	dir, err := os.MkdirTemp("", "orca-e2e-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "orca")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/orca-telemetry/orca/cmd/orca").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	return run()
}

// core is a core in a process of its own.
type core struct {
	pb.OrcaCoreClient
	pb.OrcaConsoleClient
	tb      testing.TB
	store   string // path of the file; empty when it is none
	grpc    string // host:port, kept over restarts
	http    string
	cmd     *exec.Cmd
	conn    *grpc.ClientConn
	stderr  *tail
	exited  chan struct{} // closed when the process has ended
	options []string
}

// startCore runs the binary on a store in a temporary folder until the test ends.
func startCore(tb testing.TB, options ...string) *core {
	tb.Helper()
	cfg := config.Default()
	orcatest.Store(tb, &cfg)
	host := loopback.OwnHost()
	c := &core{tb: tb, grpc: host + ":0", http: host + ":0",
		options: append([]string{"--disk-reserve", "1MiB", "--store", cfg.Store, "--schema", cfg.Schema}, options...)}
	if !config.IsPostgres(cfg.Store) {
		c.store = strings.TrimPrefix(cfg.Store, "sqlite:")
	} else {
		c.options = append([]string{"--lease", shortLease.String()}, c.options...) // for the next start after a kill
	}
	c.start()
	tb.Cleanup(func() {
		if c.cmd != nil {
			c.kill()
		}
	})
	return c
}

var readyLine = regexp.MustCompile(`^orca is ready: grpc=(\S+) http=(\S+) store=`)

// start runs the binary and waits for its line.
func (c *core) start() {
	c.tb.Helper()
	args := append([]string{"serve", "--grpc", c.grpc, "--http", c.http}, c.options...)
	c.cmd = exec.Command(binary, args...)
	c.stderr = &tail{}
	c.cmd.Stderr = c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.tb.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	m := readyLine.FindStringSubmatch(line)
	if err != nil || m == nil {
		c.tb.Fatalf("the core said %q (%v), want its addresses\n%s", line, err, c.stderr)
	}
	c.grpc, c.http = m[1], m[2]
	cmd, exited := c.cmd, make(chan struct{})
	c.exited = exited
	go func() {
		_ = cmd.Wait() // the exit code is in its ProcessState
		close(exited)
	}()
	if c.conn, err = grpc.NewClient("passthrough:///"+c.grpc, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		c.tb.Fatal(err)
	}
	c.OrcaCoreClient, c.OrcaConsoleClient = pb.NewOrcaCoreClient(c.conn), pb.NewOrcaConsoleClient(c.conn)
}

// kill ends the process as a power cut would.
func (c *core) kill() {
	c.tb.Helper()
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.tb.Fatal(err)
	}
	<-c.exited
	_ = c.conn.Close()
	c.cmd = nil
}

// stop ends the process in order and returns its exit code.
func (c *core) stop() int {
	c.tb.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.tb.Fatal(err)
	}
	select {
	case <-c.exited:
	case <-time.After(orcatest.Patience):
		c.tb.Fatalf("the core does not stop\n%s", c.stderr)
	}
	_ = c.conn.Close()
	code := c.cmd.ProcessState.ExitCode()
	c.cmd = nil
	return code
}

// dump ends the process, and returns what it logged and what all its goroutines did.
func (c *core) dump() string {
	if err := c.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err.Error()
	}
	<-c.exited
	return c.stderr.String()
}

// residentBytes is the memory of the process.
func (c *core) residentBytes() int64 {
	c.tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.tb.Skipf("the memory of a process cannot be read here: %v", err)
	}
	var kb int64
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	c.tb.Fatalf("no VmRSS in %s", b)
	return 0
}

// windows returns every window of the ledger with its nodes.
func (c *core) windows() map[string]*pb.GetWindowResponse {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orcatest.Patience)
	defer cancel()
	all := map[string]*pb.GetWindowResponse{}
	for token := ""; ; {
		page, err := c.ListWindows(ctx, &pb.ListWindowsRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			c.tb.Fatal(err)
		}
		for _, w := range page.GetWindows() {
			if all[w.GetId()], err = c.GetWindow(ctx, &pb.GetWindowRequest{Id: w.GetId()}); err != nil {
				c.tb.Fatal(err)
			}
		}
		if token = page.GetPageToken(); token == "" {
			return all
		}
	}
}

// waitIdle waits until no run is open.
func (c *core) waitIdle() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*orcatest.Patience)
	defer cancel()
	for {
		open, err := c.ListWindows(ctx, &pb.ListWindowsRequest{PageSize: 1, State: pb.RunState_RUN_STATE_OPEN})
		if err != nil {
			c.tb.Fatalf("the core is not idle: %v\n%s", err, c.stderr)
		}
		if len(open.GetWindows()) == 0 {
			return
		}
		c.watch(ctx, open.GetWindows()[0].GetId())
	}
}

// watch returns when the window's run is finished.
func (c *core) watch(ctx context.Context, id string) {
	c.tb.Helper()
	stream, err := c.WatchWindow(ctx, &pb.WatchWindowRequest{Id: id})
	if err != nil {
		c.tb.Fatal(err)
	}
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			c.tb.Fatalf("watch %s: %v\n%s", id, err, c.stderr)
		}
	}
}

// run runs the binary with arguments until it ends, and returns its exit code and what it wrote.
func run(tb testing.TB, env []string, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), orcatest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// tail keeps the end of what a process writes.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-512<<10):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// eventually repeats a question to another process until the answer is right, which it says with an empty text.
func eventually(tb testing.TB, wrong func() string) {
	tb.Helper()
	deadline := time.Now().Add(orcatest.Patience)
	for {
		text := wrong()
		if text == "" {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal(text)
		}
	}
}

// freePort returns an address at which nobody listens.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// textFile returns the path of a file that is no database.
func textFile(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func field(name string) *pb.MetadataField {
	return &pb.MetadataField{Name: name, Description: name}
}
