package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// stopping is how long a process may take to end once it was asked to.
const stopping = time.Minute

// child is a process that a run started.
type child struct {
	cmd    *exec.Cmd
	errs   *tail
	exited chan struct{} // closed when it has ended and its output is read
	stdin  io.Closer     // its end tells a processor that nobody needs it
}

// launch starts a program without the settings of the environment, as a user does who has set none. read takes its
// output until that ends. Canceling ctx kills it.
func launch(ctx context.Context, read func(io.Reader), path string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, path, args...), errs: &tail{}, exited: make(chan struct{})}
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ORCA_") })
	c.cmd.Stderr = c.errs
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	c.stdin = stdin
	go func() {
		read(stdout)
		_, _ = io.Copy(io.Discard, stdout)
		_ = c.cmd.Wait() // how it ended is in its ProcessState
		close(c.exited)
	}()
	return c, nil
}

// kill ends the process at once, and returns when it is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be gone already
	<-c.exited
}

// stop asks the process to end, and returns when it has.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.AfterFunc(stopping, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	<-c.exited
	if !c.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %v: %s", filepath.Base(c.cmd.Path), c.cmd.ProcessState, c.errs)
	}
	return nil
}

// tail keeps the end of what a process writes.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailKept = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-tailKept):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
