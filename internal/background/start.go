package background

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Program is how a core is started.
type Program struct {
	Path string
	Args []string
	// Env is added to the variables of this process.
	Env []string
}

// oldLog is what the name of the log before the newest ends with.
const oldLog = ".1"

// readyLine is what a core prints when it is ready.
var readyLine = regexp.MustCompile(`(?m)^orca is ready: grpc=(\S+) http=(\S+) store=(.+)$`)

// startPatience is how long a core may take until it is ready: after a crash it copies its log first, which takes seconds.
const startPatience = 5 * time.Minute

// Start starts a core and returns when it is ready. Where one runs already it starts none, waits until that is ready,
// and says so with the second result. Canceling ctx ends a core that is not ready yet, as does startPatience.
func (f Folder) Start(ctx context.Context, p Program) (s State, already bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience,
		fmt.Errorf("the core is not ready after %v; look into its log, %s, and start it again", startPatience, f.Log()))
	defer cancel()
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return State{}, false, err
	}
	lock, err := f.take(ctx)
	if errors.Is(err, errLocked) {
		s, err := f.awaitReady(ctx)
		return s, true, err
	}
	if err != nil {
		return State{}, false, err
	}
	defer lock.Close() // the core has it too
	before, beforeErr := f.read()
	r := Record{StartedAt: time.Now().UTC()}
	if err := f.write(r); err != nil { // from here on nobody takes an older record for this core's
		return State{}, false, err
	}
	if err := os.Rename(f.Log(), f.Log()+oldLog); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return State{}, false, err
	}
	r, err = f.launch(ctx, p, lock, r)
	if err != nil && beforeErr == nil {
		return State{}, false, errors.Join(err, f.write(before))
	}
	if err != nil {
		return State{}, false, errors.Join(err, os.Remove(f.record()))
	}
	return State{Record: r, Known: true, Running: true}, false, nil
}

// launch runs the core's process and follows its log until it is ready or has ended.
func (f Folder) launch(ctx context.Context, p Program, lock *os.File, r Record) (Record, error) {
	log, err := os.OpenFile(f.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return r, err
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...) // it outlives this command, and ctx
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock} // the lock lives as long as the last process that has it open
	cmd.SysProcAttr = apart()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // it ends with the core, or with this process
	r.PID = cmd.Process.Pid
	if err := f.write(r); err != nil {
		return r, errors.Join(err, end(cmd, exited))
	}
	for {
		var ended error
		select {
		case err := <-exited:
			ended = fmt.Errorf("the core did not start: %s", f.lastWords(err))
		case <-ctx.Done():
			return r, errors.Join(context.Cause(ctx), end(cmd, exited))
		case <-time.After(pause):
		}
		if f.readLog(&r); r.Ready() && ended == nil {
			return r, f.write(r)
		}
		if ended != nil {
			return r, ended
		}
	}
}

// end stops a core that nobody wants any more.
func end(cmd *exec.Cmd, exited <-chan error) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-exited //nolint:errcheck // how it ended does not matter
	return nil
}

// readLog looks for the line that says where the core is.
func (f Folder) readLog(r *Record) {
	text, err := os.ReadFile(f.Log())
	if err != nil {
		return // the core has made it; if it cannot be read, the core will be waited for in vain
	}
	if m := readyLine.FindSubmatch(text); m != nil {
		r.GRPC, r.HTTP, r.Store = string(m[1]), string(m[2]), string(m[3])
	}
}

// lastWords returns why a core ended, as it said itself.
func (f Folder) lastWords(err error) string {
	text, readErr := os.ReadFile(f.Log())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], "orca: ")
	if readErr != nil || last == "" {
		return fmt.Sprintf("%v; its log is %s", err, f.Log())
	}
	return last
}

// awaitReady waits until the core that another command has started is ready.
func (f Folder) awaitReady(ctx context.Context) (State, error) {
	for {
		s, err := f.Look()
		switch {
		case err != nil || s.Ready() && s.Running:
			return s, err
		case !s.Running:
			return s, fmt.Errorf("%w, and it did not become ready; its log is %s", ErrStarting, f.Log())
		}
		if err := wait(ctx); err != nil {
			return s, err
		}
	}
}

// takeFor is how long a lock is tried for: a look at it takes a moment, a core keeps it.
const takeFor = 10 * pause

// take locks the folder for a core, or says errLocked.
func (f Folder) take(ctx context.Context) (*os.File, error) {
	for deadline := time.Now().Add(takeFor); ; {
		file, err := os.OpenFile(f.lock(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = tryLock(file, true)
		if err == nil && f.same(file) {
			return file, nil
		}
		_ = file.Close() // nothing was written
		if err != nil && (!errors.Is(err, errLocked) || time.Now().After(deadline)) {
			return nil, err
		}
		if err := wait(ctx); err != nil {
			return nil, err
		}
	}
}

// same reports whether a locked file is still the one that others will look at: Destroy removes it.
func (f Folder) same(file *os.File) bool {
	locked, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.lock())
	return err == nil && os.SameFile(locked, there)
}
