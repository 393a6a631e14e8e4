package demo

import (
	"context"
	"slices"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// trend is what CPUTrend gives.
type trend struct {
	Rise    float64 `json:"rise"` // of the CPU's usage, in percent of all cores
	Windows int     `json:"windows"`
}

// minuteReport is what MinuteReport gives.
type minuteReport struct {
	Seconds   int     `json:"seconds"` // how many of the minute were measured
	MeanCPU   float32 `json:"mean_cpu"`
	MaxCPU    float32 `json:"max_cpu"`
	MinHealth float32 `json:"min_health"`
}

// weight of what is measured now, against what was smoothed before.
const weight = 0.2

// defineHistory adds the algorithms that look back: over the last windows of this host, over their own result, and from
// a minute over its seconds, which last an interval each.
func (a *algorithms) defineHistory(health *orca.Processor, interval time.Duration) {
	recent := a.cpu.Over(orca.Last(trendSeconds - 1)) // and this one
	a.trend = orca.Struct(health, "CPUTrend", "1.0.0", hostSecond, func(_ context.Context, run *orca.Run) (trend, error) {
		rows := recent.Rows(run)
		return trend{Rise: rise(run, rows), Windows: len(rows)}, nil
	}, orca.Needs(recent), orca.Describe("How much CPUUsage has risen over the last 60 windows of this host"))

	a.smooth = orca.Value(health, "CPUSmooth", "1.0.0", hostSecond, func(_ context.Context, run *orca.Run) (float32, error) {
		now := a.cpu.From(run)
		before, ok := orca.Self[float32](run).Latest()
		if !ok || before.Age(run) > 10*interval {
			return now, nil // there is none yet, or there was a pause
		}
		return weight*now + (1-weight)*before.Value, nil
	}, orca.Needs(a.cpu), orca.NeedsSelf(orca.Last(1)), orca.Describe("CPUUsage without its peaks, from its own result before"))

	usage, scores := a.cpu.Over(orca.Past(minuteSeconds*interval)), a.health.Over(orca.Past(minuteSeconds*interval))
	a.minute = orca.Struct(health, "MinuteReport", "1.0.0", hostMinute, func(_ context.Context, run *orca.Run) (minuteReport, error) {
		measured, healths := orca.Values(usage.Past(run)), orca.Values(scores.Past(run))
		if len(measured) == 0 || len(healths) == 0 {
			return minuteReport{}, orca.Failf("nothing was measured in this minute")
		}
		return minuteReport{
			Seconds: len(measured), MeanCPU: mean(measured), MaxCPU: slices.Max(measured), MinHealth: slices.Min(healths),
		}, nil
	}, orca.Needs(usage, scores), orca.Describe("CPUUsage and HealthScore over the seconds of a minute"))
}

// rise fits a line through the rows by least squares and returns how much it rises from the oldest to the newest.
func rise(run *orca.Run, rows orca.Rows[float32]) float64 {
	var sumT, sumV, sumTT, sumTV float64
	for _, row := range rows {
		t, v := -row.Age(run).Seconds(), float64(row.Value)
		sumT, sumV, sumTT, sumTV = sumT+t, sumV+v, sumTT+t*t, sumTV+t*v
	}
	n := float64(len(rows))
	spread := n*sumTT - sumT*sumT
	if spread == 0 {
		return 0 // one row
	}
	slope := (n*sumTV - sumT*sumV) / spread
	return slope * (rows[len(rows)-1].Age(run) - rows[0].Age(run)).Seconds()
}

func mean(values []float32) float32 {
	var sum float32
	for _, v := range values {
		sum += v
	}
	return sum / float32(len(values))
}
