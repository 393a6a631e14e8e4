package wire

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/orca-telemetry/orca/internal/orca"
)

// maxQuoted is how many bytes of a peer's string an error repeats.
const maxQuoted = 64

// fieldError is a refusal on its way up from the field that it is about: each level adds its own name in front.
type fieldError struct {
	path    string
	problem string
}

func (e *fieldError) Error() string {
	if e.path == "" {
		return e.problem
	}
	return e.path + ": " + e.problem
}

func (e *fieldError) Unwrap() error { return orca.Invalid }

// refuse says what is wrong with a field and what to do about it.
func refuse(path, format string, args ...any) error {
	return &fieldError{path: path, problem: fmt.Sprintf(format, args...)}
}

// within puts the name of the enclosing field in front of the path of a refusal.
func within(field string, err error) error {
	var e *fieldError
	if !errors.As(err, &e) {
		return err
	}
	path := field
	if e.path != "" {
		path += "." + e.path
	}
	return &fieldError{path: path, problem: e.problem}
}

// element names one element of a repeated field.
func element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// quote shows a peer's string, shortened where it is long.
func quote(s string) string {
	text, whole := excerpt(s)
	if !whole {
		text = fmt.Sprintf("%s… (%d bytes)", text, len(s))
	}
	return text
}

// excerpt quotes at most maxQuoted bytes of a string, and reports whether that is all of it.
func excerpt(s string) (text string, whole bool) {
	if len(s) <= maxQuoted {
		return strconv.Quote(s), true
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]), false
}
