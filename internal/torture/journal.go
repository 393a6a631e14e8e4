package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// Execution is one call of an algorithm by a processor, as the processor itself wrote it down.
type Execution struct {
	// Process is the file in which it stands; each process has its own.
	Process   string
	Origin    string
	N         int64
	Algorithm ID
	Given
	// Connected is when the processor had accepted the connection that the request came over.
	Connected Instant
	Begun     Instant
	// Ended is when it had its result, before that was sent; 0 when it never had one.
	Ended Instant
}

// unitOf is the name of the process that wrote a journal, the same however often it was started.
func unitOf(journal string) string { return journal[:max(0, strings.LastIndexByte(journal, '-'))] }

// line is one line of a journal: the beginning of a call, or its end.
type line struct {
	Call      int64   `json:"call"`
	At        Instant `json:"at"`
	End       bool    `json:"end,omitempty"`
	Origin    string  `json:"origin,omitempty"`
	N         int64   `json:"n,omitempty"`
	Algorithm ID      `json:"algorithm,omitzero"`
	Given
	Connected Instant `json:"connected,omitempty"`
}

// Journal is where a processor writes down what it executes. Each line is one write to the file, so that what was
// written is there when the process is killed. It may be used by several goroutines at once.
type Journal struct {
	file  *os.File
	calls atomic.Int64
}

// NewJournal makes a journal; there must be none at the path.
func NewJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &Journal{file: f}, nil
}

// Begin writes down that an execution begins now, and returns the number of the call.
func (j *Journal) Begin(x Execution) (call int64, err error) {
	call = j.calls.Add(1)
	return call, j.write(line{
		Call: call, At: Now(), Origin: x.Origin, N: x.N, Algorithm: x.Algorithm, Given: x.Given, Connected: x.Connected,
	})
}

// End writes down that a call has its result.
func (j *Journal) End(call int64) error { return j.write(line{Call: call, At: Now(), End: true}) }

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

func (j *Journal) write(l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(b, '\n'))
	return err
}

// ReadJournals reads every journal in a folder. The last line of a process that was killed may be cut off, which is as
// if it had been killed before: nothing happens until a line is written.
func ReadJournals(dir string) ([]Execution, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		return nil, err
	}
	var all []Execution
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		xs, err := readJournal(filepath.Base(path), b)
		if err != nil {
			return nil, fmt.Errorf("journal %s: %w", path, err)
		}
		all = append(all, xs...)
	}
	return all, nil
}

func readJournal(process string, b []byte) ([]Execution, error) {
	var xs []Execution
	calls := map[int64]int{}
	for text := range bytes.Lines(b) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("line %q: %w", text, err)
		}
		if !l.End {
			calls[l.Call] = len(xs)
			xs = append(xs, Execution{
				Process: process, Origin: l.Origin, N: l.N, Algorithm: l.Algorithm, Given: l.Given,
				Connected: l.Connected, Begun: l.At,
			})
			continue
		}
		i, ok := calls[l.Call]
		if !ok {
			return nil, fmt.Errorf("call %d ends and never began", l.Call)
		}
		xs[i].Ended = l.At
	}
	return xs, nil
}
