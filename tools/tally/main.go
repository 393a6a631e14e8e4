// Command tally adds up JUnit reports, whatever language wrote them. Its last line of output is alone on a line and
// reads "N passed, N failed, N skipped"; it exits with 1 when a test failed, when none ran, or when a report cannot be
// read. It knows the format of the reports, and nothing of the tests.
package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	total, err := tally(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
	}
	fmt.Println(total)
	if err != nil || total.failed > 0 || total.passed == 0 {
		os.Exit(1)
	}
}

type count struct{ passed, failed, skipped int }

func (c count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

func (c *count) add(other count) {
	c.passed += other.passed
	c.failed += other.failed
	c.skipped += other.skipped
}

// tally counts what can be read, and returns an error for what cannot.
func tally(paths []string) (count, error) {
	var total count
	var errs []error
	for _, path := range paths {
		c, err := report(path)
		total.add(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("read the report %s: %w", path, err))
		}
	}
	return total, errors.Join(errs...)
}

func report(path string) (count, error) {
	f, err := os.Open(path)
	if err != nil {
		return count{}, err
	}
	defer f.Close()
	return cases(f)
}

// A testCase is one test of a report; what is inside of it says how it ended.
type testCase struct {
	Failure *struct{} `xml:"failure"`
	Error   *struct{} `xml:"error"`
	Skipped *struct{} `xml:"skipped"`
}

// cases counts the test cases at any depth, since writers of reports nest suites as they like.
func cases(r io.Reader) (count, error) {
	var c count
	d := xml.NewDecoder(r)
	suites := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if !suites {
				return c, errors.New("it holds no test suites")
			}
			return c, nil
		}
		if err != nil {
			return c, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "testsuites", "testsuite":
			suites = true
		case "testcase":
			var tc testCase
			if err := d.DecodeElement(&tc, &start); err != nil {
				return c, err
			}
			c.add(tc.count())
		}
	}
}

func (tc testCase) count() count {
	switch {
	case tc.Failure != nil || tc.Error != nil:
		return count{failed: 1}
	case tc.Skipped != nil:
		return count{skipped: 1}
	}
	return count{passed: 1}
}
