package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	cmp2 "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// shortLease is the lease of cores that are killed and stopped in tests.
const shortLease = time.Second

// cores share one PostgreSQL.
type cores struct {
	all         []*core
	url, schema string

	mu     sync.Mutex
	random *rand.Rand
	away   map[*core]bool // killed, or stopped
}

func startCores(tb testing.TB, n int, random *rand.Rand, options ...string) *cores {
	tb.Helper()
	url, schema := pgtest.Schema(tb)
	cs := &cores{url: url, schema: schema, random: random, away: map[*core]bool{}}
	for i := range n {
		options := append([]string{"--store", url, "--schema", schema, "--lease", shortLease.String(), "--heartbeat", "1s"}, options...)
		if i%2 == 1 { // those that listen and those that look get along
			options = append(options, "--store-direct", url)
		}
		cs.all = append(cs.all, startCore(tb, options...))
	}
	return cs
}

// emitAll emits n windows, to all cores in turns, and returns their ids by origin.
func (cs *cores) emitAll(n int) map[string]string {
	var mu sync.Mutex
	answered := map[string]string{}
	var emitters sync.WaitGroup
	for e := range 32 {
		emitters.Go(func() {
			for i := e; i < n; i += 32 {
				w := orcatest.Window("W", "1.0.0", i, nil)
				w.Origin = fmt.Sprintf("window-%d", i)
				id := cs.all[i%len(cs.all)].emit(w)
				mu.Lock()
				answered[w.GetOrigin()] = id
				mu.Unlock()
			}
		})
	}
	emitters.Wait()
	return answered
}

// emit emits a window and returns its id.
func (c *core) emit(w *pb.Window) string {
	ctx, cancel := context.WithTimeout(c.tb.Context(), orcatest.Patience)
	defer cancel()
	var header metadata.MD
	if _, err := c.EmitWindow(ctx, w, grpc.Header(&header)); err != nil {
		c.tb.Errorf("emit %s: %v", w.GetOrigin(), err)
		return ""
	}
	return header.Get("orca-window-id")[0]
}

// on returns the clients of any core that is not away.
func (cs *cores) on() clients {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for {
		c := cs.all[cs.random.IntN(len(cs.all))]
		if !cs.away[c] {
			return clients{c.OrcaCoreClient, c.OrcaConsoleClient}
		}
	}
}

// leave takes a core away.
func (cs *cores) leave() *core {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[cs.random.IntN(len(cs.all))]
	cs.away[c] = true
	return c
}

func (cs *cores) comeBack(c *core) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.away, c)
}

// kill ends a core as a power cut would, and starts it again after a while.
func (cs *cores) kill(ctx context.Context, after time.Duration) {
	c := cs.leave()
	c.kill()
	pause(ctx, after)
	c.start()
	cs.comeBack(c)
}

// stop has a core stand still for a while.
func (cs *cores) stop(ctx context.Context, lasts time.Duration) {
	c := cs.leave()
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.tb.Fatal(err)
	}
	pause(ctx, lasts)
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.tb.Fatal(err)
	}
	cs.comeBack(c)
}

// agree waits until all cores know the same algorithms.
func (cs *cores) agree(tb testing.TB) {
	tb.Helper()
	eventually(tb, func() string {
		var first *pb.InternalState
		for i, c := range cs.all {
			ctx, cancel := context.WithTimeout(tb.Context(), orcatest.Patience)
			state, err := c.Expose(ctx, &pb.ExposeSettings{}, grpc.WaitForReady(true))
			cancel()
			switch {
			case err != nil:
				return fmt.Sprintf("expose: %v", err)
			case i == 0:
				first = state
			case !proto.Equal(first, state):
				return fmt.Sprintf("two cores know different registries:\n%v\n%v", first, state)
			}
		}
		return ""
	})
}

// Whichever of three cores is told of windows, asked to retry and reprocess them, killed, or stopped for longer than its
// lease: algorithms are handed what the rules of lookbacks make of the order in which runs were accepted, nothing that was
// answered is lost, no algorithm of a run has two outcomes, and all of it finishes. ORCA_HISTORY_FOR and ORCA_HISTORY_SEED
// are as in TestHistoryDecidesWhatProcessorsAreGiven.
func TestCoresThatShareALedgerSurviveEachOther(t *testing.T) {
	t.Parallel()
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("ORCA_HISTORY_FOR"), "15s"))
	if err != nil {
		t.Fatalf("ORCA_HISTORY_FOR: %v", err)
	}
	pgtest.URL(t)
	if text := os.Getenv("ORCA_HISTORY_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("ORCA_HISTORY_SEED: %v", err)
		}
		playHistory(t, seed, 3)
		return
	}
	first, end := rand.Uint64N(1<<40), time.Now().Add(lasts)
	var played, inputs atomic.Int64
	var players sync.WaitGroup
	for range 3 { // histories of faults wait most of the time
		players.Go(func() {
			for time.Now().Before(end) && !t.Failed() {
				seed := first + uint64(played.Add(1)) //nolint:gosec // it is positive
				t.Run(fmt.Sprint(seed), func(t *testing.T) { inputs.Add(playHistory(t, seed, 3)) })
			}
		})
	}
	players.Wait()
	t.Logf("%d histories of three cores from seed %d, %d inputs compared", played.Load(), first+1, inputs.Load())
	if inputs.Load() == 0 {
		t.Error("no input was compared")
	}
}

// Windows that one core has accepted and that it works on when it dies are finished by the others once its lease has run
// out, though nobody says anything to them.
func TestAnotherCoreFinishesWhatADeadOneHasBegun(t *testing.T) {
	t.Parallel()
	cs := startCores(t, 3, rand.New(rand.NewPCG(1, 1)))
	s := startSlow(t, 200*time.Millisecond)
	cs.all[0].register(s.Processor)
	cs.agree(t)
	answered := cs.emitAll(600)
	s.await(t, 50)
	cs.all[0].kill()
	died := time.Now()
	cs.all[1].waitIdle()
	t.Logf("all is finished %v after a core died", time.Since(died).Round(time.Millisecond))
	checkLedger(t, cs.all[2], s, answered, died)
}

// state is what the ledger and the logs of the cores say of what is unfinished.
func (cs *cores) state() string {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, cs.url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close(ctx) }()
	var b strings.Builder
	for _, query := range []string{
		`SELECT id, epoch, expires_at - clock_timestamp(), address, active_runs, calls FROM core ORDER BY id`,
		`SELECT 'pending', * FROM (SELECT position, owner FROM pending ORDER BY position LIMIT 20) p`,
		`SELECT 'parked', * FROM (SELECT p.position, p.owner, l.algorithms, p.tries FROM parked p JOIN lot l ON l.id = p.lot ORDER BY position LIMIT 20) p`,
		`SELECT 'expected', x.*, o.kind FROM expected x LEFT JOIN outcome o ON o.position = x.run AND o.algorithm = x.algorithm ORDER BY x.position LIMIT 50`,
		`SELECT 'outcome', o.position, o.algorithm, o.kind FROM outcome o JOIN run r ON r.position = o.position WHERE r.state = 0 ORDER BY 2, 3 LIMIT 100`,
		`SELECT 'run', r.position, r."window", r.plan, (SELECT string_agg(algorithm::text, ',') FROM plan_node n WHERE n.plan = r.plan) FROM run r WHERE r.state = 0 ORDER BY 2 LIMIT 100`,
	} {
		for table := range strings.SplitSeq("core pending parked lot expected outcome run plan_node", " ") {
			query = regexp.MustCompile(`(FROM|JOIN) `+table+`\b`).ReplaceAllString(query, "$1 "+cs.schema+"."+table)
		}
		rows, err := conn.Query(ctx, query)
		if err != nil {
			return b.String() + err.Error()
		}
		for rows.Next() {
			values, err := rows.Values()
			fmt.Fprintln(&b, values, err)
		}
		fmt.Fprintln(&b, "--", rows.Err())
	}
	for _, c := range cs.all {
		fmt.Fprintf(&b, "log of %s:\n%s\n", c.grpc, c.stderr)
	}
	return b.String()
}

// Whichever core is asked to cancel a window or to forget a processor: all open nodes are settled, though other cores have the
// runs, and a core that is asked for what it knows nothing of says how many runs there were.
func TestAnyCoreCancelsAndForgets(t *testing.T) {
	t.Parallel()
	cs := startCores(t, 3, rand.New(rand.NewPCG(2, 2)))
	begun := make(chan struct{}, 100)
	p := orcatest.NewProcessor(t, "p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"),
		Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	ctx, cancel := context.WithTimeout(t.Context(), orcatest.Patience)
	defer cancel()
	if _, err := cs.all[0].RegisterProcessor(ctx, p.Registration()); err != nil {
		t.Fatal(err)
	}
	cs.agree(t)
	id := cs.all[0].emit(orcatest.Window("W", "1.0.0", 0, nil))
	<-begun
	answer, err := cs.all[1].CancelWindow(ctx, &pb.CancelWindowRequest{Id: id})
	if err != nil || answer.GetRun().GetState() != pb.RunState_RUN_STATE_CANCELLED {
		t.Errorf("cancel at another core: %v, %v", answer, err)
	}
	const windows = 9
	for i := range windows {
		cs.all[i%3].emit(orcatest.Window("W", "1.0.0", 1+i, nil))
		<-begun
	}
	forgotten, err := cs.all[2].ForgetProcessor(ctx, &pb.ForgetProcessorRequest{Name: "p"})
	if err != nil || forgotten.GetRuns() != windows {
		t.Errorf("forget: %v, %v; want %d runs", forgotten, err, windows)
	}
	open, err := cs.all[0].ListWindows(ctx, &pb.ListWindowsRequest{State: pb.RunState_RUN_STATE_OPEN})
	if err != nil || len(open.GetWindows()) > 0 {
		t.Errorf("open afterwards: %v, %v", open, err)
	}
}

// Status shows the cores that share the ledger, with their leases and what they have in hand, at whichever core is asked.
func TestStatusShowsAllCores(t *testing.T) {
	t.Parallel()
	cs := startCores(t, 2, rand.New(rand.NewPCG(3, 3)))
	begun := make(chan struct{}, 100)
	p := orcatest.NewProcessor(t, "p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A"),
		Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	ctx, cancel := context.WithTimeout(t.Context(), orcatest.Patience)
	defer cancel()
	if _, err := cs.all[0].RegisterProcessor(ctx, p.Registration()); err != nil {
		t.Fatal(err)
	}
	cs.agree(t)
	for range 3 {
		cs.all[0].emit(orcatest.Window("W", "1.0.0", 0, nil))
		<-begun
	}
	for _, asked := range cs.all {
		eventually(t, func() string {
			status, err := asked.GetStatus(ctx, &pb.GetStatusRequest{})
			if err != nil {
				return err.Error()
			}
			active := map[string]int64{}
			for _, c := range status.GetCores() {
				active[c.GetAddress()] = c.GetActive()*100 + c.GetCalls()
				if c.GetLease().AsDuration() <= 0 {
					t.Logf("the lease of %s is over", c.GetAddress())
				}
			}
			want := map[string]int64{cs.all[0].grpc: 303, cs.all[1].grpc: 0}
			if diff := cmp2.Diff(want, active); diff != "" || status.GetActive() != 3 || status.GetPending() != 0 {
				return fmt.Sprintf("%s says %v: (-want +got)\n%s", asked.grpc, status, diff)
			}
			return ""
		})
	}
	code, out, _ := run(t, nil, "status", "--core", cs.all[1].grpc)
	if code != 0 || !strings.Contains(out, cs.all[0].grpc+", version") || !strings.Contains(out, "3 runs active, 3 calls") {
		t.Errorf("orca status: %d\n%s", code, out)
	}
}

// Cores that share processors share their heartbeats: one of them asks an instance that serves. Were each core to ask, no two
// questions of one of them would follow each other for long.
func TestOneCoreAsksAnInstanceForAll(t *testing.T) {
	t.Parallel()
	cs := startCores(t, 3, rand.New(rand.NewPCG(4, 4)))
	asked := make(chan string, 1000) // by whom
	p := orcatest.NewProcessor(t, "p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	p.OnHealthCheck(func(ctx context.Context) {
		if from, ok := peer.FromContext(ctx); ok {
			select {
			case asked <- from.Addr.String():
			default: // nobody looks any more
			}
		}
	})
	cs.all[0].register(p)
	cs.agree(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*orcatest.Patience)
	defer cancel()
	for who, n := "", 0; n < 10; n++ {
		select {
		case from := <-asked:
			if from != who {
				who, n = from, 0
			}
		case <-ctx.Done():
			t.Fatalf("no core asks for all; the last was %s, %d times in a row", who, n)
		}
	}
	for _, c := range cs.all {
		eventually(t, func() string {
			list, err := c.ListProcessors(ctx, &pb.ListProcessorsRequest{})
			if err != nil || len(list.GetProcessors()) != 1 || len(list.GetProcessors()[0].GetInstances()) != 1 {
				return fmt.Sprintf("processors: %v, %v", list, err)
			}
			in := list.GetProcessors()[0].GetInstances()[0]
			if age := time.Since(in.GetLastSeen().AsTime()); in.GetState() != pb.InstanceState_INSTANCE_STATE_SERVING || age > 5*time.Second {
				return fmt.Sprintf("core %s has heard of it %v ago: %v", c.grpc, age, in)
			}
			return ""
		})
	}
}
