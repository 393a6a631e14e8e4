package orca

import (
	"math"
	"time"
)

// Time is an instant in nanoseconds since the Unix epoch. It reaches to 2262-04-11; package wire refuses what lies
// outside.
type Time int64

// Bounds of Time.
const (
	MinTime Time = math.MinInt64
	MaxTime Time = math.MaxInt64
)

// TimeOf returns t as a Time.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

func (t Time) String() string { return t.Std().Format(time.RFC3339Nano) }

// Back returns the instant d nanoseconds before t, or MinTime where that would lie before it.
func (t Time) Back(d uint64) Time {
	const offset = 1 << 63 // maps MinTime to 0, so that the distance to it fits a uint64
	if room := uint64(t) ^ offset; d > room {
		return MinTime
	}
	return Time(uint64(t) - d)
}
