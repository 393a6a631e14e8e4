package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
)

// served runs orca serve with a core that keeps the settings it was given, logs two lines, is ready and ends well.
func served(t *testing.T, env map[string]string, args ...string) (said, config.Config) {
	t.Helper()
	var got config.Config
	x := terminal{env: env, runCore: func(_ context.Context, cfg config.Config, log *slog.Logger, ready func(app.Addresses)) error {
		got = cfg
		log.Debug("starting")
		log.Info("listening", "processor", "host")
		a := app.Addresses{GRPC: "127.0.0.1:41234", HTTP: "127.0.0.1:41235"}
		if cfg.HTTP == "" {
			a.HTTP = ""
		}
		ready(a)
		return nil
	}}
	return x.orca(t.Context(), append([]string{"serve"}, args...)...), got
}

func TestServePrintsWhereItIsReady(t *testing.T) {
	t.Parallel()
	got, cfg := served(t, nil, "--grpc", "127.0.0.1:0", "--store", "sqlite:/var/lib/my orca.db", "--log-level", "error")
	compare(t, "serve", said{0, "orca is ready: grpc=127.0.0.1:41234 http=127.0.0.1:41235 store=sqlite:/var/lib/my orca.db\n", ""}, got)
	want := config.Default()
	want.GRPC, want.Store, want.LogLevel = "127.0.0.1:0", "sqlite:/var/lib/my orca.db", slog.LevelError
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestServeWithoutHTTP(t *testing.T) {
	t.Parallel()
	got, _ := served(t, map[string]string{"ORCA_HTTP": "off", "ORCA_STORE": "sqlite:a.db", "ORCA_LOG_LEVEL": "warn"})
	compare(t, "serve", said{0, "orca is ready: grpc=127.0.0.1:41234 http=off store=sqlite:a.db\n", ""}, got)
}

func TestServeReadsFlagsBeforeVariables(t *testing.T) {
	t.Parallel()
	env := map[string]string{"ORCA_STORE": "sqlite:env.db", "ORCA_MAX_ATTEMPTS": "9", "ORCA_MAX_ACCEPT": "8", "ORCA_CORE": "not for serve"}
	_, cfg := served(t, env, "--max-attempts", "5")
	want := config.Default()
	want.Store, want.MaxAttempts, want.MaxAccept = "sqlite:env.db", 5, 8
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestServeLogsToStderr(t *testing.T) {
	t.Parallel()
	text, _ := served(t, nil, "--store", "sqlite:a.db")
	if !strings.Contains(text.Err, "level=INFO msg=listening processor=host") || strings.Contains(text.Err, "starting") {
		t.Errorf("stderr %q; want one record, as text", text.Err)
	}
	asJSON, _ := served(t, nil, "--store", "sqlite:a.db", "--log-format", "json", "--log-level", "debug")
	if !strings.Contains(asJSON.Err, `"level":"DEBUG","msg":"starting"}`) || !strings.Contains(asJSON.Err, `"msg":"listening","processor":"host"}`) {
		t.Errorf("stderr %q; want two records, as JSON", asJSON.Err)
	}
}

func TestServeKeepsItsStoreInTheDataDirectory(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	got, cfg := served(t, map[string]string{"XDG_DATA_HOME": data})
	want := "sqlite:" + filepath.Join(data, "orca", "orca.db")
	if cfg.Store != want || got.Code != 0 || !strings.HasSuffix(got.Out, " store="+want+"\n") {
		t.Errorf("store %q, %+v; want %q", cfg.Store, got, want)
	}
	info, err := os.Stat(filepath.Join(data, "orca"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("mode %s, want drwx------", info.Mode())
	}
}

func TestServeWithoutAPlaceForItsStore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const advice = "; say where with --store sqlite:PATH\n"
	got, _ := served(t, map[string]string{"XDG_DATA_HOME": file})
	compare(t, "a file in the way", said{1, "", "orca: no place for the store: cannot make " + file + ": not a directory" + advice}, got)
	got, _ = served(t, nil)
	compare(t, "no home", said{1, "", "orca: no place for the store: HOME is not set" + advice}, got)
}

func TestServeUsedWrongly(t *testing.T) {
	t.Parallel()
	transcript(t, "serve_wrong", "127.0.0.1:1",
		"serve --grpc 33670", "serve --grpc 0.0.0.0:33670", "serve --http :80", "serve --store /var/lib/orca.db", "serve --store postgres://db/orca",
		"serve --max-attempts 0", "serve --max-attempts many", "serve --heartbeat 5", "serve --disk-reserve 1.5GiB", "serve --insecure=maybe",
		"serve --log-level loud", "serve --port 33670", "serve --max-atempts 3", "serve now", "serve --grpc 127.0.0.1:1 --http 127.0.0.1:1")
	got, _ := served(t, map[string]string{"ORCA_MAX_MESSAGE_SIZE": "huge"})
	compare(t, "variable", said{2, "", "orca: ORCA_MAX_MESSAGE_SIZE=huge: want a size such as 1GiB, 64MiB or 4096, from 1KiB to 2047MiB (see \"orca serve --help\")\n"}, got)
}

func TestServeOnAPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x := terminal{runCore: func(_ context.Context, cfg config.Config, _ *slog.Logger, _ func(app.Addresses)) error {
		_, err := net.Listen("tcp", cfg.GRPC)
		return errors.Join(fmt.Errorf("--grpc: %w", err), nil)
	}}
	got := x.orca(t.Context(), "serve", "--store", "sqlite:a.db", "--grpc", l.Addr().String())
	compare(t, "serve", said{1, "", "orca: " + l.Addr().String() + " is in use, perhaps by another core (\"orca status\" tells): " +
		"stop what listens there, or choose another address with --grpc and --http\n"}, got)
}

func TestServeSaysWhyTheCoreFailed(t *testing.T) {
	t.Parallel()
	x := terminal{runCore: func(context.Context, config.Config, *slog.Logger, func(app.Addresses)) error {
		return errors.Join(errors.New("store a.db: held by process 7"), errors.New("close: bad"))
	}}
	compare(t, "serve", said{1, "", "orca: store a.db: held by process 7; close: bad\n"}, x.orca(t.Context(), "serve", "--store", "sqlite:a.db"))
}
