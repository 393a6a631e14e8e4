package sqlite

import (
	"errors"
	"syscall"

	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/orca-telemetry/orca/internal/orca"
)

// code returns the extended result code of a database error, or 0 when err is none.
func code(err error) int {
	var e *modernc.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// isRefusal reports whether the database refused the row itself, as opposed to being unable to write at all.
func isRefusal(err error) bool {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return true
	}
	return false
}

func isFull(err error) bool {
	return code(err)&0xff == sqlite3.SQLITE_FULL || errors.Is(err, syscall.ENOSPC)
}

func errStopped() error {
	return orca.Errorf(orca.Unavailable, "the core is stopping; nothing was written")
}

func errFull(err error) error {
	return orca.Errorf(orca.Exhausted, "the disk of the ledger is full (%w); nothing was written; free space on it", err)
}

func errUnknown(err error) error {
	return orca.Errorf(orca.OutcomeUnknown,
		"outcome unknown: the ledger failed while committing (%w), so it may have been written or not; an idempotency key makes a retry safe", err)
}
