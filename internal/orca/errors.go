package orca

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind sorts errors by what the caller can do about them. A kind is itself an error, so that errors.Is(err, orca.NotFound)
// recognises every error of that kind.
type Kind string

// The kinds. An error of none of them is a defect or a fault of the machine, and its text is not for clients.
const (
	// Invalid: the input breaks a rule; sending it again unchanged will fail again.
	Invalid Kind = "invalid"
	// NotFound: what the input names does not exist.
	NotFound Kind = "not found"
	// Conflict: the name or key is taken by something else.
	Conflict Kind = "already exists"
	// Precondition: the input is well-formed, and the state of the registry or of a run forbids it.
	Precondition Kind = "failed precondition"
	// Exhausted: a limit is reached; the same input may pass later.
	Exhausted Kind = "exhausted"
	// Unavailable: the core or its store cannot answer now; the same input may pass later.
	Unavailable Kind = "unavailable"
	// OutcomeUnknown: a commit was begun and its end was not seen. What was asked may or may not have happened.
	OutcomeUnknown Kind = "outcome unknown"
	// Fenced: the core has lost its lease on a shared ledger. Nothing was written, and it writes nothing any more.
	Fenced Kind = "fenced"
)

func (k Kind) Error() string { return string(k) }

// Errorf returns an error of the given kind whose text, meant for the client, is the formatted message alone.
func Errorf(kind Kind, format string, args ...any) error {
	return &refusal{kind: kind, err: fmt.Errorf(format, args...)}
}

type refusal struct {
	kind Kind
	err  error
}

func (r *refusal) Error() string   { return r.err.Error() }
func (r *refusal) Unwrap() []error { return []error{r.kind, r.err} }

// maxShown is how many bytes of a client's string an error shows: as many as the longest name has.
const maxShown = 255

// Shown returns a client's string for a message about it: where it is long its beginning, and how long it is, so that it
// does not push out what the message says of it.
func Shown(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for end > maxShown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:end], "\uFFFD"), len(s))
}
