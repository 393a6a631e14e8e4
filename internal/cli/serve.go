package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
)

func (s *shell) serve() *cobra.Command {
	cfg := config.Default()
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a core",
		Long: "Runs a core until it is interrupted. When it is ready it prints one line with its addresses and its store on\n" +
			"stdout; it logs to stderr. The first SIGINT or SIGTERM stops it in order, a second one at once.\n\n" +
			"Every flag is also an environment variable: ORCA_MAX_ACTIVE_RUNS is --max-active-runs. A flag beats the\n" +
			"variable. ORCA_HTTP=off switches HTTP off.",
		Example: "  orca serve\n  orca serve --grpc 127.0.0.1:0 --http off --store sqlite:/var/lib/orca/orca.db\n" +
			"  ORCA_STORE=postgres://orca:PASSWORD@db.example:5432/orca orca serve",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return s.runServe(c, cfg) },
	}
	config.AddFlags(c.Flags(), &cfg)
	return c
}

func (s *shell) runServe(c *cobra.Command, cfg config.Config) error {
	if err := config.ReadEnvironment(c.Flags(), &cfg, s.getenv); err != nil {
		return wrong(c, "%v", err)
	}
	if err := cfg.Validate(); err != nil {
		return wrong(c, "%v", err)
	}
	if cfg.Store == "" {
		var err error
		if cfg.Store, err = s.defaultStore(); err != nil {
			return err
		}
	}
	defer runtime.KeepAlive(ballast())
	ready := func(a app.Addresses) { fmt.Fprintln(s.out, readyLine(a, config.ShownStore(cfg.Store))) }
	return explainServe(s.runCore(c.Context(), cfg, logger(s.errs, cfg), ready))
}

// ballast is memory that is never written to and therefore never taken from the system. The garbage collector counts it,
// so that it collects after every 64 MiB of garbage and not after every 15 MiB, which is what an idle core holds. That
// spares 8 % of the CPU time of a window, for 64 MiB more at most; a higher GOGC would multiply a heap of any size.
func ballast() []byte { return make([]byte, 64<<20) }

// defaultStore returns the store in the user's data directory, which it makes.
func (s *shell) defaultStore() (string, error) {
	store, err := config.DefaultStore(runtime.GOOS, s.getenv)
	if err != nil {
		return "", err
	}
	return store, config.MakeStoreDir(store)
}

// readyLine is for people and programs: words of the form key=value, the store last because a path may hold spaces.
func readyLine(a app.Addresses, store string) string {
	http := a.HTTP
	if http == "" {
		http = "off"
	}
	return fmt.Sprintf("orca is ready: grpc=%s http=%s store=%s", a.GRPC, http, store)
}

// logger writes what the settings ask for.
func logger(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// explainServe adds what to do about the mistakes that everybody makes once.
func explainServe(err error) error {
	listen := (*net.OpError)(nil)
	switch {
	case !errors.As(err, &listen) || listen.Op != "listen" || listen.Addr == nil:
		return err
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use, perhaps by another core (\"orca status\" tells): "+
			"stop what listens there, or choose another address with --grpc and --http", listen.Addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: no permission to listen there: choose a port above 1023 with --grpc and --http", listen.Addr)
	}
	return fmt.Errorf("cannot listen on %s (%w): choose another address with --grpc and --http", listen.Addr, listen.Err)
}
