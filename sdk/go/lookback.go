package orca

import (
	"fmt"
	"math"
	"strings"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Lookback says how far back an algorithm looks over past results, and what it leaves out nearest to the present.
// The zero value is none. Build one with [Last] or [Past] and narrow it with Skip or SkipTime:
//
//	orca.Last(24)                                   // the 24 results before this window
//	orca.Last(24).Skip(1)                           // the same without the newest
//	orca.Past(7*24*time.Hour).SkipTime(time.Hour)   // a week of whole windows that ended an hour ago or earlier
//	orca.Lookback{}.Skip(1)                         // of another window type: the newest but one
//
// A Lookback is comparable. Wrong ones are reported when the processor is validated or run.
type Lookback struct {
	count    int
	span     time.Duration
	gapCount int
	gapSpan  time.Duration
}

// Last looks back over the n newest past results. Zero means none.
func Last(n int) Lookback { return Lookback{count: n} }

// Past looks back over the results of all past windows that lie wholly within the given time before the window.
// Zero means none.
func Past(d time.Duration) Lookback { return Lookback{span: d} }

// Skip leaves out the n newest past results.
func (l Lookback) Skip(n int) Lookback { l.gapCount = n; return l }

// SkipTime leaves out the past results of windows that end within the given time before the window.
func (l Lookback) SkipTime(d time.Duration) Lookback { l.gapSpan = d; return l }

// String is for people: "last 24, skipping 1".
func (l Lookback) String() string {
	var parts []string
	switch {
	case l.count != 0:
		parts = append(parts, fmt.Sprintf("last %d", l.count))
	case l.span != 0:
		parts = append(parts, fmt.Sprintf("past %v", l.span))
	}
	switch {
	case l.gapCount != 0:
		parts = append(parts, fmt.Sprintf("skipping %d", l.gapCount))
	case l.gapSpan != 0:
		parts = append(parts, fmt.Sprintf("skipping %v", l.gapSpan))
	}
	if parts == nil {
		return "no lookback"
	}
	return strings.Join(parts, ", ")
}

func (l Lookback) validate() error {
	switch {
	case l.count < 0 || l.span < 0 || l.gapCount < 0 || l.gapSpan < 0:
		return invalid("lookback (%v): must not be negative", l)
	case uint64(l.count) > math.MaxUint32 || uint64(l.gapCount) > math.MaxUint32:
		return invalid("lookback (%v): at most %d results", l, uint32(math.MaxUint32))
	case l.gapCount > 0 && l.gapSpan > 0:
		return invalid("lookback: skips both %d results and %v; choose one", l.gapCount, l.gapSpan)
	}
	return nil
}

// idle says that the lookback leaves out what it does not ask for. That has a meaning for algorithms of another window
// type alone, whose newest past result is handed over without being asked for.
func (l Lookback) idle() bool {
	return l.count == 0 && l.span == 0 && (l.gapCount != 0 || l.gapSpan != 0)
}

func (l Lookback) idleError(of string) error {
	return invalid("lookback (%v) over %s: it asks for no past results, of which it could skip some; begin with Last or Past", l, of)
}

func (l Lookback) setDependency(d *pb.AlgorithmDependency) {
	switch {
	case l.count > 0:
		d.Lookback = &pb.AlgorithmDependency_LookbackNum{LookbackNum: uint32(l.count)}
	case l.span > 0:
		d.Lookback = &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: uint64(l.span)}
	}
	switch {
	case l.gapCount > 0:
		d.LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: uint32(l.gapCount)}
	case l.gapSpan > 0:
		d.LookbackGap = &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: uint64(l.gapSpan)}
	}
}

func (l Lookback) setAlgorithm(a *pb.Algorithm) {
	switch {
	case l.count > 0:
		a.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: uint32(l.count)}
	case l.span > 0:
		a.Lookback = &pb.Algorithm_LookbackTimeDelta{LookbackTimeDelta: uint64(l.span)}
	}
	switch {
	case l.gapCount > 0:
		a.LookbackGap = &pb.Algorithm_LookbackGapNum{LookbackGapNum: uint32(l.gapCount)}
	case l.gapSpan > 0:
		a.LookbackGap = &pb.Algorithm_LookbackGapTimeDelta{LookbackGapTimeDelta: uint64(l.gapSpan)}
	}
}

// lookbackOf reads the lookback of a planned dependency. Times beyond what a Duration holds saturate.
func lookbackOf(d *pb.AlgorithmDependency) Lookback {
	return Lookback{
		count:    int(d.GetLookbackNum()),
		span:     duration(d.GetLookbackTimeDelta()),
		gapCount: int(d.GetLookbackGapNum()),
		gapSpan:  duration(d.GetLookbackGapTimeDelta()),
	}
}

func duration(nanoseconds uint64) time.Duration {
	return time.Duration(min(nanoseconds, math.MaxInt64))
}
