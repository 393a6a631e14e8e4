package registry_test

import (
	"context"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

func TestWithinOneVersionNeverChanges(t *testing.T) {
	t.Parallel()
	fields := func(fields ...orca.MetadataField) func(*orca.Algorithm) {
		return func(a *orca.Algorithm) { a.WindowType.Fields = fields }
	}
	const bump = "; this never changes within one version: give what has changed a new version"
	car, driver := lap.Fields[0], lap.Fields[1]
	for name, test := range map[string]struct {
		change func(*orca.Algorithm)
		want   string
	}{
		"result type": {
			func(a *orca.Algorithm) { a.ResultType = orca.ResultArray },
			"algorithm Mean 1.0.0 is registered with result type value, and this registration says array" + bump,
		},
		"window type": {
			func(a *orca.Algorithm) { a.WindowType = season },
			"algorithm Mean 1.0.0 is registered with window type Lap 1.0.0, and this registration says Season 1.0.0" + bump,
		},
		"window type and result type": {
			func(a *orca.Algorithm) { a.WindowType, a.ResultType = season, orca.ResultNone },
			"algorithm Mean 1.0.0 is registered with window type Lap 1.0.0, and this registration says Season 1.0.0; " +
				"algorithm Mean 1.0.0 is registered with result type value, and this registration says none" + bump,
		},
		"field left out": {fields(car), `window type Lap 1.0.0 has other metadata fields: field "driver" is there only in the registry` + bump},
		"field added": {
			fields(car, driver, orca.MetadataField{Name: "track"}),
			`window type Lap 1.0.0 has other metadata fields: field "track" is there only in this registration` + bump,
		},
		"field renamed": {
			fields(car, orca.MetadataField{Name: "pilot", NoStore: true}),
			`window type Lap 1.0.0 has other metadata fields: field "driver" is there only in the registry; field "pilot" is there only in this registration` + bump,
		},
		"all fields": {
			fields(orca.MetadataField{Name: "a"}, orca.MetadataField{Name: "e"}, orca.MetadataField{Name: "c"}),
			`window type Lap 1.0.0 has other metadata fields: field "a" is there only in this registration; field "c" is there only in this registration; ` +
				`field "car" is there only in the registry; field "driver" is there only in the registry; field "e" is there only in this registration` + bump,
		},
		"filter taken away": {fields(orca.MetadataField{Name: "car"}, driver), `window type Lap 1.0.0 has other metadata fields: field "car" is marked filter only in the registry` + bump},
		"filter added": {
			fields(car, orca.MetadataField{Name: "driver", NoStore: true, Filter: true}),
			`window type Lap 1.0.0 has other metadata fields: field "driver" is marked filter only in this registration` + bump,
		},
		"noStore taken away": {fields(car, orca.MetadataField{Name: "driver"}), `window type Lap 1.0.0 has other metadata fields: field "driver" is marked noStore only in the registry` + bump},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			mean := algorithm(id("stats", "Mean"))
			w.register(registration("stats", "localhost:1", mean))
			w.register(registration("stats", "localhost:1")) // it holds for retired ones too
			before := w.Snapshot()
			changed := mean
			test.change(&changed)
			fresh := on(orca.WindowType{ID: orca.WindowTypeID{Name: "Pit", Version: "1.0.0"}}, algorithm(id("stats", "Fresh")))
			_, err := w.Register(context.Background(), registration("stats", "localhost:1", fresh, changed))
			expectRefusal(t, err, orca.Precondition, test.want)
			if w.Snapshot() != before || w.store.version() != before.Version {
				t.Error("a refused registration left something")
			}
		})
	}
}

func TestFieldsOfAWindowTypeHoldForAllProcessors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"))))
	other := lap
	other.Fields = nil
	_, err := w.Register(context.Background(), registration("health", "localhost:2", on(other, algorithm(id("health", "Best")))))
	expectRefusal(t, err, orca.Precondition, `window type Lap 1.0.0 has other metadata fields: field "car" is there only in the registry; `+
		`field "driver" is there only in the registry; this never changes within one version: give what has changed a new version`)
}

func TestAnAlgorithmCannotNeedItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Register(context.Background(), registration("stats", "localhost:1", algorithm(id("stats", "Mean"), id("stats", "Mean"))))
	expectRefusal(t, err, orca.Precondition,
		"an algorithm depends on itself: Mean 1.0.0 → Mean 1.0.0; its own past results are asked for by its self lookback")
}

func TestCycleThroughThreeProcessorsInAnyOrder(t *testing.T) {
	t.Parallel()
	all := []orca.Registration{
		registration("pa", "localhost:1", algorithm(id("pa", "A"), id("pb", "B"))),
		registration("pb", "localhost:2", algorithm(id("pb", "B"), id("pc", "C"))),
		registration("pc", "localhost:3", algorithm(id("pc", "C"), id("pa", "A"))),
	}
	for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		w := newWorld(t)
		w.register(all[order[0]])
		w.register(all[order[1]])
		before := w.Snapshot()
		_, err := w.Register(context.Background(), all[order[2]])
		expectRefusal(t, err, orca.Precondition,
			`the dependencies form a cycle: A 1.0.0 → B 1.0.0 → C 1.0.0 → A 1.0.0 (processors "pa", "pb", "pc"); take one of them out`)
		if w.Snapshot() != before {
			t.Error("a refused registration left something")
		}
	}
}

func TestCycleClosedThroughAMiddleNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	top, middle, bottom := id("p", "Top"), id("p", "Middle"), id("p", "Bottom")
	w.register(registration("p", "localhost:1", algorithm(bottom), algorithm(middle, bottom), algorithm(top, middle)))
	_, err := w.Register(context.Background(),
		registration("p", "localhost:1", algorithm(bottom, top), algorithm(middle, bottom), algorithm(top, middle)))
	expectRefusal(t, err, orca.Precondition, "the dependencies form a cycle: Bottom 1.0.0 → Top 1.0.0 → Middle 1.0.0 → Bottom 1.0.0; take one of them out")
	// Window types make no difference.
	_, err = w.Register(context.Background(),
		registration("p", "localhost:1", algorithm(bottom), algorithm(middle, bottom, top), algorithm(top, middle)))
	expectRefusal(t, err, orca.Precondition, "the dependencies form a cycle: Middle 1.0.0 → Top 1.0.0 → Middle 1.0.0; take one of them out")
}

func TestCycleAcrossWindowTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Register(context.Background(), registration("p", "localhost:1",
		algorithm(id("p", "A"), id("p", "B")), on(season, algorithm(id("p", "B"), id("p", "A")))))
	expectRefusal(t, err, orca.Precondition, "the dependencies form a cycle: A 1.0.0 → B 1.0.0 → A 1.0.0; take one of them out")
}

func TestARetiredAlgorithmClosesNoCycleUntilItComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := id("pa", "A"), id("pb", "B")
	w.register(registration("pa", "localhost:1", algorithm(a)))
	w.register(registration("pb", "localhost:2", algorithm(b, a)))
	w.register(registration("pb", "localhost:2"))
	w.register(registration("pa", "localhost:1", algorithm(a, b)))
	_, err := w.Register(context.Background(), registration("pb", "localhost:2", algorithm(b, a)))
	expectRefusal(t, err, orca.Precondition, `the dependencies form a cycle: A 1.0.0 → B 1.0.0 → A 1.0.0 (processors "pa", "pb"); take one of them out`)
	w.register(registration("pb", "localhost:2", algorithm(b)))
	expect(t, "plan", []string{"B", "A"}, w.planned())
}

func TestAProcessorBelongsToOneProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	of := func(project string) orca.Registration {
		r := registration("stats", "localhost:1", algorithm(id("stats", "Mean")))
		r.Project = project
		return r
	}
	project := func() string { return w.Snapshot().Processors()[0].Project }
	w.register(of(""))
	expect(t, "not said", "", project())
	w.register(of("racing"))
	expect(t, "filled by the first that is said", "racing", project())
	w.register(of(""))
	expect(t, "kept when not said", "racing", project())
	_, err := w.Register(context.Background(), of("sailing"))
	expectRefusal(t, err, orca.Conflict, `processor "stats" belongs to project "racing", and this registration says project "sailing": `+
		"give the processor another name, or register it under its own project")
	w.register(of("racing"))
}

func TestContradictionsWithinARegistration(t *testing.T) {
	t.Parallel()
	mean := algorithm(id("stats", "Mean"))
	twice := algorithm(id("stats", "Best"), mean.ID, mean.ID)
	twice.Dependencies[1].Runtime = "python3.13" // no part of what is needed
	unfiltered, repeated := lap, lap
	unfiltered.Fields = []orca.MetadataField{{Name: "car"}, lap.Fields[1]}
	repeated.Fields = []orca.MetadataField{lap.Fields[0], lap.Fields[0]}
	for name, test := range map[string]struct {
		registration orca.Registration
		want         string
	}{
		"an algorithm twice": {
			registration("stats", "localhost:1", mean, mean),
			"algorithm Mean 1.0.0 is announced twice: leave one out, or give it another name or version",
		},
		"a dependency twice with the same lookback": {
			registration("stats", "localhost:1", mean, twice),
			`algorithm Best 1.0.0 depends twice on Mean 1.0.0 of processor "stats" with the same lookback: leave one out, or give it another lookback`,
		},
		"two definitions of a window type": {
			registration("stats", "localhost:1", mean, on(unfiltered, algorithm(id("stats", "Best")))),
			`window type Lap 1.0.0 is defined in two ways: field "car" is marked filter only elsewhere in this registration: define it once, or give one of them another version`,
		},
		"a metadata field twice": {
			registration("stats", "localhost:1", on(repeated, mean)),
			`window type Lap 1.0.0 has metadata field "car" twice: leave one out`,
		},
		"an algorithm of another processor": {
			registration("health", "localhost:1", mean),
			`Mean 1.0.0 of processor "stats" is announced by processor "health"`,
		},
		"no address": {
			registration("stats", "grpc://", mean),
			`the connection string "grpc://" has no address: give host:port`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, err := w.Register(context.Background(), test.registration)
			expectRefusal(t, err, orca.Invalid, test.want)
			if n := w.store.written(); n != 0 {
				t.Errorf("%d changes written", n)
			}
		})
	}
}
