package postgres

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// execute runs statements on the tests' server as its superuser.
func execute(t testing.TB, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, s := range statements {
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestTenCoresStartAtOnce: one makes the schema, and all know the same ledger.
func TestTenCoresStartAtOnce(t *testing.T) {
	t.Parallel()
	address, schema := pgtest.Schema(t)
	var all sync.WaitGroup
	stores, errs := make([]*Store, 10), make([]error, 10)
	for i := range stores {
		all.Go(func() { stores[i], errs[i] = Open(t.Context(), address, Config{Schema: schema}) })
	}
	all.Wait()
	for i, s := range stores {
		if errs[i] != nil {
			t.Errorf("core %d: %v", i, errs[i])
			continue
		}
		if s.Tag() != stores[0].Tag() || string(s.Secret()) != string(stores[0].Secret()) {
			t.Errorf("core %d has another tag or secret than core 0", i)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	var applied int
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+schema+".counter").Scan(&applied); err != nil || applied != 1 {
		t.Errorf("the schema was made %d times (%v)", applied, err)
	}
}

// TestOpenSaysWhatToDo: of every mistake, without the password.
func TestOpenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	address, schema := pgtest.Schema(t)
	execute(t, address, "CREATE ROLE "+schema+" LOGIN PASSWORD 'sesame'", "CREATE DATABASE "+schema+" ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
	t.Cleanup(func() { execute(t, address, "DROP DATABASE "+schema, "DROP ROLE "+schema) })
	with := func(change func(*url.URL)) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), "hush")
		change(u)
		return u.String()
	}
	for name, c := range map[string]struct {
		url  string
		want []string
	}{
		"no URL":            {"mysql://me:hush@host/db", []string{"postgres://user:password@host:port/database"}},
		"a broken URL":      {"postgres://me:hu%sh@host/db", []string{"%XX"}},
		"a wrong parameter": {with(func(u *url.URL) { u.RawQuery += "&connect_timeout=soon" }), []string{"connect_timeout", "postgres://orca@"}},
		"no such database":  {with(func(u *url.URL) { u.Path = "/nowhere" }), []string{`CREATE DATABASE "nowhere"`}},
		"no such role":      {with(func(u *url.URL) { u.User = url.UserPassword("nobody_here", "hush") }), []string{"nobody_here", "check user and password"}},
		"not permitted":     {with(func(u *url.URL) { u.User = url.UserPassword(schema, "hush") }), []string{"permission denied", "CREATE SCHEMA IF NOT EXISTS", "docs/guide/postgres.md"}},
		"another encoding":  {with(func(u *url.URL) { u.Path = "/" + schema }), []string{"LATIN1", "ENCODING 'UTF8'"}},
		"no server":         {"postgres://me:hush@127.0.0.1:1/db", []string{"127.0.0.1", "check host and port"}},
	} {
		s, err := Open(t.Context(), c.url, Config{Schema: schema})
		if err == nil {
			t.Errorf("%s is opened", name)
			_ = s.Close()
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s gives %q, which lacks %q", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s shows the password, or several lines: %q", name, err)
		}
	}
}

// TestRoleWithoutTheRightToChangeTheSchema serves one that is up to date, with the rights that the guide lists.
func TestRoleWithoutTheRightToChangeTheSchema(t *testing.T) {
	t.Parallel()
	address, schema := pgtest.Schema(t)
	s, err := Open(t.Context(), address, Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, address, "CREATE ROLE "+schema+" LOGIN",
		"GRANT USAGE ON SCHEMA "+schema+" TO "+schema,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+schema+" TO "+schema)
	t.Cleanup(func() { execute(t, address, "DROP OWNED BY "+schema, "DROP ROLE "+schema) })
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(schema)
	if s, err = Open(t.Context(), u.String(), Config{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	if err := s.ChangeRegistry(t.Context(), registration()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if a := <-accept(s, ticking(i)); a.err != nil {
			t.Fatal(a.err)
		}
	}
	if err := <-settle(s, finish(2)); err != nil {
		t.Error(err)
	}
}

// TestNewerSchemaIsRefused: an older orca leaves a ledger alone that it does not know.
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	address, schema := pgtest.Schema(t)
	s, err := Open(t.Context(), address, Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, address, "INSERT INTO "+schema+".schema_version (version, needs) VALUES (99, 99)")
	_, err = Open(t.Context(), address, Config{Schema: schema})
	if !errors.Is(err, orca.Precondition) || !strings.Contains(err.Error(), "newer orca (schema 99") {
		t.Errorf("a newer schema gives %v", err)
	}
}
