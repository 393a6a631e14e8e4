package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// file writes a file of this name and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongRecordingsAreRefused(t *testing.T) {
	t.Parallel()
	const header = "timestamp,value\n"
	for content, want := range map[string]string{
		"":                                         "the file is empty; it should begin with the line timestamp,value",
		header:                                     "there are no readings below the line of column names",
		"time,value\n2026-03-01 00:00:00,1\n":      `line 1: the columns are ["time" "value"]; there should be timestamp and value`,
		header + "2026-03-01 00:00:00,1\n,2\n":     `line 3: timestamp "": not a time such as 2013-12-02 21:15:00 (UTC) or 2013-12-02T21:15:00Z`,
		header + "01.03.2026,1\n":                  `line 2: timestamp "01.03.2026": not a time such as`,
		header + "1969-03-01 00:00:00,1\n":         `line 2: timestamp "1969-03-01 00:00:00": must lie between 1970-01-02 and 2262-04-10`,
		header + "\n2026-03-01 00:00:00,\n":        `line 3: value "": not a number between ±1e+100; leave rows without a reading out`,
		header + "2026-03-01 00:00:00,NaN\n":       `line 2: value "NaN": not a number`,
		header + "2026-03-01 00:00:00,-1e200\n":    `line 2: value "-1e200": not a number`,
		header + "2026-03-01 00:00:00,\"1,5\"\n":   `line 2: value "1,5": not a number`,
		header + "2026-03-01 00:00:00,1,5\n":       "record on line 2: wrong number of fields",
		header + "2026-03-01 00:00:00,1\n\"2026\n": `parse error on line 3, column 7: extraneous or missing " in quoted-field`,
	} {
		path := file(t, "press.csv", content)
		_, err := readRecordings([]string{path})
		if want = path + ": " + want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q gives the error\n%v, want\n%s", content, err, want)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing.csv")
	if _, err := readRecordings([]string{missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file gives %v", err)
	}
	one, other := file(t, "press.csv", header+"2026-03-01 00:00:00,1\n"), file(t, "press.csv", header+"2026-03-01 00:00:00,1\n")
	if _, err := readRecordings([]string{one, other}); err == nil || !strings.Contains(err.Error(), "another file is named press.csv too") {
		t.Errorf("two files of one name give %v", err)
	}
}

// A clock that was set back, other columns, other ways to write a time and a gap are all read.
func TestReadingsAreBroughtIntoTheOrderOfTime(t *testing.T) {
	t.Parallel()
	path := file(t, "press.csv", "\ufeffValue, Timestamp ,unit\n"+
		"1,2026-03-01 00:30:00,C\n"+
		"2,2026-03-01T01:30:00.5Z,C\n"+
		"3,2026-03-01T01:30:00+01:00,C\n"+ // half past midnight again
		"4,2026-03-04 12:00,C\n")
	all, err := readRecordings([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute, millisecond int) time.Time {
		return time.Date(2026, 3, day, hour, minute, 0, millisecond*1e6, time.UTC)
	}
	r := all[0]
	got := fmt.Sprintln(r.asset, r.back, r.again, r.readings, r.intervals(24*time.Hour), r.between(at(1, 1, 0, 0), at(4, 12, 0, 0)))
	want := fmt.Sprintln("press", 1, 1,
		[]reading{{at(1, 0, 30, 0), 1}, {at(1, 0, 30, 0), 3}, {at(1, 1, 30, 500), 2}, {at(4, 12, 0, 0), 4}},
		[]time.Time{at(1, 0, 0, 0), at(4, 0, 0, 0)},
		[]reading{{at(1, 1, 30, 500), 2}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{"real/press.csv": [["2026-03-02 00:00:00.000000", "2026-03-03 00:00:00"], ["2026-03-01 00:00:00", "2026-03-01 12:00:00"]], "pump.csv": []}`: "map[press:[2026-03-01 00:00 to 2026-03-01 12:00 2026-03-02 00:00 to 2026-03-03 00:00] pump:[]] <nil>",
		`{"press.csv": ["2026-03-01 00:00:00"]}`:                          `it should look like {"machine.csv": [["2013-12-10 06:25:00", "2013-12-12 05:35:00"]]}`,
		`{"press.csv": [["2026-03-01 00:00:00"]]}`:                        `press.csv: ["2026-03-01 00:00:00"]: not a pair of times`,
		`{"press.csv": [["2026-03-01 00:00:00", "soon"]]}`:                `press.csv: timestamp "soon": not a time`,
		`{"press.csv": [["2026-03-02 00:00:00", "2026-03-01 00:00:00"]]}`: "ends before it begins",
		`{"a/press.csv": [], "b/press.csv": []}`:                          "two entries are for press.csv",
	} {
		found, err := readLabels(file(t, "labels.json", content))
		if got := fmt.Sprint(map[string][]label(found), err); !strings.Contains(got, want) {
			t.Errorf("%s\ngives %s\nwant  %s", content, got, want)
		}
	}
}
