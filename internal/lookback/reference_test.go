package lookback_test

import (
	"math"
	"math/big"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// reference is the rule in slices: the rows of a lookback, newest first, and the first run that has to be waited for.
// It is written for reading, sorts everything and calculates without bounds.
func reference(l orca.Lookback, w orca.Window, own bool, runs []orca.PastRun) (rows []orca.PastRun, waits *orca.PastRun) {
	if own && l.Range == (orca.Extent{}) {
		return nil, nil
	}
	runs = keep(runs, func(p orca.PastRun) bool {
		if own {
			return p.To < w.To || p.To == w.To && p.From < w.From
		}
		return p.To <= w.To
	})
	t := w.To
	if own {
		t = w.From
	}
	end := minus(big.NewInt(int64(t)), l.Gap.Span)
	if l.Gap.Span > 0 || l.Range.Span > 0 {
		runs = keep(runs, func(p orca.PastRun) bool { return big.NewInt(int64(p.To)).Cmp(end) <= 0 })
	}
	if l.Range.Span > 0 {
		begin := minus(end, l.Range.Span)
		runs = keep(runs, func(p orca.PastRun) bool { return big.NewInt(int64(p.From)).Cmp(begin) >= 0 })
	}
	slices.SortFunc(runs, func(a, b orca.PastRun) int { return slices.Compare(key(b), key(a)) })
	most := len(runs)
	switch {
	case l.Range.Count > 0:
		most = min(most, int(l.Range.Count))
	case l.Range.Span == 0:
		most = 1
	}
	successes := 0
	for i, p := range runs {
		if p.Kind == 0 {
			return rows, &runs[i]
		}
		if p.Kind != orca.Succeeded {
			continue
		}
		if successes++; successes > int(l.Gap.Count) {
			rows = append(rows, p)
		}
		if len(rows) == most {
			break
		}
	}
	return rows, nil
}

// minus saturates at the earliest instant.
func minus(t *big.Int, d uint64) *big.Int {
	earlier := new(big.Int).Sub(t, new(big.Int).SetUint64(d))
	if least := big.NewInt(math.MinInt64); earlier.Cmp(least) < 0 {
		return least
	}
	return earlier
}

func keep(runs []orca.PastRun, which func(orca.PastRun) bool) []orca.PastRun {
	var kept []orca.PastRun
	for _, p := range runs {
		if which(p) {
			kept = append(kept, p)
		}
	}
	return kept
}
