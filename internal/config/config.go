// Package config holds the settings of a core: what each is called, what it defaults to, what it may be, and how a
// flag or an environment variable sets it.
//
// It knows names and values only. It starts nothing, and touches no files but a token's and the folder of the default
// store; what a setting does is the business of the part that the setting is for. The one table in settings.go is the source of the command's flags, of the ORCA_ variables
// and of docs/reference/settings.md.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Config is the settings of one core. [Default] has every default. In a Config written by hand a zero field means its
// default wherever zero would make no sense, see [Config.WithDefaults]; where zero means something, the field says what.
type Config struct {
	// GRPC is the address that gRPC listens on, host:port. Port 0 takes a free one. Default 127.0.0.1:33670.
	GRPC string
	// HTTP is the address that health, readiness and metrics listen on, host:port. Port 0 takes a free one. Empty
	// switches HTTP off. Default 127.0.0.1:33671.
	HTTP string
	// Store is where the ledger and the registry live: sqlite:PATH, or the URL of a PostgreSQL database, postgres://…, which
	// may hold a password; [ShownStore] is without it. Empty means the file that [DefaultStore] names. Default empty.
	Store string
	// StoreDirect is the URL of the database of Store past a pooler, for listening to other cores and changing the schema. It may
	// hold a password. Default empty, which is none: nothing is listened to.
	StoreDirect string
	// Schema is where a PostgreSQL database has the tables; it is made when it is not there. Default orca.
	Schema string
	// Lease is how long a core that shares a PostgreSQL database may be silent before others take over its runs. Default 10s.
	Lease time.Duration
	// TLSCert and TLSKey are PEM files with the certificate chain and the key that both listeners speak TLS with; they
	// are read again when they change. Both or neither is given. Default empty, which is no TLS.
	TLSCert, TLSKey string
	// Token is what clients must show. Default empty, which is none.
	Token Token
	// TokenFile is the file that the token is read from at start, in place of Token. Default empty.
	TokenFile string
	// Insecure allows listening on addresses that other machines reach, without TLS or without a token. Default false.
	Insecure bool

	// Heartbeat is the time between two health checks of a processor instance. Default 5s.
	Heartbeat time.Duration
	// InstanceTTL is how long a silent instance is remembered. Default 1h.
	InstanceTTL time.Duration
	// MaxInFlight is how many calls one instance is given at once. Default 32.
	MaxInFlight int
	// ExecutionTimeout is how long a call may go without a result; each result starts it anew. Default 15m.
	ExecutionTimeout time.Duration
	// MaxAttempts is how often an algorithm that breaks is run for one window, in all. Default 3.
	MaxAttempts int
	// RetryHandled retries handled failures like unhandled ones. Default false.
	RetryHandled bool
	// RetiredWait is how long a run waits for a retired algorithm to be announced again, before it skips it. Default 1h.
	RetiredWait time.Duration
	// Lookback says whether a lookback waits for past results that are on their way. Default settled.
	Lookback Lookback
	// LegacyRequestFields fills the deprecated fields of execution requests, which older processors read. Default true;
	// false leaves them out.
	LegacyRequestFields bool

	// MaxAccept is how many emits may wait for their answer at once. Default 1024.
	MaxAccept int
	// MaxBacklog is how many runs may be unfinished before windows are refused. Zero means no limit. Default 0.
	MaxBacklog int
	// DiskReserve is the free disk space, in bytes, below which windows are refused. Zero means none. Default 1GiB.
	DiskReserve Size
	// IdempotencyTTL is how long an idempotency key is remembered. Default 24h.
	IdempotencyTTL time.Duration
	// MaxActiveRuns is how many runs are held in memory at once. Default 4096.
	MaxActiveRuns int
	// MaxMessageSize is the largest gRPC message sent or received, in bytes. Default 64MiB.
	MaxMessageSize Size

	// Pprof shows profiles of the process over HTTP, below /debug/pprof/, to those who may read the metrics. Default false.
	Pprof bool

	// Drain is how long a stopping core waits for the calls under way. Zero hands them back at once. Default 30s.
	Drain time.Duration

	// Now is the system's clock, which may step at any moment; tests have it do so. No flag sets it. Default time.Now.
	Now func() time.Time `json:"-"`

	// Poll is how often a core looks at most for what others did that it waits for; tests have it look seldom. No flag sets it.
	// Default zero, which is some times a second, and less often while it listens.
	Poll time.Duration `json:"-"`

	// LogLevel is the least level that is logged. Default info, the zero value.
	LogLevel slog.Level
	// LogFormat is how a log record is written. Default text.
	LogFormat LogFormat
}

// Lookback says what a lookback does about past results that are not there yet.
type Lookback string

// The ways to look back.
const (
	// LookbackSettled waits for them, so that rows do not depend on timing.
	LookbackSettled Lookback = "settled"
	// LookbackAvailable goes on without them.
	LookbackAvailable Lookback = "available"
)

// LogFormat is how a log record is written.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Default returns the settings of a core that was told nothing.
func Default() Config {
	return Config{
		GRPC:                "127.0.0.1:33670",
		HTTP:                "127.0.0.1:33671",
		Schema:              "orca",
		Lease:               10 * time.Second,
		Heartbeat:           5 * time.Second,
		InstanceTTL:         time.Hour,
		MaxInFlight:         32,
		ExecutionTimeout:    15 * time.Minute,
		MaxAttempts:         3,
		RetiredWait:         time.Hour,
		LegacyRequestFields: true,
		MaxAccept:           1024,
		DiskReserve:         GiB,
		IdempotencyTTL:      24 * time.Hour,
		MaxActiveRuns:       4096,
		MaxMessageSize:      64 * MiB,
		Drain:               30 * time.Second,
		Lookback:            LookbackSettled,
		LogFormat:           LogText,
	}
}

// WithDefaults returns c with the default in every field that is zero and may not be.
func (c Config) WithDefaults() Config {
	for _, s := range Settings() {
		s.fill(&c)
	}
	return c
}

// Validate reports the first setting, in the order of the table, whose value is not allowed: which one, the value, and
// what is allowed.
func (c Config) Validate() error {
	for _, s := range Settings() {
		if err := s.check(c); err != nil {
			return fmt.Errorf("--%s %s: %w", s.Name, Quoted(s.Value(c)), err)
		}
	}
	if c.StoreDirect != "" && !IsPostgres(c.Store) {
		return fmt.Errorf("--store-direct %s is for a PostgreSQL store, and --store is %s: give the database with --store, or leave --store-direct out",
			ShownStore(c.StoreDirect), Quoted(ShownStore(c.Store)))
	}
	if err := c.validateAccess(); err != nil {
		return err
	}
	if c.GRPC == c.HTTP && !strings.HasSuffix(c.GRPC, ":0") {
		return fmt.Errorf("--grpc and --http are both %s: give them different ports", c.GRPC)
	}
	return nil
}

// validateAccess reports what is wrong with how clients get in.
func (c Config) validateAccess() error {
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		return fmt.Errorf("--tls-cert %s is without its key: give --tls-key too", c.TLSCert)
	case c.TLSKey != "" && c.TLSCert == "":
		return fmt.Errorf("--tls-key %s is without its certificate: give --tls-cert too", c.TLSKey)
	case c.Token != "" && c.TokenFile != "":
		return errors.New("--token (or ORCA_TOKEN) and --token-file (or ORCA_TOKEN_FILE) are both given: give one of them")
	}
	var lacks []string
	if c.TLSCert == "" {
		lacks = append(lacks, "no TLS")
	}
	if c.Token == "" && c.TokenFile == "" {
		lacks = append(lacks, "no token")
	}
	if c.Insecure || len(lacks) == 0 {
		return nil
	}
	for _, l := range []struct{ name, address string }{{"grpc", c.GRPC}, {"http", c.HTTP}} {
		if l.address != "" && !Loopback(l.address) {
			return fmt.Errorf("--%s %s can be reached from other machines, and there is %s: "+
				"give --tls-cert, --tls-key and --token-file, listen on a loopback address such as 127.0.0.1, "+
				"or add --insecure if an open port is wanted", l.name, l.address, strings.Join(lacks, " and "))
		}
	}
	return nil
}

// Loopback reports whether only this machine reaches a listener at host:port. A host name other than localhost is
// taken as reachable, because what it resolves to is not known here.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Quoted quotes a value that would be hard to see in a message.
func Quoted(value string) string {
	if value == "" || strings.ContainsAny(value, " \t\n\"") {
		return fmt.Sprintf("%q", value)
	}
	return value
}
