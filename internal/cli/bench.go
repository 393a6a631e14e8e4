package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/bench"
	"github.com/orca-telemetry/orca/internal/app"
)

// benchFlags are what orca bench is told.
type benchFlags struct {
	cfg      bench.Config
	shapes   []string
	loops    []string
	windows  int64
	stored   int64
	many     int
	store    string
	cores    int
	overload bool
	save     string
	jsonFlag
}

func (s *shell) bench() *cobra.Command {
	f := &benchFlags{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a core does on this machine and disk",
		Long: "Starts cores on fresh stores in --dir, with processors and a load that are processes of their own, and measures\n" +
			"windows per second, times, CPU, allocations and memory, per shape of DAG, loop and number of windows at once. It\n" +
			"counts from outside which windows were lost or came twice. A closed loop emits a window when one has been processed,\n" +
			"an open one at a fixed rate, 0.7 of the closed loop's. With --ceiling, turns alternate with a core that keeps\n" +
			"everything in memory (bench/ceiling; \"make bench\" builds it), and ratios are shown.\n\n" +
			"--shape waiting lets --windows wait for a processor that is away; with --store postgres it is --cores that have them\n" +
			"processed when it returns. --overload emits three times what the core can take, for --for. --stored measures a store of\n" +
			"so many windows beside an empty one, and starts on it. --processors registers so many, of ten algorithms each, and\n" +
			"looks at a core while they are idle. --store postgres starts a PostgreSQL of its own, and has one core on it, --cores\n" +
			"of them, one on SQLite and pgbench take turns, by default in closed loops of 64 windows. Exit code 1 when a window was lost or came twice.",
		Example: "  orca bench --shape chain --concurrency 16 --turns 3\n  orca bench --shape waiting --windows 1000000\n" +
			"  orca bench --overload --shape chain --for 60s\n  orca bench --stored 10000000 --kept large\n" +
			"  orca bench --store postgres --cores 3 --shape single,chain --turns 3\n" +
			"  orca bench --store postgres --cores 3 --shape waiting --windows 1000000",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return s.runBench(c, f) },
	}
	f.add(c)
	c.AddCommand(s.benchProcessor(), s.benchProcessors())
	return c
}

// waitingShape is what --shape calls the run with a backlog.
const waitingShape = "waiting"

func (f *benchFlags) add(c *cobra.Command) {
	var names []string
	for _, shape := range bench.Shapes() {
		names = append(names, shape.Name)
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.shapes, "shape", nil, "measure these `SHAPES`: "+strings.Join(append(names, waitingShape), ", ")+" (default all but waiting)")
	flags.StringSliceVar(&f.loops, "loop", []string{string(bench.Closed), string(bench.Open)}, "in these `LOOPS`: closed, open")
	flags.IntSliceVar(&f.cfg.Concurrency, "concurrency", []int{1, 16, 64}, "with these `NUMBERS` of windows (closed) or unanswered emits (open) at once")
	flags.IntVar(&f.cfg.Turns, "turns", 5, "take the medians of so many turns")
	flags.DurationVar(&f.cfg.For, "for", 2*time.Second, "measure so long in each turn")
	flags.Float64Var(&f.cfg.Rate, "rate", 0, "emit so many windows a second in open loops (default 0.7 of the closed loop's)")
	flags.IntVar(&f.cfg.Assets, "assets", 1000, "emit for so many assets in turn; lookbacks stay within one")
	flags.Int64Var(&f.windows, "windows", 1_000_000, "let so many windows wait, with --shape waiting")
	flags.BoolVar(&f.overload, "overload", false, "emit three times what the core can take")
	flags.Int64Var(&f.stored, "stored", 0, "measure a store of so many windows, which takes a minute a million to make and half a gigabyte")
	flags.IntVar(&f.many, "processors", 0, "measure with so many idle processors")
	flags.StringVar(&f.store, "store", "sqlite", "measure cores on a `STORE`: sqlite or postgres")
	flags.IntVar(&f.cores, "cores", 1, "also so many cores on one ledger, with --store postgres")
	flags.StringVar(&f.cfg.Kept, "kept", "", "make the store of --stored in this `FOLDER`, or use the one that is there")
	flags.StringVar(&f.cfg.Dir, "dir", "", "keep the stores in this `FOLDER` while it lasts; it must be on a disk (default the current one)")
	flags.StringSliceVar(&f.cfg.Processor, "processor", nil, "have this `COMMAND` serve the shapes, its words parted by commas; it is given --core, --shape and --name, and reports as bench/processor.go does")
	flags.StringVar(&f.cfg.Ceiling, "ceiling", "", "compare with this `PROGRAM`, built from bench/ceiling")
	flags.StringVar(&f.cfg.Profiles, "profiles", "", "write CPU profiles of the core to this `FOLDER`")
	flags.StringVar(&f.cfg.Commit, "commit", "", "name this `COMMIT` in the report (default what the build says)")
	flags.StringVar(&f.save, "save", "", "also write the report as JSON, and a plot, to this `FOLDER`")
	f.jsonFlag.add(c)
}

// check reads what flags of the library's own kinds do not.
func (f *benchFlags) check(c *cobra.Command) error {
	for _, loop := range f.loops {
		if loop != string(bench.Closed) && loop != string(bench.Open) {
			return wrong(c, "--loop %q: want closed or open", loop)
		}
		f.cfg.Loops = append(f.cfg.Loops, bench.Loop(loop))
	}
	for _, name := range f.shapes {
		if name == waitingShape {
			if len(f.shapes) > 1 || f.overload {
				return wrong(c, "--shape %s is a run of its own; want it alone", waitingShape)
			}
			continue
		}
		shape, err := bench.ShapeNamed(name)
		if err != nil {
			return wrong(c, "--shape: %v, %s", err, waitingShape)
		}
		f.cfg.Shapes = append(f.cfg.Shapes, shape)
	}
	for _, n := range f.cfg.Concurrency {
		if n < 1 {
			return wrong(c, "--concurrency %d: want at least 1", n)
		}
	}
	if f.stored < 0 || f.many < 0 || (f.stored > 0 || f.many > 0) && (len(f.shapes) > 0 || f.overload || f.stored > 0 && f.many > 0) {
		return wrong(c, "--stored %d and --processors %d are numbers of windows and processors, and runs of their own; want one alone", f.stored, f.many)
	}
	alone := f.overload || f.stored > 0 || f.many > 0
	if f.store != "sqlite" && f.store != "postgres" || f.cores < 1 || f.cores > 1 && f.store == "sqlite" || f.store == "postgres" && alone {
		return wrong(c, "--store %s --cores %d: want sqlite with one core, or postgres, which is a run of its own", f.store, f.cores)
	}
	if f.cfg.Turns < 1 || f.cfg.For <= 0 || f.cfg.Assets < 1 || f.windows < 1 || f.cfg.Rate < 0 {
		return wrong(c, "--turns, --for, --assets and --windows must be above 0, and --rate not below it")
	}
	return nil
}

// waits reports whether windows are to wait for a processor that is away.
func (f *benchFlags) waits() bool { return len(f.shapes) == 1 && f.shapes[0] == waitingShape }

func (s *shell) runBench(c *cobra.Command, f *benchFlags) error {
	if err := f.check(c); err != nil {
		return err
	}
	var err error
	if f.cfg.Core, err = os.Executable(); err != nil {
		return err
	}
	f.cfg.Progress = s.errs
	var report *bench.Report
	switch {
	case f.waits() && f.store == "postgres":
		report, err = bench.RunDrain(c.Context(), f.cfg, f.cores, f.windows)
	case f.waits():
		report, err = bench.RunWaiting(c.Context(), f.cfg, f.windows)
	case f.stored > 0:
		report, err = bench.RunStored(c.Context(), f.cfg, f.stored, func(ctx context.Context, path string, windows int64, progress func(int64)) (bench.Sizes, error) {
			g, err := app.Grow(ctx, path, windows, progress)
			return bench.Sizes(g), err
		})
	case f.store == "postgres":
		f.forPostgres(c)
		report, err = bench.RunPostgres(c.Context(), f.cfg, f.cores)
	case f.many > 0:
		report, err = bench.RunMany(c.Context(), f.cfg, f.many)
	case f.overload:
		report, err = bench.RunOverload(c.Context(), f.cfg)
	default:
		report, err = bench.Run(c.Context(), f.cfg)
	}
	if err != nil {
		return err
	}
	if f.json {
		err = printJSON(s.out, report)
	} else {
		err = report.Print(s.out)
	}
	return errors.Join(err, f.keep(report), report.Faults())
}

// forPostgres has the shapes without lookbacks measured with 64 windows at once, unless others are asked for.
func (f *benchFlags) forPostgres(c *cobra.Command) {
	if len(f.shapes) == 0 {
		f.cfg.Shapes = bench.Shapes()[:5]
	}
	if !c.Flags().Changed("concurrency") {
		f.cfg.Concurrency = []int{64}
	}
}

// keep writes the report and its plot to files named after the time and the commit.
func (f *benchFlags) keep(report *bench.Report) error {
	if f.save == "" {
		return nil
	}
	if err := os.MkdirAll(f.save, 0o755); err != nil {
		return err
	}
	name := filepath.Join(f.save, fmt.Sprintf("%s-%s", report.Begun.Format("2006-01-02T1504"), report.Commit))
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".json", append(text, '\n'), 0o644); err != nil || len(report.Rows) == 0 {
		return err
	}
	var plot strings.Builder
	if err := report.Plot(&plot); err != nil {
		return err
	}
	return os.WriteFile(name+".svg", []byte(plot.String()), 0o644)
}

// benchProcessor is a processor that orca bench starts.
func (s *shell) benchProcessor() *cobra.Command {
	var core, name, shape string
	c := &cobra.Command{
		Use: "processor", Short: "Serve the algorithms of a shape", Hidden: true, Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			known, err := bench.ShapeNamed(shape)
			if err != nil {
				return wrong(c, "--shape: %v", err)
			}
			return bench.ServeProcessor(c.Context(), core, known, name, s.in, s.out)
		},
	}
	c.Flags().StringVar(&core, "core", "", "register at `host:port`")
	c.Flags().StringVar(&name, "name", "", "as this processor")
	c.Flags().StringVar(&shape, "shape", "", "of this shape")
	return c
}

// benchProcessors are the processors that orca bench --processors starts.
func (s *shell) benchProcessors() *cobra.Command {
	var core string
	var number int
	c := &cobra.Command{
		Use: "processors", Short: "Serve many processors that have nothing to do", Hidden: true, Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return bench.ServeProcessors(c.Context(), core, number, s.in, s.out)
		},
	}
	c.Flags().StringVar(&core, "core", "", "register at `host:port`")
	c.Flags().IntVar(&number, "number", 0, "of so many")
	return c
}
