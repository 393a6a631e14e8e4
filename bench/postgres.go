package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shirou/gopsutil/v4/process"
	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/pgserver"
)

// Postgres is what cores do on a PostgreSQL of their own, beside one on SQLite.
type Postgres struct {
	Version string        `json:"version"`
	Rows    []PostgresRow `json:"rows"`
	// PgbenchTPS are the transactions per second that pgbench does on the same server, with 64 clients and its simple
	// update, and no round trip between the statements of a transaction saved: the median and each turn.
	PgbenchTPS   float64   `json:"pgbench_tps,omitempty"`
	PgbenchTurns []float64 `json:"pgbench_turns,omitempty"`
}

// PostgresRow is a row of one store, with so many cores.
type PostgresRow struct {
	Store string `json:"store"`
	Cores int    `json:"cores"`
	Row
	// PerServerSecond is windows per second of the server's time on CPUs.
	PerServerSecond float64 `json:"windows_per_server_cpu_second,omitempty"`
}

// lineup is who takes turns.
type lineup struct {
	store string
	cores int
	turns []Turn
}

// RunPostgres measures one core on SQLite, one on PostgreSQL, so many on PostgreSQL if that is more than one, the ceiling
// and pgbench in turn, with a server that lives as long as the run.
func RunPostgres(ctx context.Context, cfg Config, cores int) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	s, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop() //nolint:contextcheck // it has a time limit of its own
	report.Postgres = &Postgres{Version: s.version}
	for _, shape := range b.Shapes {
		for _, concurrency := range b.Concurrency {
			c := combination{shape: shape, loop: Closed, concurrency: concurrency}
			if err := b.onPostgres(ctx, s, c, cores, report.Postgres); err != nil {
				return nil, fmt.Errorf("%s with %d under way: %w", shape.Name, concurrency, err)
			}
		}
	}
	report.Postgres.PgbenchTPS = median(report.Postgres.PgbenchTurns)
	report.Took = time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

// onPostgres lets all take turns.
func (b *bench) onPostgres(ctx context.Context, s *server, c combination, cores int, p *Postgres) error {
	all := []*lineup{{store: "sqlite", cores: 1}, {store: "postgres", cores: 1}}
	if cores > 1 {
		all = append(all, &lineup{store: "postgres", cores: cores})
	}
	var ceiling []Turn
	var commits []time.Duration
	for range b.Turns {
		commit, err := commitTime(b.Dir)
		if err != nil {
			return fmt.Errorf("measure the disk: %w", err)
		}
		commits = append(commits, commit)
		for _, l := range all {
			turn, err := b.storeTurn(ctx, s, l, c)
			if err != nil {
				return fmt.Errorf("%d cores on %s: %w", l.cores, l.store, err)
			}
			l.turns = append(l.turns, turn)
		}
		if b.Ceiling != "" {
			turn, err := b.ceilingTurn(ctx, c)
			if err != nil {
				return fmt.Errorf("ceiling: %w", err)
			}
			ceiling = append(ceiling, turn)
		}
		tps, err := s.pgbench(ctx, b.For)
		if err != nil {
			return err
		}
		if tps > 0 {
			p.PgbenchTurns = append(p.PgbenchTurns, tps)
		}
	}
	for _, l := range all {
		row := PostgresRow{Store: l.store, Cores: l.cores, Row: newRow(c, l.turns, ceiling, percentile(commits, 50))}
		row.PerServerSecond = ratio(1e6, row.Core.ServerCPUPerWindow)
		fmt.Fprintln(b.Progress, l.cores, l.store, row)
		p.Rows = append(p.Rows, row)
	}
	return nil
}

// storeTurn measures fresh cores on a fresh store.
func (b *bench) storeTurn(ctx context.Context, s *server, l *lineup, c combination) (Turn, error) {
	if l.store == "sqlite" {
		return b.coreTurn(ctx, c, "")
	}
	cores, err := b.startCores(ctx, s, l.cores)
	if err != nil {
		return Turn{}, err
	}
	turn, err := b.turn(ctx, cores, c, "")
	return turn, errors.Join(err, s.exec(ctx, "DROP SCHEMA "+s.schema()+" CASCADE"))
}

// startCores starts so many cores on a fresh schema of a server. What is emitted goes to them in turn.
func (b *bench) startCores(ctx context.Context, s *server, number int) (first *subject, err error) {
	s.schemas++
	for range number {
		core, err := startCoreOn(ctx, b.Core, s.URL(), append([]string{"--schema", s.schema()}, b.options...)...)
		switch {
		case err != nil && first != nil:
			first.discard()
			return nil, err
		case err != nil:
			return nil, err
		case first == nil:
			first = core
		default:
			first.others = append(first.others, core)
		}
	}
	first.server = s
	if number > 1 {
		first.OrcaCoreClient = spreadEmits(first)
	}
	return first, nil
}

// rotation hands windows to cores in turn.
type rotation struct {
	pb.OrcaCoreClient
	cores []pb.OrcaCoreClient
	next  atomic.Uint64
}

func spreadEmits(first *subject) *rotation {
	r := &rotation{OrcaCoreClient: first.OrcaCoreClient, cores: []pb.OrcaCoreClient{first.OrcaCoreClient}}
	for _, other := range first.others {
		r.cores = append(r.cores, other.OrcaCoreClient)
	}
	return r
}

// EmitWindow emits to the next core.
func (r *rotation) EmitWindow(ctx context.Context, w *pb.Window, opts ...grpc.CallOption) (*pb.WindowEmitStatus, error) {
	return r.cores[r.next.Add(1)%uint64(len(r.cores))].EmitWindow(ctx, w, opts...)
}

// server is a PostgreSQL that this process has started.
type server struct {
	*pgserver.Server
	conn    *pgx.Conn
	version string
	schemas int
	pgReady bool // pgbench has its tables
}

func startServer(ctx context.Context) (_ *server, err error) {
	s := &server{}
	if s.Server, err = pgserver.Start(ctx); err != nil {
		return nil, err
	}
	if s.conn, err = pgx.Connect(ctx, s.URL()); err == nil {
		err = s.conn.QueryRow(ctx, "SHOW server_version").Scan(&s.version)
	}
	if err != nil {
		s.stop() //nolint:contextcheck // it has a time limit of its own
		return nil, err
	}
	return s, nil
}

func (s *server) stop() {
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.conn.Close(ctx)
	}
	_ = s.Stop() // its files are gone with it
}

// schema is the newest.
func (s *server) schema() string { return "bench_" + strconv.Itoa(s.schemas) }

func (s *server) exec(ctx context.Context, statement string) error {
	_, err := s.conn.Exec(ctx, statement)
	return err
}

// used is the time on CPUs of all processes of the server that are there, and how many transactions have written anything.
func (s *server) used(ctx context.Context) (cpu time.Duration, transactions float64, err error) {
	if err := s.conn.QueryRow(ctx, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8").Scan(&transactions); err != nil {
		return 0, 0, fmt.Errorf("count transactions: %w", err)
	}
	pid, err := s.PID()
	if err != nil {
		return 0, 0, err
	}
	postmaster, err := process.NewProcessWithContext(ctx, int32(pid))
	if err != nil {
		return 0, 0, fmt.Errorf("look at the server: %w", err)
	}
	children, err := postmaster.ChildrenWithContext(ctx)
	if err != nil && !errors.Is(err, process.ErrorNoChildren) {
		return 0, 0, fmt.Errorf("look at the processes of the server: %w", err)
	}
	for _, p := range append(children, postmaster) {
		if times, err := p.TimesWithContext(ctx); err == nil { // one that has ended has no time any more
			cpu += time.Duration((times.User + times.System) * float64(time.Second))
		}
	}
	return cpu, transactions, nil
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench measures the server with its own benchmark; 0 where that is not installed.
func (s *server) pgbench(ctx context.Context, lasts time.Duration) (float64, error) {
	path, err := exec.LookPath("pgbench")
	if errors.Is(err, exec.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	run := func(args ...string) ([]byte, error) {
		command := exec.CommandContext(ctx, path, append(args, s.URL())...)
		command.Env = append(os.Environ(), "LC_ALL=C")
		out, err := command.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("pgbench: %w: %s", err, out)
		}
		return out, err
	}
	if !s.pgReady {
		if _, err := run("--initialize", "--quiet", "--scale=10"); err != nil {
			return 0, err
		}
		s.pgReady = true
	}
	seconds := max(1, int(lasts.Seconds()))
	out, err := run("--no-vacuum", "--builtin=simple-update", "--client=64", "--jobs=2", "--protocol=prepared", "--time="+strconv.Itoa(seconds))
	if err != nil {
		return 0, err
	}
	m := tpsLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench does not say how many transactions it did: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func (p *Postgres) print(out io.Writer) error {
	fmt.Fprintf(out, "\nPostgreSQL %s\n\n", p.Version)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shape\tat once\tstore\tcores\twindows/s\tratio\temit p50\tend p50\tp99\tcommits\ttransactions\tCPU µs\tserver's\twindows per server CPU s\tlost\tdupl.\t")
	for _, r := range p.Rows {
		c := r.Core
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%d\t%d\t\n", r.Shape, r.Concurrency, r.Store, r.Cores,
			c.WindowsPerSecond, r.Ratio, c.EmitP50, c.EndP50, c.EndP99, c.CommitsPerWindow, c.TransactionsPerWindow, c.CPUPerWindow,
			c.ServerCPUPerWindow, r.PerServerSecond, c.Lost, c.Duplicated)
	}
	if err := w.Flush(); err != nil || p.PgbenchTPS == 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "\npgbench, simple update, 64 clients, prepared: %.0f transactions a second (%.0f)\n", p.PgbenchTPS, p.PgbenchTurns)
	return err
}
