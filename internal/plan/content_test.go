package plan_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

func TestParseGivesThePlanBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		built, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		content := built.Content()
		if content.Hash != sha256.Sum256(content.Content) {
			t.Fatal("the hash is not that of the bytes")
		}
		parsed, err := plan.Parse(content.Content)
		if err != nil {
			t.Fatalf("%v\n%s", err, content.Content)
		}
		if diff := cmp.Diff(built, parsed, cmpopts.IgnoreUnexported(plan.Plan{})); diff != "" {
			t.Fatalf("plan (-built +parsed):\n%s", diff)
		}
		if diff := cmp.Diff(content, parsed.Content()); diff != "" {
			t.Fatalf("content (-built +parsed):\n%s", diff)
		}
		for i, n := range built.Nodes {
			if j, ok := parsed.Index(n.Algorithm.ID); i != j || !ok {
				t.Fatalf("Index(%s) = %d, %v; want %d", n.Algorithm.ID.Full(), j, ok, i)
			}
		}
	})
}

// stored is a plan as released versions wrote it. It must be read for ever: runs in ledgers follow it.
const stored = `{"format":1,"window_type":{"name":"Lap","version":"1.0.0"},"window_types":[` +
	`{"id":{"name":"Lap","version":"1.0.0"},"description":"a lap","fields":[{"name":"car","filter":true},{"name":"driver","no_store":true}]},` +
	`{"id":{"name":"Season","version":"1.0.0"}}],"nodes":[` +
	`{"id":{"processor":"stats","name":"Mean","version":"1.0.0"},"description":"the mean","result_type":2,"self":{"range":{"count":3},"gap":{"span":18446744073709551615}},"window_type":0},` +
	`{"id":{"processor":"stats","name":"Spread","version":"1.0.0"},"result_type":2,"dependencies":[` +
	`{"on":{"processor":"stats","name":"Mean","version":"1.0.0"},"runtime":"go1.26"},` +
	`{"on":{"processor":"stats","name":"Old","version":"1.0.0"},"runtime":"go1.26","lookback":{"range":{"span":5}}}],` +
	`"window_type":0,"blocked":"needs Old 1.0.0, which is retired"}],"foreign":[` +
	`{"id":{"processor":"stats","name":"Old","version":"1.0.0"},"result_type":2,"window_type":1}]}`

func storedWorld() world {
	mean := algorithm("Mean")
	mean.Description = "the mean"
	mean.Self = orca.Lookback{Range: orca.Extent{Count: 3}, Gap: orca.Extent{Span: 1<<64 - 1}}
	old := algorithm("Old")
	old.WindowType = season
	spread := algorithm("Spread", "Mean", "Old")
	spread.Dependencies[1].Lookback.Range.Span = 5
	w := worldOf(mean, spread, old)
	w.retired[old.ID] = true
	return w
}

func TestStoredForm(t *testing.T) {
	t.Parallel()
	built := storedWorld().build(t)
	if diff := cmp.Diff(stored, string(built.Content().Content)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	parsed, err := plan.Parse([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(built, parsed, cmpopts.IgnoreUnexported(plan.Plan{})); diff != "" {
		t.Errorf("plan (-built +parsed):\n%s", diff)
	}
}

// A plan keeps the hash that its runs name, also where it would be written otherwise today.
func TestParseKeepsTheBytes(t *testing.T) {
	t.Parallel()
	spaced := []byte(strings.ReplaceAll(stored, ",", ", "))
	p, err := plan.Parse(spaced)
	if err != nil {
		t.Fatal(err)
	}
	want := &orca.PlanContent{Hash: sha256.Sum256(spaced), Content: spaced, Nodes: len(p.Nodes)}
	for _, n := range p.Nodes {
		want.Algorithms = append(want.Algorithms, n.Algorithm.ID)
	}
	if diff := cmp.Diff(want, p.Content()); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	// Each case spoils the stored plan in one place.
	for name, test := range map[string]struct{ old, new, want string }{
		"nothing":               {stored, ``, "EOF"},
		"another value":         {stored, `[]`, "cannot unmarshal array"},
		"a cut":                 {`"window_type":1}]}`, ``, "unexpected EOF"},
		"more bytes":            {`"window_type":1}]}`, `"window_type":1}]}{}`, "more than one JSON value"},
		"a newer format":        {`"format":1`, `"format":2`, "format 2; this version of Orca reads format 1"},
		"no format":             {`"format":1,`, ``, "format 0; this version of Orca reads format 1"},
		"an unknown field":      {`"format":1`, `"format":1,"surprise":true`, `unknown field "surprise"`},
		"another window type":   {`"window_type":{"name":"Lap"`, `"window_type":{"name":"Pit"`, `Mean 1.0.0 of processor "stats" is triggered by Lap 1.0.0`},
		"no such window type":   {`"window_type":1}`, `"window_type":2}`, `Old 1.0.0 of processor "stats" names window type 2 of 2`},
		"a negative place":      {`"window_type":1}`, `"window_type":-1}`, `Old 1.0.0 of processor "stats" names window type -1 of 2`},
		"a node twice":          {`"id":{"processor":"stats","name":"Spread"`, `"id":{"processor":"stats","name":"Mean"`, `Mean 1.0.0 of processor "stats" is there twice`},
		"a missing definition":  {`{"on":{"processor":"stats","name":"Old"`, `{"on":{"processor":"stats","name":"Odd"`, "Odd 1.0.0 of processor \"stats\", whose definition is missing"},
		"a node before its own": {`{"on":{"processor":"stats","name":"Mean"`, `{"on":{"processor":"stats","name":"Spread"`, `Spread 1.0.0 of processor "stats" comes before Spread 1.0.0 of processor "stats", which it needs`},
		"a foreign one twice": {
			`,"foreign":[`, `,"foreign":[{"id":{"processor":"stats","name":"Old","version":"1.0.0"},"result_type":2,"window_type":1},`,
			`Old 1.0.0 of processor "stats" is there twice`,
		},
		"a node that waits for ever": {
			`,"window_type":0,"blocked":"needs Old 1.0.0, which is retired"}`,
			`,"window_type":0,"blocked":"needs Old 1.0.0, which is retired"},{"id":{"processor":"stats","name":"Top","version":"1.0.0"},"result_type":2,"dependencies":[{"on":{"processor":"stats","name":"Spread","version":"1.0.0"}}],"window_type":0}`,
			`Top 1.0.0 of processor "stats" can run, but Spread 1.0.0 of processor "stats", which it needs, cannot`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoilt := strings.Replace(stored, test.old, test.new, 1)
			if spoilt == stored {
				t.Fatalf("the stored plan has no %s", test.old)
			}
			_, err := plan.Parse([]byte(spoilt))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "read stored plan: ") {
				t.Errorf("error %v\n want %s", err, test.want)
			}
		})
	}
}

// Whatever is stored, Parse returns an error or a plan that can be run to its end.
func FuzzParse(f *testing.F) {
	f.Add([]byte(stored))
	f.Add([]byte(`{"format":1}`))
	f.Add(deep(3, 2).build(f).Content().Content)
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := plan.Parse(content)
		if err != nil {
			return
		}
		g := plan.NewProgress(p)
		queue := g.Ready()
		for i, n := range p.Nodes {
			if n.Blocked != "" {
				g.Settle(i, orca.Skipped)
			}
		}
		for next := 0; next < len(queue); next++ {
			queue = append(queue, g.Settle(queue[next], orca.Succeeded)...)
		}
		if g.End() == orca.RunOpen {
			t.Errorf("%d nodes stay open", g.Open())
		}
	})
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	base := func() orca.Algorithm { return storedWorld().algorithms[id("Spread")] }
	hash := plan.Definition(base())
	// Ledgers remember definitions by this hash: that of the canonical form must stay.
	if got, want := hex.EncodeToString(hash[:]), "e7f4e0c9d6b288e761415c8253cb1d6a"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	for name, change := range map[string]func(*orca.Algorithm){
		"processor":   func(a *orca.Algorithm) { a.ID.Processor = "x" },
		"name":        func(a *orca.Algorithm) { a.ID.Name = "x" },
		"version":     func(a *orca.Algorithm) { a.ID.Version = "x" },
		"description": func(a *orca.Algorithm) { a.Description = "x" },
		"window type": func(a *orca.Algorithm) { a.WindowType.ID.Version = "x" },
		"its words":   func(a *orca.Algorithm) { a.WindowType.Description = "x" },
		"a field":     func(a *orca.Algorithm) { a.WindowType.Fields = a.WindowType.Fields[:1] },
		"a field flag": func(a *orca.Algorithm) {
			a.WindowType.Fields = []orca.MetadataField{{Name: "car"}, {Name: "driver", NoStore: true}}
		},
		"result type": func(a *orca.Algorithm) { a.ResultType = orca.ResultArray },
		"dependency":  func(a *orca.Algorithm) { a.Dependencies = a.Dependencies[:1] },
		"order of dependencies": func(a *orca.Algorithm) {
			a.Dependencies = []orca.Dependency{a.Dependencies[1], a.Dependencies[0]}
		},
		"lookback":      func(a *orca.Algorithm) { a.Dependencies[0].Lookback.Range.Count = 7 },
		"gap":           func(a *orca.Algorithm) { a.Dependencies[0].Lookback.Gap.Count = 7 },
		"runtime":       func(a *orca.Algorithm) { a.Dependencies[0].Runtime = "x" },
		"self lookback": func(a *orca.Algorithm) { a.Self.Range.Span = 7 },
	} {
		a := base()
		change(&a)
		if plan.Definition(a) == hash {
			t.Errorf("another %s leaves the definition as it is", name)
		}
	}
	for name, same := range map[string]func(*orca.Algorithm){
		"order of fields": func(a *orca.Algorithm) {
			a.WindowType.Fields = slices.Clone(a.WindowType.Fields)
			slices.Reverse(a.WindowType.Fields)
		},
		"empty list": func(a *orca.Algorithm) { a.Dependencies = append([]orca.Dependency{}, a.Dependencies...) },
	} {
		a := base()
		same(&a)
		if plan.Definition(a) != hash {
			t.Errorf("another %s changes the definition", name)
		}
	}
	reversed := slices.Clone(lap.Fields)
	slices.Reverse(reversed)
	a := algorithm("Mean")
	a.WindowType.Fields = reversed
	plan.Definition(a)
	if reversed[0].Name != "driver" {
		t.Error("Definition changed its argument")
	}
}
