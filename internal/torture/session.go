package torture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/loopback"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

// Config says what to torture, and for how long.
type Config struct {
	// Core and Processor are the paths of the programs: cmd/orca and internal/torture/processor.
	Core, Processor string
	// Others are commands of processes that run another program than Processor, by their names. They are told the path of
	// the work as well, and there is no Network for them.
	Others map[string][]string
	// Dir is an empty folder for the store, the journals and the logs.
	Dir string
	// For is how long windows are emitted and faults happen.
	For time.Duration
	// Kills is how often the core is killed and started again at once, a moment after it is ready; it then has no other
	// faults, and what For says goes on until all are done. 0 gives it faults of all kinds.
	Kills int
	// Open is how many windows may be unfinished, over all emitters; 300 when zero.
	Open int
	// Store is the folder of the core's store as the core sees it, and StoreOutside as this process does; Dir when empty.
	Store, StoreOutside string
	// Prefix is what the core's command line begins with, and Options are added to its settings.
	Prefix, Options []string
	// Cores are several cores over one database, instead of one with a store of its own; nil when there is one.
	Cores *Cores
	// Within is how long everything that is open may take once the faults are over; 3 minutes when zero.
	Within time.Duration
	// Network puts a proxy before each processor that cuts, silences and delays its connections at times.
	Network bool
	// Troubles go on beside the faults of the processes. A core that cannot start meanwhile is started again.
	Troubles []*Trouble
	// Seed gives the plan of faults and what emitters repeat.
	Seed uint64
}

const (
	// openWindows is how many windows may be unfinished by default.
	openWindows = 300
	// maxAttempts is high enough for no node to use up its attempts in breakdowns: it would have to be under way when
	// each of so many processes in a row is killed.
	maxAttempts = 5
	// executionTimeout is longer than the longest execution and the longest pause of a processor together, and shorter
	// than the longest silence of a network.
	executionTimeout = 4 * time.Second
	// finishing is how long everything that is open may take once the faults are over. It takes some seconds.
	finishing = 3 * time.Minute
)

// The rhythms of a session.
var (
	coreRhythm      = Rhythm{Every: 2 * time.Second, Down: 500 * time.Millisecond, Paused: 500 * time.Millisecond}
	processorRhythm = Rhythm{Every: 4 * time.Second, Down: 2 * time.Second, Paused: time.Second, Moves: true}
)

// session is one session while it goes on.
type session struct {
	cfg        Config
	core       *unit   // the first one
	others     []*unit // beside it
	host       string  // where everything of the session listens
	web        string  // where the core speaks HTTP
	processors []*unit
	conns      []*grpc.ClientConn // to each core
	clients    []*orca.Client
	observer   *observer
	reviser    *reviser
	emitters   []*emitter
	prober     *prober
	troubles   []*Trouble
	troubled   [][]Fault // what each trouble did
	networks   []func()  // ends each proxy
	begun      time.Time
	finished   time.Duration // how long everything took after the last fault
	over       chan struct{} // closed when nothing is emitted any more
}

// Run runs a session and returns what was seen of it. An error is a session that could not be brought to its end, such
// as a process that ended by itself or a window that does not finish; it may be a defect as well.
func Run(ctx context.Context, cfg Config) (_ *Record, err error) {
	s := &session{cfg: cfg, host: loopback.OwnHost(), over: make(chan struct{}), troubles: slices.Clone(cfg.Troubles)}
	if s.web, err = lastingAddress(s.host); err != nil {
		return nil, err
	}
	s.makeCores()
	defer s.discard()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.torture(ctx); err != nil {
		return nil, err
	}
	record := s.record()
	if err := s.readLedger(ctx, record); err != nil {
		return nil, err
	}
	if record.Unscrubbed, err = s.awaitScrub(ctx); err != nil {
		return nil, err
	}
	if err := s.stop(ctx); err != nil {
		return nil, err
	}
	for _, u := range s.units() { // with the stop
		record.Faults = append(record.Faults, u.faults...)
	}
	if cfg.Cores == nil {
		if record.Leaks, err = leaks(cfg.storeOutside()); err != nil {
			return nil, err
		}
	}
	record.Executions, err = ReadJournals(cfg.Dir)
	record.Took = time.Since(s.begun)
	return record, err
}

// record is what was seen while the session went on.
func (s *session) record() *Record {
	r := &Record{Sightings: s.observer.sightings, Denials: s.observer.denials, Asks: s.reviser.asks, Finished: s.finished}
	if s.prober != nil {
		r.Probes = s.prober.probes
	}
	for _, e := range s.emitters {
		r.Emits = append(r.Emits, e.emits...)
	}
	r.Faults = slices.Concat(s.troubled...)
	return r
}

func (s *session) units() []*unit { return append(s.cores(), s.processors...) }

func (s *session) cores() []*unit { return append([]*unit{s.core}, s.others...) }

// open starts every process, and waits until the core knows all processors.
func (s *session) open(ctx context.Context) (err error) {
	for _, u := range s.cores() {
		address := u.address
		if address == "" {
			if address, err = lastingAddress(s.host); err != nil {
				return err
			}
		}
		if err := u.start(ctx, address); err != nil {
			return err
		}
	}
	if err := writeWork(s.cfg.work()); err != nil {
		return err
	}
	// A pool of twins and a processor that is alone.
	for i, u := range []struct{ name, processor string }{{"press-a", Press}, {"press-b", Press}, {"paint-a", Paint}} {
		steps := Plan(s.cfg.Seed, uint64(i+1), s.cfg.For, processorRhythm)
		network, err := s.network(ctx, u.name)
		if err != nil {
			return err
		}
		core := s.cores()[i%len(s.cores())]
		s.processors = append(s.processors, newProcessor(s.cfg, u.name, u.processor, s.host, core.address, network, steps))
	}
	for _, u := range s.processors {
		if err := u.start(ctx, ""); err != nil {
			return err
		}
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, u := range s.processors {
		if _, err := u.process.await(within, "registered"); err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
	}
	if err := s.connect(); err != nil {
		return err
	}
	return s.agree(within)
}

// network starts the proxy before a processor, if there is to be one. It ends with discard.
func (s *session) network(ctx context.Context, unit string) (*proxy, error) {
	if !s.cfg.Network {
		return nil, nil
	}
	p, err := newProxy(s.host)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		p.run(ctx)
		close(ended)
	}()
	s.networks = append(s.networks, func() { stop(); <-ended })
	s.troubles = append(s.troubles, p.trouble(unit))
	return p, nil
}

// connect makes the connections of emitters and observer, which outlast the cores at their other end.
func (s *session) connect() (err error) {
	retry := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 200 * time.Millisecond},
		MinConnectTimeout: 5 * time.Second,
	}
	s.observer = &observer{last: map[nodeKey]Settled{}}
	for _, u := range s.cores() {
		conn, err := grpc.NewClient("passthrough:///"+u.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(retry))
		if err != nil {
			return err
		}
		s.conns = append(s.conns, conn)
		client, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore(u.address), orca.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			return err
		}
		s.clients = append(s.clients, client)
		s.observer.consoles = append(s.observer.consoles, pb.NewOrcaConsoleClient(conn))
	}
	s.reviser = &reviser{clients: s.clients, observer: s.observer, seed: s.cfg.Seed}
	return nil
}

// torture emits windows and lets faults happen, and returns when every window that was answered is finished.
func (s *session) torture(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	group, ctx := errgroup.WithContext(ctx)
	s.begun = time.Now()
	var calm, work sync.WaitGroup
	s.harass(ctx, group, &calm)
	s.emit(ctx, group, &work)
	group.Go(func() error {
		select {
		case <-s.over:
		case <-ctx.Done():
		}
		calm.Wait()
		within, calmed := cmp.Or(s.cfg.Within, finishing), time.Now()
		timer := time.AfterFunc(within, func() { end(fmt.Errorf("%w %v after the last fault", errUnfinished, within)) })
		defer timer.Stop()
		work.Wait()
		err := s.finish(ctx)
		s.finished = time.Since(calmed)
		end(err)
		return err
	})
	err := group.Wait()
	if errors.Is(err, errUnfinished) {
		err = fmt.Errorf("%w\n%s", err, s.describe(context.WithoutCancel(ctx)))
	}
	return err
}

// harass starts what happens to the processes and around them. The processes' own ordeals end by themselves, and all else
// with the emitting; calm is done when all of it is through.
func (s *session) harass(ctx context.Context, group *errgroup.Group, calm *sync.WaitGroup) {
	var ordeals sync.WaitGroup
	ordeals.Add(len(s.units()))
	for _, u := range s.units() {
		group.Go(func() error { return u.suffer(ctx, s.begun, ordeals.Done) })
	}
	calm.Add(1 + len(s.troubles))
	s.troubled = make([][]Fault, len(s.troubles))
	group.Go(func() error {
		defer calm.Done()
		return s.end(ctx, &ordeals)
	})
	for i, t := range s.troubles {
		random := rand.New(rand.NewPCG(s.cfg.Seed, uint64(200+i)))
		group.Go(func() (err error) {
			defer calm.Done()
			s.troubled[i], err = t.make(ctx, &Scene{core: s.core}, random, s.over)
			return err
		})
	}
}

// emit starts the emitters and the prober. work is done when they are, and every window that they were answered.
func (s *session) emit(ctx context.Context, group *errgroup.Group, work *sync.WaitGroup) {
	slots := make(chan struct{}, cmp.Or(s.cfg.Open, openWindows))
	for _, e := range s.makeEmitters(slots) {
		run := e.run
		if s.prober != nil && e == s.prober.emitter {
			run, e.slots = s.prober.run, make(chan struct{}, openProbes)
		}
		e.answered = func(id string, n int64) {
			work.Add(1)
			group.Go(func() error {
				defer func() { <-e.slots; work.Done() }()
				return s.reviser.live(ctx, id, n)
			})
		}
		work.Add(1)
		group.Go(func() error {
			defer work.Done()
			return run(ctx, s.over)
		})
	}
}

// end ends the emitting once the time is over and all faults are through.
func (s *session) end(ctx context.Context, calm *sync.WaitGroup) error {
	defer close(s.over)
	timer := time.NewTimer(time.Until(s.begun.Add(s.cfg.For)))
	defer timer.Stop()
	select {
	case <-timer.C:
		calm.Wait()
	case <-ctx.Done():
	}
	return nil
}

// errUnfinished ends a session whose windows do not finish.
var errUnfinished = errors.New("something is still open")

// finish waits for windows that exist without their emitter having been told.
func (s *session) finish(ctx context.Context) error {
	for {
		id, err := openWindow(ctx, s.observer.console())
		if err != nil || id == "" {
			return err
		}
		revision, err := s.observer.newest(ctx, id)
		if err != nil {
			return err
		}
		if err := s.observer.watch(ctx, id, revision); err != nil {
			return err
		}
	}
}

// makeEmitters makes two emitters of each kind, and a third bare one for the prober.
func (s *session) makeEmitters(slots chan struct{}) []*emitter {
	kinds := []Emitter{Fresh, Keyed, Bare, Fresh, Keyed, Bare, Bare}
	for i, kind := range kinds {
		s.emitters = append(s.emitters, &emitter{
			kind: kind, name: string(kind), number: int64(i), stride: int64(len(kinds)), client: s.clients[i%len(s.clients)],
			bare: pb.NewOrcaCoreClient(s.conns[i%len(s.conns)]), random: rand.New(rand.NewPCG(s.cfg.Seed, uint64(100+i))), slots: slots,
		})
	}
	if s.cfg.Cores != nil {
		return s.emitters // whether one core is ready says nothing of the others
	}
	s.prober = &prober{url: "http://" + s.web + "/readyz", emitter: s.emitters[len(kinds)-1]}
	return s.emitters
}

// describe says what the core thinks that it is waiting for.
func (s *session) describe(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var b strings.Builder
	for i, u := range s.cores() {
		answer, err := s.observer.consoles[i].GetStatus(ctx, &pb.GetStatusRequest{})
		fmt.Fprintf(&b, "status of %s: %v, %v\n%s\n", u.name, answer, err, u.process.said())
	}
	return b.String()
}

func (s *session) readLedger(ctx context.Context, record *Record) (err error) {
	if record.Windows, err = readWindows(ctx, s.observer.console()); err != nil {
		return err
	}
	record.Results, err = readResults(ctx, s.observer.console())
	return err
}

// awaitScrub waits, in a session that is long enough to have a minute, until no file of the store has what is not to be
// stored, and returns those that still have it when that takes too long.
func (s *session) awaitScrub(ctx context.Context) (files []string, err error) {
	const within = 75 * time.Second // a minute, and some time for a machine that is busy
	if s.cfg.For < time.Minute || s.cfg.Cores != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		if files, err = leaks(s.cfg.storeOutside()); err != nil || files == nil {
			return nil, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return files, nil
		}
	}
}

// stop ends every process in order.
func (s *session) stop(ctx context.Context) error {
	for _, u := range s.units() {
		if err := u.do(ctx, Stop); err != nil {
			return fmt.Errorf("stop %s: %w", u.name, err)
		}
	}
	return nil
}

// discard ends whatever is still there.
func (s *session) discard() {
	for _, u := range s.units() {
		u.discard()
	}
	for _, end := range s.networks {
		end()
	}
	for _, c := range s.clients {
		c.Close()
	}
	for _, c := range s.conns {
		_ = c.Close() // nobody uses it any more
	}
}
