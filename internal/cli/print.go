package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// jsonFlag asks for JSON instead of text for people.
type jsonFlag struct{ json bool }

func (f *jsonFlag) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.json, "json", false, "print JSON: one document on one line, lists one per row")
}

// table is how rows of T look to people.
type table[T any] struct {
	head []string
	// lines returns the cells of one T, which may take several lines.
	lines func(T) [][]string
}

// printList prints rows as a table, or one line of JSON each as they come. It returns how many there were.
func printList[T any](w io.Writer, asJSON bool, t table[T], rows iter.Seq2[T, error]) (int, error) {
	n := 0
	var lines [][]string
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		n++
		if !asJSON {
			lines = append(lines, t.lines(row)...)
		} else if err := printJSON(w, row); err != nil {
			return n, err
		}
	}
	if len(lines) == 0 {
		return n, nil
	}
	return n, printTable(w, t.head, lines)
}

// printTable prints lines of cells in columns, below a head if there is one.
func printTable(w io.Writer, head []string, lines [][]string) error {
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if head != nil {
		fmt.Fprintln(tabs, strings.Join(head, "\t"))
	}
	for _, line := range lines {
		cells := make([]string, len(line))
		for i, c := range line {
			if cells[i] = oneLine(c); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tabs, strings.Join(cells, "\t"))
	}
	return tabs.Flush()
}

// printJSON prints v on one line.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// oneLine makes text from elsewhere fit for a line of a terminal: white space runs together, and what would move the
// cursor is left out.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// shorten cuts s to at most n characters.
func shorten(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
