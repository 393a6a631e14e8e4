// The lookbacks example is a processor whose algorithms look back: a trend over the last 60 windows, a smoother that takes
// its own result of before, a report of each minute over its seconds, and a comparison of that with earlier minutes.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

func main() {
	proc := orca.NewProcessor("machines")
	define(proc)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := proc.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
