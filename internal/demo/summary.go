package demo

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// summary counts what became of the windows.
type summary struct {
	planned                                  func(orca.Window, *orca.Outcome) bool
	emitted, succeeded, asPlanned, otherwise int
	problems                                 []error // the first few of the windows that are lost
	finished                                 int
	emits, totals                            []time.Duration
}

// maxTimes bounds the times that are kept for the percentiles: those of the last three hours or so.
const maxTimes = 10_000

func (s *summary) add(f finishedWindow) {
	if f.err != nil {
		if len(s.problems) < 5 {
			s.problems = append(s.problems, f.err)
		}
		return
	}
	s.finished++
	s.emits = appendBounded(s.emits, f.emit)
	s.totals = appendBounded(s.totals, f.total)
	switch {
	case !s.planned(f.window, f.outcome):
		s.otherwise++
	case f.outcome.State == orca.RunSucceeded:
		s.succeeded++
	default:
		s.asPlanned++
	}
}

func appendBounded(times []time.Duration, t time.Duration) []time.Duration {
	if len(times) == maxTimes {
		times = slices.Delete(times, 0, maxTimes/10)
	}
	return append(times, t)
}

// lost windows were emitted and never finished. It is final once the demo is over.
func (s *summary) lost() int { return s.emitted - s.finished }

// err is what the demo fails with.
func (s *summary) err() error {
	if s == nil {
		return nil
	}
	var errs []error
	if s.lost() > 0 {
		errs = append(errs, fmt.Errorf("%d of %d windows were lost: %w", s.lost(), s.emitted, errors.Join(s.problems...)))
	}
	if s.otherwise > 0 {
		errs = append(errs, fmt.Errorf("%d windows ended otherwise than planned", s.otherwise))
	}
	return errors.Join(errs...)
}

func (s *summary) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nwindows emitted\t%d\t\n", s.emitted)
	fmt.Fprintf(w, "succeeded\t%d\t\n", s.succeeded)
	fmt.Fprintf(w, "failed as planned\t%d\t\n", s.asPlanned)
	if s.otherwise > 0 {
		fmt.Fprintf(w, "ended otherwise\t%d\t\n", s.otherwise)
	}
	fmt.Fprintf(w, "lost\t%d\t\n", s.lost())
	if len(s.totals) > 0 {
		fmt.Fprintf(w, "emit, p50 / p99\t%s\t\n", percentiles(s.emits))
		fmt.Fprintf(w, "end to end, p50 / p99\t%s\t\n", percentiles(s.totals))
	}
	return w.Flush()
}

func percentiles(times []time.Duration) string {
	return fmt.Sprintf("%s / %s", millis(percentile(times, 50)), millis(percentile(times, 99)))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// percentile returns the smallest time that p percent of the times do not exceed.
func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	i := (len(sorted)*p + 99) / 100
	return sorted[max(0, i-1)]
}
