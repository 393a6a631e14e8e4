package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the reference instead of checking it")

const referenceFile = "../../docs/reference/settings.md"

func TestReferenceIsFresh(t *testing.T) {
	t.Parallel()
	want := reference()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/reference/settings.md is stale; go test ./internal/config -update writes it (-want +got):\n%s", diff)
	}
}

// reference is the table of settings as a page of the documentation.
func reference() string {
	var b strings.Builder
	b.WriteString(`# Settings of a core

Each is a flag of ` + "`orca serve`" + ` and an environment variable. A flag beats the variable, the variable beats the
default; a variable that is set to nothing counts as not set. This page is made from ` + "`internal/config`" + `.

| flag | variable | default | what it does | what it may be |
|---|---|---|---|---|
`)
	for _, s := range Settings() {
		preset := "`" + s.Default() + "`"
		if s.Absent != "" {
			preset = s.Absent
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", s.Name, s.Env(), preset, s.Effect, s.Allowed)
	}
	b.WriteString(`
The user's data directory is ` + "`$XDG_DATA_HOME/orca`" + ` where that variable is set; else ` + "`~/.local/share/orca`" + `, on
macOS ` + "`~/Library/Application Support/orca`" + `, on Windows ` + "`%LocalAppData%\\orca`" + `. It is made when it is needed, for
its owner alone.
`)
	return b.String()
}
