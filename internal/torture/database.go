package torture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/pgserver"
)

// Database is a PostgreSQL primary with a synchronous standby, which takes its place at times.
type Database struct {
	primary, standby *dbServer
}

// dbServer is a PostgreSQL server that does what it is told through the input of a shell, and ends with it.
type dbServer struct {
	host   *Host
	port   int
	shell  *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// dbShell is told what to do, line by line, and answers "ok" or what went wrong. $1 has the programs, $2 is the folder of the
// server, $3 are its options.
const dbShell = `
start() { "$1/pg_ctl" start -s -w -t 60 -D "$2/data" -l "$2/log" -o "$3"; }
while read -r verb rest; do
	if { case $verb in
		begin) "$1/initdb" -D "$2/data" -U orca --auth=trust -E UTF8 --locale=C -N &&
			echo "host all all all trust
host replication all all trust" >>"$2/data/pg_hba.conf" && start "$1" "$2" "$3" ;;
		follow) rm -rf "$2/data" && "$1/pg_basebackup" -D "$2/data" -d "$rest" -X stream -c fast -R && start "$1" "$2" "$3" ;;
		start) start "$1" "$2" "$3" ;;
		stop) "$1/pg_ctl" stop -s -m immediate -D "$2/data" ;;
		promote) "$1/pg_ctl" promote -s -w -t 60 -D "$2/data" ;;
	esac; } >"$2/said" 2>&1; then echo ok; else tail -n 5 "$2/said" "$2/log" | tr '\n' ' '; echo; fi
done
"$1/pg_ctl" stop -s -m immediate -D "$2/data" >"$2/said" 2>&1
rm -rf "$2"
`

// NewDatabase starts both servers. It returns pgserver.ErrNone where there is no PostgreSQL.
func NewDatabase(ctx context.Context, primary, standby *Host) (_ *Database, err error) {
	d := &Database{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.primary, err = newServer(primary); err != nil {
		return nil, err
	}
	if err := d.primary.do("begin"); err != nil {
		return nil, err
	}
	if d.standby, err = newServer(standby); err != nil {
		return nil, err
	}
	return d, d.attach(ctx)
}

func newServer(host *Host) (*dbServer, error) {
	bin, err := pgserver.Binaries()
	if err != nil {
		return nil, err
	}
	dir, become, err := pgserver.Folder()
	if err != nil {
		return nil, err
	}
	s := &dbServer{host: host, port: 5432}
	listen := host.Address
	if host.space == nil {
		listen = "127.0.0.1"
		address, err := lastingAddress(listen)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &s.port); err != nil {
			return nil, err
		}
		s.host = &Host{Name: host.Name, Address: listen}
	}
	options := fmt.Sprintf("-c listen_addresses=%s -c port=%d -c unix_socket_directories=%s -c max_connections=300 "+
		"-c wal_retrieve_retry_interval=500ms -c wal_receiver_timeout=5s -c wal_sender_timeout=5s", listen, s.port, dir)
	line := slices.Concat(host.space.prefix(), become, []string{"/bin/sh", "-c", dbShell, "database", bin, dir, options})
	s.shell = exec.Command(line[0], line[1:]...)
	s.shell.Dir = dir
	if s.stdin, err = s.shell.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.stdout = bufio.NewReader(out)
	return s, s.shell.Start()
}

// do has the server do something, and waits for it.
func (s *dbServer) do(what string) error {
	if _, err := fmt.Fprintln(s.stdin, what); err != nil {
		return err
	}
	said, err := s.stdout.ReadString('\n')
	if said = strings.TrimSpace(said); err != nil || said != "ok" {
		return fmt.Errorf("%s %s: %s: %w", strings.Fields(what)[0], s.host.Name, said, errors.Join(errRefused, err))
	}
	return nil
}

var errRefused = errors.New("the database server refused")

func (s *dbServer) url() string {
	return fmt.Sprintf("postgres://orca@%s:%d/postgres", s.host.Address, s.port)
}

// exec runs a statement at the server.
func (s *dbServer) exec(ctx context.Context, statements ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // it goes in any case
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// attach makes the standby one of the primary, which answers no commit from then on that the standby does not have.
func (d *Database) attach(ctx context.Context) error {
	if err := d.standby.do("follow " + strings.Replace(d.primary.url(), "/postgres", "/", 1)); err != nil {
		return err
	}
	return d.primary.exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
}

// URL is for cores: whichever server takes writes.
func (d *Database) URL() string {
	return fmt.Sprintf("postgres://orca@%s:%d,%s:%d/postgres?connect_timeout=2",
		d.primary.host.Address, d.primary.port, d.standby.host.Address, d.standby.port)
}

// Close ends both servers and removes their files.
func (d *Database) Close() (err error) {
	for _, s := range []*dbServer{d.standby, d.primary} {
		if s != nil {
			err = errors.Join(err, s.stdin.Close(), s.shell.Wait())
		}
	}
	return err
}

// The ways in which the database fails.
const (
	Restarted Action = "restarted" // the primary ends at once, and comes back
	Promoted  Action = "promoted"  // the primary ends at once, and the standby takes its place
)

// Faults has the database fail now and then.
func (d *Database) Faults(every time.Duration) *Trouble {
	return &Trouble{Name: "database", Every: every, Lasts: time.Second,
		Begin: func(ctx context.Context, _ *Scene, random *rand.Rand) (Action, func() error, error) {
			if err := d.primary.do("stop"); err != nil {
				return "", nil, err
			}
			if random.IntN(3) > 0 {
				return Restarted, func() error { return d.primary.do("start") }, nil
			}
			return Promoted, func() error { return d.attach(ctx) }, d.promote(ctx)
		}}
}

// promote makes the standby the primary. What was the primary is a standby again with attach, which copies all of it.
func (d *Database) promote(ctx context.Context) error {
	if err := d.standby.do("promote"); err != nil {
		return err
	}
	d.primary, d.standby = d.standby, d.primary
	return d.primary.exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
}
