package sqlite

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

var errDisk = errors.New("the disk does not answer")

// noRedo has SQLite itself commit each batch, as it does with those that the redo log has no room for.
var noRedo = Config{RedoBytes: 1}

// faulty returns a store whose next commit ends as fault says, and later ones as they should. Two windows, of which
// the first is settled, wait to be written in it.
func faulty(t *testing.T, fault func(context.Context, *writer) error) (s *Store, first, second <-chan accepted, settled <-chan error) {
	t.Helper()
	s = opened(t, noRedo)
	commit := s.commit
	s.commit = func(ctx context.Context, w *writer) error {
		s.commit = commit
		return fault(ctx, w)
	}
	return s, accept(s, keyed(1)), accept(s, ticking(2)), settle(s, finish(1))
}

func keyed(i int) orca.Emission {
	e := ticking(i)
	e.Key = orca.IdempotencyKey{Project: "p", Key: "k"}
	return e
}

func newest(t *testing.T, s *Store) orca.Position {
	t.Helper()
	b, err := s.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.Newest
}

// TestFailedCommitIsUnknown: all of the batch is told that nobody knows, the connection is another one afterwards, and
// a repeat with the key goes well whatever had happened.
func TestFailedCommitIsUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault func(context.Context, *writer) error
		found orca.Position // in the ledger afterwards
	}{
		"it had not happened": {func(ctx context.Context, w *writer) error { return errors.Join(w.conn.exec(ctx, "ROLLBACK"), errDisk) }, 0},
		"it is left open":     {func(context.Context, *writer) error { return errDisk }, 0},
		"it had happened":     {func(ctx context.Context, w *writer) error { return errors.Join(w.commit(ctx), errDisk) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, first, second, settled := faulty(t, c.fault)
			before := s.writer
			serve(t, s)
			for _, err := range []error{(<-first).err, (<-second).err, <-settled} {
				if !errors.Is(err, orca.OutcomeUnknown) || !strings.HasPrefix(err.Error(), "outcome unknown: ") {
					t.Errorf("it is answered with %v, want outcome unknown", err)
				}
			}
			if got := newest(t, s); got != c.found {
				t.Errorf("the ledger has %d windows, want %d", got, c.found)
			}
			again := <-accept(s, keyed(1))
			if again.err != nil || again.Position != 1 || again.Replayed != (c.found > 0) {
				t.Errorf("the repeat gives %+v", again)
			}
			if err := <-settle(s, finish(1)); err != nil {
				t.Errorf("the repeated settlement gives %v", err)
			}
			if next := <-accept(s, ticking(3)); next.err != nil || next.Position != max(1, c.found)+1 {
				t.Errorf("the next window gives %+v", next)
			}
			if s.writer == before {
				t.Error("the connection whose commit failed is still in use")
			}
			if got := s.Stats().FailedCommits; got != 1 {
				t.Errorf("%d failed commits are counted", got)
			}
		})
	}
}

// fullDisk makes the connection refuse to grow the file, and returns SQLite's error.
func fullDisk(t *testing.T, w *writer) error {
	t.Helper()
	ctx := t.Context()
	if err := w.conn.exec(ctx, "PRAGMA max_page_count = 1"); err != nil { // raised to what there is
		t.Fatal(err)
	}
	err := w.conn.exec(ctx, "CREATE TABLE too_much (x)")
	if !isFull(err) {
		t.Fatalf("a file that cannot grow gives %v", err)
	}
	return err
}

// TestFullDiskBeforeCommit: nothing was written, and that is what everybody is told.
func TestFullDiskBeforeCommit(t *testing.T) {
	t.Parallel()
	s := opened(t, noRedo)
	_ = fullDisk(t, s.writer)
	big := ticking(1)
	big.Window.Metadata = make([]byte, 1<<20)
	first, settled, second := accept(s, ticking(0)), settle(s, finish(1)), accept(s, big)
	serve(t, s)
	for _, err := range []error{(<-first).err, <-settled, (<-second).err} {
		if !errors.Is(err, orca.Exhausted) {
			t.Errorf("a full disk gives %v, want exhausted", err)
		}
	}
	if got := newest(t, s); got != 0 {
		t.Errorf("the ledger has %d windows", got)
	}
	if a := <-accept(s, big); a.err != nil || a.Position != 1 { // the new connection has the bound no more
		t.Errorf("with room again it gives %+v", a)
	}
	if err := <-settle(s, finish(1)); err != nil {
		t.Errorf("with room again the settlement gives %v", err)
	}
}

// TestFullDiskAtCommit: SQLite writes most of a transaction when it commits. What then did not fit was certainly not
// written; what is found nevertheless is unknown.
func TestFullDiskAtCommit(t *testing.T) {
	t.Parallel()
	full := fullDisk(t, opened(t, Config{}).writer)
	for name, c := range map[string]struct {
		end  func(context.Context, *writer) error
		kind orca.Kind
	}{
		"it had not happened": {func(ctx context.Context, w *writer) error { return w.conn.exec(ctx, "ROLLBACK") }, orca.Exhausted},
		"it had happened":     {func(ctx context.Context, w *writer) error { return w.commit(ctx) }, orca.OutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, first, second, settled := faulty(t, func(ctx context.Context, w *writer) error {
				return errors.Join(c.end(ctx, w), full)
			})
			serve(t, s)
			for _, err := range []error{(<-first).err, (<-second).err, <-settled} {
				if !errors.Is(err, c.kind) {
					t.Errorf("it is answered with %v, want %v", err, c.kind)
				}
			}
			if a := <-accept(s, keyed(1)); a.err != nil || a.Position != 1 {
				t.Errorf("the repeat gives %+v", a)
			}
		})
	}
}

// TestStoreGoneAndBack: while the file cannot be opened everything is refused as unavailable, and later it goes on.
func TestStoreGoneAndBack(t *testing.T) {
	t.Parallel()
	s, first, _, _ := faulty(t, func(context.Context, *writer) error { return errDisk })
	path := s.path
	s.path += ".elsewhere" // where nothing is, once the connection has to be opened again
	stop := serve(t, s)
	if a := <-first; !errors.Is(a.err, orca.OutcomeUnknown) {
		t.Errorf("the failed commit is answered with %v", a.err)
	}
	if a := <-accept(s, ticking(1)); !errors.Is(a.err, orca.Unavailable) {
		t.Errorf("while the file is gone it gives %v, want unavailable", a.err)
	}
	if err := s.ChangeRegistry(t.Context(), orca.RegistryChange{Base: 1}); !errors.Is(err, orca.Unavailable) {
		t.Errorf("while the file is gone a change of the registry gives %v, want unavailable", err)
	}
	stop()
	s.path = path
	if err := s.ChangeRegistry(t.Context(), orca.RegistryChange{Base: 1}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + ".elsewhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another file was made: %v", err)
	}
}

// TestFailedRegistryCommitIsUnknown: the registry, too, is read again after a failed commit.
func TestFailedRegistryCommitIsUnknown(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"ROLLBACK", "COMMIT"} {
		s := opened(t, Config{})
		commit := s.commit
		s.commit = func(ctx context.Context, w *writer) error {
			s.commit = commit
			return errors.Join(w.conn.exec(ctx, end), errDisk)
		}
		day := orca.WindowType{ID: orca.WindowTypeID{Name: "Day", Version: "1.0.0"}}
		change := orca.RegistryChange{Base: 1, WindowTypes: []orca.WindowType{day}}
		if err := s.ChangeRegistry(t.Context(), change); !errors.Is(err, orca.OutcomeUnknown) {
			t.Errorf("it gives %v, want outcome unknown", err)
		}
		reg, err := s.LoadRegistry(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change.Base = reg.Version
		if err := s.ChangeRegistry(t.Context(), change); err != nil {
			t.Error(err)
		}
		serve(t, s)
		e := ticking(1)
		e.Window.Type = day.ID
		if got, want := <-accept(s, e), (accepted{Accepted: orca.Accepted{Window: 1, Position: 1, Status: e.Status}}); got != want {
			t.Errorf("a window of the new type (-want +got):\n%s", cmp.Diff(want, got, cmp.AllowUnexported(accepted{})))
		}
	}
}

// TestFailingUntilItWrites: a store whose writes fail says so, tries by itself while nobody writes, and says it a moment
// longer than the failure lasts, for whoever was refused and asks then.
func TestFailingUntilItWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, noRedo)
		var tries atomic.Int64
		var broken atomic.Bool
		broken.Store(true)
		commit := s.commit
		s.commit = func(ctx context.Context, w *writer) error {
			if tries.Add(1); broken.Load() {
				return errors.Join(w.conn.exec(ctx, "ROLLBACK"), errDisk)
			}
			return commit(ctx, w)
		}
		serve(t, s)
		failing := func(want bool) {
			t.Helper()
			if err := s.Failing(); errors.Is(err, errDisk) != want || (err != nil) != want {
				t.Errorf("after %d tries it is failing with %v, want %t", tries.Load(), err, want)
			}
		}
		failing(false)
		if a := <-accept(s, ticking(1)); !errors.Is(a.err, orca.OutcomeUnknown) {
			t.Errorf("the failed commit is answered with %v", a.err)
		}
		failing(true)
		time.Sleep(10 * time.Second) // virtual
		if failing(true); tries.Load() < 10 {
			t.Errorf("it was tried %d times in ten seconds", tries.Load())
		}
		broken.Store(false)
		time.Sleep(3 * time.Second)
		if failing(false); tries.Load() > 14 {
			t.Errorf("%d tries, though it had gone well", tries.Load())
		}
		broken.Store(true)
		<-accept(s, ticking(1))
		broken.Store(false)
		if a := <-accept(s, ticking(1)); a.err != nil {
			t.Error(a.err)
		}
		failing(true)
		time.Sleep(2 * failureShows)
		failing(false)
	})
}
