// Features is the first of three teams: it says in numbers what a second of vibration of a machine is like.
package main

import (
	"context"
	"log"
	"math"
	"os"
	"os/signal"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

var burst = orca.WindowType{
	Name: "Burst", Version: "1.0.0", Description: "A second of vibration",
	Fields: []orca.Field{
		{Name: "machine", Description: "Its serial number", Filter: true},
		{Name: "samples", Description: "Accelerations in g"},
	},
}

func main() {
	features := orca.NewProcessor("features", orca.WithProject("signals"))
	samples := orca.Array(features, "Samples", "1.0.0", burst, read, orca.Describe("The accelerations, in g."))
	rms := orca.Value(features, "RMS", "1.0.0", burst, func(_ context.Context, run *orca.Run) (float32, error) {
		return rootMeanSquare(samples.From(run)), nil
	}, orca.Needs(samples), orca.Describe("How much it shakes: the root of the mean square, in g."))
	orca.Value(features, "Crest", "1.0.0", burst, func(_ context.Context, run *orca.Run) (float32, error) {
		var peak float32
		for _, s := range samples.From(run) {
			peak = max(peak, s, -s)
		}
		return peak / rms.From(run), nil
	}, orca.Needs(samples, rms), orca.Describe("How sharp its blows are: the peak over the RMS."))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := features.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// read takes the samples of a window. A machine that sends none has failed in a way that is known.
func read(_ context.Context, run *orca.Run) ([]float32, error) {
	list, ok := run.Window.Metadata["samples"].([]any)
	if !ok || len(list) == 0 {
		return nil, orca.Failf("the window has no list of samples")
	}
	samples := make([]float32, len(list))
	for i, s := range list {
		number, ok := s.(float64)
		if !ok {
			return nil, orca.Failf("sample %d is %v, not a number", i, s)
		}
		samples[i] = float32(number)
	}
	return samples, nil
}

func rootMeanSquare(samples []float32) float32 {
	var sum float64
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return float32(math.Sqrt(sum / float64(len(samples))))
}
