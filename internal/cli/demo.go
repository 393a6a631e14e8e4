package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/orca-telemetry/orca/internal/demo"
)

func (s *shell) demo() *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch Orca work on this machine's live telemetry",
		Long: "Starts a core on a temporary store and two processors, emits one window a second over this machine's CPU,\n" +
			"memory, disk, network and load, and shows what the algorithms make of it. One of them fails on purpose now\n" +
			"and then. Two look back: a trend over the last 60 windows of this host, and a smoother that takes its own\n" +
			"result of before. Every ten seconds, and at the end, a window of a minute makes a report over its seconds.\n" +
			"Ctrl-C, or the end of --for, ends it with a summary; nothing is left behind.\n\n" +
			"Exit code 1 when a window was lost or ended otherwise than planned.",
		Example: "  orca demo\n  orca demo --for 10s",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 {
				return wrong(c, "--for %v: want a duration such as 10s; without it the demo runs until Ctrl-C", limit)
			}
			width, terminal := terminalWidth(s)
			return demo.Run(c.Context(), demo.Config{For: limit, Out: s.out, Terminal: terminal, Width: width})
		},
	}
	c.Flags().DurationVar(&limit, "for", 0, fmt.Sprintf("end after this time, such as %v (default until Ctrl-C)", 10*time.Second))
	return c
}

// terminalWidth returns the width of the terminal that is written to, if it is one.
func terminalWidth(s *shell) (width int, terminal bool) {
	f, ok := s.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		return width, true
	}
	return 0, true
}
