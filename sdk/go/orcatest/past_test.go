package orcatest

import (
	"cmp"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The sorted history with its early ends gives the same rows as looking at each of all results.
func TestPastIsWhatLookingAtEachResultGives(t *testing.T) {
	t.Parallel()
	own, other := windowType{"Own", "1"}, windowType{"Other", "1"}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(0, 12)
		window := func(position int64, on windowType) *run {
			from := number.Draw(t, "from")
			return &run{span: span{on, from, from + number.Draw(t, "length")}, position: position}
		}
		d := dependency{of: &algorithm{}, own: rapid.Bool().Draw(t, "own")}
		on := other
		if d.own {
			on = own
		}
		var all []*past
		for i := range rapid.Int64Range(0, 20).Draw(t, "results") {
			p := &past{run: window(i+1, on)}
			d.of.results.add(p)
			all = append(all, p)
		}
		long := rapid.OneOf(number, rapid.Just[int64](math.MaxInt64))
		if rapid.Bool().Draw(t, "counted") {
			d.back.count = uint32(number.Draw(t, "count"))
		} else {
			d.back.time = long.Draw(t, "time")
		}
		if rapid.Bool().Draw(t, "gap counted") {
			d.back.gapCount = uint32(rapid.Int64Range(0, 3).Draw(t, "gap count"))
		} else {
			d.back.gapTime = long.Draw(t, "gap time")
		}
		w := window(99, own)
		if diff := gocmp.Diff(positions(plainly(all, w, d)), positions(d.past(w))); diff != "" {
			t.Fatalf("%+v of %+v: %s", d.back, w.span, diff)
		}
	})
}

func positions(rows []*past) (out []int64) {
	for _, row := range rows {
		out = append(out, row.position)
	}
	return out
}

// plainly takes the rules one after the other, each over all rows.
func plainly(all []*past, w *run, d dependency) []*past {
	rows := slices.Clone(all)
	slices.SortFunc(rows, func(a, b *past) int {
		return cmp.Or(cmp.Compare(b.to, a.to), cmp.Compare(b.from, a.from), cmp.Compare(b.position, a.position))
	})
	drop := func(when func(*past) bool) { rows = slices.DeleteFunc(rows, when) }
	t := float64(w.to)
	if d.own {
		t = float64(w.from)
		drop(func(p *past) bool { return p.to > w.to || p.to == w.to && p.from >= w.from })
	} else {
		drop(func(p *past) bool { return p.to > w.to })
	}
	end := t - float64(d.back.gapTime)
	if d.back.gapTime > 0 || d.back.time > 0 {
		drop(func(p *past) bool { return float64(p.to) > end })
	}
	if d.back.time > 0 {
		drop(func(p *past) bool { return float64(p.from) < end-float64(d.back.time) })
	}
	rows = rows[min(len(rows), int(d.back.gapCount)):]
	keep := len(rows)
	switch {
	case d.back.count > 0:
		keep = int(d.back.count)
	case d.back.time > 0:
	case d.own:
		keep = 0
	default:
		keep = 1
	}
	return rows[:min(len(rows), keep)]
}
