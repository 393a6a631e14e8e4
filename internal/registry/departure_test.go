package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Forgetting a processor removes its instances, also several, and retires what it announced; others keep theirs, and it
// may come back.
func TestForgetProcessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c := id("p", "A"), id("p", "B"), id("q", "C")
	w.register(registration("p", "one:1", algorithm(a), algorithm(b)))
	w.register(registration("p", "two:1", algorithm(a)))
	w.register(registration("q", "three:1", algorithm(c, a)))
	forget := func(name string, instances, algorithms int) {
		t.Helper()
		gotInstances, gotAlgorithms, err := w.ForgetProcessor(context.Background(), name)
		if err != nil || gotInstances != instances || gotAlgorithms != algorithms {
			t.Errorf("ForgetProcessor(%s) = %d, %d, %v; want %d, %d", name, gotInstances, gotAlgorithms, err, instances, algorithms)
		}
	}
	forget("p", 2, 2)
	want := map[string]string{"p/A": "retired", "p/B": "retired", "q/C": "active"}
	if diff := cmp.Diff(want, w.states()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if n := len(w.Snapshot().Instances()); n != 1 {
		t.Errorf("%d instances are left, want 1", n)
	}
	retired := w.Snapshot().Retired()
	if len(retired) != 2 || retired[a] == 0 || retired[a] != retired[b] {
		t.Errorf("retired: %v", retired)
	}
	written := w.store.written()
	forget("p", 0, 0)
	if n := w.store.written(); n != written {
		t.Error("forgetting a processor that is forgotten was written")
	}
	if _, _, err := w.ForgetProcessor(context.Background(), "nobody"); !errors.Is(err, orca.NotFound) {
		t.Errorf("an unknown processor: %v, want not found", err)
	}
	w.register(registration("p", "one:1", algorithm(a)))
	want["p/A"] = "active"
	if diff := cmp.Diff(want, w.states()); diff != "" {
		t.Errorf("states after it came back (-want +got):\n%s", diff)
	}
}
