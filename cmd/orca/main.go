// The command orca: a core, and everything that people ask of one from a terminal. It is thin: internal/cli holds the
// verbs, this file the process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/orca-telemetry/orca/internal/cli"
)

func main() {
	ctx, stop := untilSignal()
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// untilSignal returns a context that the first SIGINT or SIGTERM cancels. From just before that on signals do what they
// do to any program, so that a second one ends it at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	}()
	return ctx, cancel
}
