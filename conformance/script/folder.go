package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Folder is where program and runner leave files for each other. It may be used by several goroutines at once.
type Folder struct {
	dir string
	mu  sync.Mutex // guards the file "told": a line is written whole
}

// Folder returns the script's folder.
func (s Script) Folder() *Folder { return &Folder{dir: s.Dir} }

// Mark leaves an empty file.
func (f *Folder) Mark(name string) error {
	return os.WriteFile(filepath.Join(f.dir, name), nil, 0o600)
}

// Await returns when there is a file of the name, or with the context's error when that ends first.
func (f *Folder) Await(ctx context.Context, name string) error {
	again := time.NewTicker(10 * time.Millisecond) // a folder tells nobody that it has changed
	defer again.Stop()
	for {
		_, err := os.Stat(filepath.Join(f.dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q: %w", name, ctx.Err())
		}
	}
}

// Cancelled marks that an execution was cancelled while it waited, and returns the error that it ends with.
func (f *Folder) Cancelled(err error) error {
	return errors.Join(err, f.Mark("cancelled"))
}

// Tell adds a line to the file "told".
func (f *Folder) Tell(told Told) error {
	line, err := json.Marshal(told)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out, err := os.OpenFile(filepath.Join(f.dir, "told"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return errors.Join(err, out.Close())
}
