// The machine-health example replays recordings of sensors through Orca: as hourly and daily windows of each asset, in
// the order of event time, with a processor in the same program that compares each hour with the same hour of the days
// before. It prints when alarms rose, beside what is known to have gone wrong.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

const processorName = "machine-health"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "machine-health:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	labels, show, replay string
	concurrency          int
	jitter, patience     time.Duration
	files                []string
}

func parseArgs(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("machine-health", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.labels, "labels", "", "a JSON `file` that says when something was wrong, to compare alarms with")
	flags.StringVar(&s.show, "show", "alarms", "what to print: alarms, days (the daily reports too) or hours (everything)")
	flags.StringVar(&s.replay, "replay", "", "the `name` of a replay to go on with; each one has a history of its own (default a new one)")
	flags.IntVar(&s.concurrency, "concurrency", 0, "how many algorithms run at once (default the SDK's)")
	flags.DurationVar(&s.jitter, "jitter", 0, "have each algorithm take a random time of up to this")
	flags.DurationVar(&s.patience, "patience", 5*time.Minute, "how long to try when the core does not answer")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: machine-health [flags] RECORDING.csv...\n\nA recording has the columns timestamp and value. ORCA_CORE says where the core is.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.files = flags.Args()
	switch {
	case len(s.files) == 0:
		return s, errors.New("no recording is given; name one or more CSV files after the flags")
	case s.show != "alarms" && s.show != "days" && s.show != "hours":
		return s, fmt.Errorf("-show %q: must be alarms, days or hours", s.show)
	case s.concurrency < 0 || s.jitter < 0 || s.patience <= 0:
		return s, fmt.Errorf("-concurrency %d, -jitter %v and -patience %v must not be negative, the last not 0", s.concurrency, s.jitter, s.patience)
	}
	if s.replay == "" {
		s.replay = rand.Text()
	}
	return s, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseArgs(args, stderr)
	if err != nil {
		return err
	}
	recordings, err := readRecordings(s.files)
	if err != nil {
		return err
	}
	known, err := readLabels(s.labels)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	proc := orca.NewProcessor(processorName, orca.WithConcurrency(s.concurrency), orca.WithLogger(log))
	algorithms := define(proc, recordings, chosen, s.jitter)
	client, err := orca.NewClient(orca.WithTimeout(s.patience), orca.WithLogger(log))
	if err != nil {
		return err
	}
	defer client.Close()

	var found map[string]*results
	err = serve(ctx, proc, func(ctx context.Context) error {
		windows := schedule(recordings, s.replay)
		fmt.Fprintf(stderr, "replay %s: %d windows\n", s.replay, len(windows))
		ids, err := emitAll(ctx, client, windows, stderr)
		if err != nil {
			return err
		}
		found, err = collect(ctx, client, algorithms, windows, ids)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted; -replay %s goes on with it", s.replay)
	case errors.Is(err, orca.ErrConflict):
		return fmt.Errorf("%w; if replay %s was of other recordings, choose another name", err, s.replay)
	case err != nil:
		return err
	}
	return show(stdout, s.show, recordings, found, known)
}
