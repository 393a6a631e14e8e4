package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
	"github.com/orca-telemetry/orca/internal/registry"
)

func expect[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func expectMessage(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("message %q\n    want %q", got, want)
	}
}

func expectRefusal(t *testing.T, err error, kind orca.Kind, want string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v is not %v", err, kind)
	}
	if err == nil || err.Error() != want {
		t.Errorf("error %v\n want %s", err, want)
	}
}

func TestRegistrationIsStoredWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := algorithm(id("stats", "Mean")), on(season, algorithm(id("stats", "Best"), id("stats", "Mean")))
	r := registration("stats", "grpc://localhost:5377", b, a)
	r.Project = "racing"
	expectMessage(t, w.register(r), "")

	want := orca.Registry{
		Version:     1,
		WindowTypes: []orca.WindowType{lap, season},
		Processors:  []orca.Processor{{Name: "stats", Project: "racing", Newest: []orca.AlgorithmID{b.ID, a.ID}}},
		Algorithms:  []orca.KnownAlgorithm{{Algorithm: b, Runtime: "go1.26"}, {Algorithm: a, Runtime: "go1.26"}},
		Instances: []orca.Instance{{
			Address: "localhost:5377", Connection: "grpc://localhost:5377", Processor: "stats", Runtime: "go1.26",
			Algorithms:   map[orca.AlgorithmID]orca.DefinitionHash{a.ID: plan.Definition(a), b.ID: plan.Definition(b)},
			RegisteredAt: 1,
		}},
	}
	expect(t, "stored", want, sortRegistry(w.store.registry))
	s := w.Snapshot()
	expect(t, "snapshot", want, orca.Registry{
		Version: s.Version, WindowTypes: s.WindowTypes(), Processors: s.Processors(),
		Algorithms: want.Algorithms, Instances: s.Instances(),
	})
	expect(t, "states", map[string]string{"stats/Mean": "active", "stats/Best": "active"}, w.states())
}

func TestRegistrationReplacesWhatItsAddressAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean, best, trend := algorithm(id("stats", "Mean")), algorithm(id("stats", "Best")), algorithm(id("stats", "Trend"))
	w.register(registration("stats", "localhost:1", mean, best))
	message := w.register(registration("stats", "grpc://localhost:1", best, trend))
	expectMessage(t, message, `retired, since nobody announces them any more: Mean 1.0.0 of processor "stats"`)
	expect(t, "states", map[string]string{"stats/Mean": "retired", "stats/Best": "active", "stats/Trend": "active"}, w.states())
	if n := len(w.Snapshot().Instances()); n != 1 {
		t.Errorf("%d instances: addresses are compared without scheme", n)
	}
}

func TestAddressIsTakenFromAnotherProcessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("old", "grpc://localhost:1", algorithm(id("old", "Mean"))))
	message := w.register(registration("new", "localhost:1", algorithm(id("new", "Mean"))))
	expectMessage(t, message, `address localhost:1 was taken from processor "old"`)
	instances := w.Snapshot().Instances()
	if len(instances) != 1 || instances[0].Processor != "new" {
		t.Errorf("instances %+v", instances)
	}
	// The newest registration of "old" still announces it: that its instance is gone is silence, no more.
	expect(t, "states", map[string]string{"old/Mean": "active", "new/Mean": "active"}, w.states())
}

func TestAddressTakenRetiresWhatOnlyItAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("old", "localhost:1", algorithm(id("old", "Mean")), algorithm(id("old", "Best"))))
	w.register(registration("old", "localhost:2", algorithm(id("old", "Mean"))))
	w.register(registration("pits", "localhost:3", algorithm(id("pits", "Stop"))))
	w.forget("localhost:3")
	expect(t, "states", map[string]string{"old/Mean": "active", "old/Best": "active", "pits/Stop": "active"}, w.states())
	message := w.register(registration("pits", "localhost:1"))
	expectMessage(t, message, `address localhost:1 was taken from processor "old". `+
		`retired, since nobody announces them any more: Best 1.0.0 of processor "old"; Stop 1.0.0 of processor "pits"`)
	expect(t, "states", map[string]string{"old/Mean": "active", "old/Best": "retired", "pits/Stop": "retired"}, w.states())
}

func TestAnAddressWithoutAlgorithmsChangesHandsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("old", "localhost:1"))
	expectMessage(t, w.register(registration("new", "localhost:1")), `address localhost:1 was taken from processor "old"`)
	if i := w.Snapshot().Instances(); len(i) != 1 || i[0].Processor != "new" {
		t.Errorf("instances %+v", i)
	}
}

func TestAnotherSchemeIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("stats", "localhost:1"))
	w.register(registration("stats", "grpcs://localhost:1"))
	if i := w.Snapshot().Instances(); len(i) != 1 || i[0].Connection != "grpcs://localhost:1" {
		t.Errorf("instances %+v", i)
	}
}

func TestEmptyListWithdrawsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var algorithms []orca.Algorithm
	var names []string
	for _, name := range []string{"Best", "Fast", "Gap", "Mean", "Slow"} {
		algorithms = append(algorithms, algorithm(id("stats", name)))
		names = append(names, name+` 1.0.0 of processor "stats"`)
	}
	w.register(registration("stats", "localhost:1", algorithms...))
	message := w.register(registration("stats", "localhost:1"))
	expectMessage(t, message, "retired, since nobody announces them any more: "+strings.Join(names, "; "))
	for name, state := range w.states() {
		expect(t, name, "retired", state)
	}
	expect(t, "plan", []string{}, w.planned())
	known, _ := w.Snapshot().Algorithm(id("stats", "Mean"))
	if known.RetiredAt != 2 {
		t.Errorf("retired at %d, want the time of the second registration, 2", known.RetiredAt)
	}
}

func TestAnAlgorithmStaysWhileAnInstanceAnnouncesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean, best := algorithm(id("stats", "Mean")), algorithm(id("stats", "Best"))
	w.register(registration("stats", "localhost:1", mean, best))
	w.register(registration("stats", "localhost:2", best)) // a rolling upgrade
	expect(t, "while the old instance is there", map[string]string{"stats/Mean": "active", "stats/Best": "active"}, w.states())
	w.forget("grpc://localhost:1")
	expect(t, "when it is forgotten", map[string]string{"stats/Mean": "retired", "stats/Best": "active"}, w.states())
	if n := len(w.Snapshot().Instances()); n != 1 {
		t.Errorf("%d instances", n)
	}
}

func TestSilenceRetiresNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"))))
	w.forget("localhost:1")
	if n := len(w.Snapshot().Instances()); n != 0 {
		t.Errorf("%d instances", n)
	}
	expect(t, "states", map[string]string{"stats/Mean": "active"}, w.states())
	before := w.store.written()
	w.forget("localhost:1")
	if n := w.store.written() - before; n != 0 {
		t.Errorf("forgetting an unknown address wrote %d changes", n)
	}
}

func TestARetiredAlgorithmComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean := algorithm(id("stats", "Mean"))
	w.register(registration("stats", "localhost:1", mean))
	w.register(registration("stats", "localhost:1"))
	expectMessage(t, w.register(registration("stats", "localhost:1", mean)), "")
	expect(t, "states", map[string]string{"stats/Mean": "active"}, w.states())
	got, _ := w.Snapshot().Algorithm(mean.ID)
	expect(t, "known", orca.KnownAlgorithm{Algorithm: mean, Runtime: "go1.26"}, got.KnownAlgorithm)
	expect(t, "plan", []string{"Mean"}, w.planned())
}

func TestDependentsOfARetiredAlgorithmAreTriggeredAndBlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean, spread := algorithm(id("stats", "Mean")), algorithm(id("health", "Spread"), id("stats", "Mean"))
	w.register(registration("stats", "localhost:1", mean))
	w.register(registration("health", "localhost:2", spread))
	expectMessage(t, w.register(registration("stats", "localhost:1")),
		`retired, since nobody announces them any more: Mean 1.0.0 of processor "stats". `+
			`never running: Spread 1.0.0 of processor "health" needs Mean 1.0.0, which is retired`)
	expect(t, "states", map[string]string{"stats/Mean": "retired", "health/Spread": "active"}, w.states())
	nodes := w.Snapshot().Plan(lap.ID).Nodes
	if len(nodes) != 1 || nodes[0].Blocked != `needs Mean 1.0.0 of processor "stats", which is retired` {
		t.Errorf("nodes %+v", nodes)
	}
	// Who announces such an algorithm again is told again.
	expectMessage(t, w.register(registration("health", "localhost:2", spread)),
		`never running: Spread 1.0.0 needs Mean 1.0.0 of processor "stats", which is retired`)
}

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

func TestDescriptionsDependenciesAndLookbacksMayChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean, best := algorithm(id("stats", "Mean")), algorithm(id("stats", "Best"))
	w.register(registration("stats", "localhost:1", mean, best))
	first := w.Snapshot().Plan(lap.ID)

	changed := algorithm(id("stats", "Mean"), best.ID)
	changed.Description = "the mean"
	changed.Dependencies[0].Lookback.Range.Count = 3
	changed.Self.Range.Span = 60e9
	changed.WindowType.Description = "a lap of the track"
	changed.WindowType.Fields = []orca.MetadataField{{Name: "car", Description: "its number", Filter: true}, lap.Fields[1]}
	best.WindowType = changed.WindowType
	expectMessage(t, w.register(registration("stats", "localhost:1", changed, best)), "")

	known, _ := w.Snapshot().Algorithm(mean.ID)
	expect(t, "algorithm", changed, known.Algorithm)
	windowType, _ := w.Snapshot().WindowType(lap.ID)
	expect(t, "window type", changed.WindowType, windowType)
	expect(t, "plan", []string{"Best", "Mean"}, w.planned())
	if len(first.Nodes) != 2 || len(first.Nodes[1].Needs) != 0 {
		t.Error("the earlier plan changed")
	}
}

func TestTheOrderOfFieldsIsNoChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean := algorithm(id("stats", "Mean"))
	w.register(registration("stats", "localhost:1", mean))
	before := w.Snapshot()
	reversed := lap
	reversed.Fields = slices.Clone(lap.Fields)
	slices.Reverse(reversed.Fields)
	w.register(registration("stats", "localhost:1", on(reversed, mean)))
	if w.Snapshot() != before {
		t.Error("there is a new version")
	}
	// Two orders within one registration are fine as well.
	w.register(registration("stats", "localhost:1", on(reversed, mean), algorithm(id("stats", "Best"))))
	known, _ := w.Snapshot().Algorithm(mean.ID)
	expect(t, "Mean", mean, known.Algorithm)
	// The order stays that of the first, also where something else changes.
	patched := registration("stats", "localhost:1", on(reversed, mean))
	patched.Runtime = "go1.27"
	w.register(patched)
	known, _ = w.Snapshot().Algorithm(mean.ID)
	expect(t, "Mean", orca.KnownAlgorithm{Algorithm: mean, Runtime: "go1.27"}, known.KnownAlgorithm)
}

// Each definition keeps the words that it was announced with; the window type has those of the newest registration.
func TestDescriptionsOfAWindowTypeAreThoseOfTheirAnnouncer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := lap
	other.Description = "once round the track"
	mean, best := algorithm(id("stats", "Mean")), on(other, algorithm(id("health", "Best")))
	w.register(registration("stats", "localhost:1", mean))
	w.register(registration("health", "localhost:2", best))
	w.register(registration("stats", "localhost:1"))
	windowType, _ := w.Snapshot().WindowType(lap.ID)
	expect(t, "window type", other, windowType)
	known, _ := w.Snapshot().Algorithm(mean.ID)
	expect(t, "Mean", mean, known.Algorithm)
	known, _ = w.Snapshot().Algorithm(best.ID)
	expect(t, "Best", best, known.Algorithm)
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	mean, spread := id("stats", "Mean"), id("stats", "Spread")
	report, digest := id("web", "Report"), id("web", "Digest")

	again := algorithm(report, mean, spread, mean) // twice, and awaited once
	again.Dependencies[2].Lookback.Range.Count = 3
	message := w.register(registration("web", "localhost:1", algorithm(digest, report), again))
	expectMessage(t, message, `waiting: Digest 1.0.0 needs Report 1.0.0, which waits itself; `+
		`Report 1.0.0 needs Mean 1.0.0 of processor "stats", which nobody has announced yet and Spread 1.0.0 of processor "stats", which nobody has announced yet`)
	expect(t, "at first", map[string]string{"web/Report": "waiting", "web/Digest": "waiting"}, w.states())
	expect(t, "plan", []string{}, w.planned())
	a, _ := w.Snapshot().Algorithm(report)
	expect(t, "awaited by Report", []orca.AlgorithmID{mean, spread}, a.Awaited)
	a, _ = w.Snapshot().Algorithm(digest)
	expect(t, "awaited by Digest", []orca.AlgorithmID{report}, a.Awaited)

	w.register(registration("stats", "localhost:2", algorithm(mean)))
	expect(t, "with one of two", map[string]string{"web/Report": "waiting", "web/Digest": "waiting", "stats/Mean": "active"}, w.states())
	a, _ = w.Snapshot().Algorithm(report)
	expect(t, "awaited by Report then", []orca.AlgorithmID{spread}, a.Awaited)

	expectMessage(t, w.register(registration("stats", "localhost:2", algorithm(mean), algorithm(spread))), "")
	expect(t, "with both", map[string]string{"web/Report": "active", "web/Digest": "active", "stats/Mean": "active", "stats/Spread": "active"}, w.states())
	expect(t, "plan", []string{"Mean", "Spread", "Report", "Digest"}, w.planned())
	if p, err := w.Plan(ctx, lap.ID); err != nil || p != w.Snapshot().Plan(lap.ID) {
		t.Errorf("Plan: %v", err)
	}
	// A dependency that is retired later is no longer awaited: it was announced.
	w.register(registration("stats", "localhost:2", algorithm(mean)))
	expect(t, "without one", map[string]string{"web/Report": "active", "web/Digest": "active", "stats/Mean": "active", "stats/Spread": "retired"}, w.states())
}

func TestAWaitingAlgorithmIsRetiredLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("web", "localhost:1", algorithm(id("web", "Report"), id("stats", "Mean"))))
	w.register(registration("web", "localhost:1"))
	expect(t, "states", map[string]string{"web/Report": "retired"}, w.states())
}

func TestTwoProcessorsMayNeedEachOther(t *testing.T) {
	t.Parallel()
	left := registration("left", "localhost:1", algorithm(id("left", "Raw")), algorithm(id("left", "Score"), id("right", "Clean")))
	right := registration("right", "localhost:2", algorithm(id("right", "Clean"), id("left", "Raw")))
	for _, order := range [][]orca.Registration{{left, right}, {right, left}} {
		w := newWorld(t)
		for _, r := range order {
			w.register(r)
		}
		expect(t, "states", map[string]string{"left/Raw": "active", "left/Score": "active", "right/Clean": "active"}, w.states())
		expect(t, "plan", []string{"Raw", "Clean", "Score"}, w.planned())
	}
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

// A retired algorithm runs nowhere, so that dependencies can be turned round; coming back as it was would close a cycle.
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

func TestTheSameDependencyTwiceWithOtherLookbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean := algorithm(id("stats", "Mean"))
	trend := algorithm(id("stats", "Trend"), mean.ID, mean.ID)
	trend.Dependencies[1].Lookback.Range.Count = 5
	expectMessage(t, w.register(registration("stats", "localhost:1", trend, mean)), "")
	nodes := w.Snapshot().Plan(lap.ID).Nodes
	if len(nodes) != 2 || len(nodes[1].Inputs) != 2 || len(nodes[1].Needs) != 1 {
		t.Errorf("nodes %+v", nodes)
	}
}

func TestAFilterFieldOfOneTypeOnlyIsWarnedOf(t *testing.T) {
	t.Parallel()
	unfiltered := season
	unfiltered.Fields = []orca.MetadataField{{Name: "car"}, {Name: "year"}}
	best := on(unfiltered, algorithm(id("stats", "Best"), id("laps", "Mean"), id("laps", "Mean")))
	best.Dependencies[1].Lookback.Range.Count = 3 // needed twice, warned of once
	mean := algorithm(id("laps", "Mean"))
	const edge = `(Season 1.0.0) depends on Mean 1.0.0%s (Lap 1.0.0), and only one of the two window types marks "car" filter`

	w := newWorld(t)
	w.register(registration("laps", "localhost:1", mean))
	expectMessage(t, w.register(registration("stats", "localhost:2", best)),
		"rows of all values will mix: Best 1.0.0 "+fmt.Sprintf(edge, ` of processor "laps"`))

	// The other way round it is told to the one that comes last.
	w = newWorld(t)
	w.register(registration("stats", "localhost:2", best))
	expectMessage(t, w.register(registration("laps", "localhost:1", mean)),
		`rows of all values will mix: Best 1.0.0 of processor "stats" `+fmt.Sprintf(edge, ""))

	// Both marks, or none, or a field that one lacks: nothing to warn of.
	w = newWorld(t)
	both := season
	both.Fields = []orca.MetadataField{{Name: "car", Filter: true}, {Name: "year"}, {Name: "driver"}}
	w.register(registration("laps", "localhost:1", mean))
	expectMessage(t, w.register(registration("stats", "localhost:2", on(both, best))), "")
}

func TestRegisteringAgainWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mean, best := algorithm(id("stats", "Mean")), algorithm(id("stats", "Best"))
	r := registration("stats", "localhost:1", mean, best)
	w.register(r)
	before := w.Snapshot()
	w.register(r)
	w.register(registration("stats", "localhost:1", best, mean)) // in another order
	if w.Snapshot() != before || w.store.written() != 1 {
		t.Errorf("registering the same again wrote %d changes", w.store.written()-1)
	}

	patched := r
	patched.Runtime = "go1.27"
	w.register(patched)
	last := w.store.changes[len(w.store.changes)-1]
	expect(t, "change for another runtime", orca.RegistryChange{
		Base:       1,
		Algorithms: []orca.KnownAlgorithm{{Algorithm: mean, Runtime: "go1.27"}, {Algorithm: best, Runtime: "go1.27"}},
		Instances: []orca.Instance{{
			Address: "localhost:1", Connection: "localhost:1", Processor: "stats", Runtime: "go1.27",
			Algorithms:   map[orca.AlgorithmID]orca.DefinitionHash{mean.ID: plan.Definition(mean), best.ID: plan.Definition(best)},
			RegisteredAt: 4,
		}},
	}, last)

	twin := patched
	twin.Connection = "localhost:2"
	w.register(twin)
	last = w.store.changes[len(w.store.changes)-1]
	if len(last.Algorithms) != 0 || len(last.Processors) != 0 || len(last.Instances) != 1 {
		t.Errorf("a twin instance wrote %+v", last)
	}
}

func TestMessagesStayShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var many []orca.Algorithm
	for i := range 100 {
		many = append(many, algorithm(id("stats", fmt.Sprintf("A%03d", i)), id("stats", "Ghost")))
	}
	message := w.register(registration("stats", "localhost:1", many...))
	if !strings.HasPrefix(message, "waiting: A000 1.0.0 needs Ghost 1.0.0, which nobody has announced yet; ") || !strings.HasSuffix(message, "; and 90 more") {
		t.Errorf("message %q", message)
	}
}

func TestPlansAreSharedWhileTheyAreRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean")), on(season, algorithm(id("stats", "Best"), id("stats", "Mean")))))
	laps, seasons := w.Snapshot().Plan(lap.ID), w.Snapshot().Plan(season.ID)
	if laps == nil || laps != w.Snapshot().Plan(lap.ID) {
		t.Fatal("a snapshot has two plans of one type")
	}
	pit := orca.WindowType{ID: orca.WindowTypeID{Name: "Pit", Version: "1.0.0"}}
	w.register(registration("pits", "localhost:2", on(pit, algorithm(id("pits", "Stop")))))
	if w.Snapshot().Plan(lap.ID) != laps || w.Snapshot().Plan(season.ID) != seasons {
		t.Error("a registration that does not concern it made a new plan")
	}
	w.register(registration("pits", "localhost:2")) // twice without being asked for in between
	w.register(registration("pits", "localhost:2", on(pit, algorithm(id("pits", "Stop")))))
	if w.Snapshot().Plan(lap.ID) != laps {
		t.Error("a registration that does not concern it made a new plan")
	}
	// Withdrawn and back: the same content, the same plan.
	w.register(registration("stats", "localhost:1"))
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean")), on(season, algorithm(id("stats", "Best"), id("stats", "Mean")))))
	if w.Snapshot().Plan(lap.ID) != laps {
		t.Error("a plan with the same content is another one")
	}
	// The definition of a dependency of another type is part of the plan.
	changed := algorithm(id("stats", "Mean"))
	changed.Description = "the mean"
	w.register(registration("stats", "localhost:1", changed, on(season, algorithm(id("stats", "Best"), id("stats", "Mean")))))
	if got := w.Snapshot().Plan(season.ID); got == seasons || got.Nodes[0].Inputs[0].Algorithm.Description != "the mean" {
		t.Error("the plan has an earlier definition of a dependency")
	}
	if w.Snapshot().Plan(orca.WindowTypeID{Name: "Ghost"}) != nil {
		t.Error("a plan for a type that nobody announced")
	}
}

func TestExpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(processor, address, runtime, project string, algorithms ...orca.Algorithm) {
		r := registration(processor, address, algorithms...)
		r.Runtime, r.Project = runtime, project
		w.register(r)
	}
	mean, best, old := algorithm(id("stats", "Mean")), algorithm(id("stats", "Best")), algorithm(id("stats", "Old"))
	report, gone := algorithm(id("web", "Report"), id("ghost", "Ghost")), algorithm(id("quiet", "Gone"))
	at("web", "localhost:9", "node24", "", report) // waiting
	at("stats", "localhost:1", "python3.12", "racing", mean, best, old)
	at("stats", "grpc://localhost:2", "python3.13", "racing", mean) // the newer of two runtimes has Mean
	at("stats", "localhost:3", "python3.12", "racing", best)        // the newer of two instances of 3.12
	at("stats", "localhost:1", "python3.12", "racing", best)        // withdraws Old
	at("quiet", "localhost:5", "go1.26", "racing", gone)
	w.forget("localhost:5")
	at("empty", "localhost:6", "go1.26", "racing")

	all := []orca.Registration{
		{Processor: "quiet", Project: "racing", Runtime: "go1.26", Connection: "", Algorithms: []orca.Algorithm{gone}},
		{Processor: "stats", Project: "racing", Runtime: "python3.12", Connection: "localhost:1", Algorithms: []orca.Algorithm{best}},
		{Processor: "stats", Project: "racing", Runtime: "python3.13", Connection: "grpc://localhost:2", Algorithms: []orca.Algorithm{mean}},
		{Processor: "web", Runtime: "node24", Connection: "localhost:9", Algorithms: []orca.Algorithm{report}},
	}
	expect(t, "all", all, w.Snapshot().Expose(""))
	expect(t, "without racing", all[3:], w.Snapshot().Expose("racing"))
	expect(t, "without sailing", all, w.Snapshot().Expose("sailing"))

	// The only instance of a runtime is gone: what is left of the processor is the best guess.
	at("stats", "grpc://localhost:2", "python3.13", "racing", mean)
	w.forget("localhost:2")
	if got := w.Snapshot().Expose("")[2]; got.Runtime != "python3.13" || got.Connection != "localhost:1" {
		t.Errorf("exposed %+v", got)
	}
}

func TestStateNames(t *testing.T) {
	t.Parallel()
	got := []string{registry.Active.String(), registry.Waiting.String(), registry.Retired.String(), registry.State(9).String()}
	expect(t, "names", []string{"active", "waiting", "retired", "algorithm state 9"}, got)
}
