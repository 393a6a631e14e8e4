package pgserver

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// childEnv makes the test binary a process that starts a server, says where, and waits to be killed.
const childEnv = "ORCA_TEST_PGSERVER_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background())
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(s.Socket() + "\n"); err != nil {
		panic(err)
	}
	select {}
}

// TestServerEndsWithItsProcess: one that is killed leaves neither a server nor files.
func TestServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	if _, err := binaries(); err != nil {
		t.Skip(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	socket, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child says %q: %v", socket, err)
	}
	socket = strings.TrimSpace(socket)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, filepath.Dir(socket))
}

// gone waits until a folder is removed.
func gone(t *testing.T, dir string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	patience := time.After(time.Minute)
	for {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-again.C:
		case <-patience:
			t.Fatalf("%s is still there", dir)
		}
	}
}

// TestStop: a server that is stopped leaves no files, and says what was wrong when it does not start.
func TestStop(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context())
	if errors.Is(err, ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Stop(), s.Stop()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", s.dir, err)
	}
	if _, err := Start(t.Context(), "no_such_setting=1"); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("a wrong setting gives %v", err)
	}
}
