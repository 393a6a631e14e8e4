package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orca-telemetry/orca/internal/orca"
)

// target is the database, and how connections to it are made.
type target struct {
	// setting is what names it.
	setting string
	config  *pgxpool.Config
	// asTold: the URL says how statements are sent. pooled: sessions turned out to be shared with others.
	asTold bool
	pooled atomic.Bool
}

const (
	// connectTimeout is how long one attempt to connect takes at most, unless the URL has connect_timeout.
	connectTimeout = 5 * time.Second
	// cancelGrace is how long a statement that was cut off may take to end before its connection is closed.
	cancelGrace = 2 * time.Second
	// oldest is the lowest version of PostgreSQL, as server_version_num has it.
	oldest = 140000
)

// parseTarget reads the URL of a setting. Besides what PostgreSQL's own programs know, pgx takes default_query_exec_mode in it.
func parseTarget(setting, text string) (*target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		// Its text would show the password.
		return nil, orca.Errorf(orca.Invalid, "the URL of --%s cannot be read: want postgres://user:password@host:port/database; "+
			"write other than letters and digits in a password as %%XX", setting)
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, orca.Errorf(orca.Invalid, "%s %s: %s: want postgres://user:password@host:port/database", setting, shown(u), withoutURL(err))
	}
	c := config.ConnConfig
	given := u.Query()
	if !given.Has("default_query_exec_mode") {
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if !given.Has("connect_timeout") {
		c.ConnectTimeout = connectTimeout
	}
	if _, ok := c.RuntimeParams["application_name"]; !ok {
		c.RuntimeParams["application_name"] = "orca"
	}
	if len(c.Fallbacks) > 0 && !given.Has("target_session_attrs") {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // one of several hosts takes writes
	}
	return &target{setting: setting, config: config, asTold: given.Has("default_query_exec_mode")}, nil
}

// shown is a URL without its password and parameters.
func shown(u *url.URL) string {
	bare := url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}
	if u.User != nil {
		bare.User = url.User(u.User.Username())
	}
	return bare.String()
}

// withoutURL is what a parser says of a URL, without the URL, which may have a password in an odd place.
func withoutURL(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	return text
}

func (t *target) String() string {
	c := t.config.ConnConfig
	u := url.URL{Scheme: "postgres", User: url.User(c.User), Path: "/" + c.Database}
	if strings.HasPrefix(c.Host, "/") {
		u.RawQuery = url.Values{"host": {c.Host}}.Encode()
	} else {
		u.Host = net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	}
	return u.String()
}

// connect makes a connection for the writer.
func (t *target) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, t.config.ConnConfig.Copy())
}

// pool makes the connections for reads. A read that is cut off is cancelled at the server, and its connection goes on.
// Without pings a session that has ended is found when it is used.
func (t *target) pool(ctx context.Context, size int, pings bool) (*pgxpool.Pool, error) {
	config := t.config.Copy()
	if !pings {
		config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	}
	config.MaxConns, config.MinConns = int32(size), 0
	config.ConnConfig.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: cancelGrace}
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// check refuses a server that cannot hold a ledger, and warns of settings that lose one.
func (t *target) check(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	var version int
	var encoding, fsync, commit string
	var standby bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
		current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery()`).
		Scan(&version, &encoding, &fsync, &commit, &standby)
	switch {
	case err != nil:
		return err
	case version < oldest:
		return orca.Errorf(orca.Precondition, "the server is PostgreSQL %d, and Orca needs %d or newer: upgrade it", version/10000, oldest/10000)
	case encoding != "UTF8":
		return orca.Errorf(orca.Precondition, "the database has the encoding %s, and Orca needs UTF8: "+
			"CREATE DATABASE orca ENCODING 'UTF8' TEMPLATE template0", encoding)
	case standby:
		return orca.Errorf(orca.Precondition, "the server is a standby, which takes no writes: give the address of the primary, "+
			"or all hosts with target_session_attrs=read-write")
	}
	if fsync == "off" || commit == "off" {
		log.Warn("the database answers before its data is on disk: a crash can lose windows that were accepted",
			"store", t.String(), "fsync", fsync, "synchronous_commit", commit)
	}
	return nil
}

// database is which one of which server.
type database struct {
	server string
	id     uint32
}

func databaseOf(ctx context.Context, conn *pgx.Conn) (d database, err error) {
	err = conn.QueryRow(ctx, `SELECT (SELECT system_identifier::text FROM pg_control_system()),
		(SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&d.server, &d.id)
	return d, err
}

// explain adds which database it was, and what to do where PostgreSQL's own text does not say.
func (t *target) explain(schema string, err error) error {
	c := t.config.ConnConfig
	var kind orca.Kind
	if errors.As(err, &kind) {
		return fmt.Errorf("%s %s: %w", t.setting, t, err)
	}
	advice := ""
	switch code(err) {
	case "28P01", "28000":
		advice = fmt.Sprintf("; check user and password of the URL, and that pg_hba.conf lets %s in", c.User)
	case "3D000":
		advice = fmt.Sprintf("; make it with: CREATE DATABASE %s ENCODING 'UTF8' TEMPLATE template0", pgx.Identifier{c.Database}.Sanitize())
	case noPrivilege:
		name, role := pgx.Identifier{schema}.Sanitize(), pgx.Identifier{c.User}.Sanitize()
		advice = fmt.Sprintf("; let its owner run: CREATE SCHEMA IF NOT EXISTS %s AUTHORIZATION %s, or GRANT what docs/guide/postgres.md lists", name, role)
	case "53300":
		advice = "; raise max_connections of the server, or put a pooler before it"
	case "":
		var refused *pgconn.ConnectError
		if errors.As(err, &refused) {
			advice = "; check host and port of the URL, and that the server runs"
		}
	}
	return orca.Errorf(orca.Precondition, "%s %s: %s%s", t.setting, t, oneLine(err), advice)
}

// oneLine is the text of an error without line breaks, which those of attempts to connect have.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// newIdentity makes what a new ledger is known by.
func newIdentity() (tag string, secret []byte) {
	secret = make([]byte, 32)
	rand.Read(secret) // never fails, by its documentation
	return strings.ToLower(rand.Text()[:6]), secret
}
