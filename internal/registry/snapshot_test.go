package registry_test

import (
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/registry"
)

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
