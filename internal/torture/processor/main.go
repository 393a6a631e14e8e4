// A processor of a torture session: it writes down every execution before it works, and every result before it is sent.
// It ends with SIGTERM, and when whoever started it is gone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/peer"

	nouns "github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/torture"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

func main() {
	name := flag.String("processor", "", "the processor's name")
	core := flag.String("core", "", "the core's address")
	listen := flag.String("listen", "127.0.0.1:0", "where to listen; another port is taken when it is not free")
	announce := flag.String("announce", "", "the address that the core is told, if not that where it listens")
	journal := flag.String("journal", "", "the path of the journal")
	flag.Parse()
	if err := run(*name, *core, *listen, *announce, *journal); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name, core, address, announced, path string) error {
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
	opts := []orca.ProcessorOption{orca.WithoutEnvironment(), orca.WithCore(core), orca.WithListener(l)}
	if announced != "" {
		opts = append(opts, orca.WithAddress(announced))
	}
	p := orca.NewProcessor(name, opts...)
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
		host, _, _ := net.SplitHostPort(address) // it was one
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
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
		var needs []orca.Dependency[float32]
		opts := []orca.AlgorithmOption{orca.Describe(a.String()), orca.NeedsSelf(lookback(a.Self))}
		for _, need := range a.Needs {
			d := w.handles[need.ID].Over(lookback(need.Back))
			needs, opts = append(needs, d), append(opts, orca.Needs(d))
		}
		w.handles[a.ID] = orca.Value(p, a.Name, torture.Version, windowType(a.WindowType), func(ctx context.Context, run *orca.Run) (float32, error) {
			return w.execute(ctx, run, a, needs)
		}, opts...)
	}
}

// lookback says in the SDK's words how far to look back.
func lookback(l nouns.Lookback) orca.Lookback {
	back := orca.Last(int(l.Range.Count))
	if l.Range.Span > 0 {
		back = orca.Past(time.Duration(l.Range.Span)) //nolint:gosec // minutes
	}
	return back.Skip(int(l.Gap.Count)).SkipTime(time.Duration(l.Gap.Span)) //nolint:gosec // seconds
}

func windowType(name string) orca.WindowType {
	t := orca.WindowType{Name: name, Version: torture.Version, Description: name}
	for _, f := range torture.WindowType(name).Fields {
		t.Fields = append(t.Fields, orca.Field{Name: f.Name, Description: f.Description, Filter: f.Filter, NoStore: f.NoStore})
	}
	return t
}

// given writes down what an algorithm was handed.
func given(run *orca.Run, needs []orca.Dependency[float32]) (g torture.Given) {
	for _, d := range needs {
		if row, ok := d.Current(run); ok {
			g.Inputs = append(g.Inputs, row.Value)
		}
		g.Past = append(g.Past, texts(d.Past(run)))
	}
	g.Past = append(g.Past, texts(orca.Self[float32](run)))
	return g
}

// texts writes down past rows. A window that is not as it was emitted, or has what is not stored, is said to be so.
func texts(rows orca.Rows[float32]) string {
	var all []string
	for _, r := range rows {
		text := torture.RowText(r.Window.Origin, r.Value)
		n, _ := r.Window.Metadata[torture.FieldN].(float64)
		from, to := torture.Interval(int64(n))
		if !r.Window.From.Equal(from) || !r.Window.To.Equal(to) || r.Window.Type.Name != torture.TypeOf(int64(n)) ||
			!torture.StoredFields(int64(n), r.Window.Metadata) {
			text += fmt.Sprintf("(spoilt: %v)", r.Window)
		}
		all = append(all, text)
	}
	return torture.RowTexts(all)
}

func (w *worker) execute(ctx context.Context, run *orca.Run, a torture.Algorithm, needs []orca.Dependency[float32]) (float32, error) {
	number, _ := run.Window.Metadata[torture.FieldN].(float64)
	n := int64(number)
	if !maps.Equal(run.Window.Metadata, torture.Fields(n)) {
		return 0, fmt.Errorf("the window has the metadata %v, want that of number %d", run.Window.Metadata, n)
	}
	connected, err := w.listener.connected(ctx)
	if err != nil {
		return 0, err
	}
	x := torture.Execution{Origin: run.Window.Origin, N: n, Algorithm: a.ID, Connected: connected, Given: given(run, needs)}
	call, err := w.journal.Begin(x)
	exitOn(err)
	if err := wait(ctx, a.Lasts(x.N)); err != nil {
		return 0, err
	}
	result := a.Do(x.N, x.Given)
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
