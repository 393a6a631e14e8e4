// Package background runs a core as a process that outlives the command which started it, in a folder that tells
// where it is.
//
// The folder holds core.json, which says what runs or ran there; core.log; and core.lock, a file that the core's process
// has locked for as long as it lives, whatever ends it. The lock alone says whether a core runs: a process identifier may
// long be another program's. The package knows the command line of a core and the line that says it is ready, and nothing
// of what a core does.
package background

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Folder is where a core in the background has its files.
type Folder struct {
	// Path is an absolute path. It is made when a core starts.
	Path string
}

// Record is what a folder says of its core.
type Record struct {
	// PID is the core's process; 0 before it has one.
	PID int `json:"pid"`
	// GRPC, HTTP and Store are what it said when it was ready, empty before: host:port, host:port or "off", a store for people.
	GRPC  string `json:"grpc,omitempty"`
	HTTP  string `json:"http,omitempty"`
	Store string `json:"store,omitempty"`
	// StartedAt is when it was started.
	StartedAt time.Time `json:"started_at"`
	// Stopped is that it was stopped in order, by Stop.
	Stopped bool `json:"stopped,omitempty"`
}

// Ready reports whether the core has said that it is ready.
func (r Record) Ready() bool { return r.GRPC != "" }

// State is how things stand in a folder.
type State struct {
	Record
	// Known is that a core runs or ran there.
	Known bool
	// Running is that its process lives.
	Running bool
}

// Lost reports whether a core ended there without being stopped: it was killed, broke, or the machine went down.
func (s State) Lost() bool { return s.Known && !s.Running && !s.Stopped && s.PID != 0 }

// ErrStarting is that another command is starting a core in the folder.
var ErrStarting = errors.New("another command is starting a core there")

// pause is the time between two looks at what another process does.
const pause = 20 * time.Millisecond

// Log returns the path of the core's log.
func (f Folder) Log() string { return filepath.Join(f.Path, "core.log") }

func (f Folder) record() string { return filepath.Join(f.Path, "core.json") }
func (f Folder) lock() string   { return filepath.Join(f.Path, "core.lock") }

// Look returns how things stand.
func (f Folder) Look() (State, error) {
	running, err := f.locked()
	if err != nil {
		return State{}, err
	}
	r, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		return State{Running: running}, nil
	}
	if running && r.PID != 0 && !r.Ready() {
		f.readLog(&r) // the command that started it may have been killed before it could
	}
	return State{Record: r, Known: err == nil, Running: running}, err
}

// locked reports whether a core, or a command that starts one, has the lock.
func (f Folder) locked() (bool, error) { return locked(f.lock()) }

// locked reports whether a process has locked a file.
func locked(path string) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = tryLock(file, false)
	if errors.Is(err, errLocked) {
		return true, nil
	}
	return false, err
}

func (f Folder) read() (Record, error) {
	text, err := os.ReadFile(f.record())
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, fmt.Errorf("%s: %w; remove it, and see what runs with your system's tools", f.record(), err)
	}
	return r, nil
}

// write replaces the record, whole.
func (f Folder) write(r Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	next := f.record() + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.record())
}

// Stop asks the core to stop and returns when its process has ended. It returns how things stood before; where no core
// runs it does nothing. Canceling ctx ends the waiting: the core goes on stopping.
func (f Folder) Stop(ctx context.Context) (State, error) {
	before, err := f.awaitPID(ctx)
	if err != nil || !before.Running {
		return before, err
	}
	process, err := os.FindProcess(before.PID)
	if err != nil {
		return before, err
	}
	defer func() { _ = process.Release() }() // it only gives up a handle
	// The process was looked up while the lock was held, so it is the core's.
	if held, err := f.locked(); err != nil || !held {
		return before, err
	}
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return before, fmt.Errorf("signal process %d: %w", before.PID, err)
	}
	for {
		switch held, err := f.locked(); {
		case err != nil:
			return before, err
		case !held:
			stopped := before.Record
			stopped.Stopped = true
			return before, f.write(stopped)
		}
		if err := wait(ctx); err != nil {
			return before, err
		}
	}
}

// awaitPID looks, and waits where a core is just being started.
func (f Folder) awaitPID(ctx context.Context) (State, error) {
	for {
		s, err := f.Look()
		if err != nil || !s.Running || s.PID != 0 {
			return s, err
		}
		if err := wait(ctx); err != nil {
			return s, err
		}
	}
}

// Destroy removes the files of a core that does not run, the given ones besides, and the folder if nothing else is in it.
// Nothing is removed when another core has locked one of the files.
func (f Folder) Destroy(ctx context.Context, files []string) error {
	lock, err := f.take(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, path := range files {
		if held, err := locked(path); err != nil || held {
			return errors.Join(err, fmt.Errorf("%s is in use: stop the core that \"orca serve\" runs on it", path))
		}
	}
	for _, path := range append(files, f.Log(), f.Log()+oldLog, f.record(), f.lock()) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(f.Path) // it stays where something else is in it
	return nil
}

// wait lets a moment pass.
func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}
