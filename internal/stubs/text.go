package stubs

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// line makes text of others fit for one line of a comment: white space runs together, and what is not printed, the marks
// that turn the direction of writing included, is left out.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
}

// lines are the lines of a description in a comment, without those that are empty at its begin and end.
func lines(text string) []string {
	var all []string
	for l := range strings.Lines(strings.TrimSpace(text)) {
		all = append(all, line(l))
	}
	return all
}

// comment is a summary with the description as a paragraph of its own.
func comment(summary, description string) []string {
	all := []string{summary}
	if d := lines(description); len(d) > 0 {
		all = append(append(all, ""), d...)
	}
	return all
}

// quotedJSON writes text as a literal of JSON, which is one of TypeScript.
func quotedJSON(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // text always can be
	return escapeUnprintable(strings.TrimSuffix(b.String(), "\n"), func(r rune) string {
		if r > 0xffff {
			return fmt.Sprintf(`\u{%x}`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// quotedPython writes text as a literal of Python.
func quotedPython(text string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text)
	return `"` + escapeUnprintable(quoted, func(r rune) string {
		if r > 0xffff {
			return fmt.Sprintf(`\U%08x`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	}) + `"`
}

func escapeUnprintable(text string, escape func(rune) string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(escape(r))
		}
	}
	return b.String()
}
