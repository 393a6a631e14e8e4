// Package cli is the command orca: its verbs, what they print and how they end.
//
// A verb reads its flags, asks a core over gRPC (or, for serve, runs one through internal/app) and prints. It knows the
// contract and nothing of stores or runs. Every verb has a file of its own; what they share is the connection
// (client.go), what a core's answers look like to people and programs (view.go, value.go) and printing (print.go).
//
// Exit codes: 0 fine, 1 what was asked failed, 2 wrong use. Errors are one line on stderr.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
)

// verbs are all verbs, in the order in which help shows them. A new one is a line here.
var verbs = []func(*shell) *cobra.Command{
	(*shell).init,
	(*shell).start,
	(*shell).stop,
	(*shell).destroy,
	(*shell).serve,
	(*shell).emit,
	(*shell).status,
	(*shell).processors,
	(*shell).algorithms,
	(*shell).graph,
	(*shell).windows,
	(*shell).window,
	(*shell).results,
	(*shell).retry,
	(*shell).reprocess,
	(*shell).cancel,
	(*shell).forget,
	(*shell).sync,
	(*shell).copy,
	(*shell).demo,
	(*shell).conform,
	(*shell).bench,
	(*shell).version,
}

func init() { cobra.EnableCommandSorting = false } // verbs are in an order that means something

// Run runs the command with its arguments (without the program's name) and returns its exit code. Canceling ctx ends
// it: a core that is served stops in order, everything else is interrupted.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &shell{
		in: stdin, out: stdout, errs: stderr,
		getenv: os.Getenv, now: time.Now, runCore: app.Run,
	}
	return s.run(ctx, args)
}

// shell is the world that a verb lives in.
type shell struct {
	in        io.Reader
	out, errs io.Writer
	getenv    func(string) string
	now       func() time.Time
	dir       string // the working directory; empty means the process's
	runCore   func(context.Context, config.Config, *slog.Logger, func(app.Addresses)) error
}

// workdir returns the folder that orca.json and the language of a project are looked for in.
func (s *shell) workdir() string { return cmp.Or(s.dir, ".") }

func (s *shell) run(ctx context.Context, args []string) int {
	root := s.root()
	root.SetArgs(append([]string{}, args...)) // never nil, which would mean those of the process
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if text := oneLine(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")); text != "" {
		fmt.Fprintf(s.errs, "orca: %s\n", text)
	}
	if wrong := (*misuse)(nil); errors.As(err, &wrong) {
		return 2
	}
	return 1
}

func (s *shell) root() *cobra.Command {
	root := &cobra.Command{
		Use: "orca", DisableFlagsInUseLine: true,
		Short: "Runs DAGs of algorithms over windows of telemetry, durably",
		Long: "orca runs a core, gives it windows, and shows what became of them.\n\n" +
			"Exit codes: 0 fine, 1 what was asked failed, 2 wrong use.",
		Version:       app.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		// A misspelt verb comes before its flags, which are then not known either; it is what must be reported.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
		RunE:               noVerb,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.errs)
	root.SetFlagErrorFunc(wrongFlag)
	root.SetVersionTemplate("orca {{.Version}}\n")
	root.SuggestionsMinimumDistance = 2
	for _, verb := range verbs {
		c := verb(s)
		c.Flags().SortFlags = false
		root.AddCommand(c)
	}
	return root
}
