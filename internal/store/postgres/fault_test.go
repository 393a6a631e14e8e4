package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// gate stands between a store and the server, and can be cut.
type gate struct {
	dir    string
	server string // path of its socket

	mu    sync.Mutex
	shut  bool
	mute  bool // answers of the server are not passed on
	conns []net.Conn

	// hold: what clients send is passed on up to so many bytes of it, and the rest never; 0 passes all on.
	hold int
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	g := &gate{dir: t.TempDir(), server: server}
	l, err := net.Listen("unix", filepath.Join(g.dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { g.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		g.set(true, false)
		all.Wait()
	})
	return g
}

func (g *gate) url() string { return "postgres://orca@/postgres?host=" + g.dir }

// set opens or shuts the gate. One that is shut cuts what is there.
func (g *gate) set(shut, mute bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.mute = shut, mute
	if shut {
		for _, c := range g.conns {
			_ = c.Close()
		}
		g.conns = nil
	}
}

// held passes on what the gate does not hold.
type held struct {
	*gate
	server net.Conn
}

func (h held) Write(b []byte) (int, error) {
	h.mu.Lock()
	pass := len(b)
	if h.hold > 0 {
		pass = min(pass, h.hold-1)
		h.hold -= pass
	}
	h.mu.Unlock()
	_, err := h.server.Write(b[:pass])
	return len(b), err // the client does not notice
}

func (g *gate) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", g.server)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	shut := g.shut
	g.conns = append(g.conns, client, server)
	g.mu.Unlock()
	if shut {
		return
	}
	go func() { _, _ = io.Copy(held{g, server}, client); _ = server.Close() }()
	b := make([]byte, 32<<10)
	for {
		n, err := server.Read(b)
		g.mu.Lock()
		mute := g.mute
		g.mu.Unlock()
		if err != nil || mute {
			return // the answer is lost, and the connection with it
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}

// TestLostDatabase: while it cannot be reached windows are refused at once, and when it is back the store goes on by itself.
func TestLostDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t)
	g := newGate(t, server.Socket())
	s := openedAt(t, g.url(), Config{})
	serve(t, s)
	if a := <-accept(s, ticking(1)); a.err != nil {
		t.Fatal(a.err)
	}
	g.set(true, false)
	first := (<-accept(s, ticking(2))).err // it finds out
	if !errors.Is(first, orca.OutcomeUnknown) && !errors.Is(first, orca.Unavailable) {
		t.Errorf("as the connection breaks: %v", first)
	}
	for range 3 {
		if a := <-accept(s, ticking(3)); !errors.Is(a.err, orca.Unavailable) {
			t.Errorf("while there is none: %+v, want unavailable", a)
		}
		if err := <-settle(s, finish(1)); !errors.Is(err, orca.Unavailable) {
			t.Errorf("a settlement while there is none: %v, want unavailable", err)
		}
	}
	if s.Failing() == nil {
		t.Error("nothing seems to fail")
	}
	if _, err := s.Window(t.Context(), 1); !errors.Is(err, orca.Unavailable) {
		t.Errorf("a read while there is none: %v, want unavailable", err)
	}
	g.set(false, false)
	written(t, s, finish(1))
	if err := s.Failing(); err != nil {
		t.Errorf("it still fails: %v", err)
	}
	if w, err := s.Window(t.Context(), 1); err != nil || w.Newest.State != orca.RunSucceeded {
		t.Errorf("window 1 is %+v (%v)", w, err)
	}
}

// written settles until the ledger takes it.
func written(t *testing.T, s *Store, st orca.Settlement) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	patience := time.After(time.Minute)
	for {
		err := <-settle(s, st)
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-patience:
			t.Fatal(err)
		}
	}
}

// TestCommitWhoseAnswerIsLost: whoever emitted is told that the outcome is unknown, and a repeat with the key finds it.
func TestCommitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t)
	g := newGate(t, server.Socket())
	s := openedAt(t, g.url(), Config{})
	serve(t, s)
	e, known := ticking(1), ticking(0)
	e.Key, known.Key = orca.IdempotencyKey{Project: "p", Key: "k"}, orca.IdempotencyKey{Project: "p", Key: "known"}
	if a := <-accept(s, known); a.err != nil { // plan and statements are known now: the next answer is that of the commit
		t.Fatal(a.err)
	}
	g.set(false, true)
	if a := <-accept(s, e); !errors.Is(a.err, orca.OutcomeUnknown) {
		t.Errorf("%+v, want outcome unknown", a)
	}
	g.set(false, false)
	written(t, s, finish(1))
	conn, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var there int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM orca."window"`).Scan(&there); err != nil || there != 2 {
		t.Errorf("%d windows are there (%v), want both", there, err)
	}
	if a := <-accept(s, e); a.err != nil || !a.Replayed || a.Position != 2 {
		t.Errorf("the repeat gives %+v, want window 2 again", a)
	}
}

// TestSessionEndedByTheServer: what an administrator ends is found again.
func TestSessionEndedByTheServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t)
	s := openedAt(t, server.URL(), Config{})
	serve(t, s)
	for i := range 3 {
		if a := <-accept(s, ticking(i)); a.err != nil {
			t.Fatal(a.err)
		}
		execute(t, server.URL(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orca'")
		written(t, s, finish(orca.Position(i+1)))
		if b, err := s.Backlog(t.Context()); err != nil || b.Open != 0 {
			t.Errorf("the backlog is %+v (%v)", b, err)
		}
	}
}

// TestBatchesAreOneTransaction: what waits goes into one, whatever it is; a refused row costs some more.
func TestBatchesAreOneTransaction(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	var answers []<-chan accepted
	for i := range 100 {
		e := ticking(i)
		e.Key = orca.IdempotencyKey{Project: "p", Key: fmt.Sprint(i)}
		answers = append(answers, accept(s, e))
	}
	serve(t, s)
	for i, a := range answers {
		if got := <-a; got.err != nil || got.Position != orca.Position(i+1) {
			t.Fatalf("window %d: %+v", i, got)
		}
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), s.names.in(`SELECT count(DISTINCT xmin::text) FROM {window}`)).Scan(&n); err != nil || n != 1 {
		t.Errorf("100 windows took %d transactions (%v), want 1", n, err)
	}
}

// TestConflictsAreRepeated: a transaction that loses against another one is done again, at any level of isolation.
func TestConflictsAreRepeated(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, "default_transaction_isolation=serializable")
	one, two := openedAt(t, server.URL(), Config{}), (*Store)(nil)
	var err error
	if two, err = Open(t.Context(), server.URL(), Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.Close() })
	serve(t, one)
	serve(t, two)
	var all sync.WaitGroup
	for w, s := range []*Store{one, two, one, two} {
		all.Go(func() {
			for i := range 20 {
				e := ticking(i)
				e.Key = orca.IdempotencyKey{Project: "p", Key: fmt.Sprint(w, i)}
				if a := <-accept(s, e); a.err != nil {
					t.Error(a.err)
				}
			}
		})
	}
	all.Wait()
	if b, err := one.Backlog(t.Context()); err != nil || b.Open != 80 || b.Newest != 80 {
		t.Errorf("the backlog is %+v (%v), want 80 windows and no gap", b, err)
	}
}

// TestACoreThatStopsSendingIsTakenOver: a core that stands still in the middle of a batch has its own row locked, and perhaps what
// all others need. Once its lease has run out, and it would have given up itself, others end its transaction.
func TestACoreThatStopsSendingIsTakenOver(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t)
	g := newGate(t, server.Socket())
	slow := shareWith(t, g.url(), Config{Schema: "orca", WriteTimeout: time.Hour}, time.Microsecond)
	other := shareWith(t, server.URL(), Config{Schema: "orca", WriteTimeout: time.Second}, time.Hour)
	slow.announce()
	if _, err := slow.accept(false); err != nil { // whatever comes before a batch
		t.Fatal(err)
	}
	g.mu.Lock()
	g.hold = 256 << 10
	g.mu.Unlock()
	answered := make(chan error, 1)
	slow.Accept(orca.Emission{
		Window: orca.Window{Type: sharedType.ID, From: 1, To: 2, Metadata: make([]byte, 1<<20)},
		Plan:   &orca.PlanContent{Hash: orca.PlanHash{1}, Content: []byte("plan")},
	}, func(_ orca.Accepted, err error) { answered <- err })
	patience := time.After(time.Minute)
	var taken []int32
	for stands := 0; stands == 0; { // it has sent what locks its row
		err := other.pool.QueryRow(t.Context(), `SELECT count(*) FROM (`+stuck+`) AS stuck`, 0, "orca").Scan(&stands)
		if err != nil {
			t.Fatal(err)
		}
	}
	for len(taken) == 0 {
		select {
		case <-patience:
			t.Fatal("nobody takes over")
		default:
		}
		_, cores, err := other.TakeOver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		taken = cores
	}
	if diff := cmp.Diff([]int32{slow.self()}, taken); diff != "" {
		t.Errorf("taken over (-want +got):\n%s", diff)
	}
	if err := <-answered; !errors.Is(err, orca.OutcomeUnknown) {
		t.Errorf("who stood still was answered %v, want %v", err, orca.OutcomeUnknown)
	}
	if p, err := other.accept(false); err != nil || p != 2 {
		t.Errorf("the next window is at %d (%v), want 2: nothing of what was half sent is there", p, err)
	}
}
