package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
	"github.com/orca-telemetry/orca/internal/store/storetest"
)

// pooler stands between stores and the server and gives every transaction another session, as PgBouncer's transaction mode
// does. It finds fault with what is left behind in a session.
type pooler struct {
	t      *testing.T
	dir    string
	server string
	all    sync.WaitGroup

	mu    sync.Mutex
	idle  []*pgconn.HijackedConn
	conns map[net.Conn]bool
	done  bool
}

func newPooler(t *testing.T, server string) *pooler {
	t.Helper()
	p := &pooler{t: t, dir: t.TempDir(), server: server, conns: map[net.Conn]bool{}}
	l, err := net.Listen("unix", filepath.Join(p.dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.done = true
		for c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

func (p *pooler) url() string { return "postgres://orca@/postgres?host=" + p.dir }

// track has a connection closed with the pooler.
func (p *pooler) track(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns[c] = true; p.done {
		_ = c.Close()
	}
}

func (p *pooler) forget(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// serve passes on the transactions of one client. One that ends within a transaction ends the session too.
func (p *pooler) serve(client net.Conn) {
	defer p.forget(client)
	p.track(client)
	if !p.greet(client) {
		return
	}
	var session *pgconn.HijackedConn
	for {
		sent, err := asked(client, p.look)
		if err != nil {
			break
		}
		if session == nil {
			if session, err = p.take(); err != nil {
				return
			}
		}
		var all sync.WaitGroup
		all.Go(func() { _, _ = session.Conn.Write(sent) })
		status, err := answered(session.Conn, client)
		all.Wait()
		if err != nil {
			break
		}
		if status == 'I' {
			p.give(session)
			session = nil
		}
	}
	if session != nil {
		p.forget(session.Conn)
	}
}

// greet answers for every session.
func (p *pooler) greet(client net.Conn) bool {
	b := pgproto3.NewBackend(client, client)
	if start, err := b.ReceiveStartupMessage(); err != nil {
		return false
	} else if _, ok := start.(*pgproto3.StartupMessage); !ok {
		return false // it wants to cancel something
	}
	session, err := p.take()
	if err != nil {
		return false
	}
	b.Send(&pgproto3.AuthenticationOk{})
	for name, value := range session.ParameterStatuses {
		b.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	p.give(session)
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return b.Flush() == nil
}

// take returns the session that was not used for longest, a new one while there are fewer than three.
func (p *pooler) take() (*pgconn.HijackedConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) > 2 {
		session := p.idle[0]
		p.idle = p.idle[1:]
		return session, nil
	}
	conn, err := pgconn.Connect(context.Background(), p.server)
	if err != nil {
		return nil, err
	}
	session, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	p.conns[session.Conn] = true
	return session, nil
}

func (p *pooler) give(session *pgconn.HijackedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, session)
}

// look finds fault with a message of a client.
func (p *pooler) look(kind byte, payload []byte) {
	name, text := "", string(payload)
	if kind == 'P' {
		name, text, _ = strings.Cut(text, "\x00")
	}
	switch {
	case name != "":
		p.t.Errorf("statement %q is prepared and left behind: %.60s", name, text)
	case (kind == 'P' || kind == 'Q') && strings.HasPrefix(text, "SET "):
		p.t.Errorf("a setting is left behind: %.60s", text)
	}
}

// asked reads messages of a client up to one that is to be answered.
func asked(client io.Reader, look func(kind byte, payload []byte)) (all []byte, err error) {
	for {
		message, err := next(client)
		if err != nil {
			return nil, err
		}
		look(message[0], message[5:])
		all = append(all, message...)
		switch message[0] {
		case 'S', 'Q':
			return all, nil
		case 'X':
			return nil, io.EOF
		}
	}
}

// answered passes on what the server says until it is ready, and returns the state of the transaction.
func answered(server io.Reader, client io.Writer) (status byte, err error) {
	for {
		message, err := next(server)
		if err != nil {
			return 0, err
		}
		if _, err := client.Write(message); err != nil {
			return 0, err
		}
		if message[0] == 'Z' {
			return message[5], nil
		}
	}
}

// next reads a message: its kind, its length without the kind, and the rest.
func next(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	copy(message, head)
	_, err := io.ReadFull(r, message[len(head):])
	return message, err
}

// TestStoreBehindPooler: a store does all that it does when every transaction gets another session, and leaves nothing
// behind in one.
func TestStoreBehindPooler(t *testing.T) {
	t.Parallel()
	p := newPooler(t, pgtest.URL(t))
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		_, schema := pgtest.Schema(t)
		return func(ctx context.Context) (storetest.Service, error) {
			return Open(ctx, p.url(), Config{Schema: schema})
		}
	})
}

// TestOwnSession: a store prepares its statements where the session is its own, and there alone.
func TestOwnSession(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	for _, test := range []struct {
		url string
		own bool
	}{{url, true}, {newPooler(t, url).url(), false}} {
		s, err := Open(t.Context(), test.url, Config{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if s.link.conn.own != test.own {
			t.Errorf("over %s the session is its own: %v, want %v", test.url, s.link.conn.own, test.own)
		}
	}
}

// TestPlansStay: statements that were planned while the tables were empty do not read whole tables when these have grown.
func TestPlansStay(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	s, err := Open(t.Context(), url, Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ChangeRegistry(t.Context(), registration()); err != nil {
		t.Fatal(err)
	}
	const rounds, each = 40, 50
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	for range rounds {
		accepts, ends := make([]<-chan accepted, each), make([]<-chan error, each)
		for i := range accepts {
			accepts[i] = accept(s, ticking(i))
		}
		for i := range accepts {
			ends[i] = settle(s, finish((<-accepts[i]).Position))
		}
		for i := range ends {
			if err := <-ends[i]; err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	if err := errors.Join(<-served, s.Close()); err != nil {
		t.Fatal(err)
	}
	if read := readWhole(t, url, schema, rounds*each); read > 10*each {
		t.Errorf("%d rows of runs were read in scans of the whole table", read)
	}
}

// readWhole returns how many runs were read without an index, once the server's statistics know of as many as were written.
func readWhole(t *testing.T, url, schema string, written int) (rows int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for inserted := 0; inserted < written; {
		err := conn.QueryRow(t.Context(), `SELECT n_tup_ins, seq_tup_read FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = 'run'`, schema).Scan(&inserted, &rows)
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// TestForeignSession: when another session answers than the one in which statements were prepared, nothing is written, and the
// store goes on without preparing any.
func TestForeignSession(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	if a := <-accept(s, ticking(1)); a.err != nil {
		t.Fatal(a.err)
	}
	if _, err := s.link.conn.PgConn().Exec(t.Context(), "DEALLOCATE ALL").ReadAll(); err != nil { // the writer waits
		t.Fatal(err)
	}
	if a := <-accept(s, ticking(2)); !errors.Is(a.err, orca.Unavailable) {
		t.Errorf("in a foreign session: %+v, want unavailable", a)
	}
	var a accepted
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		if a = <-accept(s, ticking(2)); !errors.Is(a.err, orca.Unavailable) {
			break
		}
	}
	if got, want := fmt.Sprint(a.Position, a.err, s.link.conn.own), "2 <nil> false"; got != want {
		t.Errorf("afterwards position, error and whether the session is its own are %s, want %s", got, want)
	}
}
