package main

import (
	"context"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// machine is a filter: lookbacks take only windows of the same machine.
var machine = orca.Field{Name: "machine", Description: "Its serial number", Filter: true}

var (
	second = orca.WindowType{
		Name: "MachineSecond", Version: "1.0.0", Description: "One second of one machine",
		Fields: []orca.Field{machine, {Name: "celsius", Description: "What its sensor read, or null"}},
	}
	minute = orca.WindowType{
		Name: "MachineMinute", Version: "1.0.0", Description: "One minute of one machine",
		Fields: []orca.Field{machine},
	}
)

// report is what is known of one minute.
type report struct {
	Mean    float32 `json:"mean"`
	Max     float32 `json:"max"`
	Seconds int     `json:"seconds"` // how many of them were measured
}

// algorithms are those of the processor, for reading their results.
type algorithms struct {
	temperature, trend, smooth, drift *orca.Algorithm[float32]
	report                            *orca.Algorithm[report]
}

func define(proc *orca.Processor) (a algorithms) {
	a.temperature = orca.Value(proc, "Temperature", "1.0.0", second, func(_ context.Context, run *orca.Run) (float32, error) {
		celsius, ok := run.Window.Metadata["celsius"].(float64)
		if !ok {
			return 0, orca.Failf("the sensor gave no number")
		}
		return float32(celsius), nil
	})

	last60 := a.temperature.Over(orca.Last(60))
	a.trend = orca.Value(proc, "Trend", "1.0.0", second, func(_ context.Context, run *orca.Run) (float32, error) {
		if n := len(last60.Past(run)); n < 10 {
			return 0, orca.Failf("only %d results before this one", n)
		}
		return slope(run, last60.Rows(run)), nil
	}, orca.Needs(last60), orca.Describe("Degrees per minute, over the last 60 results"))

	a.smooth = orca.Value(proc, "Smooth", "1.0.0", second, func(_ context.Context, run *orca.Run) (float32, error) {
		now := a.temperature.From(run)
		before, ok := orca.Self[float32](run).Latest()
		if !ok || before.Age(run) > 10*time.Second {
			return now, nil // there is none yet, or it is too old to say anything
		}
		return 0.25*now + 0.75*before.Value, nil
	}, orca.Needs(a.temperature), orca.NeedsSelf(orca.Last(1)), orca.Describe("The temperature without its noise"))

	seconds := a.temperature.Over(orca.Past(time.Minute))
	a.report = orca.Struct(proc, "MinuteReport", "1.0.0", minute, func(_ context.Context, run *orca.Run) (report, error) {
		measured := orca.Values(seconds.Past(run))
		if len(measured) == 0 {
			return report{}, orca.Failf("nothing was measured in this minute")
		}
		return report{Mean: mean(measured), Max: highest(measured), Seconds: len(measured)}, nil
	}, orca.Needs(seconds))

	earlier := a.report.Over(orca.Last(10).Skip(1))
	a.drift = orca.Value(proc, "Drift", "1.0.0", minute, func(_ context.Context, run *orca.Run) (float32, error) {
		var means []float32
		for row := range earlier.Past(run).OldestFirst() {
			means = append(means, row.Value.Mean)
		}
		if len(means) == 0 {
			return 0, orca.Failf("there is no minute to compare with")
		}
		return earlier.From(run).Mean - mean(means), nil
	}, orca.Needs(earlier), orca.Describe("This minute's mean against the ten before the last one's"))
	return a
}

// slope fits a line through the rows by least squares and returns its slope in degrees per minute.
func slope(run *orca.Run, rows orca.Rows[float32]) float32 {
	var n, sumT, sumV, sumTT, sumTV float64
	for row := range rows.OldestFirst() {
		t, v := -row.Age(run).Minutes(), float64(row.Value)
		n, sumT, sumV, sumTT, sumTV = n+1, sumT+t, sumV+v, sumTT+t*t, sumTV+t*v
	}
	spread := n*sumTT - sumT*sumT
	if spread == 0 {
		return 0 // all at one time
	}
	return float32((n*sumTV - sumT*sumV) / spread)
}

func mean(values []float32) float32 {
	var sum float32
	for _, v := range values {
		sum += v
	}
	return sum / float32(len(values))
}

func highest(values []float32) float32 {
	most := values[0]
	for _, v := range values {
		most = max(most, v)
	}
	return most
}
