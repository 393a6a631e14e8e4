// Package pgserver starts a PostgreSQL server of one's own that lives as long as the process: for tests and for the
// benchmark. It finds the server's binaries, makes a new cluster with the settings of a real one (fsync is on) and
// listens on a Unix socket alone, so that it needs no port.
//
// The server ends with whoever started it, however that ends: a small shell waits for the end of a pipe whose other end
// this process holds, stops the server then and removes its files.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrNone: this machine has no PostgreSQL.
var ErrNone = errors.New("no PostgreSQL is installed: give the URL of a server in ORCA_TEST_POSTGRES, install the package postgresql, or run make postgres")

// Server is a running server.
type Server struct {
	dir   string
	pipe  io.Closer // to the shell that outlives this process
	shell *exec.Cmd
}

// running keeps the servers of this process: the end of a pipe that nobody holds any more would be closed.
var running sync.Map

// Superuser is the name of the role that may do everything; it needs no password.
const Superuser = "orca"

// Start makes a cluster and starts it, with settings of postgresql.conf of the form name=value. It returns ErrNone when
// there are no binaries.
func Start(ctx context.Context, settings ...string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	who, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(socketDir(), "orca-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop(), os.RemoveAll(dir))
		}
	}()
	if err := who.own(dir); err != nil {
		return nil, err
	}
	if err := s.initialize(ctx, bin, who); err != nil {
		return nil, err
	}
	return s, s.start(ctx, bin, who, settings)
}

// initialize makes the cluster.
func (s *Server) initialize(ctx context.Context, bin string, who user) error {
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", s.data(), "--username", Superuser,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	who.become(initdb)
	initdb.Dir = s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// watchdog starts the server, says so, waits for the end of its input, stops the server and removes the files.
const watchdog = `
"$1/pg_ctl" start --silent --wait --timeout=60 --pgdata="$2/data" --log="$2/log" --options="$3" >"$2/started" 2>&1 || { cat "$2/started" "$2/log"; rm -rf "$2"; exit 1; }
echo ready
cat >/dev/null
"$1/pg_ctl" stop --silent --mode=immediate --pgdata="$2/data" >/dev/null 2>&1
rm -rf "$2"
`

func (s *Server) start(ctx context.Context, bin string, who user, settings []string) error {
	options := []string{"-c listen_addresses=", "-c unix_socket_directories=" + s.dir, "-c max_connections=300"}
	for _, one := range settings {
		options = append(options, "-c "+one)
	}
	// The shell outlives ctx and this process on purpose; its pipe ends it.
	shell := exec.Command("/bin/sh", "-c", watchdog, "watchdog", bin, s.dir, strings.Join(options, " "))
	who.become(shell)
	shell.Dir = s.dir
	detach(shell)
	pipe, err := shell.StdinPipe()
	if err != nil {
		return err
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shell.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.pipe, s.shell = pipe, shell
	running.Store(s, true)
	stop := context.AfterFunc(ctx, func() { _ = shell.Process.Kill() })
	defer stop()
	said := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "ready\n" {
		rest, _ := io.ReadAll(out)
		return fmt.Errorf("start PostgreSQL: %s%s", strings.TrimRight(string(said), "\x00"), rest)
	}
	return nil
}

// Stop ends the server and removes its files. Stopping it again does nothing.
func (s *Server) Stop() error {
	if s.pipe == nil {
		return nil
	}
	running.Delete(s)
	pipe := s.pipe
	s.pipe = nil
	return errors.Join(pipe.Close(), s.shell.Wait())
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Socket returns the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// URL returns a connection string to the server as its superuser.
func (s *Server) URL() string {
	u := url.URL{Scheme: "postgres", User: url.User(Superuser), Path: "/postgres", RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}

// PID returns the process id of the server's postmaster, for measuring what it uses.
func (s *Server) PID() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(first)
}

// BinEnv names the folder of initdb and postgres, where another version than the newest is wanted.
const BinEnv = "ORCA_TEST_POSTGRES_BIN"

// binaries returns the folder of initdb and postgres: the newest of the system's, else those on the path, else those that
// scripts/postgres has put into the repository's cache.
func binaries() (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		return dir, nil
	}
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(folders, func(a, b string) int { return major(b) - major(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	if dir := cached(); dir != "" {
		folders = append(folders, dir)
	}
	for _, dir := range folders {
		if isFile(filepath.Join(dir, "initdb")) && isFile(filepath.Join(dir, "postgres")) && isFile(filepath.Join(dir, "pg_ctl")) {
			return dir, nil
		}
	}
	return "", ErrNone
}

func major(folder string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	return n
}

// cached returns the folder in the repository's cache, seen from a folder of the repository.
func cached() string {
	dir, err := os.Getwd()
	for err == nil && !isFile(filepath.Join(dir, "go.mod")) {
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, ".cache", "postgres", "bin")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// maxSocket is how long the path of a socket may be, with room for the server's own name of it.
const maxSocket = 70

// socketDir returns where the files go: the folder for temporary files, unless its name is too long for a socket.
func socketDir() string {
	if dir := os.TempDir(); len(dir) <= maxSocket {
		return dir
	}
	return "/tmp"
}
