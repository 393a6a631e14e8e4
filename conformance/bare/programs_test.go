// Package bare runs processors and emitters that are made from the contract's generated stubs alone, in each
// language, the way peers without our SDKs are: see README.md. It knows the contract, and neither core nor SDKs.
package bare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a program; nothing takes as long unless it is broken.
const patience = 30 * time.Second

// A language says how to start its two programs.
type language struct {
	name    string
	command func(t *testing.T, program string) []string
}

var languages = []language{
	{"go", goProgram},
	{"python", pythonProgram("bare/python", "ORCA_BARE_PYTHON")},
	{"python-oldest", pythonProgram("bare/python-oldest", "ORCA_BARE_PYTHON_OLDEST")},
	{"nodejs", nodeProgram},
}

// forEachLanguage runs the test for every language at the same time.
func forEachLanguage(t *testing.T, test func(t *testing.T, l language)) {
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			test(t, l)
		})
	}
}

func goProgram(t *testing.T, program string) []string {
	t.Helper()
	folder, err := goPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(folder, program)}
}

// goPrograms builds both programs once, into a folder that TestMain removes.
var goPrograms = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "orca-bare-")
	if err != nil {
		return "", err
	}
	built = folder
	out, err := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./go/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the Go programs: %w\n%s", err, out)
	}
	return folder, nil
})

// built is the folder of the Go programs, written by goPrograms and read when all tests are done.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		if err := os.RemoveAll(built); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// pythonProgram takes the interpreter from a variable of the environment, else from where make puts it.
func pythonProgram(environment, variable string) func(*testing.T, string) []string {
	return func(t *testing.T, program string) []string {
		t.Helper()
		python := os.Getenv(variable)
		if python == "" {
			python = filepath.Join("..", "..", ".cache", filepath.FromSlash(environment), "bin", "python")
		}
		needFile(t, python)
		return []string{python, filepath.Join("python", program+".py")}
	}
}

func nodeProgram(t *testing.T, program string) []string {
	t.Helper()
	script := filepath.Join("nodejs", "dist", program+".js")
	needFile(t, script)
	return []string{"node", script}
}

// needFile skips the test when make has not made the file, and fails it where that must not happen.
func needFile(t *testing.T, path string) {
	t.Helper()
	_, err := os.Stat(path)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v; run make bare", err)
	default:
		t.Skipf("%v; run make bare", err)
	}
}

// A process is a program under way, whose standard output is read line by line.
type process struct {
	cmd    *exec.Cmd
	lines  chan []byte
	exited chan error
	stderr *strings.Builder // complete once exited has spoken
}

// start runs a program; the test's end kills it if it still runs, and waits for it.
func start(t *testing.T, l language, program string, args ...string) *process {
	t.Helper()
	command := l.command(t, program)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	p := &process{
		cmd:    exec.CommandContext(ctx, command[0], append(command[1:], args...)...),
		lines:  make(chan []byte, 1024),
		exited: make(chan error, 1),
		stderr: &strings.Builder{},
	}
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read(ctx, stdout)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("%s %s said on standard error:\n%s", l.name, program, p.stderr)
		}
	})
	return p
}

// read hands over lines until the program ends, and then how it ended. Lines that nobody takes are dropped when the
// test is over.
func (p *process) read(ctx context.Context, stdout io.Reader) {
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		select {
		case p.lines <- bytes.Clone(scanner.Bytes()):
		case <-ctx.Done():
		}
	}
	close(p.lines)
	p.exited <- errors.Join(scanner.Err(), p.cmd.Wait())
}

// line reads the program's next line, a JSON object.
func (p *process) line(t *testing.T) map[string]any {
	t.Helper()
	select {
	case raw, ok := <-p.lines:
		if !ok {
			t.Fatal("the program ended instead of printing a line")
		}
		var line map[string]any
		if err := json.Unmarshal(raw, &line); err != nil {
			t.Fatalf("the program printed %q: %v", raw, err)
		}
		return line
	case <-time.After(patience):
		t.Fatal("the program prints nothing")
	}
	return nil
}

// terminate sends SIGTERM and returns how the program ended.
func (p *process) terminate(t *testing.T) error {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.exited:
		return err
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
	return nil
}
