package torture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is a program that runs.
type process struct {
	cmd    *exec.Cmd
	lines  chan string   // what it wrote to its standard output; what nobody reads is dropped
	exited chan struct{} // closed when it has ended
	log    string        // the path of what it wrote to its standard error
}

// launch starts a program that logs to a new file.
func launch(log, path string, args ...string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the process has its own
	p := &process{cmd: exec.Command(path, args...), lines: make(chan string, 16), exited: make(chan struct{}), log: log}
	p.cmd.Stderr = f
	if _, err := p.cmd.StdinPipe(); err != nil { // its end tells the process that its parent is gone
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
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

// await returns what follows a prefix in the line that begins with it.
func (p *process) await(ctx context.Context, prefix string) (string, error) {
	for {
		select {
		case text, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("it ended before it said %q:\n%s", prefix, p.said())
			}
			if rest, ok := strings.CutPrefix(text, prefix); ok {
				return rest, nil
			}
		case <-ctx.Done():
			return "", fmt.Errorf("it does not say %q: %w\n%s", prefix, context.Cause(ctx), p.said())
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

// stop asks the process to end, waits for that, and returns its exit code.
func (p *process) stop(ctx context.Context) (code int, err error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("it does not stop: %w\n%s", context.Cause(ctx), p.said())
	}
}

// said is the end of what the process wrote to its log.
func (p *process) said() string {
	const most = 4 << 10
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
