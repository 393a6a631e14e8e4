// The first processor: two algorithms that run for each lap, one on the result of the other.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

var lap = orca.WindowType{Name: "Lap", Version: "1.0.0", Description: "One lap of 5.891 km"}

func main() {
	proc := orca.NewProcessor("my-project")
	speed := orca.Value(proc, "Speed", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		return float32(5891 / run.Window.Duration().Seconds()), nil // m/s
	})
	orca.Value(proc, "SpeedKmh", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		return 3.6 * speed.From(run), nil
	}, orca.Needs(speed))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := proc.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
