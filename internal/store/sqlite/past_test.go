package sqlite

import (
	"database/sql/driver"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// planned is ticking with a plan of both algorithms.
func planned(i int) orca.Emission {
	e := ticking(i)
	e.Plan = &orca.PlanContent{Hash: orca.PlanHash{2}, Content: []byte("both"), Nodes: 2, Algorithms: []orca.AlgorithmID{cpu, mem}}
	return e
}

// TestALongPastComesInParts: wherever the walk is cut, also where many windows have one interval, it is the same.
func TestALongPastComesInParts(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	var last <-chan accepted
	for _, second := range []int{4, 1, 2, 2, 2, 9, 2, 3, 3, 7} {
		last = accept(s, planned(second))
	}
	if a := <-last; a.err != nil {
		t.Fatal(a.err)
	}
	q := orca.PastQuery{Algorithm: cpu, Window: 1, Before: 99, To: orca.MaxTime, From: orca.MaxTime}
	for part := 1; part < 12; part++ {
		s.pastPart = part
		var got []orca.Position
		if err := s.Past(t.Context(), q, func(r orca.PastRun) bool { got = append(got, r.Position); return true }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]orca.Position{6, 10, 1, 9, 8, 7, 5, 4, 3, 2}, got); diff != "" {
			t.Errorf("in parts of %d (-want +got):\n%s", part, diff)
		}
		got = nil
		if err := s.Past(t.Context(), q, func(r orca.PastRun) bool { got = append(got, r.Position); return len(got) < 4 }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 4 {
			t.Errorf("in parts of %d, told to end after four, it yields %v", part, got)
		}
	}
}

// TestAWalkEndsWhereTheAlgorithmBegins: the windows from before an algorithm was there cost nothing.
func TestAWalkEndsWhereTheAlgorithmBegins(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	stop := serve(t, s)
	earliest := func() [][]driver.Value {
		return rowsOf(t, s, `SELECT a.name, e.time_to FROM earliest e JOIN algorithm a ON a.id = e.algorithm ORDER BY a.name`)
	}
	emit := func(e orca.Emission) {
		t.Helper()
		if a := <-accept(s, e); a.err != nil {
			t.Fatal(a.err)
		}
	}
	of := func(i int, hash byte, ids ...orca.AlgorithmID) orca.Emission {
		e := ticking(i)
		e.Plan = &orca.PlanContent{Hash: orca.PlanHash{hash}, Content: []byte{hash}, Algorithms: ids}
		return e
	}
	second := func(i int) driver.Value { return int64(i+1) * 1e9 }
	emit(of(10, 3))
	emit(of(20, 4, cpu))
	emit(of(30, 5, cpu, mem))
	if diff := cmp.Diff([][]driver.Value{{"Cpu", second(20)}, {"Mem", second(30)}}, earliest()); diff != "" {
		t.Errorf("after plans that grew (-want +got):\n%s", diff)
	}
	emit(of(25, 5, cpu, mem))
	emit(of(40, 4, cpu))
	emit(of(15, 4, cpu))
	emit(of(18, 4, cpu))
	stop()
	if diff := cmp.Diff([][]driver.Value{{"Cpu", second(15)}, {"Mem", second(25)}}, earliest()); diff != "" {
		t.Errorf("after earlier windows (-want +got):\n%s", diff)
	}
}

// Entries that are restricted to fields are those that these fields alone would have.
func TestRestrict(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "ab", "b", "\x01a"}), rapid.StringN(0, 200, -1))
		names := rapid.SliceOfNDistinct(name, 0, 8, rapid.ID).Draw(t, "fields")
		slices.Sort(names)
		asked := rapid.SliceOfNDistinct(name, 0, 8, rapid.ID).Draw(t, "asked")
		slices.Sort(asked)
		var all, some []orca.FilterValue
		for i, n := range names {
			f := orca.FilterValue{Field: n, Hash: [16]byte{byte(i), 1}}
			all = append(all, f)
			if slices.Contains(asked, n) {
				some = append(some, f)
			}
		}
		encoded := encodeFilters(all)
		got, err := restrict(nil, encoded, asked)
		if diff := cmp.Diff(string(encodeFilters(some)), string(got)); diff != "" || err != nil {
			t.Fatalf("restricted (%v, -want +got):\n%s", err, diff)
		}
		cut := rapid.IntRange(0, len(encoded)).Draw(t, "cut")
		whole := cut == len(encoded)
		for i := range all {
			whole = whole || cut == len(encodeFilters(all[:i]))
		}
		if _, err := restrict(nil, encoded[:cut], append(names, "\xff")); whole != (err == nil) || err != nil && !errors.Is(err, errDamagedFilters) {
			t.Fatalf("the first %d of %d bytes give %v", cut, len(encoded), err)
		}
	})
}
