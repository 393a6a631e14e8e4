package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Many is what a large registry costs, whose processors have nothing to do. Times are in milliseconds.
type Many struct {
	// Processors have one instance each, all in one other process, and Algorithms are those of all of them.
	Processors int `json:"processors"`
	Algorithms int `json:"algorithms"`
	// Register is how long the registration of one of them took, one after the other: the median, the last tenth's, the longest.
	Register     float64 `json:"register_ms"`
	RegisterLast float64 `json:"register_last_tenth_ms"`
	RegisterMost float64 `json:"register_most_ms"`
	// IdlePercent is how much of one CPU the core took with all of them idle, and AlonePercent without any, and MiB its memory.
	IdlePercent  float64 `json:"idle_cpu_percent"`
	AlonePercent float64 `json:"alone_cpu_percent"`
	MiB          float64 `json:"rss_mib"`
	// Small and Large are closed loops of 16 windows of another type, with a registry that has nothing else and with this
	// one: medians of turns that alternate.
	Small Turn    `json:"small"`
	Large Turn    `json:"large"`
	Ratio float64 `json:"ratio"`
	// Ready is from the start of a core with this registry until it says that it is ready.
	Ready float64 `json:"ready_ms"`
}

// manyAlgorithms is how many algorithms each of many processors has.
const manyAlgorithms = 10

// many is a run with many processors, while it goes on.
type many struct {
	*bench
	result       *Many
	small, large *manyCore
	dir          string // of the large one
	times        []time.Duration
}

// manyCore is a core with a processor and a load.
type manyCore struct {
	*subject
	tally *tally
	load  *load
}

// RunMany registers so many processors, of ten algorithms each, and measures the core with and without them.
func RunMany(ctx context.Context, cfg Config, processors int) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	m := &many{bench: b, result: &Many{Processors: processors, Algorithms: processors * manyAlgorithms}}
	dir, err := os.MkdirTemp(b.Dir, "many-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m.dir = dir + "/large"
	if m.small, err = m.core(ctx, dir+"/small"); err != nil {
		return nil, err
	}
	defer m.small.discard()
	if m.large, err = m.core(ctx, m.dir); err != nil {
		return nil, err
	}
	defer func() { m.large.discard() }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{{"register", m.register}, {"idle", m.idle}, {"emit", m.emit}, {"restart", m.restart}} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(b.Progress, "%s: done after %v\n", step.what, time.Since(report.Begun).Round(time.Second))
	}
	report.Many, report.Took = m.result, time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

func (m *many) core(ctx context.Context, dir string) (*manyCore, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	var options []string
	if m.Profiles != "" {
		options = append(options, "--pprof")
	}
	core, err := startCore(ctx, m.Core, dir, options...)
	if err != nil {
		return nil, err
	}
	shape := Shapes()[0]
	c := &manyCore{subject: core, tally: newTally(shape)}
	c.load = &load{core: core, shape: shape, assets: m.Assets, concurrency: others, tally: c.tally}
	if err := core.serve(ctx, m.Processor, shape, c.tally); err != nil {
		core.discard()
		return nil, err
	}
	return c, nil
}

// register starts the processors, and waits until all are registered.
func (m *many) register(ctx context.Context) error {
	times := make(chan time.Duration, m.result.Processors)
	w := &worker{}
	read := func(r io.Reader) {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				times <- time.Duration(n)
			}
		}
	}
	var err error
	if w.child, err = launch(ctx, read, m.Core, "bench", "processors", "--core", m.large.grpc, "--number", strconv.Itoa(m.result.Processors)); err != nil {
		return err
	}
	m.large.workers = append(m.large.workers, w)
	for len(m.times) < m.result.Processors {
		select {
		case t := <-times:
			m.times = append(m.times, t)
		case <-w.exited:
			return fmt.Errorf("the processors ended: %s", w.errs)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	r := m.result
	r.RegisterLast = millis(percentile(m.times[len(m.times)*9/10:], 50)) // first, since percentile sorts
	r.Register, r.RegisterMost = millis(percentile(m.times, 50)), millis(percentile(m.times, 100))
	return nil
}

// idle looks at both cores while nothing happens.
func (m *many) idle(ctx context.Context) (err error) {
	lasts := m.Idle
	if lasts == 0 {
		lasts = 30 * time.Second
	}
	if m.result.AlonePercent, err = m.percent(ctx, m.small.subject, lasts, ""); err != nil {
		return err
	}
	profile := ""
	if m.Profiles != "" {
		profile = m.Profiles + "/many-idle.pprof"
	}
	if m.result.IdlePercent, err = m.percent(ctx, m.large.subject, lasts, profile); err != nil {
		return err
	}
	present, _, err := m.large.resident(ctx)
	m.result.MiB = float64(present) / (1 << 20)
	return err
}

// percent is how much of one CPU a core takes.
func (m *many) percent(ctx context.Context, s *subject, lasts time.Duration, profile string) (float64, error) {
	before, err := s.used(ctx)
	if err != nil {
		return 0, err
	}
	begun := now()
	if profile != "" {
		err = s.profile(ctx, lasts, profile)
	} else {
		err = pass(ctx, lasts)
	}
	if err != nil {
		return 0, err
	}
	after, err := s.used(ctx)
	return 100 * ratio((after.cpu-before.cpu).Seconds(), now().since(begun).Seconds()), err
}

// emit lets the cores take turns.
func (m *many) emit(ctx context.Context) error {
	var turns [2][]Turn
	for range m.Turns {
		for i, c := range []*manyCore{m.small, m.large} {
			measured, err := measure(ctx, c.subject, c.tally, m.Warm, m.For, "", c.load.closed)
			if err != nil {
				return err
			}
			turns[i] = append(turns[i], measured.turn(c.tally))
		}
	}
	r := m.result
	r.Small, r.Large = medians(turns[0]), medians(turns[1])
	r.Ratio = ratio(r.Large.WindowsPerSecond, r.Small.WindowsPerSecond)
	for i, c := range []*manyCore{m.small, m.large} {
		if err := c.finish(ctx, c.load.shape, c.tally, patience); err != nil {
			return err
		}
		t := []*Turn{&r.Small, &r.Large}[i]
		t.Lost, t.Duplicated = c.tally.faults(true)
	}
	return nil
}

// restart ends the large core and starts it again.
func (m *many) restart(ctx context.Context) error {
	if err := m.large.stop(); err != nil {
		return err
	}
	begun := now()
	core, err := startCore(ctx, m.Core, m.dir)
	if err != nil {
		return err
	}
	m.large.subject = core
	if err := core.get(ctx, "/readyz", func(io.Reader) error { return nil }); err != nil {
		return err
	}
	m.result.Ready = millis(now().since(begun))
	return core.stop()
}

func (m *Many) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d idle processors with %d algorithms\n", m.Processors, m.Algorithms)
	fmt.Fprintf(out, "  register   %.1f ms for one, %.1f for the last tenth, %.1f at most\n", m.Register, m.RegisterLast, m.RegisterMost)
	fmt.Fprintf(out, "  idle       %.2f %% of one CPU, %.2f without them; %.0f MiB\n", m.IdlePercent, m.AlonePercent, m.MiB)
	fmt.Fprintf(out, "  windows/s  %.0f without them, %.0f with them (%.2f); emit p50 %.2f and %.2f, p99 %.2f and %.2f ms; CPU %.0f and %.0f µs\n",
		m.Small.WindowsPerSecond, m.Large.WindowsPerSecond, m.Ratio, m.Small.EmitP50, m.Large.EmitP50, m.Small.EmitP99, m.Large.EmitP99,
		m.Small.CPUPerWindow, m.Large.CPUPerWindow)
	fmt.Fprintf(out, "  start      ready after %.0f ms\n", m.Ready)
	fmt.Fprintf(out, "  lost %d, duplicated %d\n", m.Small.Lost+m.Large.Lost, m.Small.Duplicated+m.Large.Duplicated)
}

// ServeProcessors is a process of many processors that RunMany starts: it registers one after the other, writes how many
// nanoseconds each took, and serves them until in ends.
func ServeProcessors(ctx context.Context, core string, number int, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	conn, err := grpc.NewClient("passthrough:///"+core, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", core, err)
	}
	defer conn.Close()
	server, served := grpc.NewServer(), make(chan error, number)
	defer server.Stop()
	pb.RegisterOrcaProcessorServer(server, &processor{started: time.Now(), out: io.Discard})
	for i := range number {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		go func() { served <- server.Serve(listener) }()
		begun := now()
		answer, err := pb.NewOrcaCoreClient(conn).RegisterProcessor(ctx, manyRegistration(i, listener.Addr().String()), grpc.WaitForReady(true))
		if err != nil {
			return fmt.Errorf("register processor %d: %w", i, err)
		}
		if !answer.GetReceived() {
			return fmt.Errorf("register processor %d: refused: %s", i, answer.GetMessage())
		}
		if _, err := fmt.Fprintln(out, now().since(begun).Nanoseconds()); err != nil {
			return err
		}
	}
	select {
	case err := <-served:
		return errors.Join(errors.New("a processor ended"), err)
	case <-ctx.Done():
		return nil
	}
}

// manyRegistration is a processor whose algorithms are a chain on a window type of their own.
func manyRegistration(i int, address string) *pb.ProcessorRegistration {
	r := &pb.ProcessorRegistration{Name: fmt.Sprintf("many-%d", i), Runtime: bareRuntime, ConnectionStr: address}
	shape := Shape{Name: r.GetName()}
	for n := range manyAlgorithms {
		node := node{processor: "one"}
		if n > 0 {
			node.needs = []int{n - 1}
		}
		shape.nodes = append(shape.nodes, node)
		a := shape.algorithm(n)
		for _, d := range a.GetDependencies() {
			d.ProcessorName = r.GetName()
		}
		r.SupportedAlgorithms = append(r.SupportedAlgorithms, a)
	}
	return r
}
