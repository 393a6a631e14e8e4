package storetest

import (
	"crypto/sha256"

	"github.com/orca-telemetry/orca/internal/orca"
)

// The fixture: windows of a minute trigger cpu, mem and, on another processor, score; windows of an hour trigger
// hourly. The order of definition is not the order of identities.
var (
	minute = orca.WindowType{
		ID:          orca.WindowTypeID{Name: "Minute", Version: "1.0.0"},
		Description: "one minute of telemetry",
		Fields: []orca.MetadataField{
			{Name: "asset", Description: "which machine", Filter: true},
			{Name: "token", Description: "a secret", NoStore: true},
		},
	}
	hour = orca.WindowType{ID: orca.WindowTypeID{Name: "Hour", Version: "2.10.0"}, Description: "one hour of telemetry"}

	score  = known("zeta", "Score", minute, orca.ResultStruct, "go1.26", orca.Dependency{On: id("alpha", "Cpu"), Runtime: "go1.26"})
	cpu    = known("alpha", "Cpu", minute, orca.ResultValue, "python3.13\n[GCC]")
	mem    = known("alpha", "Mem", minute, orca.ResultArray, "python3.13\n[GCC]")
	hourly = known("alpha", "Hourly", hour, orca.ResultNone, "python3.13\n[GCC]", orca.Dependency{
		On:       id("alpha", "Cpu"),
		Lookback: orca.Lookback{Range: orca.Extent{Span: 3600e9}, Gap: orca.Extent{Count: 1}},
	})
)

func id(processor, name string) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: processor, Name: name, Version: "1.0.0"}
}

func known(processor, name string, typ orca.WindowType, result orca.ResultType, runtime string, deps ...orca.Dependency) orca.KnownAlgorithm {
	return orca.KnownAlgorithm{
		Algorithm: orca.Algorithm{ID: id(processor, name), Description: "computes " + name, WindowType: typ, ResultType: result,
			Dependencies: deps, Self: orca.Lookback{Range: orca.Extent{Count: 2}}},
		Runtime: runtime,
	}
}

// fixture is the change that registers all of it.
func fixture(base int64) orca.RegistryChange {
	return orca.RegistryChange{
		Base:        base,
		WindowTypes: []orca.WindowType{minute, hour},
		Processors: []orca.Processor{
			{Name: "zeta", Newest: []orca.AlgorithmID{score.Algorithm.ID}},
			{Name: "alpha", Project: "plant", Newest: []orca.AlgorithmID{mem.Algorithm.ID, cpu.Algorithm.ID, hourly.Algorithm.ID}},
		},
		Algorithms: []orca.KnownAlgorithm{score, cpu, mem, hourly},
		Instances: []orca.Instance{
			{Address: "10.0.0.9:5377", Connection: "grpc://10.0.0.9:5377", Processor: "zeta", Runtime: "go1.26",
				Algorithms:   map[orca.AlgorithmID]orca.DefinitionHash{score.Algorithm.ID: {0: 1, 15: 0xff}},
				RegisteredAt: at(1)},
			{Address: "10.0.0.10:5377", Connection: "10.0.0.10:5377", Processor: "alpha", Runtime: "python3.13\n[GCC]",
				Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{
					mem.Algorithm.ID: {2}, cpu.Algorithm.ID: {3}, hourly.Algorithm.ID: {4},
				},
				RegisteredAt: at(2)},
		},
	}
}

// registered is the registry after fixture(0).
func registered() orca.Registry {
	f := fixture(0)
	return orca.Registry{
		Version:     1,
		WindowTypes: []orca.WindowType{hour, minute},
		Processors:  []orca.Processor{f.Processors[1], f.Processors[0]},
		Algorithms:  []orca.KnownAlgorithm{cpu, hourly, mem, score},
		Instances:   []orca.Instance{f.Instances[1], f.Instances[0]},
	}
}

// epoch is when the tests take place.
const epoch orca.Time = 1_700_000_000_000_000_000

// at returns the start of minute i of the tests.
func at(i int) orca.Time { return epoch + orca.Time(i)*60e9 }

// planOf returns a plan with the given content, to which the names of its nodes are added.
func planOf(content string, nodes ...orca.KnownAlgorithm) *orca.PlanContent {
	var ids []orca.AlgorithmID
	for _, n := range nodes {
		content += ", " + n.Algorithm.ID.Full()
		ids = append(ids, n.Algorithm.ID)
	}
	return &orca.PlanContent{Hash: sha256.Sum256([]byte(content)), Content: []byte(content), Nodes: len(content), Algorithms: ids}
}

// emission returns minute i, accepted as it ended, with a noStore field, that triggers algorithms.
func emission(i int) orca.Emission {
	return orca.Emission{
		Window: orca.Window{Type: minute.ID, From: at(i), To: at(i + 1), Origin: number("sampler", i),
			Metadata: []byte(number("metadata", i))},
		FullMetadata: []byte(number("metadata with token", i)),
		Filters:      []orca.FilterValue{{Field: "asset", Hash: [16]byte{byte(i), 15: 7}}},
		AcceptedAt:   at(i + 1),
		Plan:         planOf("plan of a minute"),
		Status:       orca.ProcessingTriggered,
	}
}

// idle returns an emission that triggers nothing.
func idle(i int) orca.Emission {
	e := emission(i)
	e.Status, e.End, e.Plan = orca.NoTriggeredAlgorithms, orca.RunSucceeded, planOf("an empty plan")
	return e
}

// value returns a succeeded outcome of a value algorithm.
func value(of orca.KnownAlgorithm, v float64, at orca.Time) orca.Outcome {
	return orca.Outcome{Algorithm: of.Algorithm.ID, Kind: orca.Succeeded, Attempts: 1, SettledAt: at,
		Result: &orca.Result{Status: orca.StatusSucceeded, Type: orca.ResultValue, Timestamp: 1_700_000_000,
			Encoded: []byte(number("encoded", int(v))), Value: v}}
}

// skipped returns the outcome of a node that never ran.
func skipped(of orca.KnownAlgorithm, at orca.Time) orca.Outcome {
	return orca.Outcome{Algorithm: of.Algorithm.ID, Kind: orca.Skipped, Reason: "Cpu 1.0.0 is retired", SettledAt: at}
}

// runOf is the run that e makes at a position.
func runOf(e orca.Emission, position orca.Position) orca.Run {
	r := orca.Run{Position: position, Window: position, Revision: 1, Kind: orca.RunEmit, Plan: e.Plan.Hash, State: e.End,
		AcceptedAt: e.AcceptedAt}
	if e.End != orca.RunOpen {
		r.FinishedAt = e.AcceptedAt
	}
	return r
}

// recordOf is the record of the window that e makes at a position.
func recordOf(e orca.Emission, position orca.Position) orca.WindowRecord {
	return orca.WindowRecord{ID: position, Window: e.Window, AcceptedAt: e.AcceptedAt, Newest: runOf(e, position),
		Nodes: e.Plan.Nodes, Settled: len(e.Outcomes)}
}

// openOf is the open run that e makes at a position.
func openOf(e orca.Emission, position orca.Position) orca.OpenRun {
	input := e.Window
	if e.FullMetadata != nil {
		input.Metadata = e.FullMetadata
	}
	r := orca.OpenRun{Run: runOf(e, position), Input: input, Stored: e.Window, Filters: e.Filters}
	for _, o := range e.Outcomes {
		r.Outcomes = append(r.Outcomes, durable(o, position, false))
	}
	return r
}

// durable is an outcome as the ledger has it: it names the run that produced it, and has its result or not.
func durable(o orca.Outcome, position orca.Position, withResult bool) orca.Outcome {
	if o.ProducedAt == 0 {
		o.ProducedAt = position
	}
	if !withResult {
		o.Result = nil
	}
	return o
}
