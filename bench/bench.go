// Package bench measures a core from outside: windows per second, times, memory, and whether a window is lost or comes
// twice, beside a ceiling that keeps everything in memory and makes only the calls that the contract demands.
//
// All parts are processes of their own, as users have them, with nothing pinned and GOMAXPROCS as it is: the core on its
// default settings with its store on a real disk, processors made from the contract's stubs, and the load, which is the
// process that runs this package. Processors report each execution over a pipe, so what happened to a window is known
// without asking the core; what its ledger says is read when all is over, and must agree.
//
// Machines differ, and so does one machine from minute to minute. What counts are ratios of the medians of turns that
// alternate between core and ceiling.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Config says what to measure. Core is needed; every other zero means its default.
type Config struct {
	// Core is the path of the command orca. Ceiling is that of bench/ceiling; without it there are no ratios.
	Core, Ceiling string
	// Processor is the command that serves a shape, with its first arguments. It is given --core, --shape and --name, and has
	// to do what ServeProcessor does. Default the command orca itself.
	Processor []string
	// Dir is the folder, on the disk that is measured, where stores are made and removed. Default the current one.
	Dir string
	// Shapes default to all, Loops to closed and open, Concurrency to 1, 16 and 64.
	Shapes      []Shape
	Loops       []Loop
	Concurrency []int
	// Turns is how many turns the medians are of, each for core and ceiling. Default 5.
	Turns int
	// For is how long a turn is measured, after Warm. Defaults 2 s, and a quarter of For.
	For, Warm time.Duration
	// Assets is among how many assets the windows go round; lookbacks stay within one. Default 1,000.
	Assets int
	// Rate is that of open loops, in windows per second. Default 0.7 of what the core does in a closed loop.
	Rate float64
	// Profiles is a folder for CPU profiles of the core. Default none.
	Profiles string
	// Idle is how long RunMany looks at a core that has nothing to do. Default 30 s.
	Idle time.Duration
	// Kept is the folder in which RunStored makes its store, or finds it. Default none: it is made and removed.
	Kept string
	// Commit is what is measured, for the report. Default what the build says.
	Commit string
	// anyDisk allows a folder in memory, for tests.
	anyDisk bool
	// options are given to the cores that share a ledger, in tests.
	options []string
	// Progress is told of each row as it is there. Default nobody.
	Progress io.Writer
}

// openShare is the rate of open loops, as a share of what the core does in a closed one.
const openShare = 0.7

// bench is a run.
type bench struct{ Config }

func newBench(cfg Config) (*bench, error) {
	if cfg.Core == "" {
		return nil, errors.New("no core to measure")
	}
	if len(cfg.Processor) == 0 {
		cfg.Processor = []string{cfg.Core, "bench", "processor"}
	}
	if cfg.Dir == "" {
		cfg.Dir = "."
	}
	if len(cfg.Shapes) == 0 {
		cfg.Shapes = Shapes()
	}
	if len(cfg.Loops) == 0 {
		cfg.Loops = []Loop{Closed, Open}
	}
	if len(cfg.Concurrency) == 0 {
		cfg.Concurrency = []int{1, 16, 64}
	}
	if cfg.Turns == 0 {
		cfg.Turns = 5
	}
	if cfg.For == 0 {
		cfg.For = 2 * time.Second
	}
	if cfg.Warm == 0 {
		cfg.Warm = cfg.For / 4
	}
	if cfg.Assets == 0 {
		cfg.Assets = 1000
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	for _, dir := range []string{cfg.Dir, cfg.Profiles} {
		if dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
		}
	}
	return &bench{cfg}, nil
}

// Run measures every combination of shape, concurrency and loop.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	b, err := newBench(cfg)
	if err != nil {
		return nil, err
	}
	report, err := b.report()
	if err != nil {
		return nil, err
	}
	for _, shape := range b.Shapes {
		for _, concurrency := range b.Concurrency {
			rows, err := b.rows(ctx, shape, concurrency)
			if err != nil {
				return nil, fmt.Errorf("%s with %d under way: %w", shape.Name, concurrency, err)
			}
			report.Rows = append(report.Rows, rows...)
		}
	}
	report.Took = time.Since(report.Begun).Round(time.Second).String()
	return report, nil
}

// rows measures the loops of a shape and concurrency.
func (b *bench) rows(ctx context.Context, shape Shape, concurrency int) (rows []Row, err error) {
	rate := b.Rate
	for _, loop := range b.Loops {
		c := combination{shape: shape, loop: loop, concurrency: concurrency}
		if loop == Open {
			if rate == 0 { // nobody has measured the closed loop
				turn, err := b.coreTurn(ctx, combination{shape: shape, loop: Closed, concurrency: concurrency}, "")
				if err != nil {
					return nil, err
				}
				rate = max(1, openShare*turn.WindowsPerSecond)
			}
			c.rate = rate
		}
		row, err := b.row(ctx, c)
		if err != nil {
			return nil, err
		}
		if loop == Closed && rate == 0 {
			rate = max(1, openShare*row.Core.WindowsPerSecond)
		}
		fmt.Fprintln(b.Progress, row)
		rows = append(rows, row)
	}
	return rows, nil
}

// row lets core and ceiling take turns.
func (b *bench) row(ctx context.Context, c combination) (Row, error) {
	var core, ceiling []Turn
	var commits []time.Duration
	for i := range b.Turns {
		commit, err := commitTime(b.Dir)
		if err != nil {
			return Row{}, fmt.Errorf("measure the disk: %w", err)
		}
		commits = append(commits, commit)
		turn, err := b.coreTurn(ctx, c, b.profilePath(c, i+1))
		if err != nil {
			return Row{}, fmt.Errorf("core: %w", err)
		}
		core = append(core, turn)
		if b.Ceiling == "" {
			continue
		}
		if turn, err = b.ceilingTurn(ctx, c); err != nil {
			return Row{}, fmt.Errorf("ceiling: %w", err)
		}
		ceiling = append(ceiling, turn)
	}
	return newRow(c, core, ceiling, percentile(commits, 50)), nil
}
