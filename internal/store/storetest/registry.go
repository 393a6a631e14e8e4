package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var registryTests = map[string]func(*testing.T, Opener){
	"RegistryIsEmptyAtFirst":             testRegistryEmpty,
	"RegistryComesBackInOrder":           testRegistryRoundTrip,
	"RegistryReplacesAndForgets":         testRegistryReplace,
	"RegistryRefusesAnotherBase":         testRegistryBase,
	"RegistryIsWrittenWholeOrNotAtAll":   testRegistryWhole,
	"RegistryTakesOneOfTwoChangesAtOnce": testRegistryRace,
	"RegistryTakesAnyText":               testRegistryText,
}

func (l *ledger) registry() orca.Registry {
	l.t.Helper()
	r := must[orca.Registry](l.t)(l.LoadRegistry(l.t.Context()))
	check(l.t, "registry version", must[int64](l.t)(l.RegistryVersion(l.t.Context())), r.Version)
	return r
}

func testRegistryEmpty(t *testing.T, open Opener) {
	check(t, "registry", opened(t, open).registry(), orca.Registry{})
}

func testRegistryRoundTrip(t *testing.T, open Opener) {
	l := served(t, open)
	check(t, "registry", l.registry(), registered())
	l.reopen()
	check(t, "registry after reopening", l.registry(), registered())
}

func testRegistryReplace(t *testing.T, open Opener) {
	l := served(t, open)
	retired := cpu
	retired.Retired, retired.RetiredAt, retired.Runtime = true, at(7), "python3.14"
	retired.Algorithm.Description = "another description"
	described := hour
	described.Description = "sixty minutes"
	withdrawn := registered().Instances[1]
	withdrawn.Algorithms = nil
	change := orca.RegistryChange{
		Base:        1,
		WindowTypes: []orca.WindowType{described},
		Processors:  []orca.Processor{{Name: "zeta", Project: "lab"}},
		Algorithms:  []orca.KnownAlgorithm{retired},
		Instances:   []orca.Instance{withdrawn},
		Forgotten:   []string{registered().Instances[0].Address, "never heard of"},
	}
	if err := l.ChangeRegistry(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	want := registered()
	want.Version = 2
	want.WindowTypes[0], want.Processors[1], want.Algorithms[0] = described, change.Processors[0], retired
	want.Instances = []orca.Instance{withdrawn}
	check(t, "registry", l.registry(), want)
}

func testRegistryBase(t *testing.T, open Opener) {
	l := served(t, open)
	for _, base := range []int64{0, 2} {
		change := orca.RegistryChange{Base: base, Forgotten: []string{registered().Instances[0].Address}}
		if err := l.ChangeRegistry(t.Context(), change); !errors.Is(err, orca.Precondition) {
			t.Errorf("a change of version %d to version 1 gives %v, want a failed precondition", base, err)
		}
	}
	check(t, "registry", l.registry(), registered())
}

func testRegistryWhole(t *testing.T, open Opener) {
	l := served(t, open)
	stray := known("alpha", "Stray", orca.WindowType{ID: orca.WindowTypeID{Name: "Nowhere", Version: "1.0.0"}}, orca.ResultNone, "r")
	change := orca.RegistryChange{
		Base:        1,
		WindowTypes: []orca.WindowType{{ID: orca.WindowTypeID{Name: "Day", Version: "1.0.0"}}},
		Algorithms:  []orca.KnownAlgorithm{stray},
		Forgotten:   []string{registered().Instances[0].Address},
	}
	err := l.ChangeRegistry(t.Context(), change)
	if !errors.Is(err, orca.Invalid) || !strings.Contains(err.Error(), "Nowhere 1.0.0") {
		t.Errorf("an algorithm on a window type that nobody registered gives %v", err)
	}
	check(t, "registry", l.registry(), registered())
}

func testRegistryRace(t *testing.T, open Opener) {
	l := served(t, open)
	const rivals = 8
	errs := make([]error, rivals)
	var all sync.WaitGroup
	for i := range rivals {
		all.Go(func() {
			errs[i] = l.ChangeRegistry(t.Context(), orca.RegistryChange{Base: 1, Processors: []orca.Processor{{Name: number("p", i)}}})
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, orca.Precondition):
			t.Error(err)
		}
	}
	if won != 1 || l.registry().Version != 2 || len(l.registry().Processors) != 3 {
		t.Errorf("%d of %d changes of the same version were written, registry %+v", won, rivals, l.registry())
	}
}

func testRegistryText(t *testing.T, open Opener) {
	l := opened(t, open)
	for i, name := range []string{`'); DROP TABLE run; --`, `a"b\c<&>`, "ünïcödé 🐋 \u2028", "%_?$1:x@y", " ", "a\x00b", "a\x01b", "\x00"} {
		typ := orca.WindowType{ID: orca.WindowTypeID{Name: name, Version: name}, Fields: []orca.MetadataField{{Name: name, Description: name}}}
		a := known(name, name, typ, orca.ResultNone, name)
		change := orca.RegistryChange{
			Base:        int64(i),
			WindowTypes: []orca.WindowType{typ},
			Algorithms:  []orca.KnownAlgorithm{a},
			Processors:  []orca.Processor{{Name: name, Project: name, Newest: []orca.AlgorithmID{a.Algorithm.ID}}},
			Instances: []orca.Instance{{Address: name, Connection: name, Processor: name, Runtime: name,
				Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{a.Algorithm.ID: {9}}}},
		}
		if err := l.ChangeRegistry(t.Context(), change); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		got := l.registry()
		got.WindowTypes = slices.DeleteFunc(got.WindowTypes, func(t orca.WindowType) bool { return t.ID.Name != name })
		got.Algorithms = slices.DeleteFunc(got.Algorithms, func(a orca.KnownAlgorithm) bool { return a.Algorithm.ID.Name != name })
		got.Processors = slices.DeleteFunc(got.Processors, func(p orca.Processor) bool { return p.Name != name })
		got.Instances = slices.DeleteFunc(got.Instances, func(i orca.Instance) bool { return i.Address != name })
		check(t, name, got, orca.Registry{Version: int64(i) + 1, WindowTypes: change.WindowTypes, Processors: change.Processors,
			Algorithms: change.Algorithms, Instances: change.Instances})
	}
}
