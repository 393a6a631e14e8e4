package config

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

// written is every setting as a user would write it, each unlike its default.
var written = map[string]string{
	"grpc":                  "127.0.0.1:0",
	"http":                  "[::1]:8080",
	"store":                 "sqlite:/var/lib/orca/orca.db",
	"store-direct":          "",
	"schema":                "plant_7",
	"lease":                 "2s",
	"tls-cert":              "/etc/orca/tls.crt",
	"tls-key":               "/etc/orca/tls.key",
	"token":                 "s3cret/+=",
	"token-file":            "",
	"insecure":              "true",
	"pprof":                 "true",
	"heartbeat":             "250ms",
	"instance-ttl":          "1h30m",
	"max-in-flight":         "4",
	"execution-timeout":     "90s",
	"max-attempts":          "5",
	"retry-handled":         "true",
	"retired-wait":          "20m",
	"legacy-request-fields": "false",
	"max-accept":            "16",
	"max-backlog":           "100000",
	"disk-reserve":          "512MiB",
	"idempotency-ttl":       "168h",
	"max-active-runs":       "8",
	"max-message-size":      "1GiB",
	"drain":                 "0s",
	"log-level":             "debug",
	"log-format":            "json",
	"lookback":              "available",
}

// stores are the stores that there are, in words.
const stores = "sqlite:PATH, such as sqlite:/var/lib/orca/orca.db, or postgres://USER:PASSWORD@HOST:PORT/DATABASE"

// meant is the Config that written describes.
var meant = Config{
	GRPC:                "127.0.0.1:0",
	HTTP:                "[::1]:8080",
	Store:               "sqlite:/var/lib/orca/orca.db",
	Schema:              "plant_7",
	Lease:               2 * time.Second,
	TLSCert:             "/etc/orca/tls.crt",
	TLSKey:              "/etc/orca/tls.key",
	Token:               "s3cret/+=",
	Insecure:            true,
	Heartbeat:           250 * time.Millisecond,
	InstanceTTL:         90 * time.Minute,
	MaxInFlight:         4,
	ExecutionTimeout:    90 * time.Second,
	MaxAttempts:         5,
	RetryHandled:        true,
	RetiredWait:         20 * time.Minute,
	LegacyRequestFields: false,
	MaxAccept:           16,
	MaxBacklog:          100000,
	DiskReserve:         512 * MiB,
	IdempotencyTTL:      7 * 24 * time.Hour,
	MaxActiveRuns:       8,
	MaxMessageSize:      GiB,
	Pprof:               true,
	Drain:               0,
	LogLevel:            slog.LevelDebug,
	LogFormat:           LogJSON,
	Lookback:            LookbackAvailable,
}

// read does what the command does: flags first, then the environment.
func read(args []string, env map[string]string) (Config, error) {
	c := Default()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(fs, &c)
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	err := ReadEnvironment(fs, &c, func(name string) string { return env[name] })
	return c, err
}

func TestEverySettingIsReadFromFlagAndVariable(t *testing.T) {
	t.Parallel()
	var flags []string
	env := map[string]string{}
	for _, s := range Settings() {
		value, ok := written[s.Name]
		if !ok {
			t.Fatalf("no value written down for --%s", s.Name)
		}
		flags = append(flags, "--"+s.Name+"="+value)
		env[s.Env()] = value
	}
	for name, from := range map[string]func() (Config, error){
		"flags":       func() (Config, error) { return read(flags, nil) },
		"environment": func() (Config, error) { return read(nil, env) },
	} {
		got, err := from()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(meant, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingSaidMeansTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := read(nil, map[string]string{"ORCA_MAX_ATTEMPTS": "", "ORCA_HTTP": ""})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFlagBeatsVariableBeatsDefault(t *testing.T) {
	t.Parallel()
	got, err := read(
		[]string{"--max-attempts=7", "--insecure=false", "--http="},
		map[string]string{"ORCA_MAX_ATTEMPTS": "9", "ORCA_MAX_ACCEPT": "9", "ORCA_INSECURE": "true", "ORCA_HTTP": "127.0.0.1:1", "ORCA_TOKEN_FILE": "t"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.MaxAttempts, want.MaxAccept, want.HTTP, want.TokenFile = 7, 9, "", "t"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOffSwitchesHTTPOff(t *testing.T) {
	t.Parallel()
	for _, from := range []func() (Config, error){
		func() (Config, error) { return read([]string{"--http", ""}, nil) },
		func() (Config, error) { return read([]string{"--http", "off"}, nil) },
		func() (Config, error) { return read(nil, map[string]string{"ORCA_HTTP": "off"}) },
	} {
		got, err := from()
		if err != nil || got.HTTP != "" || got.Validate() != nil {
			t.Errorf("HTTP %q, error %v, invalid %v; want it off", got.HTTP, err, got.Validate())
		}
	}
}

func TestAWrongValueIsNamedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	const durations = "want a duration such as 90s, 15m or 1h30m, at least 1ms"
	for _, test := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{args: []string{"--grpc=33670"},
			want: `invalid argument "33670" for "--grpc" flag: want host:port, such as 127.0.0.1:33670 (port 0 takes a free one)`},
		{args: []string{"--grpc="},
			want: `invalid argument "" for "--grpc" flag: want host:port, such as 127.0.0.1:33670 (port 0 takes a free one)`},
		{args: []string{"--http=127.0.0.1:99999"},
			want: `invalid argument "127.0.0.1:99999" for "--http" flag: want host:port, such as 127.0.0.1:33670 (port 0 takes a free one), or "off" for none`},
		{args: []string{"--store=/var/lib/orca.db"},
			want: `invalid argument "/var/lib/orca.db" for "--store" flag: want ` + stores},
		{args: []string{"--heartbeat=5"}, want: `invalid argument "5" for "--heartbeat" flag: ` + durations},
		{args: []string{"--heartbeat=0s"}, want: `invalid argument "0s" for "--heartbeat" flag: ` + durations},
		{args: []string{"--max-attempts=0"}, want: `invalid argument "0" for "--max-attempts" flag: want a whole number, at least 1`},
		{args: []string{"--max-message-size=3GiB"},
			want: `invalid argument "3GiB" for "--max-message-size" flag: want a size such as 1GiB, 64MiB or 4096, from 1KiB to 2047MiB`},
		{args: []string{"--insecure=yes"}, want: `invalid argument "yes" for "--insecure" flag: want true or false`},
		{args: []string{"--log-level=loud"}, want: `invalid argument "loud" for "--log-level" flag: want debug, info, warn or error`},
		{args: []string{"--log-format=xml"}, want: `invalid argument "xml" for "--log-format" flag: want text or json`},
		{env: map[string]string{"ORCA_MAX_ACTIVE_RUNS": "many"}, want: `ORCA_MAX_ACTIVE_RUNS=many: want a whole number, at least 1`},
		{env: map[string]string{"ORCA_DISK_RESERVE": "1 potato"}, want: `ORCA_DISK_RESERVE="1 potato": want a size such as 1GiB, 64MiB or 4096`},
	} {
		_, err := read(test.args, test.env)
		if got := fmt.Sprint(err); got != test.want {
			t.Errorf("%v %v:\n got %s\nwant %s", test.args, test.env, got, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const open = " can be reached from other machines, and there is "
	const advice = ": give --tls-cert, --tls-key and --token-file, listen on a loopback address such as 127.0.0.1, " +
		"or add --insecure if an open port is wanted"
	const neither = open + "no TLS and no token" + advice
	withTLS := func(c *Config) { c.TLSCert, c.TLSKey = "c.pem", "k.pem" }
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.MaxInFlight = -1 }, "--max-in-flight -1: want a whole number, at least 1"},
		{func(c *Config) { c.Store = "mysql://db" }, "--store mysql://db: want " + stores},
		{func(c *Config) { c.Store = "postgres://a:secret@db" }, "<nil>"},
		{func(c *Config) { c.Store = "postgres://a:sec%ret@db" }, "--store postgres://…: want " + stores},
		{func(c *Config) { c.Store, c.StoreDirect = "postgres://a@pool", "postgres://a:secret@db" }, "<nil>"},
		{func(c *Config) { c.Store, c.StoreDirect = "postgres://a@pool", "db:5432" }, "--store-direct db:5432: want postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
		{func(c *Config) { c.Store, c.StoreDirect = "postgres://a@pool", "postgres://a:sec%ret@db" }, "--store-direct postgres://…: want postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
		{func(c *Config) { c.StoreDirect = "postgres://a:secret@db" }, "--store-direct postgres://a@db is for a PostgreSQL store, and --store is \"\": give the database with --store, or leave --store-direct out"},
		{func(c *Config) { c.Schema = "Plant" }, "--schema Plant: want lower-case letters, digits and _, not beginning with pg_, at most 63"},
		{func(c *Config) { c.Schema = "pg_mine" }, "--schema pg_mine: want lower-case letters, digits and _, not beginning with pg_, at most 63"},
		{func(c *Config) { c.LogLevel = 3 }, "--log-level info+3: want debug, info, warn or error"},
		{func(c *Config) { c.GRPC = "0.0.0.0:33670" }, "--grpc 0.0.0.0:33670" + neither},
		{func(c *Config) { c.GRPC = ":33670" }, "--grpc :33670" + neither},
		{func(c *Config) { c.HTTP = "orca.example:80" }, "--http orca.example:80" + neither},
		{func(c *Config) { c.HTTP = "[::]:80" }, "--http [::]:80" + neither},
		{func(c *Config) { c.GRPC, c.Token = ":33670", "t" }, "--grpc :33670" + open + "no TLS" + advice},
		{func(c *Config) { withTLS(c); c.HTTP = ":80" }, "--http :80" + open + "no token" + advice},
		{func(c *Config) { withTLS(c); c.GRPC, c.HTTP, c.Token = ":33670", ":80", "t" }, "<nil>"},
		{func(c *Config) { withTLS(c); c.GRPC, c.TokenFile = ":33670", "t" }, "<nil>"},
		{func(c *Config) { c.TLSCert = "c.pem" }, "--tls-cert c.pem is without its key: give --tls-key too"},
		{func(c *Config) { c.TLSKey = "k.pem" }, "--tls-key k.pem is without its certificate: give --tls-cert too"},
		{func(c *Config) { c.Token, c.TokenFile = "t", "f" },
			"--token (or ORCA_TOKEN) and --token-file (or ORCA_TOKEN_FILE) are both given: give one of them"},
		{func(c *Config) { c.Token = "two words" }, "--token ***: want visible ASCII characters without a space, at most 4096"},
		{func(c *Config) { c.HTTP = c.GRPC }, "--grpc and --http are both 127.0.0.1:33670: give them different ports"},
		{func(c *Config) { c.GRPC, c.Insecure = ":33670", true }, "<nil>"},
		{func(c *Config) { c.GRPC, c.HTTP = "127.0.0.1:0", "127.0.0.1:0" }, "<nil>"},
		{func(c *Config) { c.GRPC, c.HTTP = "localhost:1", "[::1]:2" }, "<nil>"},
		{func(c *Config) { c.DiskReserve, c.Drain, c.MaxBacklog = 0, 0, 0 }, "<nil>"},
	} {
		c := Default()
		test.change(&c)
		if got := fmt.Sprint(c.Validate()); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestZeroConfigBecomesValid(t *testing.T) {
	t.Parallel()
	want := Default()
	want.HTTP, want.DiskReserve, want.Drain, want.LegacyRequestFields = "", 0, 0, false // zero means something in these
	got := Config{}.WithDefaults()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(meant, meant.WithDefaults()); diff != "" {
		t.Errorf("changed what was set (-want +got):\n%s", diff)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	type parsed struct {
		Size Size
		OK   bool
	}
	for text, want := range map[string]parsed{
		"0":                    {0, true},
		"4096":                 {4096, true},
		"1GiB":                 {GiB, true},
		"64 mib":               {64 * MiB, true},
		"500MB":                {500_000_000, true},
		"7B":                   {7, true},
		"9223372036854775807":  {math.MaxInt64, true},
		"8388608TiB":           {},
		"9223372036854775808":  {},
		"-1":                   {},
		"1.5GiB":               {},
		"1G":                   {},
		"GiB":                  {},
		"":                     {},
		"1 GiB GiB":            {},
		"0x10":                 {},
		"99999999999999999TiB": {},
	} {
		n, ok := ParseSize(text)
		if diff := cmp.Diff(want, parsed{n, ok}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestSizeReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "bytes")) &^ (1<<rapid.IntRange(0, 62).Draw(t, "zeros") - 1)
		if got, ok := ParseSize(want.String()); !ok || got != want {
			t.Fatalf("%d is written %s, which reads as %d, %v", want, want, got, ok)
		}
	})
}

func TestSQLitePath(t *testing.T) {
	t.Parallel()
	for store, want := range map[string]string{
		"sqlite:orca.db":           "orca.db",
		"sqlite:/var/orca.db":      "/var/orca.db",
		"sqlite:///var/orca.db":    "/var/orca.db",
		"sqlite:a b?c.db":          "a b?c.db",
		"sqlite://var/orca.db":     "",
		"sqlite:":                  "",
		"sqlite::memory:":          "",
		"sqlite:dir/":              "",
		"orca.db":                  "",
		"postgres://user:pw@host/": "",
		"":                         "",
	} {
		if got, err := SQLitePath(store); got != want || (err == nil) != (want != "") {
			t.Errorf("SQLitePath(%q) = %q, %v; want %q", store, got, err, want)
		}
	}
}

// TestPasswordsAreNotShown: neither in a value that is printed nor in what the flag library says.
func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	for store, want := range map[string]string{
		"postgres://orca:secret@db:5432/orca?sslpassword=secret": "postgres://orca@db:5432/orca",
		"postgresql://orca:secret@a,b/orca":                      "postgres://orca@a,b/orca",
		"postgres:///orca?host=/run&password=secret":             "postgres:///orca",
		"postgres://orca:sec%ret@db/orca":                        "postgres://…",
		"sqlite:orca.db":                                         "sqlite:orca.db",
	} {
		if got := ShownStore(store); got != want {
			t.Errorf("ShownStore(%q) = %q, want %q", store, got, want)
		}
		var c Config
		flags := pflag.NewFlagSet("orca", pflag.ContinueOnError)
		AddFlags(flags, &c)
		err := flags.Parse([]string{"--store=" + store})
		if invalid := c.Validate(); err == nil {
			err = invalid
		}
		if shown := fmt.Sprint(err, flags.Lookup("store").Value); c.Store != store || strings.Contains(shown, "ret") {
			t.Errorf("%q is taken as %q and shown as %s", store, c.Store, shown)
		}
	}
}

func TestDefaultStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		platform string
		env      map[string]string
		want     string
		err      string
	}{
		{"linux", map[string]string{"HOME": "/home/a"}, "sqlite:/home/a/.local/share/orca/orca.db", "<nil>"},
		{"linux", map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "sqlite:/data/orca/orca.db", "<nil>"},
		{"linux", map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "data"}, "sqlite:/home/a/.local/share/orca/orca.db", "<nil>"},
		{"darwin", map[string]string{"HOME": "/Users/a"}, "sqlite:/Users/a/Library/Application Support/orca/orca.db", "<nil>"},
		{"windows", map[string]string{"LocalAppData": "/C/Local"}, "sqlite:/C/Local/orca/orca.db", "<nil>"},
		{"linux", nil, "", "no place for the store: HOME is not set; say where with --store sqlite:PATH"},
	} {
		got, err := DefaultStore(test.platform, func(name string) string { return test.env[name] })
		if got != test.want || fmt.Sprint(err) != test.err {
			t.Errorf("%s %v: got %q, %v; want %q, %s", test.platform, test.env, got, err, test.want, test.err)
		}
	}
}

func TestStoreDirIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "share", "orca")
	if err := MakeStoreDir("sqlite:" + filepath.Join(dir, "orca.db")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode %o, want 700", got)
	}
}

func TestStoreDirThatCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := MakeStoreDir("sqlite:" + filepath.Join(file, "orca", "orca.db"))
	want := "no place for the store: cannot make " + file + ": not a directory; say where with --store sqlite:PATH"
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
