package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// Setting is one row of the table: a setting's name, what it does, what it may be, and how it is read from text into a
// Config and back.
type Setting struct {
	// Name is that of the flag, without dashes, such as "max-active-runs".
	Name string
	// Kind is one word for what the value is, such as "duration".
	Kind string
	// Effect is what the setting does, as a phrase.
	Effect string
	// Allowed says which values there are, as a phrase that follows "want".
	Allowed string
	// Absent says in words what an empty default means; empty for the settings that have one.
	Absent string

	set   func(*Config, string) error
	value func(Config) string
	check func(Config) error
	fill  func(*Config)
}

// Env returns the name of the environment variable that sets it: ORCA_MAX_ACTIVE_RUNS for max-active-runs.
func (s Setting) Env() string {
	return "ORCA_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Default returns the default as text, empty when [Setting.Absent] says what it means.
func (s Setting) Default() string { return s.value(Default()) }

// Value returns the setting's value in c, as text that Set reads back; of a token, only that there is one.
func (s Setting) Value(c Config) string { return s.value(c) }

// Set reads value into c, or says what is allowed.
func (s Setting) Set(c *Config, value string) error { return s.set(c, value) }

// Settings returns the table, in the order in which people are shown it.
func Settings() []Setting {
	return []Setting{
		address("grpc", "listen for gRPC here", false, func(c *Config) *string { return &c.GRPC }),
		address("http", "listen for health, readiness and metrics here", true, func(c *Config) *string { return &c.HTTP }),
		store("store", "keep the ledger and the registry here", func(c *Config) *string { return &c.Store }),
		storeDirect("store-direct", "listen to other cores, and change the schema, over this connection to the same database, past a pooler",
			func(c *Config) *string { return &c.StoreDirect }),
		schema("schema", "keep them in this schema of a PostgreSQL database", func(c *Config) *string { return &c.Schema }),
		duration("lease", "a core that says nothing to a PostgreSQL database for this long loses its runs to the other cores",
			100*time.Millisecond, func(c *Config) *time.Duration { return &c.Lease }),
		file("tls-cert", "speak TLS with the certificate chain in this PEM file; read again when it changes", "no TLS",
			func(c *Config) *string { return &c.TLSCert }),
		file("tls-key", "the key of that certificate, a PEM file", "no TLS", func(c *Config) *string { return &c.TLSKey }),
		token("token", "let in who shows this token; a flag is seen in the list of processes, so prefer the variable or --token-file",
			func(c *Config) *Token { return &c.Token }),
		file("token-file", "read the token from this file, at start", "no token", func(c *Config) *string { return &c.TokenFile }),
		toggle("insecure", "allow addresses that other machines reach, without TLS or a token",
			func(c *Config) *bool { return &c.Insecure }),

		duration("heartbeat", "time between two health checks of a processor instance", time.Millisecond,
			func(c *Config) *time.Duration { return &c.Heartbeat }),
		duration("instance-ttl", "forget a processor instance after this long a silence", time.Millisecond,
			func(c *Config) *time.Duration { return &c.InstanceTTL }),
		count("max-in-flight", "calls that one processor instance is given at once", 1,
			func(c *Config) *int { return &c.MaxInFlight }),
		duration("execution-timeout", "cancel a call that gives no result for this long", time.Millisecond,
			func(c *Config) *time.Duration { return &c.ExecutionTimeout }),
		count("max-attempts", "run an algorithm that breaks this often for one window, in all", 1,
			func(c *Config) *int { return &c.MaxAttempts }),
		toggle("retry-handled", "retry handled failures too", func(c *Config) *bool { return &c.RetryHandled }),
		duration("retired-wait", "skip a node whose algorithm was retired this long ago and not announced again", time.Millisecond,
			func(c *Config) *time.Duration { return &c.RetiredWait }),
		lookback("lookback", "settled waits for past results that are on their way, so that replays see the same rows; available takes those that are there",
			func(c *Config) *Lookback { return &c.Lookback }),
		toggle("legacy-request-fields", "fill the deprecated fields of execution requests, which older processors read",
			func(c *Config) *bool { return &c.LegacyRequestFields }),

		count("max-accept", "emits that may wait for their answer at once", 1, func(c *Config) *int { return &c.MaxAccept }),
		count("max-backlog", "refuse windows while more runs than this are unfinished; 0 is no limit", 0,
			func(c *Config) *int { return &c.MaxBacklog }),
		size("disk-reserve", "refuse windows while less disk space than this is free; 0 is no reserve", 0, math.MaxInt64,
			func(c *Config) *Size { return &c.DiskReserve }),
		duration("idempotency-ttl", "remember idempotency keys for this long", time.Millisecond,
			func(c *Config) *time.Duration { return &c.IdempotencyTTL }),
		count("max-active-runs", "runs that are held in memory at once", 1, func(c *Config) *int { return &c.MaxActiveRuns }),
		size("max-message-size", "largest gRPC message, sent or received", KiB, 2047*MiB,
			func(c *Config) *Size { return &c.MaxMessageSize }),

		toggle("pprof", "show profiles of the process over HTTP, below /debug/pprof/, to those who may read the metrics",
			func(c *Config) *bool { return &c.Pprof }),
		duration("drain", "wait this long for calls under way when stopping; 0 hands them back at once", 0,
			func(c *Config) *time.Duration { return &c.Drain }),

		logLevel("log-level", "log this level and above", func(c *Config) *slog.Level { return &c.LogLevel }),
		logFormat("log-format", "write log records so", func(c *Config) *LogFormat { return &c.LogFormat }),
	}
}

// field is a setting whose value is a T.
type field[T comparable] struct {
	at    func(*Config) *T
	parse func(string) (T, bool)
	text  func(T) string
	valid func(T) bool
}

// setting makes a row of a field. A zero value that is not valid is filled with the default.
func setting[T comparable](s Setting, f field[T]) Setting {
	notAllowed := errors.New("want " + s.Allowed)
	s.set = func(c *Config, text string) error {
		v, ok := f.parse(text)
		if !ok || !f.valid(v) {
			return notAllowed
		}
		*f.at(c) = v
		return nil
	}
	s.value = func(c Config) string { return f.text(*f.at(&c)) }
	s.check = func(c Config) error {
		if !f.valid(*f.at(&c)) {
			return notAllowed
		}
		return nil
	}
	s.fill = func(c *Config) {
		var zero T
		if *f.at(c) == zero && !f.valid(zero) {
			preset := Default()
			*f.at(c) = *f.at(&preset)
		}
	}
	return s
}

// off is what an address may be written as to have no listener; it can stand in a variable, where empty means not set.
const off = "off"

func address(name, effect string, optional bool, at func(*Config) *string) Setting {
	allowed := "host:port, such as 127.0.0.1:33670 (port 0 takes a free one)"
	if optional {
		allowed += `, or "off" for none`
	}
	return setting(Setting{Name: name, Kind: "host:port", Effect: effect, Allowed: allowed}, field[string]{
		at: at,
		parse: func(s string) (string, bool) {
			if optional && s == off {
				return "", true
			}
			return s, true
		},
		text:  verbatim[string],
		valid: func(s string) bool { return optional && s == "" || validAddress(s) },
	})
}

func validAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// store leaves what is wrong with a URL to the check: the flag library shows what set refuses, and a URL has a password.
func store(name, effect string, at func(*Config) *string) Setting {
	s := setting(Setting{
		Name: name, Kind: "sqlite:PATH", Effect: effect, Allowed: storeForm, Absent: "orca.db in the user's data directory",
	}, field[string]{
		at:    at,
		parse: func(s string) (string, bool) { return s, true },
		text:  ShownStore,
		valid: func(s string) bool { return checkStore(s) == nil },
	})
	checked := s.set
	s.set = func(c *Config, text string) error {
		if IsPostgres(text) {
			*at(c) = text
			return nil
		}
		return checked(c, text)
	}
	return s
}

// storeDirect leaves what is wrong with it to the check, since it has a password.
func storeDirect(name, effect string, at func(*Config) *string) Setting {
	s := setting(Setting{Name: name, Kind: "URL", Effect: effect, Allowed: directForm, Absent: "nothing is listened to"}, field[string]{
		at:    at,
		parse: func(s string) (string, bool) { return s, true },
		text:  ShownStore,
		valid: func(s string) bool { return s == "" || IsPostgres(s) && checkStore(s) == nil },
	})
	s.set = func(c *Config, text string) error {
		*at(c) = text
		return nil
	}
	return s
}

func schema(name, effect string, at func(*Config) *string) Setting {
	return setting(Setting{Name: name, Kind: "name", Effect: effect, Allowed: "lower-case letters, digits and _, not beginning with pg_, at most 63"},
		field[string]{
			at:    at,
			parse: func(s string) (string, bool) { return s, true },
			text:  verbatim[string],
			valid: validSchema,
		})
}

func file(name, effect, absent string, at func(*Config) *string) Setting {
	return setting(Setting{Name: name, Kind: "file", Effect: effect, Allowed: "the path of a file", Absent: absent}, field[string]{
		at:    at,
		parse: func(s string) (string, bool) { return s, true },
		text:  verbatim[string],
		valid: func(string) bool { return true },
	})
}

// token takes any text, and leaves what is wrong with it to the check: the flag library shows what set refuses.
func token(name, effect string, at func(*Config) *Token) Setting {
	s := setting(Setting{Name: name, Kind: "token", Effect: effect, Allowed: tokenForm, Absent: "no token"}, field[Token]{
		at:    at,
		parse: func(s string) (Token, bool) { return Token(s), true },
		text:  Token.String,
		valid: Token.Valid,
	})
	s.set = func(c *Config, text string) error {
		*at(c) = Token(text)
		return nil
	}
	return s
}

func toggle(name, effect string, at func(*Config) *bool) Setting {
	return setting(Setting{Name: name, Kind: "bool", Effect: effect, Allowed: "true or false"}, field[bool]{
		at: at,
		parse: func(s string) (bool, bool) {
			v, err := strconv.ParseBool(s)
			return v, err == nil
		},
		text:  strconv.FormatBool,
		valid: func(bool) bool { return true },
	})
}

func duration(name, effect string, least time.Duration, at func(*Config) *time.Duration) Setting {
	allowed := fmt.Sprintf("a duration such as 90s, 15m or 1h30m, at least %s", FormatDuration(least))
	return setting(Setting{Name: name, Kind: "duration", Effect: effect, Allowed: allowed}, field[time.Duration]{
		at: at,
		parse: func(s string) (time.Duration, bool) {
			v, err := time.ParseDuration(s)
			return v, err == nil
		},
		text:  FormatDuration,
		valid: func(v time.Duration) bool { return v >= least },
	})
}

// FormatDuration writes 24h where the standard library writes 24h0m0s; time.ParseDuration reads both.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func count(name, effect string, least int, at func(*Config) *int) Setting {
	allowed := fmt.Sprintf("a whole number, at least %d", least)
	return setting(Setting{Name: name, Kind: "number", Effect: effect, Allowed: allowed}, field[int]{
		at: at,
		parse: func(s string) (int, bool) {
			v, err := strconv.Atoi(s)
			return v, err == nil
		},
		text:  strconv.Itoa,
		valid: func(v int) bool { return v >= least },
	})
}

func size(name, effect string, least, most Size, at func(*Config) *Size) Setting {
	allowed := "a size such as 1GiB, 64MiB or 4096"
	if least > 0 {
		allowed += fmt.Sprintf(", from %s to %s", least, most)
	}
	return setting(Setting{Name: name, Kind: "size", Effect: effect, Allowed: allowed}, field[Size]{
		at:    at,
		parse: ParseSize,
		text:  Size.String,
		valid: func(v Size) bool { return v >= least && v <= most },
	})
}

// logLevels are the levels by the name that people write.
var logLevels = []struct {
	name  string
	level slog.Level
}{{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError}}

func logLevel(name, effect string, at func(*Config) *slog.Level) Setting {
	named := func(s string) (slog.Level, bool) {
		for _, l := range logLevels {
			if strings.EqualFold(s, l.name) {
				return l.level, true
			}
		}
		return 0, false
	}
	return setting(Setting{Name: name, Kind: "level", Effect: effect, Allowed: "debug, info, warn or error"}, field[slog.Level]{
		at:    at,
		parse: named,
		text:  func(l slog.Level) string { return strings.ToLower(l.String()) },
		valid: func(l slog.Level) bool { _, ok := named(l.String()); return ok },
	})
}

func logFormat(name, effect string, at func(*Config) *LogFormat) Setting {
	return setting(Setting{Name: name, Kind: "format", Effect: effect, Allowed: "text or json"}, field[LogFormat]{
		at:    at,
		parse: func(s string) (LogFormat, bool) { return LogFormat(strings.ToLower(s)), true },
		text:  verbatim[LogFormat],
		valid: func(f LogFormat) bool { return f == LogText || f == LogJSON },
	})
}

func lookback(name, effect string, at func(*Config) *Lookback) Setting {
	return setting(Setting{Name: name, Kind: "mode", Effect: effect, Allowed: "settled or available"}, field[Lookback]{
		at:    at,
		parse: func(s string) (Lookback, bool) { return Lookback(strings.ToLower(s)), true },
		text:  verbatim[Lookback],
		valid: func(l Lookback) bool { return l == LookbackSettled || l == LookbackAvailable },
	})
}

func verbatim[T ~string](v T) string { return string(v) }
