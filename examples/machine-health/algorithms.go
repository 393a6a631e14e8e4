package main

import (
	"context"
	"math/rand/v2"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// Both filters keep histories apart: that of one asset from another's, and each replay from those before it.
var fields = []orca.Field{
	{Name: "asset", Description: "Whose sensor it is", Filter: true},
	{Name: "replay", Description: "In which replay of the recording", Filter: true},
	{Name: "recording", Description: "A digest of the recording that the readings are taken from"},
}

var (
	machineHour = orca.WindowType{Name: "MachineHour", Version: "1.0.0", Description: "One hour of one asset", Fields: fields}
	machineDay  = orca.WindowType{Name: "MachineDay", Version: "1.0.0", Description: "One day of one asset", Fields: fields}
)

// alarm says how bad the last hours were.
type alarm struct {
	Level  float64   `json:"level"` // the median score of the last hours
	Raised bool      `json:"raised"`
	Rose   time.Time `json:"rose,omitzero"` // when the first of the alarms rose that this one belongs to
}

// day is the daily report.
type day struct {
	statistics
	Hours   int     `json:"hours"`   // in which there were readings
	Scores  int     `json:"scores"`  // hours that could be compared
	Extreme float64 `json:"extreme"` // the score that was furthest from zero
	Alarms  int     `json:"alarms"`  // hours of alarm
}

// algorithms are those of the processor, for reading their results.
type algorithms struct {
	hour  *orca.Algorithm[statistics]
	score *orca.Algorithm[float32]
	alarm *orca.Algorithm[alarm]
	day   *orca.Algorithm[day]
}

// define adds the algorithms to a processor. They take readings from the recordings, and everything else from
// the results of before.
func define(proc *orca.Processor, recordings []*recording, d detector, jitter time.Duration) (a algorithms) {
	a.hour = orca.Struct(proc, "HourStatistics", "1.0.0", machineHour, late(jitter, func(run *orca.Run) (statistics, error) {
		readings, err := readingsOf(recordings, run.Window)
		if err != nil {
			return statistics{}, err
		}
		return summarize(readings), nil
	}), orca.Describe("What the sensor said in this hour"))

	before := a.hour.Over(orca.Last(d.compared).Skip(d.leftOut))
	a.score = orca.Value(proc, "HourScore", "1.0.0", machineHour, late(jitter, func(run *orca.Run) (float32, error) {
		past := before.Past(run)
		if len(past) < d.fewest {
			return 0, orca.Failf("only %d hours to compare with, %d are needed", len(past), d.fewest)
		}
		score, known := d.score(hourMean{run.Window.From, before.From(run).Mean}, means(past))
		if !known {
			return 0, orca.Failf("none of %d hours before was at this time of day", len(past))
		}
		return float32(score), nil
	}), orca.Needs(before), orca.Describe("How far this hour's mean is from the same hour of the days before, in spreads"))

	recent := a.score.Over(orca.Past(d.calm - time.Hour)) // with this hour's own
	a.alarm = orca.Struct(proc, "HourAlarm", "1.0.0", machineHour, late(jitter, func(run *orca.Run) (alarm, error) {
		scores := orca.Values(recent.Rows(run))
		if len(scores) < d.fewestCalm {
			return alarm{}, orca.Failf("only %d scores in the last %v, %d are needed", len(scores), d.calm, d.fewestCalm)
		}
		level := float64(median(scores))
		return alarm{Level: level, Raised: d.alarming(level)}.since(run), nil
	}), orca.Needs(recent), orca.NeedsSelf(orca.Past(episodeTime)), orca.Describe("Whether the last hours were abnormal"))

	hours, scores, alarms := a.hour.Over(orca.Past(24*time.Hour)), a.score.Over(orca.Past(24*time.Hour)), a.alarm.Over(orca.Past(24*time.Hour))
	a.day = orca.Struct(proc, "DayReport", "1.0.0", machineDay, late(jitter, func(run *orca.Run) (day, error) {
		return report(orca.Values(hours.Past(run)), orca.Values(scores.Past(run)), orca.Values(alarms.Past(run)))
	}), orca.Needs(hours, scores, alarms), orca.Describe("The hours of this day"))
	return a
}

// since says when the alarm rose. Own results of before say whether it goes on.
func (a alarm) since(run *orca.Run) alarm {
	if !a.Raised {
		return a
	}
	for earlier := range orca.Self[alarm](run).NewestFirst() {
		if earlier.Value.Raised {
			a.Rose = earlier.Value.Rose
			return a
		}
	}
	a.Rose = run.Window.To
	return a
}

func report(hours []statistics, scores []float32, alarms []alarm) (day, error) {
	if len(hours) == 0 {
		return day{}, orca.Failf("there were no readings on this day")
	}
	d := day{statistics: pool(hours), Hours: len(hours), Scores: len(scores)}
	for _, score := range scores {
		if s := float64(score); s*s > d.Extreme*d.Extreme {
			d.Extreme = s
		}
	}
	for _, alarm := range alarms {
		if alarm.Raised {
			d.Alarms++
		}
	}
	return d, nil
}

func means(rows orca.Rows[statistics]) []hourMean {
	hours := make([]hourMean, len(rows))
	for i, row := range rows {
		hours[i] = hourMean{row.Window.From, row.Value.Mean}
	}
	return hours
}

// readingsOf finds what a window speaks of. It names the recording by its content, so that the same window always gives
// the same result, whichever files this program was started with.
func readingsOf(recordings []*recording, w orca.Window) ([]reading, error) {
	for _, r := range recordings {
		if r.asset != w.Metadata["asset"] || r.digest != w.Metadata["recording"] {
			continue
		}
		readings := r.between(w.From, w.To)
		if len(readings) == 0 {
			return nil, orca.Failf("%s has no readings in this hour", r.asset)
		}
		return readings, nil
	}
	return nil, orca.Failf("the recording %v of %v is not open here; start the program with its file", w.Metadata["recording"], w.Metadata["asset"])
}

// late makes an algorithm take a random time of up to the jitter, to show that its results do not depend on it.
func late[T any](jitter time.Duration, run func(*orca.Run) (T, error)) orca.Func[T] {
	return func(ctx context.Context, r *orca.Run) (T, error) {
		if jitter > 0 {
			timer := time.NewTimer(rand.N(jitter))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				var none T
				return none, ctx.Err()
			}
		}
		return run(r)
	}
}
