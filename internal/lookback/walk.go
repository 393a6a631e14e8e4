package lookback

import (
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Step is what a Walk says of one run.
type Step uint8

// The steps.
const (
	// Pass: the run gives no row.
	Pass Step = iota + 1
	// Take: the run's result is the next row.
	Take
	// Wait: whether the run gives a row is not known before its outcome is. The walk stands where it stood: it takes the
	// same run once more when that is settled, or goes on with the next one as if this one gave no row.
	Wait
	// Full: neither this run nor any after it gives a row.
	Full
)

func (s Step) String() string {
	names := [...]string{"", "pass", "take", "wait", "full"}
	if s > 0 && int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("step %d", uint8(s))
}

// Walk goes through the past of one range, from the newest run on. It belongs to one goroutine.
type Walk struct {
	Range
}

// Walk returns a walk that stands before the newest run.
func (r Range) Walk() *Walk { return &Walk{r} }

// Full reports whether the walk needs to see no more runs.
func (w *Walk) Full() bool { return w.take == 0 }

// Next says what becomes of the next run in the order (to, from, position), descending.
func (w *Walk) Next(p orca.PastRun) Step {
	switch {
	case w.take == 0 || p.To < w.earliest:
		w.take = 0
		return Full
	case p.To > w.to || p.To == w.to && p.From > w.from || p.From < w.earliest:
		return Pass
	case !p.Settled():
		return Wait
	case p.Kind != orca.Succeeded:
		return Pass
	case w.skip > 0:
		w.skip--
		return Pass
	}
	w.take--
	return Take
}
