package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// until takes a core's news until something is heard.
func (s *sharer) until(what string, heard func(orca.News) bool) orca.News {
	s.tb.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case <-s.Told():
			if n := s.News(); heard(n) {
				return n
			}
		case <-patience:
			s.tb.Fatalf("a core does not hear %s", what)
		}
	}
}

func (s *sharer) renew() orca.Surroundings {
	s.tb.Helper()
	around, err := s.Renew(s.tb.Context(), orca.CoreLoad{}, nil, time.Hour)
	if err != nil {
		s.tb.Fatal(err)
	}
	return around
}

func isListening(n orca.News) bool { return n.Listening }

// hearing returns a core that tells, and one that listens and has heard that the first one knows.
func hearing(t *testing.T) (tells, listens *sharer) {
	url, schema := pgtest.Schema(t)
	tells, listens = share(t, url, schema, time.Hour), shareWith(t, url, Config{Schema: schema, Direct: url}, time.Hour)
	tells.announce()
	listens.until("anything", isListening)
	listens.renew()
	tells.renew()
	listens.until("that it is known to listen", func(n orca.News) bool { return n.All && n.Around && n.Listening })
	return tells, listens
}

// TestACoreHearsWhatAnotherOneHasDone, with what it begins: that anything may have happened before the other one knew of it.
func TestACoreHearsWhatAnotherOneHasDone(t *testing.T) {
	t.Parallel()
	tells, listens := hearing(t)
	p, err := tells.accept(false)
	if err != nil {
		t.Fatal(err)
	}
	if err := tells.settle(p); err != nil {
		t.Fatal(err)
	}
	n := listens.until("of an outcome", func(n orca.News) bool { return len(n.Settled) > 0 })
	if diff := cmp.Diff(orca.News{Listening: true, Settled: []orca.Position{p}}, n); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	change := orca.RegistryChange{Base: 1, WindowTypes: []orca.WindowType{{ID: orca.WindowTypeID{Name: "Other", Version: "1.0.0"}}}}
	if err := tells.ChangeRegistry(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	n = listens.until("of the registry", func(n orca.News) bool { return n.Around })
	if diff := cmp.Diff(orca.News{Listening: true, Around: true}, n); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if _, err := tells.Announce(t.Context(), orca.Withdrawal{First: 1, Last: p}); err != nil {
		t.Fatal(err)
	}
	listens.until("of a withdrawal", func(n orca.News) bool { return n.Around })
	if _, err := tells.pool.Exec(t.Context(), `SELECT pg_notify($1, 'hello')`, tells.names.channel()); err != nil {
		t.Fatal(err)
	}
	listens.until("what it does not understand", func(n orca.News) bool { return n.All && n.Around })
}

// TestALostSessionIsReplaced: a core says that it does not hear any more, and later that it does and may have missed anything.
func TestALostSessionIsReplaced(t *testing.T) {
	t.Parallel()
	tells, listens := hearing(t)
	for range 3 {
		terminated := 0
		err := tells.pool.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = $1`,
			"LISTEN "+tells.names.channel()).Scan(&terminated)
		if err != nil || terminated != 1 {
			t.Fatalf("%d sessions listened (%v), want one", terminated, err)
		}
		n := listens.until("that it lost the session", func(n orca.News) bool { return !n.Listening || n.All })
		if !n.Listening {
			listens.until("others again", func(n orca.News) bool { return n.Listening && n.All && n.Around })
		}
		p, err := tells.accept(false)
		if err != nil {
			t.Fatal(err)
		}
		if err := tells.settle(p); err != nil {
			t.Fatal(err)
		}
		listens.until("of an outcome", func(n orca.News) bool { return len(n.Settled) == 1 && n.Settled[0] == p })
	}
}

// TestMessagesAreBounded: many runs at once are said to be any, and so are news that nobody takes.
func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	s := teller{wake: make(signal, 1)}
	s.tell(message{All: true})
	if m := s.take(); !m.empty() {
		t.Errorf("nobody listens, and is told %+v", m)
	}
	s.listened.Store(true)
	var one message
	for i := range maxToldRuns {
		one.Settled = append(one.Settled, 1<<62+int64(i))
	}
	s.tell(one)
	if diff := cmp.Diff(one, s.take()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if text := fmt.Sprint(one); len(text) > 7900 {
		t.Errorf("a message has %d bytes", len(text))
	}
	s.tell(one)
	s.tell(message{Settled: []int64{1}, Around: true})
	if diff := cmp.Diff(message{All: true, Around: true}, s.take()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	l := listener{told: make(signal, 1)}
	for range maxNews + 1 {
		l.put(orca.News{Listening: true, Settled: []orca.Position{7}})
	}
	if diff := cmp.Diff(orca.News{Listening: true, All: true}, l.news); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// TestTheSchemaIsMadeOverTheDirectConnection, which has to lead to the same database.
func TestTheSchemaIsMadeOverTheDirectConnection(t *testing.T) {
	t.Parallel()
	address, schema := pgtest.Schema(t)
	server := pgtest.Own(t)
	execute(t, server.URL(), "CREATE DATABASE beside")
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/beside"
	for what, tt := range map[string]struct{ direct, want string }{
		"another server":   {server.URL(), "store-direct postgres://orca@/postgres?host="},
		"another database": {u.String(), "another database than that of --store"},
		"none there":       {"postgres://orca:secret@127.0.0.1:1/orca", "store-direct postgres://orca@127.0.0.1:1/orca: "},
		"no URL":           {"postgres://orca:sec ret@%zz/orca", "the URL of --store-direct cannot be read"},
	} {
		store := address
		if what == "another database" {
			store = server.URL()
		}
		s, err := Open(t.Context(), store, Config{Schema: schema, Direct: tt.direct})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") || !errors.As(err, new(orca.Kind)) {
			t.Errorf("%s: %v, want %q", what, err, tt.want)
		}
		if err == nil {
			_ = s.Close()
		}
	}
	s, err := Open(context.WithoutCancel(t.Context()), address, Config{Schema: schema, Direct: address})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
