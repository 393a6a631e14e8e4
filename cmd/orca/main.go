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

// untilSignal returns a context that the first SIGINT or SIGTERM cancels. From then on signals do what they do to any
// program, so that a second one ends it at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
