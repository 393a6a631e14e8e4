package main

import (
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// reading is what the sensor said at one time.
type reading struct {
	at    time.Time
	value float64
}

// recording is what one sensor of one asset said, in the order of time. It does not change once it is read.
type recording struct {
	asset    string // the file's name without its ending
	digest   string // of the file's content
	readings []reading
	back     int // rows whose time was before that of the row above
	again    int // readings whose time another one has too
}

// readRecordings reads one recording per file. Their names tell the assets apart.
func readRecordings(paths []string) ([]*recording, error) {
	var all []*recording
	for _, path := range paths {
		r, err := readRecording(path)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o *recording) bool { return o.asset == r.asset }) {
			return nil, fmt.Errorf("%s: another file is named %s.csv too; rename one, the name says which asset it is", path, r.asset)
		}
		all = append(all, r)
	}
	return all, nil
}

func readRecording(path string) (*recording, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err // names the file
	}
	name := filepath.Base(path)
	r := &recording{
		asset:  strings.TrimSuffix(name, filepath.Ext(name)),
		digest: fmt.Sprintf("%x", sha256.Sum256(content))[:16],
	}
	if r.readings, err = parse(strings.NewReader(string(content))); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.sort()
	return r, nil
}

// parse reads the rows of a CSV file that has the columns timestamp and value, in the order of the file.
func parse(from io.Reader) ([]reading, error) {
	rows := csv.NewReader(from)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty; it should begin with the line timestamp,value")
	}
	if err != nil {
		return nil, err
	}
	at, value := column(header, "timestamp"), column(header, "value")
	if at < 0 || value < 0 {
		return nil, fmt.Errorf("line 1: the columns are %q; there should be timestamp and value", header)
	}
	var readings []reading
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err // says which line
		}
		r, err := parseRow(row[at], row[value])
		if err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		readings = append(readings, r)
	}
	if len(readings) == 0 {
		return nil, errors.New("there are no readings below the line of column names")
	}
	return readings, nil
}

func column(header []string, name string) int {
	return slices.IndexFunc(header, func(h string) bool {
		return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")), name)
	})
}

func parseRow(at, value string) (reading, error) {
	t, err := parseTime(strings.TrimSpace(at))
	if err != nil {
		return reading{}, err
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || math.IsNaN(v) || math.Abs(v) > mostValue {
		return reading{}, fmt.Errorf("value %q: not a number between ±%g; leave rows without a reading out", value, mostValue)
	}
	return reading{t, v}, nil
}

// mostValue bounds readings, so that no sum of them or of their squares is infinite.
const mostValue = 1e100

// timeLayouts are the ways to write a time. Without a zone it is UTC.
var timeLayouts = []string{time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.RFC3339}

var (
	firstTime = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2262, 4, 10, 0, 0, 0, 0, time.UTC)
)

func parseTime(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, text) // takes fractions of a second with each layout that has seconds
		if err != nil {
			continue
		}
		if t = t.UTC(); t.Before(firstTime) || !t.Before(lastTime) {
			return t, fmt.Errorf("timestamp %q: must lie between %s and %s",
				text, firstTime.Format(time.DateOnly), lastTime.Format(time.DateOnly))
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("timestamp %q: not a time such as 2013-12-02 21:15:00 (UTC) or 2013-12-02T21:15:00Z", text)
}

// sort brings the readings into the order of time. Those of equal time stay in the order of the file, and all count: a
// clock that was set back an hour writes each time of that hour twice.
func (r *recording) sort() {
	for i := 1; i < len(r.readings); i++ {
		if r.readings[i].at.Before(r.readings[i-1].at) {
			r.back++
		}
	}
	slices.SortStableFunc(r.readings, func(a, b reading) int { return a.at.Compare(b.at) })
	for i := 1; i < len(r.readings); i++ {
		if r.readings[i].at.Equal(r.readings[i-1].at) {
			r.again++
		}
	}
}

// between returns the readings from one time on and before another.
func (r *recording) between(from, to time.Time) []reading {
	at := func(t time.Time) int {
		return sort.Search(len(r.readings), func(i int) bool { return !r.readings[i].at.Before(t) })
	}
	return r.readings[at(from):at(to)]
}

// intervals returns the beginnings of the intervals of this length in which there are readings. They begin at whole
// multiples of it, in UTC.
func (r *recording) intervals(length time.Duration) []time.Time {
	var begins []time.Time
	for _, reading := range r.readings {
		begin := reading.at.Truncate(length)
		if n := len(begins); n == 0 || begins[n-1].Before(begin) {
			begins = append(begins, begin)
		}
	}
	return begins
}

func (r *recording) first() time.Time { return r.readings[0].at }
func (r *recording) last() time.Time  { return r.readings[len(r.readings)-1].at }
