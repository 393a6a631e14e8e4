package lookback

import (
	"math"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Range is what a lookback means for one window. The zero value holds nothing.
type Range struct {
	// to and from bound the windows from above, inclusively and lexicographically.
	to, from orca.Time
	// earliest is when the first window may begin.
	earliest orca.Time
	// skip is how many successes the gap leaves out, and take how many are handed over after them.
	skip, take uint64
}

// unlimited is the number of rows of a span: more than there can be.
const unlimited = math.MaxUint64

// Own returns the range of a lookback by a node of window w over results of w's own type. Past are the windows whose
// (to, from) is lexicographically smaller, and a span ends where w begins. Without a lookback there is no past,
// whatever the gap.
func Own(l orca.Lookback, w orca.Window) Range {
	if l.Range.IsZero() {
		return Range{}
	}
	r := Range{to: w.To, from: w.From, earliest: orca.MinTime}
	if !r.back() {
		return Range{}
	}
	return r.within(l, w.From)
}

// Other returns the range of a lookback by a node of window w over results of another window type. Past are the windows
// that have ended when w ends, and a span ends there. Without a lookback it is the newest success after the gap.
func Other(l orca.Lookback, w orca.Window) Range {
	if l.Range.IsZero() {
		l.Range.Count = 1
	}
	return Range{to: w.To, from: orca.MaxTime, earliest: orca.MinTime}.within(l, w.To)
}

// back lowers the upper bound by one step, and reports whether there is one.
func (r *Range) back() bool {
	switch {
	case r.from > orca.MinTime:
		r.from--
	case r.to > orca.MinTime:
		r.to, r.from = r.to-1, orca.MaxTime
	default:
		return false
	}
	return true
}

// within narrows the range to the spans of l, counted back from t, and to its counts.
func (r Range) within(l orca.Lookback, t orca.Time) Range {
	end := t.Back(l.Gap.Span)
	if (l.Gap.Span > 0 || l.Range.Span > 0) && end < r.to {
		r.to, r.from = end, orca.MaxTime
	}
	if l.Range.Span > 0 {
		r.earliest = end.Back(l.Range.Span)
	}
	r.skip, r.take = uint64(l.Gap.Count), unlimited
	if l.Range.Count > 0 {
		r.take = uint64(l.Range.Count)
	}
	return r
}

// Empty reports whether there is nothing to look at, so that no store needs to be asked.
func (r Range) Empty() bool { return r.take == 0 }

// Limit makes q ask for the windows that may be in the range, and few others. An empty range has nothing to ask for.
func (r Range) Limit(q orca.PastQuery) orca.PastQuery {
	// What ends before the earliest beginning also begins before it.
	q.To, q.From, q.EarliestTo = r.to, r.from, r.earliest
	return q
}

// Fields returns the names of the metadata fields that both window types mark filter, sorted.
func Fields(a, b orca.WindowType) []string {
	var names []string
	for _, f := range a.Fields {
		if f.Filter && slices.ContainsFunc(b.Fields, func(g orca.MetadataField) bool { return g.Filter && g.Name == f.Name }) {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Most returns how many successes are looked at at most, and whether that is bounded.
func (r Range) Most() (n uint64, bounded bool) {
	if r.take == unlimited {
		return 0, false
	}
	return r.skip + r.take, true
}

// Ends returns the last interval, by (to, from), that gives a row.
func (r Range) Ends() orca.Interval { return orca.Interval{To: r.to, From: r.from} }

// Begins returns when the first window may begin that gives a row.
func (r Range) Begins() orca.Time { return r.earliest }
