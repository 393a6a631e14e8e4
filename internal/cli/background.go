package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/internal/background"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/project"
)

// stopPatience is how long stop waits by default: twice as long as a core waits for calls under way, by default.
const stopPatience = time.Minute

// folderFlag says where a core in the background has its files.
type folderFlag struct{ dir string }

func (f *folderFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", "", "the background core's folder, `DIR`, with its data, log and process identifier; default the user's data directory")
}

// folder returns the one that was asked for, else the user's data directory.
func (s *shell) folder(f *folderFlag) (background.Folder, error) {
	dir := f.dir
	if dir == "" {
		store, err := config.DefaultStore(runtime.GOOS, s.getenv)
		if err != nil {
			return background.Folder{}, fmt.Errorf("no place for a core in the background: %w, or choose a folder with --dir", err)
		}
		dir = filepath.Dir(strings.TrimPrefix(store, "sqlite:"))
	}
	path, err := filepath.Abs(dir)
	return background.Folder{Path: path}, err
}

// dataFile is the store of a core that is told of no other.
func dataFile(f background.Folder) string { return filepath.Join(f.Path, "orca.db") }

func (s *shell) start() *cobra.Command {
	cfg := config.Default()
	var at folderFlag
	c := &cobra.Command{
		Use:   "start",
		Short: "Start a core in the background",
		Long: "Starts a core that goes on when the terminal is closed, and returns when it is ready. \"orca stop\" stops it,\n" +
			"\"orca status\" shows it. Where one runs already, it says so and is done. It listens where orca.json says that the\n" +
			"core is, if that is on this machine; the rest of its settings are those of \"orca serve\".",
		Example: "  orca start\n  orca start --dir ~/second-core --grpc 127.0.0.1:33680 --http 127.0.0.1:33681",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return s.runStart(c, &at, cfg) },
	}
	at.add(c)
	config.AddFlags(c.Flags(), &cfg)
	return c
}

func (s *shell) runStart(c *cobra.Command, at *folderFlag, cfg config.Config) error {
	folder, err := s.folder(at)
	if err != nil {
		return err
	}
	program, err := s.serveProgram(c, folder, cfg)
	if err != nil {
		return err
	}
	before, err := folder.Look()
	if err != nil {
		return err
	}
	now, already, err := folder.Start(c.Context(), program)
	if err != nil {
		return err
	}
	switch {
	case already:
		fmt.Fprintf(s.out, "a core runs already: pid=%d grpc=%s http=%s store=%s\n", now.PID, now.GRPC, now.HTTP, now.Store)
		return nil
	case before.Lost():
		fmt.Fprintf(s.errs, "the core before, process %d, was not stopped but ended; what it had accepted goes on\n", before.PID)
	}
	fmt.Fprintf(s.out, "orca runs in the background: pid=%d grpc=%s http=%s store=%s\n", now.PID, now.GRPC, now.HTTP, now.Store)
	return nil
}

// serveProgram returns the command line of the core, with what the flags and variables say once they are found right.
func (s *shell) serveProgram(c *cobra.Command, folder background.Folder, cfg config.Config) (background.Program, error) {
	if err := config.ReadEnvironment(c.Flags(), &cfg, s.getenv); err != nil {
		return background.Program{}, wrong(c, "%v", err)
	}
	p := background.Program{Args: []string{"serve"}}
	for _, setting := range config.Settings() {
		switch {
		case !c.Flags().Changed(setting.Name):
		case setting.Name == "token": // a command line is seen in the list of processes
			p.Env = append(p.Env, setting.Env()+"="+string(cfg.Token))
		default:
			p.Args = append(p.Args, "--"+setting.Name+"="+setting.Value(cfg))
		}
	}
	if cfg.Store == "" {
		cfg.Store = "sqlite:" + dataFile(folder)
		p.Args = append(p.Args, "--store="+cfg.Store)
	}
	if !c.Flags().Changed("grpc") && s.getenv("ORCA_GRPC") == "" {
		address, err := s.projectCore()
		if err != nil {
			return p, err
		}
		if address != "" {
			cfg.GRPC = address
			p.Args = append(p.Args, "--grpc="+address)
		}
	}
	if err := cfg.Validate(); err != nil {
		return p, wrong(c, "%v", err)
	}
	var err error
	p.Path, err = os.Executable()
	return p, err
}

// projectCore returns where orca.json says that the core is, if that is on this machine; empty if it does not say.
func (s *shell) projectCore() (string, error) {
	p, err := project.Read(s.workdir())
	if err != nil || p.Core == "" {
		return "", err
	}
	address := strings.TrimPrefix(strings.TrimPrefix(p.Core, "grpc://"), "grpcs://")
	if !config.Loopback(address) {
		fmt.Fprintf(s.errs, "orca.json says that the core is at %s, which is not here: processors of this folder do not use the core that is started\n", p.Core)
		return "", nil
	}
	return address, nil
}

func (s *shell) stop() *cobra.Command {
	var at folderFlag
	var patience time.Duration
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop the core in the background",
		Long: "Stops the core that \"orca start\" started and returns when it has ended: it accepts no more windows, finishes what\n" +
			"is under way (--drain of \"orca start\" says how long) and keeps the rest for the next start. Nothing is lost.",
		Example: "  orca stop",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			folder, err := s.folder(&at)
			if err != nil {
				return err
			}
			return s.stopCore(c.Context(), folder, patience)
		},
	}
	at.add(c)
	c.Flags().DurationVar(&patience, "timeout", stopPatience, "wait so long for its end; 0 waits for ever")
	return c
}

func (s *shell) stopCore(ctx context.Context, folder background.Folder, patience time.Duration) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		limited, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	before, err := folder.Stop(limited)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("process %d is still stopping after %v: it waits for calls under way; run \"orca stop --timeout 0\" to wait on, "+
			"or kill the process, which loses no window", before.PID, patience)
	case err != nil:
		return err
	case before.Lost():
		fmt.Fprintf(s.out, "no core runs in the background: process %d ended without being stopped\n", before.PID)
	case !before.Running:
		fmt.Fprintln(s.out, "no core runs in the background")
	default:
		fmt.Fprintf(s.out, "stopped the core, process %d\n", before.PID)
	}
	return nil
}

func (s *shell) destroy() *cobra.Command {
	var at folderFlag
	var yes bool
	c := &cobra.Command{
		Use:   "destroy",
		Short: "Remove the background core with all of its data",
		Long: "Stops the core that \"orca start\" started, if it runs, and removes its ledger, log and other files, after asking.\n" +
			"A ledger in PostgreSQL stays: drop its schema there.",
		Example: "  orca destroy\n  orca destroy --yes",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			folder, err := s.folder(&at)
			if err != nil {
				return err
			}
			return s.runDestroy(c.Context(), folder, yes)
		},
	}
	at.add(c)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (s *shell) runDestroy(ctx context.Context, folder background.Folder, yes bool) error {
	now, err := folder.Look()
	if err != nil {
		return err
	}
	store := cmp.Or(now.Store, "sqlite:"+dataFile(folder))
	files, size := dataFiles(store)
	if !now.Known && size == 0 {
		fmt.Fprintf(s.out, "there is no core in %s\n", folder.Path)
		return nil
	}
	if !yes {
		if err := s.confirmDestroy(now, store, size); err != nil {
			return err
		}
	}
	if now.Running {
		if err := s.stopCore(ctx, folder, stopPatience); err != nil {
			return err
		}
	}
	if err := folder.Destroy(ctx, files); err != nil {
		return err
	}
	if config.IsPostgres(store) {
		fmt.Fprintf(s.out, "removed what is in %s; the ledger in %s stays: drop its schema there\n", folder.Path, store)
		return nil
	}
	fmt.Fprintf(s.out, "removed %s and what belongs to it\n", strings.TrimPrefix(store, "sqlite:"))
	return nil
}

// dataFiles returns the files that a store may have, and how large they are together. A database elsewhere has none.
func dataFiles(store string) (files []string, size int64) {
	path, err := config.SQLitePath(store)
	if err != nil {
		return nil, 0
	}
	for _, ending := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
		files = append(files, path+ending)
		if info, err := os.Stat(path + ending); err == nil {
			size += info.Size()
		}
	}
	return files, size
}

// confirmDestroy asks.
func (s *shell) confirmDestroy(now background.State, store string, size int64) error {
	what := fmt.Sprintf("This removes every window, run and result in %s (%.1f MiB), for ever.", strings.TrimPrefix(store, "sqlite:"), float64(size)/(1<<20))
	if config.IsPostgres(store) {
		what = "This removes the log and what is known of the core; its ledger is in " + store + " and stays."
	}
	if now.Running {
		what += fmt.Sprintf(" The core, process %d, is stopped first.", now.PID)
	}
	fmt.Fprintf(s.out, "%s\nType yes to go on: ", what)
	answer, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(s.out)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was removed: the answer was not yes (--yes does not ask)")
	}
	return nil
}
