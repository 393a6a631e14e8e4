package torture

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// coreName is the core's name among the units; processors have their own.
const coreName = "core"

// unit is a program that is started again after each fault. One goroutine at a time uses it.
type unit struct {
	name string
	// ordeal is what is done to it: it ends when the process is up for good, or with ctx.
	ordeal  func(ctx context.Context, u *unit, begun time.Time) error
	address string // where it listens, and comes back
	// launch starts it at an address, or at a free one when that is empty, and says where it listens.
	launch func(ctx context.Context, address string) (p *process, at string, err error)

	process *process // nil while it is down
	// pid is that of process, or 0; anybody may read it.
	pid    atomic.Int64
	faults []Fault
}

// patience bounds the start and the orderly end of a process, which take milliseconds on a machine that has time.
const patience = time.Minute

func (u *unit) start(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, at, err := u.launch(ctx, address)
	if err != nil {
		return fmt.Errorf("start %s: %w", u.name, err)
	}
	u.process, u.address = p, at
	u.pid.Store(int64(p.cmd.Process.Pid))
	return nil
}

// suffer lets the ordeal happen, tells calm when it is through, and watches the process until ctx ends. A process that
// ends by itself is an error.
func (u *unit) suffer(ctx context.Context, begun time.Time, calm func()) error {
	var once sync.Once
	defer once.Do(calm)
	if err := u.ordeal(ctx, u, begun); err != nil || ctx.Err() != nil {
		return err
	}
	once.Do(calm)
	return u.waitFor(ctx, math.MaxInt64)
}

// planned does what a plan says.
func planned(steps []Step) func(context.Context, *unit, time.Time) error {
	return func(ctx context.Context, u *unit, begun time.Time) error {
		for _, step := range steps {
			if err := u.waitFor(ctx, time.Until(begun.Add(step.At))); err != nil || ctx.Err() != nil {
				return err
			}
			if err := u.do(ctx, step.Action); err != nil {
				return fmt.Errorf("%s %s: %w", step.Action, u.name, err)
			}
		}
		return nil
	}
}

// killed kills the process so many times, each a moment after it was ready, and starts it again at once. The moments
// are drawn from a seed.
func killed(times int, seed uint64) func(context.Context, *unit, time.Time) error {
	const shortest, longest = 20 * time.Millisecond, 300 * time.Millisecond
	random := rand.New(rand.NewPCG(seed, 0))
	return func(ctx context.Context, u *unit, _ time.Time) error {
		for range times {
			if err := u.waitFor(ctx, shortest+time.Duration(random.Int64N(int64(longest-shortest)))); err != nil || ctx.Err() != nil {
				return err
			}
			for _, action := range []Action{Kill, Start} {
				if err := u.do(ctx, action); err != nil {
					return fmt.Errorf("%s %s: %w", action, u.name, err)
				}
			}
		}
		return nil
	}
}

// waitFor returns nil when it is time or ctx has ended.
func (u *unit) waitFor(ctx context.Context, d time.Duration) error {
	var exited chan struct{} // never, while it is down
	if u.process != nil {
		exited = u.process.exited
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return nil
	case <-exited:
		return fmt.Errorf("%s ended by itself with exit code %d:\n%s", u.name, u.process.cmd.ProcessState.ExitCode(), u.process.said())
	}
}

func (u *unit) do(ctx context.Context, action Action) (err error) {
	fault := Fault{At: Now(), Target: u.name, Action: action}
	switch action {
	case Kill:
		u.pid.Store(0)
		err = u.process.kill()
		u.process = nil
	case Stop:
		fault.Code, err = u.halt(ctx)
	case Pause:
		err = pause(u.process.cmd.Process)
	case Resume:
		err = resume(u.process.cmd.Process)
	case Start:
		err = u.start(ctx, u.address)
	case Move:
		err = u.start(ctx, "")
	case Cut, Silent, Late, Mended, Restarted, Promoted:
		err = fmt.Errorf("%q is nothing that is done to a process", action)
	default:
		err = fmt.Errorf("unknown action %q", action)
	}
	fault.Done = Now()
	u.faults = append(u.faults, fault)
	return err
}

// halt stops the process in order.
func (u *unit) halt(ctx context.Context) (code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u.pid.Store(0)
	if code, err = u.process.stop(ctx); err == nil {
		u.process = nil
	}
	return code, err
}

// discard ends the process for good, whatever it does.
func (u *unit) discard() {
	if u.process != nil {
		_ = u.process.kill() // there is nobody left to tell
	}
}

// reserves are the room on the disk below which a core refuses windows: none, so that what does not fit reaches the store, or some.
var reserves = []string{"0", "8MiB"}

// maxActive are the runs that a core holds in memory: fewer than are open, so that they are parked and admitted, or all.
var maxActive = []int{10, 50, 4096}

// newCore returns the core under torture, which speaks HTTP at an address. Its store is in the session's folder.
func newCore(cfg Config, web string) *unit {
	starts := 0
	ordeal := planned(Plan(cfg.Seed, 0, cfg.For, coreRhythm))
	if cfg.Kills > 0 {
		ordeal = killed(cfg.Kills, cfg.Seed)
	}
	return &unit{name: coreName, ordeal: ordeal, launch: func(ctx context.Context, address string) (*process, string, error) {
		args := slices.Concat(cfg.Prefix, []string{cfg.Core, "serve", "--grpc", address, "--http", web, "--store", "sqlite:" + cfg.store(),
			"--disk-reserve", reserves[cfg.Seed%uint64(len(reserves))], "--drain", "20s", "--heartbeat", "1s", "--instance-ttl", "20s",
			"--max-active-runs", strconv.Itoa(maxActive[cfg.Seed%uint64(len(maxActive))]), "--execution-timeout", executionTimeout.String(), "--max-attempts", strconv.Itoa(maxAttempts)}, cfg.Options)
		for {
			starts++
			p, err := launch(cfg.file(coreName, starts, "log"), args[0], args[1:]...)
			if err != nil {
				return nil, "", err
			}
			if _, err = p.await(ctx, "orca is ready: grpc="+address+" "); err == nil {
				return p, address, nil
			}
			_ = p.kill() // the error says what there is to say
			if len(cfg.Troubles) == 0 || ctx.Err() != nil {
				return nil, "", err
			}
		}
	}}
}

// store is the path of the core's store.
func (cfg Config) store() string { return filepath.Join(cmp.Or(cfg.Store, cfg.Dir), "orca.db") }

// storeOutside is the folder of the store as this process sees it.
func (cfg Config) storeOutside() string { return cmp.Or(cfg.StoreOutside, cfg.Dir) }

// leaks returns the files of the store in a folder that have metadata which is not to be stored.
func leaks(dir string) (found []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "orca.db*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the log is removed when it is empty
			return nil, err
		}
		if bytes.Contains(b, []byte(notStored)) {
			found = append(found, path)
		}
	}
	return found, nil
}

// lastingAddress returns a free address that stays free while nobody listens there for a moment: its port is below those
// that systems hand out by themselves.
func lastingAddress(host string) (string, error) {
	const lowest, ports, tries = 20_000, 10_000, 100
	var failure error
	for range tries {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, lowest+rand.IntN(ports)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
		failure = err
	}
	return "", failure
}

// newProcessor returns a process that serves the processor with the given name, behind a network if there is one. Each
// start has a journal of its own.
func newProcessor(cfg Config, name, processor, host, core string, network *proxy, steps []Step) *unit {
	starts := 0
	return &unit{name: name, ordeal: planned(steps), launch: func(ctx context.Context, address string) (*process, string, error) {
		starts++
		args := []string{"--processor", processor, "--core", core, "--listen", cmp.Or(address, cfg.Cores.address(name, host)+":0"),
			"--journal", cfg.file(name, starts, "journal")}
		if network != nil {
			args = append(args, "--announce", network.address())
		}
		line := slices.Concat(cfg.Cores.prefix(name), cfg.command(name), args)
		p, err := launch(cfg.file(name, starts, "log"), line[0], line[1:]...)
		if err != nil {
			return nil, "", err
		}
		at, err := p.await(ctx, "listening ")
		if err != nil {
			_ = p.kill() // the error says what there is to say
			return nil, "", err
		}
		if network != nil {
			network.lead(at)
		}
		return p, at, nil
	}}
}

// command is what the command line of a processor begins with.
func (cfg Config) command(unit string) []string {
	if other := cfg.Others[unit]; other != nil {
		return slices.Concat(other, []string{"--work", cfg.work()})
	}
	return []string{cfg.Processor}
}

// work is the path of the work, for processors that cannot read it by themselves.
func (cfg Config) work() string { return filepath.Join(cfg.Dir, "work.json") }

// file is the path of what a process writes after its n-th start.
func (cfg Config) file(unit string, n int, ending string) string {
	return filepath.Join(cfg.Dir, fmt.Sprintf("%s-%04d.%s", unit, n, ending))
}
