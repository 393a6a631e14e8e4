package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// tables returns all rows of the ledger and the registry, but for how far the redo log is applied.
func tables(t testing.TB, s *Store) map[string][]string {
	t.Helper()
	ctx, all := context.Background(), map[string][]string{}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if err := s.flush(ctx); err != nil {
		t.Fatal(err)
	}
	each := func(query string, row func([]driver.Value)) {
		t.Helper()
		if err := s.writer.conn.each(ctx, query, func(r []driver.Value) error { row(r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	each(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'`, func(row []driver.Value) {
		names = append(names, row[0].(string))
	})
	for _, name := range names {
		columns := "*"
		if name == "ledger" {
			columns = "tag, secret, registry_version"
		}
		each(`SELECT `+columns+` FROM "`+name+`"`, func(row []driver.Value) {
			all[name] = append(all[name], fmt.Sprintf("%#v", row))
		})
	}
	return all
}

// copied opens a copy of a store's files.
func copied(t *testing.T, path string, suffixes ...string) (*Store, error) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "orca.db")
	copyStore(t, path, to, suffixes...)
	s, err := Open(t.Context(), to, Config{})
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

// TestRedoLogHasWhatSQLiteHasNot: whatever was answered is there after a power cut, which takes what SQLite has not synced,
// as after a kill, which leaves it. Nothing else is there.
func TestRedoLogHasWhatSQLiteHasNot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := opened(t, Config{RedoBytes: redoStart + redoBlock*int64(rapid.IntRange(0, 6).Draw(r, "room"))})
		durable := filepath.Join(t.TempDir(), "durable.db") // what a power cut leaves of SQLite's files
		cut := func() { copyStore(t, s.path, durable, "", "-wal") }
		cut()
		sync := s.syncs.sync
		s.syncs.sync = func(f *os.File) error {
			if strings.HasSuffix(f.Name(), "-wal") {
				cut()
			}
			return sync(f)
		}
		stop := serve(t, s)
		defer stop()
		for step := range rapid.IntRange(1, 12).Draw(r, "steps") {
			var waiting []<-chan accepted
			for i := range rapid.IntRange(1, 3).Draw(r, "windows") {
				e := keyed(10*step + i)
				e.Key.Key = fmt.Sprint(rapid.IntRange(0, 9).Draw(r, "key"))
				e.FullMetadata = make([]byte, rapid.SampledFrom([]int{0, 1, 300, 3000}).Draw(r, "metadata"))
				waiting = append(waiting, accept(s, e))
			}
			for _, w := range waiting {
				if a := <-w; a.err == nil && rapid.Bool().Draw(r, "finish") {
					if err := <-settle(s, finish(a.Position)); err != nil {
						r.Error(err)
					}
				}
			}
			if rapid.IntRange(0, 4).Draw(r, "read") == 0 {
				newest(t, s)
			}
		}
		stop()
		copyStore(t, s.path, durable, "-redo")
		killed, err := copied(t, s.path, "", "-wal", "-redo")
		if err != nil {
			r.Fatal(err)
		}
		off, err := copied(t, durable, "", "-wal", "-redo")
		if err != nil {
			r.Fatal(err)
		}
		want := tables(t, s)
		if diff := cmp.Diff(want, tables(t, killed)); diff != "" {
			r.Errorf("after a kill (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, tables(t, off)); diff != "" {
			r.Errorf("after a power cut (-want +got):\n%s", diff)
		}
	})
}

// TestTornRecordIsNothing: a record that is not there as a whole, or has other bytes, never was; those before it were.
func TestTornRecordIsNothing(t *testing.T) {
	t.Parallel()
	killed, whole, end := filepath.Join(t.TempDir(), "orca.db"), int64(0), int64(0)
	synctest.Test(t, func(t *testing.T) { // so that nothing is committed meanwhile
		s := opened(t, Config{})
		serve(t, s)
		<-accept(s, ticking(1))
		whole = s.redo.tail
		<-accept(s, ticking(2))
		copyStore(t, s.path, killed, "", "-wal", "-redo")
	})
	log, err := os.ReadFile(killed + "-redo")
	if err != nil {
		t.Fatal(err)
	}
	end = whole + int64(binary.LittleEndian.Uint32(log[whole:]))
	for at := whole; at < end; at += (end - whole) / 9 {
		torn := filepath.Join(t.TempDir(), "orca.db")
		copyStore(t, killed, torn, "", "-wal", "-redo")
		log, err := os.ReadFile(torn + "-redo")
		if err != nil {
			t.Fatal(err)
		}
		log[at] ^= 0x10
		if err := os.WriteFile(torn+"-redo", log, 0o600); err != nil {
			t.Fatal(err)
		}
		after, err := copied(t, torn, "", "-wal", "-redo")
		if err != nil {
			t.Fatal(err)
		}
		if got := newest(t, after); got != 1 {
			t.Errorf("with another byte at %d of a record from %d to %d there are %d windows", at, whole, end, got)
		}
	}
}

// TestFailedRecordIsUnknown: as a failed commit is. What was answered before stays.
func TestFailedRecordIsUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write func(append func() error) error
		kind  orca.Kind
		found orca.Position // in the ledger afterwards
	}{
		"nothing is written":    {func(func() error) error { return errDisk }, orca.OutcomeUnknown, 1},
		"it is written":         {func(write func() error) error { return errors.Join(write(), errDisk) }, orca.OutcomeUnknown, 2},
		"the file cannot grow":  {func(func() error) error { return fmt.Errorf("%w: %w", errRedoGrow, errDisk) }, orca.Unavailable, 1},
		"there is no room left": {func(func() error) error { return fmt.Errorf("%w: %w", errRedoGrow, syscall.ENOSPC) }, orca.Exhausted, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, Config{})
			write := s.appendRedo
			serve(t, s)
			if a := <-accept(s, ticking(1)); a.err != nil {
				t.Fatal(a.err)
			}
			s.turn <- struct{}{}
			s.appendRedo = func() error { return c.write(write) }
			<-s.turn
			if a := <-accept(s, ticking(2)); !errors.Is(a.err, c.kind) {
				t.Errorf("it is answered with %v, want %v", a.err, c.kind)
			}
			s.turn <- struct{}{}
			s.appendRedo = write
			<-s.turn
			if got := newest(t, s); got != c.found {
				t.Errorf("the ledger has %d windows, want %d", got, c.found)
			}
			if a := <-accept(s, ticking(3)); a.err != nil || a.Position != c.found+1 {
				t.Errorf("the next window gives %+v", a)
			}
		})
	}
}

// TestFailedFlushLosesNothing: what was answered is in the redo log, and reads do not pass over it.
func TestFailedFlushLosesNothing(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	commit := s.commit
	s.commit = func(context.Context, *writer) error { return errDisk }
	serve(t, s)
	if a := <-accept(s, ticking(1)); a.err != nil {
		t.Fatal(a.err)
	}
	if b, err := s.Backlog(t.Context()); err == nil {
		t.Errorf("a read that cannot see what was answered gives %+v", b)
	} else if !errors.Is(err, orca.Unavailable) || !errors.Is(err, errDisk) {
		t.Errorf("a read that cannot see what was answered gives %v", err)
	}
	s.turn <- struct{}{}
	s.commit = commit
	<-s.turn
	if a := <-accept(s, ticking(2)); a.err != nil || a.Position != 2 {
		t.Errorf("the next window gives %+v", a)
	}
	if got := newest(t, s); got != 2 {
		t.Errorf("the ledger has %d windows, want 2", got)
	}
}

// TestRefusedRowTakesNoBatchWithIt: neither its own nor those that share its transaction of SQLite.
func TestRefusedRowTakesNoBatchWithIt(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	stop := serve(t, s)
	if a := <-accept(s, ticking(1)); a.err != nil {
		t.Fatal(a.err)
	}
	s.turn <- struct{}{} // so that these are one batch
	bad := finish(1)
	bad.Outcomes[1].Kind = 99 // CHECK
	refused, good := settle(s, bad), accept(s, ticking(2))
	<-s.turn
	if err := <-refused; !isRefusal(err) {
		t.Errorf("it is answered with %v", err)
	}
	if a := <-good; a.err != nil || a.Position != 2 {
		t.Errorf("the window beside it gives %+v", a)
	}
	stop()
	after, err := copied(t, s.path, "", "-wal", "-redo")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tables(t, s), tables(t, after)); diff != "" {
		t.Errorf("after a kill (-want +got):\n%s", diff)
	}
}

// TestRedoLogOfAnotherState: what does not fit to the file beside it is not applied, and not thrown away either.
func TestRedoLogOfAnotherState(t *testing.T) {
	t.Parallel()
	s, other := opened(t, Config{}), opened(t, Config{})
	stop := serve(t, s)
	backup := filepath.Join(t.TempDir(), "orca.db")
	copyStore(t, s.path, backup, "", "-wal")
	for i := range 3 { // the log begins anew in between
		<-accept(s, ticking(i))
		s.turn <- struct{}{}
		if err := s.mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-s.turn
	}
	<-accept(s, ticking(4))
	stop()
	fresh := filepath.Join(t.TempDir(), "orca.db")
	if err := os.WriteFile(fresh, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, says string }{
		"of another ledger":       {other.path, "another ledger"},
		"without a ledger":        {fresh, "another ledger"},
		"that begins too far off": {backup, "restored from a backup"},
	} {
		path := filepath.Join(t.TempDir(), "orca.db")
		copyStore(t, c.file, path, "")
		copyStore(t, s.path, path, "-redo")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, err := os.ReadFile(path + "-redo")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), path, Config{}); !errors.Is(err, orca.Precondition) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it is opened with %v", err)
			}
			if after, err := os.ReadFile(path + "-redo"); err != nil || !bytes.Equal(before, after) {
				t.Errorf("it is another one afterwards (%v)", err)
			}
		})
	}
}

// TestEmptyRedoLogIsNoHindrance: whosever it was, nothing is lost with it, and a ledger may begin where another was removed.
func TestEmptyRedoLogIsNoHindrance(t *testing.T) {
	t.Parallel()
	other := opened(t, Config{})
	for name, file := range map[string]string{"fresh": "", "another": opened(t, Config{}).path} {
		path := filepath.Join(t.TempDir(), name)
		if file != "" {
			copyStore(t, file, path, "", "-wal")
		}
		copyStore(t, other.path, path, "-redo")
		s, err := Open(t.Context(), path, Config{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.redo.tag != s.tag {
			t.Errorf("%s: the log is of %q, and the ledger is %q", name, s.redo.tag, s.tag)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRedoLogOfAnEarlierVersion: its statements are in it, whatever those of this version are.
func TestRedoLogOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	s.turn <- struct{}{}
	if err := s.redo.name(s.tag, []string{"not run", "INSERT INTO lot (id, hash, algorithms) VALUES (?, ?, ?)"}); err != nil {
		t.Fatal(err)
	}
	s.redo.begin()
	s.redo.add(1, []driver.Value{int64(-7), bytes.Repeat([]byte{1}, 32), "early"})
	if err := s.redo.append(); err != nil {
		t.Fatal(err)
	}
	<-s.turn
	after, err := copied(t, s.path, "", "-wal", "-redo")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("%#v", []driver.Value{int64(-7), bytes.Repeat([]byte{1}, 32), "early"})}, tables(t, after)["lot"]); diff != "" {
		t.Errorf("the lot of the earlier version (-want +got):\n%s", diff)
	}
}

// TestClosedStoreIsOneFile: what is moved or copied while no core runs is all of it.
func TestClosedStoreIsOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orca.db")
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ChangeRegistry(t.Context(), registration()); err != nil {
		t.Fatal(err)
	}
	stop := serve(t, s)
	<-accept(s, ticking(1))
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := copied(t, path, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := newest(t, after); got != 1 {
		t.Errorf("the file has %d windows", got)
	}
	for _, suffix := range []string{"-wal", "-redo"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", suffix, err)
		}
	}
}

// TestRedoLogKeepsValues: of all types that statements are given, to the bit.
func TestRedoLogKeepsValues(t *testing.T) {
	t.Parallel()
	r := &redoLog{}
	r.begin()
	want := []driver.Value{nil, int64(math.MinInt64), int64(math.MaxInt64), int64(0), math.Copysign(0, -1), math.Inf(1), "", "a\x00ö", []byte{}, []byte{0}}
	r.add(300, want)
	r.add(0, nil)
	number, got, rest, err := cutStatement(r.record[redoHead:])
	if diff := cmp.Diff(want, got); diff != "" || err != nil || number != 300 {
		t.Errorf("statement %d (%v), (-want +got):\n%s", number, err, diff)
	}
	if number, got, rest, err = cutStatement(rest); number != 0 || len(got)+len(rest) != 0 || err != nil {
		t.Errorf("the next is statement %d, %v, before %v (%v)", number, got, rest, err)
	}
}

// FuzzRedoRecord: whatever bytes a record has, reading it ends, with its statements or an error.
func FuzzRedoRecord(f *testing.F) {
	r := &redoLog{}
	r.begin()
	r.add(1, []driver.Value{int64(5), "text", []byte("bytes"), 1.5, nil})
	f.Add(r.record[redoHead:])
	f.Fuzz(func(t *testing.T, record []byte) {
		for len(record) > 0 {
			_, _, rest, err := cutStatement(record)
			if err != nil {
				return
			}
			if len(rest) >= len(record) {
				t.Fatal("a statement of no bytes")
			}
			record = rest
		}
	})
}
