package main

import (
	"strings"
	"testing"
)

func TestCases(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		report string
		want   count
		err    bool
	}{
		{
			name: "of Go",
			report: `<?xml version="1.0"?><testsuites tests="4"><testsuite name="a">
				<testcase name="TestA"></testcase>
				<testcase name="TestB"><failure message="Failed">text</failure></testcase>
				<testcase name="TestC"><skipped message="why"></skipped></testcase>
			</testsuite><testsuite name="b"><testcase name="TestD"></testcase></testsuite></testsuites>`,
			want: count{passed: 2, failed: 1, skipped: 1},
		},
		{
			name: "of pytest, with an error in a fixture",
			report: `<testsuites><testsuite name="pytest"><testcase name="a"><error message="boom"/></testcase>
				<testcase name="b"><system-out>x</system-out></testcase></testsuite></testsuites>`,
			want: count{passed: 1, failed: 1},
		},
		{
			name: "of node, with nested suites",
			report: `<testsuites><testsuite name="outer"><testsuite name="inner"><testcase name="a"/></testsuite>
				<testcase name="b"/></testsuite></testsuites>`,
			want: count{passed: 2},
		},
		{name: "without a test", report: `<testsuites/>`},
		{name: "cut off", report: `<testsuites><testcase name="a"></testcase><testcase`, want: count{passed: 1}, err: true},
		{name: "empty", report: ``, err: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := cases(strings.NewReader(tc.report))
			if (err != nil) != tc.err {
				t.Errorf("error %v, want one: %v", err, tc.err)
			}
			if got != tc.want {
				t.Errorf("counted %v, want %v", got, tc.want)
			}
		})
	}
}

func TestMissingReport(t *testing.T) {
	t.Parallel()
	if _, err := tally([]string{"no-such-report.xml"}); err == nil {
		t.Error("a report that is not there went unnoticed")
	}
}
