package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// patience is how long anything may take that takes moments.
const patience = 2 * time.Minute

// subject is what is measured: a core, or the ceiling, which has no console, no metrics and no store.
type subject struct {
	pb.OrcaCoreClient
	console pb.OrcaConsoleClient // nil for the ceiling
	grpc    string
	http    string // empty for the ceiling
	process *child
	conn    *grpc.ClientConn
	workers []*worker
	// others are the other cores of its ledger, and server what the ledger is kept by, where that is no file.
	others []*subject
	server *server
}

// worker is a processor that runs.
type worker struct {
	*child
	registered chan instant // when it began to register; comes once its core knows it
}

var readyLine = regexp.MustCompile(`^orca is ready: grpc=(\S+) http=(\S+) store=`)

// startCore starts a core on the store in a folder, with the settings that it has by default and these options.
func startCore(ctx context.Context, binary, dir string, options ...string) (*subject, error) {
	return startCoreOn(ctx, binary, "sqlite:"+filepath.Join(dir, "orca.db"), options...)
}

// startCoreOn starts a core on a store.
func startCoreOn(ctx context.Context, binary, store string, options ...string) (*subject, error) {
	line := make(chan string, 1)
	args := append([]string{"serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", store}, options...)
	process, err := launch(ctx, func(r io.Reader) {
		text, _ := bufio.NewReader(r).ReadString('\n')
		line <- text
	}, binary, args...)
	if err != nil {
		return nil, err
	}
	m := readyLine.FindStringSubmatch(<-line)
	if m == nil {
		process.kill()
		return nil, fmt.Errorf("the core does not get ready: %s", process.errs)
	}
	s := &subject{process: process, grpc: m[1], http: m[2]}
	if err := s.connect(); err != nil {
		process.kill()
		return nil, err
	}
	s.console = pb.NewOrcaConsoleClient(s.conn)
	return s, nil
}

// startCeiling starts the ceiling. It takes no port 0, so it is given one that was free a moment ago.
func startCeiling(ctx context.Context, binary string) (*subject, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &subject{grpc: l.Addr().String()}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if s.process, err = launch(ctx, func(io.Reader) {}, binary, "--addr", s.grpc); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		s.process.kill()
		return nil, err
	}
	return s, nil
}

func (s *subject) connect() (err error) {
	s.conn, err = grpc.NewClient("passthrough:///"+s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	s.OrcaCoreClient = pb.NewOrcaCoreClient(s.conn)
	return err
}

// serve starts every processor of a shape, whose reports go to the tally, and returns when the subject knows them.
func (s *subject) serve(ctx context.Context, command []string, shape Shape, t *tally) error {
	for _, name := range shape.processors() {
		w, err := s.startWorker(ctx, command, shape, name, t)
		if err != nil {
			return err
		}
		if _, err := w.known(ctx); err != nil {
			return fmt.Errorf("processor %s: %w", name, err)
		}
	}
	return nil
}

func (s *subject) startWorker(ctx context.Context, command []string, shape Shape, name string, t *tally) (*worker, error) {
	w := &worker{registered: make(chan instant, 1)}
	read := func(r io.Reader) {
		_ = readRecords(bufio.NewReaderSize(r, 64<<10), func(r record) { // what is cut off by its end is missing, and counts as lost
			if r.node == registered {
				w.registered <- r.at
				return
			}
			t.executed(r)
		})
	}
	args := append(slices.Clone(command[1:]), "--core", s.grpc, "--shape", shape.Name, "--name", name)
	var err error
	if w.child, err = launch(ctx, read, command[0], args...); err != nil {
		return nil, err
	}
	s.workers = append(s.workers, w)
	return w, nil
}

// known waits until the core knows the processor, and returns when it began to register.
func (w *worker) known(ctx context.Context) (instant, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case at := <-w.registered:
		return at, nil
	case <-w.exited:
		return 0, fmt.Errorf("it ended: %s", w.errs)
	case <-ctx.Done():
		return 0, fmt.Errorf("it does not register: %w: %s", context.Cause(ctx), w.errs)
	}
}

// stop ends the subject and its processors. A core must end in order.
func (s *subject) stop() error {
	var err error
	if s.console != nil {
		err = s.process.stop()
	}
	for _, other := range s.others {
		err = errors.Join(err, other.stop())
	}
	s.discard()
	return err
}

// discard ends whatever is still there.
func (s *subject) discard() {
	_ = s.conn.Close()
	s.process.kill()
	for _, w := range s.workers {
		w.kill()
	}
	for _, other := range s.others {
		other.discard()
	}
	s.workers = nil
}

// idle waits until no run is open.
func (s *subject) idle(ctx context.Context) error {
	for _, other := range s.others {
		if err := other.idle(ctx); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		st, err := s.console.GetStatus(ctx, &pb.GetStatusRequest{})
		if err != nil {
			return fmt.Errorf("ask for the status: %w", err)
		}
		open := st.GetPending() + st.GetActive() + st.GetParked()
		if open == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%d runs are open though everything has run: %w", open, context.Cause(ctx))
		}
	}
}

// readLedger tells the tally which windows of its shape the core's ledger has.
func (s *subject) readLedger(ctx context.Context, shape Shape, t *tally) error {
	for token := ""; ; {
		page, err := s.console.ListWindows(ctx, &pb.ListWindowsRequest{
			PageSize: 1000, PageToken: token, WindowTypeName: shape.typeName(), WindowTypeVersion: version,
		})
		if err != nil {
			return fmt.Errorf("list windows: %w", err)
		}
		for _, w := range page.GetWindows() {
			run := w.GetRun()
			whole := run.GetState() == pb.RunState_RUN_STATE_SUCCEEDED && int(run.GetSettled()) == len(shape.nodes)
			t.inLedger(numberOf(w.GetWindow()), whole)
		}
		if token = page.GetPageToken(); token == "" {
			return nil
		}
	}
}

// finish waits until what was accepted is processed and, in a core, durable, and checks the ledger.
func (s *subject) finish(ctx context.Context, shape Shape, t *tally, within time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := t.settle(limited)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err // what does not come in time is counted as lost
	}
	if s.console == nil {
		return nil
	}
	if err == nil {
		if err := s.idle(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return s.readLedger(ctx, shape, t)
}
