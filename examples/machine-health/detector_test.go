package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// daily returns hours of some days, whose mean is that of their hour of the day and some deviation of their day.
func daily(deviations []float64, mean func(hour int) float64) (hours []hourMean) {
	for d, deviation := range deviations {
		for h := range 24 {
			hours = append(hours, hourMean{midnight.Add(time.Duration(24*d+h) * time.Hour), mean(h) + deviation})
		}
	}
	return hours
}

func TestScore(t *testing.T) {
	t.Parallel()
	flat := func(int) float64 { return 20 }
	night := func(hour int) float64 { return map[bool]float64{true: 10, false: 20}[hour >= 22 || hour < 2] }
	days := []float64{-1, 1, 0, 2, -2, 0, 500} // the last one was abnormal: median 0, median deviation 1
	spread := sigmas * 1.0
	for name, c := range map[string]struct {
		hour   int // of the 10th
		mean   float64
		before []hourMean
		want   float64
	}{
		"as usual":                      {12, 20, daily(days, flat), 0},
		"above":                         {12, 23, daily(days, flat), 3 / spread},
		"below":                         {12, 10, daily(days, flat), -10 / spread},
		"usual for the night":           {0, 10, daily(days, night), 0}, // hours 23, 0 and 1
		"unusual for the night":         {23, 20, daily(days, night), 10 / spread},
		"nothing varied, nor does this": {12, 20, daily(make([]float64, 5), flat), 0},
		"nothing varied, and this does": {12, 20.001, daily(make([]float64, 5), flat), mostScore},
		"steady hours of unsteady days": {0, 7, daily(make([]float64, 5), func(h int) float64 { return math.Abs(float64(h - 12)) }), -4 / (chosen.leastSpread * sigmas * 3)},
	} {
		got, known := chosen.score(hourMean{midnight.Add(time.Duration(9*24+c.hour) * time.Hour), c.mean}, c.before)
		if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-12)); diff != "" || !known {
			t.Errorf("%s: known is %v\n%s", name, known, diff)
		}
	}
	if _, known := chosen.score(hourMean{midnight.Add(12 * time.Hour), 20}, []hourMean{{midnight, 20}}); known {
		t.Error("there is no such hour, and a score")
	}
}

// A day's statistics made from its hours' are those of its readings.
func TestPoolIsTheSummaryOfAllReadings(t *testing.T) {
	t.Parallel()
	var all []reading
	var hours []statistics
	for h := range 24 {
		var readings []reading
		for i := range 1 + h%5 {
			readings = append(readings, reading{value: float64((7*h+31*i*i)%23) - 5})
		}
		hours = append(hours, summarize(readings))
		all = append(all, readings...)
	}
	if diff := cmp.Diff(summarize(all), pool(hours), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(statistics{Count: 4, Mean: 3, Std: math.Sqrt(5), Min: 0, Max: 6}, summarize([]reading{{value: 0}, {value: 2}, {value: 4}, {value: 6}})); diff != "" {
		t.Error(diff)
	}
}
