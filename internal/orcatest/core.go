// Package orcatest is for tests: a core in the test's own process, with a store in a temporary folder, and processors
// that follow a script. Everything goes over real gRPC on loopback.
//
// Tests of the real binary, which can be killed, are in package e2e.
package orcatest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/loopback"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// Patience bounds every wait of a test for something that takes milliseconds. It only ends a test that fails anyway.
const Patience = 30 * time.Second

// Core is a running core.
type Core struct {
	pb.OrcaCoreClient
	pb.OrcaConsoleClient
	// Addresses are where it listens.
	Addresses app.Addresses

	tb     testing.TB
	cfg    config.Config
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	done   chan error
}

// Start runs a core until the test ends. Changes are applied to its settings.
func Start(tb testing.TB, changes ...func(*config.Config)) *Core {
	tb.Helper()
	cfg := config.Default()
	host := loopback.OwnHost()
	cfg.GRPC, cfg.HTTP = host+":0", host+":0"
	Store(tb, &cfg)
	cfg.DiskReserve = 1
	cfg.Heartbeat = time.Second
	for _, change := range changes {
		change(&cfg)
	}
	c := &Core{tb: tb, cfg: cfg}
	c.start()
	tb.Cleanup(c.Stop)
	return c
}

// StoreEnv set to postgres makes cores keep their ledgers in PostgreSQL, each in a schema of its own.
const StoreEnv = "ORCA_TEST_STORE"

// Store gives the settings of a core a new store: a SQLite file, unless StoreEnv says otherwise.
func Store(tb testing.TB, cfg *config.Config) {
	tb.Helper()
	switch kind := os.Getenv(StoreEnv); kind {
	case "", "sqlite":
		cfg.Store = "sqlite:" + filepath.Join(tb.TempDir(), "orca.db")
	case "postgres":
		OnPostgres(tb)(cfg)
	default:
		tb.Fatalf("%s=%s: want sqlite or postgres", StoreEnv, kind)
	}
}

// OnPostgres makes a core keep its ledger in PostgreSQL.
func OnPostgres(tb testing.TB) func(*config.Config) {
	tb.Helper()
	url, schema := pgtest.Schema(tb)
	return func(cfg *config.Config) { cfg.Store, cfg.Schema = url, schema }
}

func (c *Core) start() {
	c.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan app.Addresses, 1)
	c.cancel, c.done = cancel, make(chan error, 1)
	go func() {
		c.done <- app.Run(ctx, c.cfg, slog.New(slog.NewTextHandler(logs{c.tb}, nil)), func(a app.Addresses) { ready <- a })
	}()
	select {
	case c.Addresses = <-ready:
	case err := <-c.done:
		c.cancel = nil // it has stopped
		cancel()
		c.tb.Fatalf("the core did not start: %v", err)
	case <-time.After(Patience):
		c.tb.Fatal("the core is not ready")
	}
	conn, err := grpc.NewClient("passthrough:///"+c.Addresses.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		c.tb.Fatalf("dial the core: %v", err)
	}
	c.conn = conn
	c.OrcaCoreClient, c.OrcaConsoleClient = pb.NewOrcaCoreClient(conn), pb.NewOrcaConsoleClient(conn)
}

// For returns the core as one whose calls report to another test: a subtest, or one input of a fuzz target.
func (c *Core) For(tb testing.TB) *Core {
	again := *c
	again.tb = tb
	return &again
}

// Stop stops the core in order and fails the test when it does not. Stopping it again does nothing.
func (c *Core) Stop() {
	c.tb.Helper()
	if c.cancel == nil {
		return
	}
	c.cancel()
	c.cancel = nil
	_ = c.conn.Close()
	select {
	case err := <-c.done:
		if err != nil {
			c.tb.Errorf("the core stopped with an error: %v", err)
		}
	case <-time.After(Patience):
		c.tb.Errorf("the core does not stop; all goroutines:\n%s", Stacks())
	}
}

// Stacks are those of all goroutines of the test's process.
func Stacks() string {
	stacks := make([]byte, 1<<20)
	return string(stacks[:runtime.Stack(stacks, true)])
}

// Restart stops the core in order and starts it again on the same store and ports.
func (c *Core) Restart() {
	c.tb.Helper()
	c.Stop()
	c.cfg.GRPC, c.cfg.HTTP = c.Addresses.GRPC, c.Addresses.HTTP
	c.start()
}

// logs writes the core's log to the test's. A fuzz target has none while it runs.
type logs struct{ tb testing.TB }

func (l logs) Write(b []byte) (int, error) {
	if _, fuzzing := l.tb.(*testing.F); !fuzzing {
		l.tb.Logf("core: %s", b)
	}
	return len(b), nil
}

// Window returns a window of the type, of one second that begins i seconds after a fixed time.
func Window(typeName, version string, i int, meta map[string]any) *pb.Window {
	m, err := structpb.NewStruct(meta)
	if err != nil {
		panic(err)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	return &pb.Window{
		TimeFrom: timestamppb.New(from), TimeTo: timestamppb.New(from.Add(time.Second)),
		WindowTypeName: typeName, WindowTypeVersion: version, Origin: "test", Metadata: m,
	}
}

// Emit emits a window and returns its id and the answer, and fails the test on an error.
func (c *Core) Emit(w *pb.Window) (id string, status pb.WindowEmitStatus_StatusEnum) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var header metadata.MD
	answer, err := c.EmitWindow(ctx, w, grpc.Header(&header))
	if err != nil {
		c.tb.Fatalf("emit: %v", err)
	}
	ids := header.Get("orca-window-id")
	if len(ids) != 1 || ids[0] == "" {
		c.tb.Fatalf("emit answered the window ids %q, want one", ids)
	}
	return ids[0], answer.GetStatus()
}

// Wait waits until the newest run of a window is finished, and returns it with its nodes.
func (c *Core) Wait(id string) *pb.GetWindowResponse {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	stream, err := c.WatchWindow(ctx, &pb.WatchWindowRequest{Id: id})
	if err != nil {
		c.tb.Fatalf("watch %s: %v", id, err)
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			c.tb.Fatalf("watch %s: %v", id, err)
		}
		if event.GetFinished() != nil {
			break
		}
	}
	window, err := c.GetWindow(ctx, &pb.GetWindowRequest{Id: id})
	if err != nil {
		c.tb.Fatalf("get %s: %v", id, err)
	}
	return window
}
