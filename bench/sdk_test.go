package bench

import (
	"os"
	"path/filepath"
	"testing"
)

// Processors that are written with SDKs, and those that these are compared with, serve the shape single as the one in this
// package does.
func TestProcessorsOfSDKs(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root, ".cache", "sdk", "python", "bin", "python")
	scripts := filepath.Join(root, "sdk", "python", "bench")
	t.Setenv("PYTHONPATH", filepath.Join(root, "sdk", "python", "src")+string(os.PathListSeparator)+filepath.Join(root, "contract", "python"))
	for name, command := range map[string][]string{
		"go":           {goProcessor},
		"python":       {python, filepath.Join(scripts, "sdk.py")},
		"python async": {python, filepath.Join(scripts, "sdk.py"), "--async"},
		"python bare":  {python, filepath.Join(scripts, "bare.py")},
		"nodejs":       {"node", filepath.Join(root, "sdk", "nodejs", "build", "programs", "sdk", "nodejs", "bench", "sdk.js")},
		"nodejs bare":  {"node", filepath.Join(root, "conformance", "bare", "nodejs", "dist", "bench.js")},
	} {
		t.Run(name, func(t *testing.T) {
			needFiles(t, command)
			cfg := short(t)
			cfg.Ceiling, cfg.Shapes, cfg.Loops, cfg.Processor = "", Shapes()[:1], []Loop{Closed}, command
			report, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			sane(t, name, report.Rows[0].Core)
		})
	}
}

// needFiles skips a test whose programs are not installed, and fails it where everything has to be.
func needFiles(t *testing.T, command []string) {
	t.Helper()
	for _, part := range command {
		if !filepath.IsAbs(part) {
			continue
		}
		if _, err := os.Stat(part); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("run make test, which installs it: %v", err)
			}
			t.Skipf("run make test, which installs it: %v", err)
		}
	}
}
