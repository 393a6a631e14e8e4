//go:build unix && !solaris && !aix

package sqlite

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A store that was closed is free at once, whoever was forked meanwhile and has a copy of its handles.
func TestReleasedLockIsFreeDespiteCopies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orca.db")
	first, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.Dup(int(first.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(inherited) })
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	second, err := lockFile(path)
	if err != nil {
		t.Fatalf("lock what was released: %v", err)
	}
	if err := second.release(); err != nil {
		t.Error(err)
	}
}
