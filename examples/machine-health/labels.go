package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// label is a time in which something is known to have been wrong.
type label struct{ from, to time.Time }

func (l label) String() string {
	return l.from.Format(minuteLayout) + " to " + l.to.Format(minuteLayout)
}

// labels are the known failures of each asset, in the order of time.
type labels map[string][]label

// readLabels reads a file such as combined_windows.json of the Numenta Anomaly Benchmark: an object that has, for each
// name of a recording's file, a list of [from, to]. No path means no labels.
func readLabels(file string) (labels, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err // names the file
	}
	var written map[string][][]string
	if err := json.Unmarshal(content, &written); err != nil {
		return nil, fmt.Errorf(`%s: %w; it should look like {"machine.csv": [["2013-12-10 06:25:00", "2013-12-12 05:35:00"]]}`, file, err)
	}
	all := labels{}
	for name, intervals := range written {
		asset := strings.TrimSuffix(path.Base(name), path.Ext(name)) // they may be in folders
		if _, twice := all[asset]; twice {
			return nil, fmt.Errorf("%s: two entries are for %s.csv", file, asset)
		}
		if all[asset], err = parseLabels(intervals); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, name, err)
		}
	}
	return all, nil
}

func parseLabels(intervals [][]string) ([]label, error) {
	found := []label{}
	for _, texts := range intervals {
		if len(texts) != 2 {
			return nil, fmt.Errorf("%q: not a pair of times", texts)
		}
		from, err := parseTime(texts[0])
		if err != nil {
			return nil, err
		}
		to, err := parseTime(texts[1])
		if err != nil {
			return nil, err
		}
		if to.Before(from) {
			return nil, fmt.Errorf("%q: ends before it begins", texts)
		}
		found = append(found, label{from, to})
	}
	slices.SortFunc(found, func(a, b label) int { return a.from.Compare(b.from) })
	return found, nil
}
