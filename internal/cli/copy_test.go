package cli

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What orca copy is told wrongly is said before anything is opened, and without a password.
func TestCopyMisused(t *testing.T) {
	t.Parallel()
	const see = " (see \"orca copy --help\")\n"
	file := filepath.Join(t.TempDir(), "none.db")
	got := map[string]said{}
	for name, args := range map[string][]string{
		"nothing":       {"copy"},
		"schema":        {"copy", "--from", "sqlite:" + file, "--to", "postgres://o:secret@127.0.0.1:1/o", "--schema", "No"},
		"the other way": {"copy", "--from", "postgres://o:secret@127.0.0.1:1/o", "--to", "sqlite:" + file},
		"no file":       {"copy", "--from", "sqlite:" + file, "--to", "postgres://o:secret@127.0.0.1:1/o"},
	} {
		got[name] = terminal{}.orca(t.Context(), args...)
	}
	want := map[string]said{
		"nothing": {2, "", "orca: say which ledger with --from sqlite:PATH, and where to with --to postgres://… or ORCA_STORE" + see},
		"schema":  {2, "", "orca: --schema No: want lower-case letters, digits and _, not beginning with pg_, at most 63" + see},
		"the other way": {1, "", "orca: from postgres://o@127.0.0.1:1/o to sqlite:" + file +
			": a ledger is copied from sqlite:PATH to postgres://USER:PASSWORD@HOST:PORT/DATABASE, and not the other way\n"},
		"no file": {1, "", "orca: store " + file + ": there is no such file\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
