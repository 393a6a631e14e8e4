package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withoutOrca works the alarms of a recording out in a plain loop, where an hour's past is a slice.
func (d detector) withoutOrca(r *recording) (hours []hourResult) {
	var past []hourMean
	var rose, last time.Time
	for i, from := range r.intervals(time.Hour) {
		h := hourResult{from: from, to: from.Add(time.Hour)}
		h.statistics = summarize(r.between(h.from, h.to))
		now := hourMean{from, h.Mean}
		if known := past[max(0, i-d.leftOut-d.compared):max(0, i-d.leftOut)]; len(known) >= d.fewest {
			if score, ok := d.score(now, known); ok {
				exact := float32(score)
				h.score = &exact
			}
		}
		past = append(past, now)
		hours = append(hours, h)
		var scores []float32
		for _, earlier := range hours[max(0, len(hours)-int(d.calm/time.Hour)):] {
			if earlier.score != nil && !earlier.from.Before(h.to.Add(-d.calm)) {
				scores = append(scores, *earlier.score)
			}
		}
		if h.score == nil || len(scores) < d.fewestCalm {
			continue
		}
		level := float64(median(scores))
		a := alarm{Level: level, Raised: d.alarming(level)}
		if a.Raised {
			if h.to.Sub(last) > episodeTime {
				rose = h.to
			}
			a.Rose, last = rose, h.to
		}
		hours[len(hours)-1].alarm = &a
	}
	return hours
}

// The rows that Orca hands over are those of a plain loop: the results are equal to the last bit.
func TestOrcaGivesWhatALoopGives(t *testing.T) {
	t.Parallel()
	press := rhythm("press", 9, 5*24+6, 5*24+14)
	for i := range press.readings {
		switch h := int(press.readings[i].at.Sub(midnight).Hours()); {
		case h >= 6*24+12 && h < 6*24+20, h >= 7*24+19 && h < 8*24+3: // alarms after another 24 hours, and after 25
			press.readings[i].value += 40
		}
	}
	press.readings = slices.DeleteFunc(press.readings, func(r reading) bool { return r.at.Day() == 3 || r.at.Day() == 6 && r.at.Hour() == 12 })
	got := replay(t, press)["press"].hours
	if diff := cmp.Diff(chosen.withoutOrca(press), got, cmp.AllowUnexported(hourResult{}, statistics{})); diff != "" {
		t.Error(diff)
	}
	var rose []time.Duration
	for _, e := range episodes(got) {
		rose = append(rose, e.rose.Sub(midnight))
	}
	if diff := cmp.Diff([]time.Duration{130 * time.Hour, 191 * time.Hour}, rose); diff != "" {
		t.Error(diff)
	}
	if hit, wrong := verdict(got, []label{{midnight, midnight.Add(130 * time.Hour)}}); hit != 1 || wrong != 1 {
		t.Errorf("%d labels with an alarm inside, %d false episodes, want one of each", hit, wrong)
	}
}

// TestOtherNumbers logs what detectors with one other number than the chosen one make of real recordings. Each of them
// should find three of the machine's four failures: a method that works with one set of numbers only is a coincidence.
func TestOtherNumbers(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("ORCA_RECORDINGS")
	if dir == "" {
		t.Skip("ORCA_RECORDINGS does not say which folder has labels.json and the recordings that it names")
	}
	known, err := readLabels(filepath.Join(dir, "labels.json"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	recordings, err := readRecordings(paths)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recordings {
		for _, v := range variations {
			d := chosen
			v.change(&d)
			hours := d.withoutOrca(r)
			hit, wrong := verdict(hours, known[r.asset])
			t.Logf("%-38s %-20s labels %d of %d, false episodes %d", r.asset, v.name, hit, len(known[r.asset]), wrong)
			if r.asset == "machine_temperature_system_failure" && hit < 3 {
				t.Errorf("%s: %d labels have an alarm inside, want at least 3", v.name, hit)
			}
		}
	}
}

var variations = []struct {
	name   string
	change func(*detector)
}{
	{"as chosen", func(*detector) {}},
	{"7 days", func(d *detector) { d.compared = 7 * 24 }},
	{"28 days", func(d *detector) { d.compared = 28 * 24 }},
	{"12 hours left out", func(d *detector) { d.leftOut = 12 }},
	{"48 hours left out", func(d *detector) { d.leftOut = 48 }},
	{"that hour alone", func(d *detector) { d.nearby = 0 }},
	{"2 hours nearby", func(d *detector) { d.nearby = 2 }},
	{"0.25 of the spread", func(d *detector) { d.leastSpread = 0.25 }},
	{"1 of the spread", func(d *detector) { d.leastSpread = 1 }},
	{"3 hours of scores", func(d *detector) { d.calm, d.fewestCalm = 3*time.Hour, 2 }},
	{"12 hours of scores", func(d *detector) { d.calm, d.fewestCalm = 12*time.Hour, 6 }},
	{"level 3", func(d *detector) { d.level = 3 }},
	{"level 5", func(d *detector) { d.level = 5 }},
}
