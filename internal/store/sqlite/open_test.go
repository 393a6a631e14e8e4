package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

// TestOpenExplainsItself: whatever keeps a store from being opened, the error says which path, what is wrong with it
// and what to do.
func TestOpenExplainsItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    []string
	}{
		"no path":             {nil, []string{"has no path", "give one"}},
		"a directory":         {makeDirectory, []string{"is a directory", "orca.db"}},
		"below a file":        {nil, []string{"its folder", "choose another path"}},
		"not a database":      {writeText("some notes"), []string{"is not a SQLite database", "choose another path"}},
		"not one and longer":  {writeText(strings.Repeat("some notes ", 1000)), []string{"is not a SQLite database"}},
		"another program's":   {foreignDatabase, []string{"of another program", "choose another path"}},
		"from a newer orca":   {newerSchema, []string{"newer orca", "schema 9999", "start that version"}},
		"damaged":             {damaged, []string{"damaged", "restore it from a backup"}},
		"not writable":        {readOnlyFile, []string{"cannot write", "make it writable"}},
		"folder not writable": {readOnlyFolder, []string{"cannot create the lock file", "writable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sub", "orca.db")
			switch name {
			case "no path":
				path = ""
			case "below a file":
				path = filepath.Join(path, "orca.db")
				makeFile(t, filepath.Dir(path), nil)
			default:
				c.prepare(t, path)
			}
			s, err := Open(t.Context(), path, Config{})
			if err == nil {
				t.Fatal("it is opened", s.Close())
			}
			for _, want := range append(c.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func makeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func makeDirectory(t *testing.T, path string) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func writeText(text string) func(*testing.T, string) {
	return func(t *testing.T, path string) { makeFile(t, path, []byte(text)) }
}

// alter runs statements in the database at path with SQLite alone.
func alter(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func foreignDatabase(t *testing.T, path string) {
	makeDirectory(t, filepath.Dir(path))
	alter(t, path, "CREATE TABLE recipes (x)")
}

// ours makes a store, which is closed again.
func ours(t *testing.T, path string) {
	t.Helper()
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func newerSchema(t *testing.T, path string) {
	ours(t, path)
	alter(t, path, "INSERT INTO schema_version (version_id, is_applied) VALUES (9999, 1)")
}

func damaged(t *testing.T, path string) {
	ours(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 200; i < len(b); i++ {
		b[i] = 0xaa
	}
	makeFile(t, path, b)
}

// Permissions do not bind root.
func skipRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
}

func readOnlyFile(t *testing.T, path string) {
	skipRoot(t)
	ours(t, path)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
}

func readOnlyFolder(t *testing.T, path string) {
	skipRoot(t)
	makeDirectory(t, filepath.Dir(path))
	if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
		t.Fatal(err)
	}
}

// TestOneStoreOneHolder: a store that is open cannot be opened again under any name, and the error says by whom it is
// held; once it is closed it can.
func TestOneStoreOneHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "orca.db"), filepath.Join(dir, "link.db")
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := Open(t.Context(), name, Config{})
		want := fmt.Sprintf("in use by process %d on ", os.Getpid())
		if !errors.Is(err, orca.Precondition) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), " since 20") {
			t.Errorf("opening %s again gives %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ours(t, link)
}

// TestOpenMakesFilesOfTheirOwner: the store holds secrets, and is readable by its owner alone.
func TestOpenMakesFilesOfTheirOwner(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	for _, suffix := range []string{"", "-wal", "-shm", "-redo", ".lock"} {
		info, err := os.Stat(s.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has the mode %v", info.Name(), mode)
		}
	}
}

// TestOpenTakesAnyPath: names are not read as URIs or parameters.
func TestOpenTakesAnyPath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "a?mode=memory.db", "a#b.db", "a%20b.db", "ö🐋.db", "a&b=c;d.db", ":memory:"} {
		path := filepath.Join(t.TempDir(), "new folder", name)
		ours(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != name && e.Name() != name+".lock" {
				t.Errorf("opening and closing %q left %q", name, e.Name())
			}
		}
	}
}

// TestFailedOpenLeavesNoLock: what cannot be opened is not held.
func TestFailedOpenLeavesNoLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orca.db")
	newerSchema(t, path)
	if _, err := Open(t.Context(), path, Config{}); err == nil {
		t.Fatal("a newer schema is opened")
	}
	alter(t, path, "DELETE FROM schema_version WHERE version_id = 9999")
	ours(t, path)
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there (%v): some connection was not closed", err)
	}
}
