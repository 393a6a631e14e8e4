package cli

import (
	"path/filepath"
	"testing"
)

func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "plant")
	writeFile(t, dir, "README.md", "")
	said := script(t, dir, "127.0.0.1:33670", "init", "init", "init --force --project other --core 10.0.0.7:33670 --processor-port 0 --processor-address worker:5377",
		"init --template python", "init --template python", "init --template go")
	said += "# a folder that has its own\n\n"
	other := t.TempDir()
	writeFile(t, other, "package.json", `{"name": "@team/alerts"}`)
	said += script(t, other, "127.0.0.1:33670", "init --template typescript")
	said += "# wrong\n\n"
	writeFile(t, other, "orca.json", "not JSON")
	said += script(t, other, "127.0.0.1:33670", "init", "init --template go", "init --template java", "init --core here", "init --processor-port many",
		"init --sdk-path "+other)
	compareFile(t, filepath.Join("testdata", "init.txt"), said)
}
