package stubs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/project"
	"github.com/orca-telemetry/orca/internal/usertest"
)

// The stubs of the sample pass the strictest checks of their language, awkward names and texts included, and a program
// that uses them is told where it uses them wrongly, and nowhere else.
func TestTypeCheckersSeeTheWrongUse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		language project.Language
		prepare  func(testing.TB, string)
		check    func(testing.TB, string) []string
	}{
		{project.Go, usertest.GoModule, usertest.CheckGo},
		{project.Python, func(testing.TB, string) {}, usertest.CheckPython},
		{project.TypeScript, usertest.NodePackage, usertest.CheckTypeScript},
	} {
		t.Run(string(test.language), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "use", string(test.language)))); err != nil {
				t.Fatal(err)
			}
			want := usertest.Marked(t, dir, "WRONG")
			if len(want) < 4 {
				t.Fatalf("only %q are marked", want)
			}
			s := Generate(test.language, sample())
			out := filepath.Join(dir, "stubs")
			if err := Write(out, s, mustCompare(t, out, s)); err != nil {
				t.Fatal(err)
			}
			test.prepare(t, dir)
			if diff := cmp.Diff(want, test.check(t, dir)); diff != "" {
				t.Errorf("lines that are wrong (-want +found):\n%s", diff)
			}
		})
	}
}
