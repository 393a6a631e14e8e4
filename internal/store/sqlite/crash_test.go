package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

// child writes to the store at path until it is killed, several emitters at once. Each prints a line when an emission
// was acknowledged ("accepted", position, key) and when its run was finished ("finished", position).
func child(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path, Config{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	reg, err := s.LoadRegistry(ctx)
	if err == nil && reg.Version == 0 {
		err = s.ChangeRegistry(ctx, registration())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for emitter := range 8 {
		go func() {
			for i := 0; ; i++ {
				e := ticking(i)
				key := fmt.Sprintf("%d/%d/%d", os.Getpid(), emitter, i)
				e.Key = orca.IdempotencyKey{Project: "p", Key: key}
				a := <-accept(s, e)
				fmt.Printf("accepted %d %s %v\n", a.Position, key, a.err)
				if i%2 == 0 {
					fmt.Printf("finished %d %v\n", a.Position, <-settle(s, finish(a.Position)))
				}
			}
		}()
	}
	if err := s.Serve(ctx); err != nil {
		fmt.Println(err)
	}
}

// acknowledged is what children were told.
type acknowledged struct {
	keys     map[orca.Position]string
	finished map[orca.Position]bool
}

// runChild starts a child, kills it with SIGKILL after so many lines, and adds what it was told until then.
func (a *acknowledged) runChild(t *testing.T, path string, lines int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for n := 0; scanner.Scan(); n++ {
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		a.read(t, scanner.Text())
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

// read takes one line. The last one may be cut off by the kill, and then says nothing.
func (a *acknowledged) read(t *testing.T, line string) {
	t.Helper()
	var position orca.Position
	var key, result string
	switch n, _ := fmt.Sscanf(line, "accepted %d %s %s", &position, &key, &result); {
	case n == 3 && result == "<nil>":
		if other, taken := a.keys[position]; taken {
			t.Errorf("position %d was given to %s and %s", position, other, key)
		}
		a.keys[position] = key
		return
	case n > 0:
		if n == 3 && !strings.HasPrefix("<nil>", result) {
			t.Errorf("the child was refused: %s", line)
		}
		return
	}
	if n, _ := fmt.Sscanf(line, "finished %d %s", &position, &result); n == 2 && result == "<nil>" {
		a.finished[position] = true
	}
}

// TestKillLosesNothingAcknowledged kills processes in the middle of writing, several in a row on one store, and finds
// all that they were told.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orca.db")
	a := acknowledged{keys: map[orca.Position]string{}, finished: map[orca.Position]bool{}}
	for _, lines := range []int{1, 400, 700} {
		a.runChild(t, path, lines)
	}
	if len(a.keys) < 500 {
		t.Fatalf("only %d windows were acknowledged", len(a.keys))
	}
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	serve(t, s)
	a.verify(t, s)
}

func (a *acknowledged) verify(t *testing.T, s *Store) {
	t.Helper()
	for position, key := range a.keys {
		e := ticking(0)
		e.Key = orca.IdempotencyKey{Project: "p", Key: key}
		if got := <-accept(s, e); got.err != nil || got.Position != position || !got.Replayed {
			t.Errorf("the key of %d, repeated, gives %+v", position, got)
		}
	}
	open, err := s.OpenRuns(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	isOpen := map[orca.Position]bool{}
	for _, r := range open {
		isOpen[r.Position] = true
		if a.finished[r.Position] {
			t.Errorf("run %d was acknowledged as finished and is open", r.Position)
		}
	}
	for position := range a.finished {
		if _, err := s.Results(t.Context(), position, []orca.AlgorithmID{cpu, mem}); err != nil {
			t.Errorf("a result of finished run %d is lost: %v", position, err)
		}
	}
	backlog, err := s.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for p := orca.Position(1); p <= backlog.Newest; p++ {
		if record, err := s.Run(t.Context(), p, 1); err != nil || (record.Run.State == orca.RunOpen) != isOpen[p] || !isOpen[p] && len(record.Outcomes) != 2 {
			t.Errorf("run %d is %+v (%v), open: %v", p, record, err, isOpen[p])
		}
	}
}

// TestKilledHolderFreesTheLock: the lock of a killed process is gone, and while it lives everybody is told who has it.
func TestKilledHolderFreesTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orca.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "accepted") {
		t.Fatalf("the child says %q (%v)", line, err)
	}
	_, err = Open(t.Context(), path, Config{})
	if want := fmt.Sprintf("in use by process %d on ", cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a second process gets %v, want %q", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // killed
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
