package torture

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A journal is readable at every moment: what was written is there without being closed, and a line that a kill cut off
// counts as not written.
func TestJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "press-a-0001.journal")
	j, err := NewJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	done := Execution{Origin: "keyed-1", N: 1, Algorithm: ID{Paint, "Coat"},
		Given: Given{Inputs: []float32{1 << 23, 0}, Past: []string{"keyed-1:3f800000", ""}}, Connected: 5}
	cut := Execution{Origin: "keyed-2", N: 2, Algorithm: ID{Press, "Cut"}, Connected: 6}
	first, err := j.Begin(done)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Begin(cut); err != nil {
		t.Fatal(err)
	}
	if err := j.End(first); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteString(`{"call":2,"at":12`); err != nil {
		t.Fatal(err)
	}
	got, err := ReadJournals(dir)
	if err != nil {
		t.Fatal(err)
	}
	done.Process, cut.Process = "press-a-0001.journal", "press-a-0001.journal"
	if diff := cmp.Diff([]Execution{done, cut}, got, cmpopts.IgnoreFields(Execution{}, "Begun", "Ended")); diff != "" {
		t.Errorf("journal: %s", diff)
	}
	if x := got[0]; x.Begun == 0 || x.Ended < x.Begun || got[1].Ended != 0 {
		t.Errorf("times: %+v", got)
	}
	if _, err := NewJournal(path); !os.IsExist(err) {
		t.Errorf("a journal was begun over another one: %v", err)
	}
}

// A journal that makes no sense is an error, not an empty one.
func TestJournalMakesNoSense(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{\n", `{"call":1,"at":3,"end":true}` + "\n"} {
		if xs, err := readJournal("p", []byte(text)); err == nil {
			t.Errorf("journal %q was read as %v", text, xs)
		}
	}
}
