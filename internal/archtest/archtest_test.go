// Package archtest holds what is true of the repository as a whole: which package may import which, as the table in
// ARCHITECTURE.md shows it, and that each rule of docs/reference/behaviour names tests that exist.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/orca-telemetry/orca/"

// row is a package, what it is, and the packages of the project that its code (tests aside) may import.
type row struct {
	path string
	what string
	may  []string
}

const internal = "internal/"

// table is the rule. Packages below a listed one belong to it, unless they are listed themselves.
var table = []row{
	{"contract/go", "generated code of the contract, alias `pb`", nil},
	{internal + "orca", "the nouns and the rules that belong to a noun alone", nil},
	{internal + "wire", "contract messages to nouns and back", []string{internal + "orca", "contract/go"}},
	{internal + "plan", "pure: the DAG of a window type, readiness, cycles", []string{internal + "orca", internal + "lookback"}},
	{internal + "lookback", "pure: which past results a node is handed", []string{internal + "orca"}},
	{internal + "registry", "announcements: checks, the immutable snapshot with its plans", []string{internal + "orca", internal + "plan"}},
	{internal + "engine", "accepting, running, settling, recovering", []string{internal + "orca", internal + "plan", internal + "lookback"}},
	{internal + "cluster", "a core's lease on a shared ledger, and what other cores leave", []string{internal + "orca"}},
	{internal + "fleet", "live processors: connections, heartbeats, limits, requests", []string{internal + "orca", internal + "wire", "contract/go"}},
	{internal + "store/sqlite", "durable registry and ledger in one SQLite file", []string{internal + "orca"}},
	{internal + "store/postgres", "durable registry and ledger in a schema of a PostgreSQL database", []string{internal + "orca"}},
	{internal + "store/transfer", "copies a ledger from SQLite to PostgreSQL, table by table", []string{internal + "orca"}},
	{internal + "store/storetest", "the suite that every store must pass", []string{internal + "orca"}},
	{internal + "rpc", "gRPC services, the error table, reflection", []string{internal + "orca", internal + "plan", internal + "lookback", internal + "registry", internal + "wire", "contract/go"}},
	{internal + "httpapi", "HTTP: health, readiness, metrics", nil},
	{internal + "config", "the settings of a core", nil},
	{internal + "app", "a core from its parts: the one place that knows every concrete type", []string{
		internal + "cluster", internal + "config", internal + "engine", internal + "fleet", internal + "httpapi", internal + "orca", internal + "registry",
		internal + "rpc", internal + "store/postgres", internal + "store/sqlite", internal + "store/transfer",
	}},
	{internal + "demo", "`orca demo`, a user of the SDK", []string{internal + "app", internal + "config", "sdk/go"}},
	{"bench", "measures a core beside a ceiling, both as processes", []string{internal + "pgserver", "contract/go"}},
	{"bench/overhead", "compares processors written with an SDK and on bare stubs", []string{"bench"}},
	{"bench/processors/go", "a processor to measure, written with the Go SDK", []string{"sdk/go"}},
	{internal + "background", "a core as a process that outlives the command which started it", nil},
	{internal + "project", "a user's folder: its project file, its language, a first processor", nil},
	{internal + "project/templates", "the first processors that `orca init` writes", []string{"sdk/go"}},
	{internal + "stubs", "pure but for its folder: source code that names others' algorithms", []string{internal + "orca", internal + "project", "contract/go"}},
	{internal + "cli", "the verbs of the command", []string{
		internal + "app", internal + "background", "bench", "conformance/probe", internal + "config", internal + "demo", internal + "project",
		internal + "stubs", "contract/go",
	}},
	{internal + "pgserver", "for tests and the benchmark: a PostgreSQL server that lives as long as the process", nil},
	{internal + "pgserver/pgtest", "for tests: a schema of one's own on a PostgreSQL server", []string{internal + "pgserver"}},
	{internal + "loopback", "for tests: addresses of this machine alone", nil},
	{internal + "orcatest", "for tests: a core in the process, scripted processors", []string{internal + "app", internal + "config", internal + "loopback", internal + "pgserver/pgtest", "contract/go"}},
	{internal + "lookbackmodel", "for tests: what every algorithm of a sequence of runs is handed, worked out slowly", []string{internal + "orca"}},
	{internal + "torture", "for tests: real processes under faults, and a checker of what came of it", []string{internal + "lookbackmodel", internal + "loopback", internal + "orca", internal + "pgserver", "contract/go", "sdk/go"}},
	{internal + "usertest", "for tests: folders as users have them, checked with the tools of their language", nil},
	{internal + "e2e", "tests that drive the built binary", nil},
	{internal + "archtest", "this rule, and that documented behaviour names its tests", nil},
	{"sdk/go", "the public Go SDK", []string{"contract/go"}},
	{"sdk/go/orcatest", "for users' tests: whole DAGs with their history in memory", []string{"sdk/go", "contract/go"}},
	{"cmd/orca", "the one binary", []string{internal + "cli"}},
	{"examples", "programs as users write them", []string{"sdk/go"}},
	{"conformance", "one suite for the SDKs of every language, and programs made from bare stubs", []string{"contract/go"}},
	{"conformance/probe", "checks anyone's running processor from outside", []string{"contract/go"}},
	{"conformance/processors/go", "the Go SDK's test processor", []string{"conformance", "sdk/go"}},
}

func TestImports(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		seen++
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return check(t, path, filepath.ToSlash(filepath.Dir(relative)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("only %d files were looked at", seen)
	}
}

// skipped folders hold no packages of this module.
func skipped(name string) bool {
	return name == "node_modules" || name == "tools" || name == "testdata" || (strings.HasPrefix(name, ".") && name != "." && name != "..")
}

func check(t *testing.T, path, dir string) error {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	own, ok := owner(dir)
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		imported, ours := strings.CutPrefix(name, module)
		if !ours {
			continue
		}
		if !ok {
			t.Errorf("%s is in no package of the table; add it there and to ARCHITECTURE.md", dir)
			return nil
		}
		if to, _ := owner(imported); to.path != own.path && !slices.Contains(own.may, to.path) {
			t.Errorf("%s imports %s, and %s may import only %s", path, imported, own.path, strings.Join(own.may, ", "))
		}
	}
	return nil
}

// owner returns the row that a folder belongs to: the longest that it lies in.
func owner(dir string) (best row, ok bool) {
	for _, r := range table {
		if (dir == r.path || strings.HasPrefix(dir, r.path+"/")) && len(r.path) > len(best.path) {
			best, ok = r, true
		}
	}
	return best, ok
}

// ARCHITECTURE.md shows the table as it is here.
func TestArchitectureShowsTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| package | what it is | may import |\n|---|---|---|\n")
	for _, r := range table {
		may := "–"
		if len(r.may) > 0 {
			may = strings.ReplaceAll(strings.Join(r.may, ", "), internal, "")
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", r.path, r.what, may)
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("ARCHITECTURE.md does not show this table of packages:\n%s", want.String())
	}
}

// Every listed package exists, so that the table does not outlive what it speaks of.
func TestTableIsCurrent(t *testing.T) {
	t.Parallel()
	for _, r := range table {
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(r.path))); err != nil {
			t.Errorf("%s is in the table and not in the repository", r.path)
		}
	}
}
