package torture

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orca"
)

// modelled works out, by position, what every run of a ledger was to be given and what must have come of it. The order
// in which runs were accepted decides, and the outcomes that were not an algorithm's own: cancelled ones, and those
// whose attempts were used up. Windows of different assets never see each other, so that each asset has its own model.
func modelled(r *Record) map[int64]*lookbackmodel.Run {
	type accepted struct {
		window *Window
		run    *LedgerRun
	}
	byAsset := map[string][]accepted{}
	for i := range r.Windows {
		w := &r.Windows[i]
		for k := range w.Runs {
			byAsset[assetOf(w.N)] = append(byAsset[assetOf(w.N)], accepted{w, &w.Runs[k]})
		}
	}
	cancelled := map[string]bool{}
	for _, a := range r.Asks {
		cancelled[a.WindowID] = cancelled[a.WindowID] || a.Verb == Cancel
	}
	runs := map[int64]*lookbackmodel.Run{}
	for _, list := range byAsset {
		slices.SortFunc(list, func(a, b accepted) int { return cmp.Compare(a.run.Position, b.run.Position) })
		model := &lookbackmodel.Model{Execute: execute}
		newest := map[*Window]*lookbackmodel.Run{}
		for _, a := range list {
			run := &lookbackmodel.Run{Window: modelWindow(a.window), Registry: registry, Imposed: imposed(a.run, cancelled[a.window.ID])}
			if before := newest[a.window]; before != nil {
				run.Window = before.Window
				if a.run.Kind == Retry {
					run.Base = before
				}
			}
			model.Accept(run)
			newest[a.window], runs[a.run.Position] = run, run
		}
	}
	return runs
}

// registry is what the processors announce.
var registry = func() lookbackmodel.Registry {
	all := lookbackmodel.Registry{}
	for _, a := range Work {
		d := orca.Algorithm{ID: nameOf(a.ID), WindowType: WindowType(a.WindowType), ResultType: orca.ResultValue, Self: a.Self}
		for _, need := range a.Needs {
			d.Dependencies = append(d.Dependencies, orca.Dependency{On: nameOf(need.ID), Lookback: need.Back})
		}
		all[d.ID] = d
	}
	return all
}()

// WindowType is the window type with a name.
func WindowType(name string) orca.WindowType {
	return orca.WindowType{ID: orca.WindowTypeID{Name: name, Version: Version}, Description: name, Fields: []orca.MetadataField{
		{Name: FieldN, Description: "the window's number"},
		{Name: FieldAsset, Description: "stored", Filter: true},
		{Name: FieldLine, Description: "not stored", Filter: true, NoStore: true},
		{Name: FieldSecret, Description: "not stored", NoStore: true},
	}}
}

func nameOf(id ID) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: id.Processor, Name: id.Name, Version: Version}
}

func modelWindow(w *Window) *lookbackmodel.Window {
	from, to := Interval(w.N)
	return &lookbackmodel.Window{Fields: Fields(w.N), Window: orca.Window{
		Type: orca.WindowTypeID{Name: w.Type, Version: Version}, From: orca.TimeOf(from), To: orca.TimeOf(to), Origin: w.Origin,
	}}
}

// imposed are the outcomes of a run that were not an algorithm's own.
func imposed(run *LedgerRun, cancelled bool) map[orca.AlgorithmID]orca.OutcomeKind {
	kinds := map[orca.AlgorithmID]orca.OutcomeKind{}
	for id, s := range run.Nodes {
		if s.Outcome == Cancelled && cancelled || gaveUp(s) {
			kinds[nameOf(id)] = kindOf[s.Outcome]
		}
	}
	return kinds
}

// gaveUp says that all attempts at a node were used up and no processor answered the last one.
func gaveUp(s Settled) bool {
	return s.Outcome == UnhandledFailed && !s.Own && s.Attempts == maxAttempts
}

var kindOf = map[Outcome]orca.OutcomeKind{
	Succeeded: orca.Succeeded, HandledFailed: orca.HandledFailed, UnhandledFailed: orca.UnhandledFailed,
	Skipped: orca.Skipped, Cancelled: orca.Cancelled,
}

// execute is what a processor does.
func execute(w *lookbackmodel.Window, x *orca.AlgorithmExecution) lookbackmodel.Outcome {
	a, _ := algorithm(ID{x.Algorithm.ID.Processor, x.Algorithm.ID.Name})
	result := a.Do(int64(w.Fields[FieldN].(float64)), givenOf(x))
	if result.Outcome != Succeeded {
		return lookbackmodel.Outcome{Kind: kindOf[result.Outcome]}
	}
	return lookbackmodel.Outcome{Kind: orca.Succeeded, Result: binary.BigEndian.AppendUint32(nil, math.Float32bits(result.Value))}
}

// givenOf writes down what the model hands over as a processor writes down what it is given.
func givenOf(x *orca.AlgorithmExecution) (g Given) {
	for _, d := range x.Dependencies {
		if d.Current != nil {
			g.Inputs = append(g.Inputs, valueOf(d.Current))
		}
		g.Past = append(g.Past, rowsOf(d.Past))
	}
	g.Past = append(g.Past, rowsOf(x.Self))
	return g
}

func rowsOf(rows []orca.Row) string {
	var texts []string
	for _, r := range rows {
		texts = append(texts, RowText(r.Window.Origin, valueOf(r.Result)))
	}
	return RowTexts(texts)
}

func valueOf(result []byte) float32 { return math.Float32frombits(binary.BigEndian.Uint32(result)) }

// resultOf is an outcome of the model as the ledger has it.
func resultOf(o lookbackmodel.Outcome) Result {
	if o.Kind == orca.Succeeded {
		return Result{Succeeded, valueOf(o.Result)}
	}
	for outcome, kind := range kindOf {
		if kind == o.Kind {
			return Result{Outcome: outcome}
		}
	}
	return Result{}
}

// stateOf is what becomes of a run with these outcomes.
func stateOf(run *lookbackmodel.Run) RunState {
	var kinds []orca.OutcomeKind
	for _, o := range run.Outcomes {
		kinds = append(kinds, o.Kind)
	}
	has := func(kind orca.OutcomeKind) bool { return slices.Contains(kinds, kind) }
	switch {
	case has(orca.Cancelled):
		return RunCancelled
	case has(orca.HandledFailed), has(orca.UnhandledFailed):
		return RunFailed
	case has(orca.Skipped):
		return RunIncomplete
	}
	return RunSucceeded
}
