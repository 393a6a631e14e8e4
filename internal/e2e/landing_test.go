//go:build unix

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/loopback"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/usertest"
)

// landing is docs/README.md, cut into sections.
func landing(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(usertest.Root(t), "docs", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n## ") {
		title, body, _ := strings.Cut(s, "\n")
		sections[title] = body
	}
	return sections
}

// blocks returns the blocks of code of a kind.
func blocks(section, kind string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(section, -1) {
		found = append(found, m[1])
	}
	return found
}

// newcomer is somebody who follows the landing page: a home, a clone called orca, and a place for the core that nobody has.
type newcomer struct {
	userFolder
	core string // host:port
}

// stand-ins for what would fetch packages: they give what this repository has installed. Everything else is real.
const (
	orcaStandIn = `case "$1" in init) exec %[1]q "$@" --sdk-path %[2]q;; *) exec %[1]q "$@";; esac`
	// python3 -m venv .venv; .venv/bin/pip install ../orca/sdk/python
	pythonStandIn = `[ "$*" = "-m venv .venv" ] || { echo "python3 $*?" >&2; exit 1; }
mkdir -p .venv/bin && cd .venv/bin
printf '#!/bin/sh\nPYTHONPATH=%[2]s/sdk/python/src exec %[2]s/.cache/sdk/python/bin/python "$@"\n' > python
printf '#!/bin/sh\n[ "$*" = "install ../orca/sdk/python" ]\n' > pip
chmod +x python pip`
	npmStandIn = `[ "$1" = start ] && exec %[1]q start
mkdir -p node_modules/@orca-telemetry node_modules/@types node_modules/.bin
ln -s %[2]q/sdk/nodejs node_modules/@orca-telemetry/sdk
ln -s %[2]q/sdk/nodejs/node_modules/@types/node node_modules/@types/node
ln -s %[2]q/sdk/nodejs/node_modules/typescript/bin/tsc node_modules/.bin/tsc`
	makeStandIn = `[ "$*" = "sdk-nodejs" ] && [ -e %[2]q/sdk/nodejs/dist/esm/index.js ]`
)

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	root, home := usertest.Root(t), t.TempDir()
	l, err := net.Listen("tcp", loopback.OwnHost()+":0") // where hardly anybody else listens
	if err != nil {
		t.Fatal(err)
	}
	n := &newcomer{userFolder{t: t, dir: filepath.Join(home, "orca")}, l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip(err)
	}
	for name, script := range map[string]string{
		"orca/bin/orca": fmt.Sprintf(orcaStandIn, binary, root), "bin/python3": fmt.Sprintf(pythonStandIn, "", root),
		"bin/npm": fmt.Sprintf(npmStandIn, npm, root), "bin/make": fmt.Sprintf(makeStandIn, "", root),
	} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "sdk"), filepath.Join(n.dir, "sdk")); err != nil {
		t.Fatal(err)
	}
	n.env = []string{
		"PATH=" + filepath.Join(home, "bin") + ":" + filepath.Join(n.dir, "bin") + ":" + os.Getenv("PATH"),
		"XDG_DATA_HOME=" + filepath.Join(home, "data"), "ORCA_CORE=" + n.core, "ORCA_HTTP=off", "ORCA_DISK_RESERVE=1MiB", "PROCESSOR_PORT=0",
		"GOFLAGS=-mod=mod", "GOPROXY=off", "GONOSUMDB=*",
	}
	t.Cleanup(func() {
		if out, err := n.command("orca", "destroy", "--yes").CombinedOutput(); err != nil {
			t.Errorf("orca destroy: %v\n%s", err, out)
		}
	})
	return n
}

// command finds programs where the newcomer does.
func (n *newcomer) command(name string, args ...string) *exec.Cmd {
	cmd := n.userFolder.command("sh", append([]string{"-c", `exec "$0" "$@"`, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// serve runs a block whose last command goes on running, and returns when it has said that it is registered.
func (n *newcomer) serve(block string) {
	n.t.Helper()
	cmd := n.command("bash", "-ec", block)
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	n.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // all that the block started, but for the core
		<-ended                                             //nolint:errcheck // it was killed
	})
	for deadline := time.After(4 * orcatest.Patience); !strings.Contains(said.String(), "registered"); {
		select {
		case err := <-ended:
			ended <- err
			n.t.Fatalf("it ended: %v\n%s\n%s", err, block, said)
		case <-deadline:
			n.t.Fatalf("it does not register\n%s\n%s", block, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// What the landing page says to type leads to the results that it shows, in each language.
func TestTheLandingPageWorks(t *testing.T) {
	t.Parallel()
	sections := landing(t)
	for _, language := range []string{"Go", "Python", "TypeScript"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			switch language {
			case "Python":
				usertest.Python(t)
			case "TypeScript":
				usertest.TypeScript(t)
			}
			n := newNewcomer(t)
			commands, shown := blocks(sections[language], "sh"), blocks(sections[language], "text")
			if len(commands) != 2 || len(shown) != 1 {
				t.Fatalf("the section has %d blocks of commands and %d of what they print, want 2 and 1", len(commands), len(shown))
			}
			n.serve(commands[0])
			n.dir = filepath.Join(filepath.Dir(n.dir), "first")
			if got := n.said(commands[1]); !strings.HasPrefix(got, shown[0]) {
				t.Errorf("it prints\n%s\nand the page shows\n%s", got, shown[0])
			}
			after := n.said(blocks(sections["What happened"], "sh")[0])
			for _, want := range []string{"SpeedKmh", "240.99", "background  process", "stopped the core", "removed "} {
				if !strings.Contains(after, want) {
					t.Errorf("what is looked at in the end lacks %q:\n%s", want, after)
				}
			}
		})
	}
}

// said runs a block and returns what it prints.
func (n *newcomer) said(block string) string {
	n.t.Helper()
	out, err := n.command("bash", "-ec", block).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%v\n%s\n%s", err, block, out)
	}
	return string(out)
}

// The errors that the landing page shows are those that come.
func TestTheLandingPageShowsErrors(t *testing.T) {
	t.Parallel()
	shown := blocks(landing(t)["When something is in the way"], "text")
	if len(shown) != 4 {
		t.Fatalf("the page shows %d errors, want 4", len(shown))
	}
	n := newNewcomer(t)
	expect := func(want string, args ...string) {
		t.Helper()
		out, err := n.command("orca", args...).CombinedOutput()
		if err == nil || strings.ReplaceAll(string(out), n.core, "127.0.0.1:33670") != want {
			t.Errorf("orca %v: %v; it says\n%s\nand the page shows\n%s", args, err, out, want)
		}
	}
	expect(shown[0], "status")
	l, err := net.Listen("tcp", n.core)
	if err != nil {
		t.Fatal(err)
	}
	expect(shown[1], "start", "--grpc", n.core)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n.said("orca start --grpc " + n.core)
	expect(shown[2], "emit", "--type", "Lap@1.0.0", "--from", "-88s", "--to", "now", "--origin", "me")
	if err := os.WriteFile(filepath.Join(n.dir, "orca.json"), []byte("{\n  \"projectName\": \"first\",\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.env = append(n.env, "ORCA_CORE=")
	expect(shown[3], "status")
}
