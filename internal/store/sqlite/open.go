package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/orca-telemetry/orca/internal/orca"
)

// applicationID marks a database file as Orca's ("ORCA"), at offset 68 of its header.
const applicationID = 0x4f524341

//go:embed migrations/*.sql
var migrations embed.FS

// preparePath returns the absolute path with symbolic links resolved, so that one file has one lock, and makes the
// folder.
func preparePath(path string) (string, error) {
	if path == "" {
		return "", orca.Errorf(orca.Invalid, "the store has no path; give one, such as sqlite:/var/lib/orca/orca.db")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store %s: %w", path, err)
	}
	dir, base := filepath.Split(abs)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", orca.Errorf(orca.Precondition, "store %s: cannot make its folder: %w; choose another path", abs, err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("store %s: %w", abs, err)
	}
	return filepath.Join(dir, base), nil
}

// prepareFile makes the file, readable by its owner alone, and refuses what is not a store. It comes before the first
// connection: see fileLock for why nothing opens the database file later. An empty file is fresh.
func prepareFile(path string) (fresh bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return false, orca.Errorf(orca.Precondition, "store %s: cannot write: %w; make it writable for this user or choose another path", path, err)
	case err != nil:
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return false, orca.Errorf(orca.Precondition, "store %s is a directory; give the path of a file in it, such as %s",
				path, filepath.Join(path, "orca.db"))
		}
		return false, orca.Errorf(orca.Precondition, "store %s: %w; choose another path", path, err)
	}
	defer f.Close()
	var header [72]byte
	n, err := io.ReadFull(f, header[:])
	if n == 0 && errors.Is(err, io.EOF) {
		return true, nil
	}
	if err != nil || !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) {
		return false, orca.Errorf(orca.Precondition, "store %s is not a SQLite database; choose another path, or move the file away", path)
	}
	if id := binary.BigEndian.Uint32(header[68:]); id != applicationID {
		return false, orca.Errorf(orca.Precondition, "store %s is a SQLite database of another program; choose another path", path)
	}
	return false, nil
}

// create fixes what has to be before the first table: the page size, then the mark, whose write makes it final.
func create(ctx context.Context, path string) error {
	c, err := openConn(dsn(path, "mode", "rw"))
	if err != nil {
		return err
	}
	return errors.Join(c.exec(ctx, fmt.Sprintf("PRAGMA page_size = %d; PRAGMA application_id = %d; PRAGMA journal_mode = wal",
		pageSize, applicationID)), c.close())
}

// migrate brings the schema up to date. The caller holds the lock of the store.
func migrate(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "mode", "rw", "_pragma", "synchronous(full)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithTableName("schema_version"))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > known {
		return orca.Errorf(orca.Precondition,
			"it was written by a newer orca (schema %d, this one knows %d); start that version, or choose another path", have, known)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", err)
	}
	return nil
}

// explain adds the path, and what to do where SQLite's own text does not say.
func explain(path string, err error) error {
	advice := ""
	switch code(err) & 0xff {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		advice = "; make the file and its folder writable for this user or choose another path"
	case sqlite3.SQLITE_FULL:
		advice = "; free space on the disk"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		advice = "; the file is damaged: restore it from a backup, or choose another path"
	case sqlite3.SQLITE_BUSY:
		advice = "; another program has the file open: close it"
	}
	return fmt.Errorf("store %s: %w%s", path, err, advice)
}

// newIdentity makes what a new ledger is known by.
func newIdentity() (tag string, secret []byte) {
	secret = make([]byte, 32)
	rand.Read(secret) // never fails, by its documentation
	return strings.ToLower(rand.Text()[:6]), secret
}
