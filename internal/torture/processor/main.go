// A processor of a torture session: it writes down every execution before it works, and every result before it is sent.
// It ends with SIGTERM, and when whoever started it is gone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/orca-telemetry/orca/internal/torture"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

func main() {
	name := flag.String("processor", "", "the processor's name")
	core := flag.String("core", "", "the core's address")
	listen := flag.String("listen", "127.0.0.1:0", "where to listen; another port is taken when it is not free")
	journal := flag.String("journal", "", "the path of the journal")
	flag.Parse()
	if err := run(*name, *core, *listen, *journal); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name, core, address, path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the process at the other end of it
		stop()
	}()
	journal, err := torture.NewJournal(path)
	if err != nil {
		return err
	}
	l, err := listen(address)
	if err != nil {
		return err
	}
	w := &worker{journal: journal, listener: l, handles: map[torture.ID]*orca.Algorithm[float32]{}}
	p := orca.NewProcessor(name, orca.WithoutEnvironment(), orca.WithCore(core), orca.WithListener(l))
	w.define(p)
	fmt.Printf("listening %s\n", l.Addr())
	go func() {
		select {
		case <-p.Registered():
			fmt.Println("registered")
		case <-ctx.Done():
		}
	}()
	return p.Run(ctx)
}

// listener knows when it accepted the connections that it has.
type listener struct {
	net.Listener
	accepted sync.Map // remote address: Instant
}

// listen takes the address, or any port when somebody else has it meanwhile.
func listen(address string) (*listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return &listener{Listener: l}, err
}

// Accept notes the moment before anything is said over the connection: a client sends no request until it has heard
// from the server.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Store(conn.RemoteAddr().String(), torture.Now())
	}
	return conn, err
}

// connected is when the connection of a request was accepted.
func (l *listener) connected(ctx context.Context) (torture.Instant, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return 0, errors.New("the request came over no connection")
	}
	at, ok := l.accepted.Load(p.Addr.String())
	if !ok {
		return 0, fmt.Errorf("no connection was accepted from %v", p.Addr)
	}
	return at.(torture.Instant), nil
}

// worker runs the algorithms of one processor.
type worker struct {
	journal  *torture.Journal
	listener *listener
	handles  map[torture.ID]*orca.Algorithm[float32]
}

func (w *worker) define(p *orca.Processor) {
	for _, a := range torture.Work {
		if a.Processor != p.Name() {
			w.handles[a.ID] = orca.Remote[float32](orca.AlgorithmID{Processor: a.Processor, Name: a.Name, Version: torture.Version})
			continue
		}
		var needs []orca.Dependable
		for _, id := range a.Needs {
			needs = append(needs, w.handles[id])
		}
		on := orca.WindowType{
			Name: a.WindowType, Version: torture.Version, Description: a.WindowType,
			Fields: []orca.Field{{Name: "n", Description: "the window's number"}},
		}
		w.handles[a.ID] = orca.Value(p, a.Name, torture.Version, on, func(ctx context.Context, run *orca.Run) (float32, error) {
			return w.execute(ctx, run, a)
		}, orca.Needs(needs...), orca.Describe(a.String()))
	}
}

func (w *worker) execute(ctx context.Context, run *orca.Run, a torture.Algorithm) (float32, error) {
	n, ok := run.Window.Metadata["n"].(float64)
	if !ok {
		return 0, fmt.Errorf("the window has the number %v", run.Window.Metadata["n"])
	}
	connected, err := w.listener.connected(ctx)
	if err != nil {
		return 0, err
	}
	x := torture.Execution{Origin: run.Window.Origin, N: int64(n), Algorithm: a.ID, Connected: connected}
	for _, id := range a.Needs {
		x.Inputs = append(x.Inputs, w.handles[id].From(run))
	}
	call, err := w.journal.Begin(x)
	exitOn(err)
	if err := wait(ctx, a.Lasts(x.N)); err != nil {
		return 0, err
	}
	result := a.Do(x.N, x.Inputs)
	exitOn(w.journal.End(call))
	switch result.Outcome {
	case torture.Succeeded:
		return result.Value, nil
	case torture.HandledFailed:
		return 0, orca.Failf("%v does not fit", a.ID)
	case torture.UnhandledFailed, torture.Open, torture.Skipped, torture.Cancelled:
	}
	return 0, fmt.Errorf("%v broke", a.ID)
}

// exitOn ends a processor that cannot write its journal, since what it executes would not be known.
func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "journal:", err)
		os.Exit(1)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
