package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Cores are several cores over one database.
type Cores struct {
	// Number of cores.
	Number int
	// Database is shared by all of them.
	Database *Database
	// Fabric has a host for each core, named CoreHosts, and for each processor; nil when all is on this machine.
	Fabric *Fabric
	// Lease is how long a core may be silent.
	Lease time.Duration
}

// CoreHosts are the names of so many cores, and of their hosts.
func CoreHosts(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", coreName, i+1))
	}
	return names
}

// ProcessorHosts are those of the processors.
func ProcessorHosts() []string { return []string{"press-a", "press-b", "paint-a"} }

// isCore reports whether a unit is a core.
func isCore(unit string) bool { return unit == coreName || strings.HasPrefix(unit, coreName+"-") }

func (c *Cores) host(name string) *Host {
	if c == nil {
		return &Host{}
	}
	return c.Fabric.Host(name)
}

// prefix is what the command line of a unit begins with.
func (c *Cores) prefix(unit string) []string { return c.host(unit).space.prefix() }

// address is that of a unit's host, or the given one.
func (c *Cores) address(unit, otherwise string) string {
	if a := c.host(unit).Address; a != "" {
		return a
	}
	return otherwise
}

// makeCores makes the core, or the cores, which are not started.
func (s *session) makeCores() {
	if s.cfg.Cores == nil {
		s.core = newCore(s.cfg, s.web)
		return
	}
	for i, name := range CoreHosts(s.cfg.Cores.Number) {
		u := s.newSharer(name, Plan(s.cfg.Seed, uint64(300+i), s.cfg.For, Rhythm{
			Every: 8 * time.Second, Down: 3 * time.Second, Paused: 2 * s.cfg.Cores.Lease,
		}))
		if i == 0 {
			s.core = u
		} else {
			s.others = append(s.others, u)
		}
	}
}

// corePort is where cores listen that have a host of their own.
const corePort = 5377

// newSharer returns one of several cores.
func (s *session) newSharer(name string, steps []Step) *unit {
	cfg, c := s.cfg, s.cfg.Cores
	u := &unit{name: name, ordeal: planned(steps)}
	if host := c.host(name); host.space != nil {
		u.address = fmt.Sprintf("%s:%d", host.Address, corePort)
	}
	starts := 0
	var direct []string
	if name[len(name)-1]%2 == 1 { // those that listen and those that look get along
		direct = []string{"--store-direct", c.Database.URL()}
	}
	u.launch = func(ctx context.Context, address string) (*process, string, error) {
		line := slices.Concat(c.prefix(name), []string{cfg.Core, "serve", "--grpc", address, "--insecure", "--http", "off", "--store", c.Database.URL(),
			"--lease", c.Lease.String(), "--drain", "20s", "--heartbeat", "1s", "--instance-ttl", "20s",
			"--max-active-runs", strconv.Itoa(maxActive[cfg.Seed%uint64(len(maxActive))]), "--execution-timeout", executionTimeout.String(),
			"--max-attempts", strconv.Itoa(maxAttempts)}, direct, cfg.Options)
		for {
			starts++
			p, err := launch(cfg.file(name, starts, "log"), line[0], line[1:]...)
			if err != nil {
				return nil, "", err
			}
			if _, err = p.await(ctx, "orca is ready: grpc="+address+" "); err == nil {
				return p, address, nil
			}
			_ = p.kill() // the error says what there is to say
			if ctx.Err() != nil {
				return nil, "", err
			}
			if pause := time.Duration(rand.Int64N(int64(200 * time.Millisecond))); !wait(ctx, pause) { // the database may be away
				return nil, "", err
			}
		}
	}
	return u
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// agree waits until every core knows what all processors have announced.
func (s *session) agree(ctx context.Context) error {
	for i, u := range s.cores() {
		core := pb.NewOrcaCoreClient(s.conns[i])
		for known := 0; known < len(Work); {
			state, err := core.Expose(ctx, &pb.ExposeSettings{}, grpc.WaitForReady(true))
			if err != nil {
				return fmt.Errorf("expose of %s: %w", u.name, err)
			}
			known = 0
			for _, p := range state.GetProcessors() {
				known += len(p.GetSupportedAlgorithms())
			}
			wait(ctx, rewatch)
		}
	}
	return nil
}
