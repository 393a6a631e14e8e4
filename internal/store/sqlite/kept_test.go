package sqlite

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// TestRowsAreAtHand: a lookback by filters finds rows of windows that have ended where it finds the windows, unless they
// are large or the window ran again.
func TestRowsAreAtHand(t *testing.T) {
	t.Parallel()
	asset := orca.FilterValue{Field: "asset", Hash: [16]byte{1}}
	window := orca.WindowType{ID: orca.WindowTypeID{Name: "Minute", Version: "1.0.0"}, Fields: []orca.MetadataField{{Name: "asset", Filter: true}}}
	plan := &orca.PlanContent{Hash: orca.PlanHash{1}, Content: []byte("plan"), Nodes: 2, Algorithms: []orca.AlgorithmID{cpu, mem}}
	path := filepath.Join(t.TempDir(), "orca.db")
	s, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	looked := orca.Algorithm{ID: cpu, WindowType: window, ResultType: orca.ResultValue, Self: orca.Lookback{Range: orca.Extent{Count: 9}}}
	if err := s.ChangeRegistry(t.Context(), orca.RegistryChange{WindowTypes: []orca.WindowType{window}, Algorithms: []orca.KnownAlgorithm{
		{Algorithm: looked}, {Algorithm: orca.Algorithm{ID: mem, WindowType: window, ResultType: orca.ResultValue}}}}); err != nil {
		t.Fatal(err)
	}
	stop := serve(t, s)
	var want []orca.PastRow
	for i := range 6 {
		e := ticking(i)
		e.Window.Type, e.Plan, e.Filters = window.ID, plan, []orca.FilterValue{asset}
		st := finish(orca.Position(i + 1))
		encoded := []byte{byte(i), 7}
		switch i {
		case 1:
			encoded = make([]byte, mostKeptResult+1)
		case 2:
			e.Window.Metadata = make([]byte, mostKeptWindow+1)
		case 5:
			st.End, st.Outcomes = orca.RunOpen, nil
		}
		for k := range st.Outcomes {
			st.Outcomes[k].Result.Encoded = bytes.Repeat(encoded, k+1)
		}
		accept(s, e)
		if err := <-settle(s, st); err != nil {
			t.Fatal(err)
		}
		if i == 4 || i == 0 {
			want = append([]orca.PastRow{{WindowID: orca.Position(i + 1), Position: orca.Position(i + 1), Revision: 1,
				ProducedAt: orca.Position(i + 1), Window: e.Window, Result: encoded}}, want...)
		}
	}
	revised := make(chan error, 1)
	s.Revise(orca.Revision{Window: 4, Base: 4, Kind: orca.RunReprocess, AcceptedAt: 1}, func(_ orca.Accepted, err error) { revised <- err })
	if err := <-revised; err != nil {
		t.Fatal(err)
	}
	stop()
	for of, want := range map[orca.AlgorithmID][]orca.PastRow{cpu: want, mem: nil} {
		var got []orca.PastRow
		q := orca.PastQuery{Algorithm: of, Window: 6, Before: 6, To: orca.MaxTime, From: orca.MaxTime, Fields: []string{"asset"}, Rows: true}
		runs := 0
		if err := s.Past(t.Context(), q, func(r orca.PastRun) bool {
			if runs++; r.Row != nil {
				got = append(got, *r.Row)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || runs != 5 {
			t.Errorf("rows of %s that are at hand, of %d runs (-want +got):\n%s", of.Full(), runs, diff)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestKeptRun: what is kept of a run is read as it was written, and no key is found where it is not.
func TestKeptRun(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		algorithms := rapid.SliceOfNDistinct(rapid.Int64Range(0, maxAlgorithms), 1, 30, rapid.ID[int64]).Draw(t, "algorithms")
		small := rapid.SliceOfN(rapid.Byte(), 0, 20)
		origin, metadata := small.Draw(t, "origin"), small.Draw(t, "metadata")
		k := keptRun{rest: appendPart(appendPart(nil, origin), metadata)}
		kinds, results := map[int64]orca.OutcomeKind{}, map[int64][]byte{}
		for _, a := range algorithms[1:] {
			kinds[a] = rapid.SampledFrom([]orca.OutcomeKind{orca.Succeeded, orca.Skipped}).Draw(t, "kind")
			results[a] = small.Draw(t, "result")
			k.add(a, kinds[a], results[a])
		}
		if bytes.Contains(k.kept, keptKey(algorithms[0])) {
			t.Fatalf("%d is found among %v", algorithms[0], algorithms[1:])
		}
		for _, a := range algorithms[1:] {
			kind, before, err := findKept(k.kept, keptKey(a))
			if err != nil || kind != kinds[a] {
				t.Fatalf("%d is %v (%v), want %v", a, kind, err, kinds[a])
			}
			if kind != orca.Succeeded {
				continue
			}
			o, m, r, err := readKept(k.rest, before)
			if err != nil || !bytes.Equal(o, origin) || !bytes.Equal(m, metadata) || !bytes.Equal(r, results[a]) {
				t.Fatalf("%d has %x, %x, %x (%v)", a, o, m, r, err)
			}
		}
	})
}
