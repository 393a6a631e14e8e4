package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orca-telemetry/orca/internal/orca"
)

// The codes of PostgreSQL's errors that are treated in a way of their own.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlock             = "40P01"
	diskFull             = "53100"
	readOnly             = "25006"
	noPrivilege          = "42501"
	noTable              = "42P01"
	noSchema             = "3F000"
	queryCanceled        = "57014"
	noStatement          = "26000"
	statementThere       = "42P05"
)

// code returns the code of an error that the server sent, "" when it is none.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isRefusal reports whether the database refused a row itself, as opposed to being unable to write at all: data that is
// not allowed, a constraint, or a limit of the server.
func isRefusal(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "22") || strings.HasPrefix(c, "23") || strings.HasPrefix(c, "54")
}

// isConflict reports whether a transaction lost against another one, and may be repeated.
func isConflict(err error) bool {
	c := code(err)
	return c == serializationFailure || c == deadlock
}

// isAborted reports whether the server said that a transaction failed, so that it is certain that nothing was written.
// What ends the session may come after the commit.
func isAborted(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Severity == "ERROR"
}

func errStopped() error {
	return orca.Errorf(orca.Unavailable, "the core is stopping; nothing was written")
}

// notWritten is the answer to requests of which nothing reached the ledger.
func notWritten(err error) error {
	if code(err) == diskFull {
		return orca.Errorf(orca.Exhausted, "the disk of the ledger's database is full (%w); nothing was written; free space on it", err)
	}
	return orca.Errorf(orca.Unavailable, "the ledger cannot be written (%w); nothing was written; try again later", err)
}

func errUnknown(err error) error {
	return orca.Errorf(orca.OutcomeUnknown,
		"outcome unknown: the ledger's database failed while committing (%w), so it may have been written or not; an idempotency key makes a retry safe", err)
}

// isLost reports whether an error is that of a connection, of which there may be another one, or none.
func isLost(err error) bool {
	var network net.Error
	var refused *pgconn.ConnectError
	switch {
	case errors.As(err, &network), errors.As(err, &refused), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	}
	return pgconn.SafeToRetry(err) || strings.HasPrefix(code(err), "57P")
}

// unreadable gives the error of a read its kind: without an answer of the server it is Unavailable.
func unreadable(err error) error {
	if isKind(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if isLost(err) || strings.HasPrefix(code(err), "53") {
		return orca.Errorf(orca.Unavailable, "the database of the ledger cannot be asked (%w); try again later", err)
	}
	return err
}

// isKind reports whether an error is one of Orca's kinds, and so an answer.
func isKind(err error) bool {
	var kind orca.Kind
	return errors.As(err, &kind)
}

// isNoRow reports whether a query that returns one row found none.
func isNoRow(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
