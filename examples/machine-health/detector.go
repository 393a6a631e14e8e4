package main

import (
	"math"
	"slices"
	"time"
)

// detector says what an hour is compared with, and from when on that is an alarm.
type detector struct {
	compared    int           // an hour is compared with the results of as many hours before,
	leftOut     int           // of which so many of the newest are left out, so that what goes wrong now does not count as normal
	fewest      int           // with fewer there is nothing to compare with
	nearby      int           // "the same hour" of another day, or as many before or after it
	leastSpread float64       // the same hour is never held to be steadier than this part of the spread over all hours
	calm        time.Duration // an alarm is for the median score of this time,
	fewestCalm  int           // of so many scores at least,
	level       float64       // in spreads
}

// chosen is the detector of the program. The README says how its numbers were chosen.
var chosen = detector{
	compared: 14 * 24, leftOut: 24, fewest: 3 * 24, nearby: 1, leastSpread: 0.5,
	calm: 6 * time.Hour, fewestCalm: 3, level: 4,
}

const (
	episodeTime = 24 * time.Hour // alarms that are not further apart belong together
	mostScore   = 100            // bounds a score, where the hours before did not vary at all
	sigmas      = 1.4826         // standard deviations per median absolute deviation, where values are normally distributed
)

// statistics is what is known of the readings of an hour, or of a day.
type statistics struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	Std   float64 `json:"std"` // of these readings, divided by their number
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

// summarize returns the statistics of some readings, of which there is one at least.
func summarize(readings []reading) statistics {
	s := statistics{Count: len(readings), Min: math.Inf(1), Max: math.Inf(-1)}
	for _, r := range readings {
		s.Mean += r.value / float64(len(readings))
		s.Min, s.Max = min(s.Min, r.value), max(s.Max, r.value)
	}
	var squares float64
	for _, r := range readings {
		squares += (r.value - s.Mean) * (r.value - s.Mean)
	}
	s.Std = math.Sqrt(squares / float64(len(readings)))
	return s
}

// pool returns the statistics of all readings of some hours, of which there is one at least.
func pool(hours []statistics) statistics {
	p := statistics{Min: math.Inf(1), Max: math.Inf(-1)}
	for _, h := range hours {
		p.Count += h.Count
		p.Min, p.Max = min(p.Min, h.Min), max(p.Max, h.Max)
	}
	for _, h := range hours {
		p.Mean += h.Mean * float64(h.Count) / float64(p.Count)
	}
	var squares float64
	for _, h := range hours {
		squares += float64(h.Count) * (h.Std*h.Std + (h.Mean-p.Mean)*(h.Mean-p.Mean))
	}
	p.Std = math.Sqrt(squares / float64(p.Count))
	return p
}

// hourMean is the mean of one hour.
type hourMean struct {
	begin time.Time
	mean  float64
}

// score says how many spreads an hour lies above (or, negative, below) the median of the same hour of the days before.
// Median and median absolute deviation stay what they are when a few of those hours were abnormal. It is not known
// where there are no such hours.
func (d detector) score(now hourMean, before []hourMean) (score float64, known bool) {
	var all, same []float64
	for _, h := range before {
		all = append(all, h.mean)
		if hoursApart(now.begin, h.begin) <= d.nearby {
			same = append(same, h.mean)
		}
	}
	if len(same) == 0 {
		return 0, false
	}
	usual, spread := spreadOf(same)
	_, overall := spreadOf(all)
	off := now.mean - usual
	if off == 0 {
		return 0, true
	}
	return max(-mostScore, min(mostScore, off/max(spread, d.leastSpread*overall))), true // off/0 is infinite
}

// alarming says whether the median score of the last hours is an alarm.
func (d detector) alarming(level float64) bool { return math.Abs(level) >= d.level }

// hoursApart returns how far apart two hours of the day are: 23 and 0 by one.
func hoursApart(a, b time.Time) int {
	apart := (a.Hour() - b.Hour() + 24) % 24
	return min(apart, 24-apart)
}

// spreadOf returns the median and, as a standard deviation, the median absolute deviation from it.
func spreadOf(values []float64) (middle, spread float64) {
	middle = median(values)
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = math.Abs(v - middle)
	}
	return middle, sigmas * median(deviations)
}

// median returns the middle value, or the mean of the two in the middle. There is one value at least.
func median[F float32 | float64](values []F) F {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}
