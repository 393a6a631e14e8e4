// Command overhead compares processors that do the same, one of them written on the contract's bare stubs.
//
//	overhead --core bin/orca --turns 5 bare=bin/orca,bench,processor sdk=bin/go
//
// Each turn has a fresh core, a closed loop of 16 windows under way, and one of the processors, in turn. What counts are
// the ratios of medians to that of the first.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/orca-telemetry/orca/bench"
)

// kind is a processor, and the windows per second of its turns.
type kind struct {
	name    string
	command []string
	rates   []float64
}

func main() {
	log.SetFlags(0)
	var cfg bench.Config
	flag.StringVar(&cfg.Core, "core", "", "the command orca")
	flag.StringVar(&cfg.Dir, "dir", "", "keep stores in this `FOLDER` while it lasts (default the current one)")
	flag.DurationVar(&cfg.For, "for", 3*time.Second, "measure so long in each turn")
	turns := flag.Int("turns", 5, "take the medians of so many turns")
	flag.Parse()
	kinds, err := parse(flag.Args())
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for range *turns {
		for _, k := range kinds {
			if err := k.turn(ctx, cfg); err != nil {
				log.Fatalf("%s: %v", k.name, err) //nolint:gocritic // the process ends
			}
		}
	}
	for _, k := range kinds {
		rate := median(k.rates)
		fmt.Printf("%-12s %6.0f windows/s   %.2f of %s   %.0f\n", k.name, rate, rate/median(kinds[0].rates), kinds[0].name, k.rates)
	}
}

// parse reads NAME=COMMAND,ARGUMENT,… of each processor.
func parse(args []string) (kinds []*kind, err error) {
	for _, arg := range args {
		name, command, ok := strings.Cut(arg, "=")
		if !ok || command == "" {
			return nil, fmt.Errorf("%q: want NAME=COMMAND,ARGUMENT,…", arg)
		}
		kinds = append(kinds, &kind{name: name, command: strings.Split(command, ",")})
	}
	if len(kinds) < 2 {
		return nil, fmt.Errorf("%d processors: want the one on bare stubs, and one to compare", len(kinds))
	}
	return kinds, nil
}

// turn measures a processor once.
func (k *kind) turn(ctx context.Context, cfg bench.Config) error {
	single, err := bench.ShapeNamed("single")
	if err != nil {
		return err
	}
	cfg.Processor, cfg.Turns = k.command, 1
	cfg.Shapes, cfg.Loops, cfg.Concurrency = []bench.Shape{single}, []bench.Loop{bench.Closed}, []int{16}
	report, err := bench.Run(ctx, cfg)
	if err != nil {
		return err
	}
	k.rates = append(k.rates, report.Rows[0].Core.WindowsPerSecond)
	return report.Faults()
}

func median(rates []float64) float64 {
	sorted := slices.Sorted(slices.Values(rates))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}
