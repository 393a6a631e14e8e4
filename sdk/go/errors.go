package orca

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The kinds of errors that this package returns. Use errors.Is; the text says which value and what to do.
var (
	// ErrInvalid: a name, version, window, lookback or setting breaks a rule.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound: the core does not know this window, window type or algorithm.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it contradicts what the core has already, such as a changed definition under an old version, or an
	// idempotency key that was used for another window.
	ErrConflict = errors.New("conflict")
	// ErrUnauthorized: the core wants a token, or another one; see [WithToken].
	ErrUnauthorized = errors.New("unauthorized")
	// ErrUnavailable: the core could not be reached, or did not take the call, for as long as was asked for.
	ErrUnavailable = errors.New("core unavailable")
	// ErrNoResult: the algorithm has no result here: it did not succeed, or is no part of the run.
	ErrNoResult = errors.New("no result")
)

// invalid returns an error of kind [ErrInvalid] whose text begins with "invalid".
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// CallError is what is returned when a core refused a call or could not be reached.
type CallError struct {
	// Op says what was being done, such as "emit window Lap 1.0.0".
	Op string
	// Core is the address that was called.
	Core string
	// Attempts is how often it was tried.
	Attempts int
	// Code is the gRPC status code of the last answer.
	Code codes.Code

	cause error // the last answer
	ended error // why no further attempt was made; nil when the answer was final
}

func newCallError(op, core string, attempts int, cause, ended error) *CallError {
	return &CallError{Op: op, Core: core, Attempts: attempts, Code: status.Code(cause), cause: cause, ended: ended}
}

// Error says what was being done, where, and the core's own words.
func (e *CallError) Error() string {
	text := fmt.Sprintf("%s at %s: %s", e.Op, e.Core, wordsOf(e.cause))
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (after %d attempts)", e.Attempts)
	}
	switch {
	case errors.Is(e, ErrUnavailable):
		text += "; is a core running there?"
	case errors.Is(e, ErrUnauthorized):
		text += "; a Go program gives the core's token with WithToken or ORCA_TOKEN"
	}
	return text
}

// Unwrap gives the gRPC status of the last answer, and the context's error when that ended the attempts.
func (e *CallError) Unwrap() []error {
	if e.ended == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.ended}
}

// Is recognises the kinds of this package and the context errors that gRPC status codes stand for.
func (e *CallError) Is(target error) bool {
	switch target {
	case ErrInvalid:
		return e.Code == codes.InvalidArgument || e.Code == codes.OutOfRange
	case ErrNotFound:
		return e.Code == codes.NotFound
	case ErrConflict:
		return e.Code == codes.AlreadyExists || e.Code == codes.FailedPrecondition
	case ErrUnauthorized:
		return e.Code == codes.Unauthenticated || e.Code == codes.PermissionDenied
	case ErrUnavailable:
		return e.Code == codes.Unavailable || e.Code == codes.ResourceExhausted || e.Code == codes.DeadlineExceeded
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	return false
}

// wordsOf gives a status's own words, without the layers that gRPC puts around a failed connection.
func wordsOf(err error) string {
	words := status.Convert(err).Message()
	if _, inner, ok := strings.Cut(words, `desc = "`); ok {
		words = strings.TrimSuffix(inner, `"`)
	}
	return strings.TrimPrefix(words, "transport: Error while dialing: ")
}
