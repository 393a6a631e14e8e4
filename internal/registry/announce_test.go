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

// A retired algorithm runs nowhere, so that dependencies can be turned round; coming back as it was would close a cycle.
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
