package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// fileLock is the claim of this process on a store. It lies on a file of its own beside the database, because closing
// any handle of the database file would drop SQLite's own locks, which belong to the process. The file stays when the
// lock is released; what counts is the lock, which the operating system takes back when the process ends in any way.
type fileLock struct{ file *os.File }

// errLocked: another handle, of this or another process, has the lock.
var errLocked = errors.New("locked")

func lockFile(database string) (*fileLock, error) {
	name := database + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store %s: cannot create the lock file: %w; make its folder writable or choose another path", database, err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("store %s: cannot lock %s: %w", database, name, err)
		}
		return nil, orca.Errorf(orca.Precondition,
			"store %s is in use by %s; stop it, or choose another path for this core", database, holder(f))
	}
	if err := writeHolder(f); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: write lock file: %w", database, err), f.Close())
	}
	return &fileLock{file: f}, nil
}

// holder reads who wrote the lock file. The holder may be about to write it.
func holder(f *os.File) string {
	var b [512]byte
	n, _ := f.ReadAt(b[:], 0)
	if who := strings.TrimSpace(string(b[:n])); who != "" {
		return who
	}
	return "another process"
}

func writeHolder(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	who := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(who), 0)
	return err
}

// release gives the lock up. Closing alone would leave it to a child of this process that has not begun its program yet
// and holds a copy of the handle until then.
func (l *fileLock) release() error { return errors.Join(unlock(l.file), l.file.Close()) }
