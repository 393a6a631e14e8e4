package conformance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// process is a program that runs.
type process struct {
	name   string
	cmd    *exec.Cmd
	lines  chan string // what it wrote to its standard output; what nobody reads is dropped
	stderr *log
	exited chan struct{} // closed when it has ended
}

// launch starts a program with more variables in its environment. Those of conformance scripts are not handed on.
func launch(name, dir string, env []string, command ...string) (*process, error) {
	p := &process{
		name: name, cmd: exec.Command(command[0], command[1:]...), lines: make(chan string, 16), stderr: &log{}, exited: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, append(os.Environ(), env...), p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.watch(stdout)
	return p, nil
}

// watch reads what the process writes, and then waits for its end.
func (p *process) watch(stdout io.Reader) {
	for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
		select {
		case p.lines <- scanner.Text():
		default:
		}
	}
	_ = p.cmd.Wait() // the exit code is in its ProcessState
	close(p.lines)
	close(p.exited)
}

// await returns the line that begins with the prefix.
func (p *process) await(ctx context.Context, prefix string) (string, error) {
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("%s ended before it said %q:\n%s", p.name, prefix, p.stderr)
			}
			if strings.HasPrefix(line, prefix) {
				return line, nil
			}
		case <-ctx.Done():
			return "", fmt.Errorf("%s does not say %q: %w\n%s", p.name, prefix, ctx.Err(), p.stderr)
		}
	}
}

// kill ends the process as a power cut would, and returns when it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}

// stop asks the process to end and waits until it has, with exit code 0.
func (p *process) stop(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.name, err, p.stderr)
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return fmt.Errorf("%s does not stop: %w\n%s", p.name, ctx.Err(), p.stderr)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with exit code %d\n%s", p.name, code, p.stderr)
	}
	return nil
}

// log is the end of what a process wrote to its standard error.
type log struct {
	mu  sync.Mutex
	end []byte
}

// Write keeps the end.
func (l *log) Write(b []byte) (int, error) {
	const most = 4 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = append(l.end, b...)
	l.end = bytes.Clone(l.end[max(0, len(l.end)-most):])
	return len(b), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.end)
}
