package wire_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// execution draws what a processor may be handed: algorithms that share dependencies, with rows or without.
var execution = rapid.Custom(func(t *rapid.T) *orca.Execution {
	known := rapid.SliceOfN(algorithm, 1, 4).Draw(t, "known")
	input := noun.Draw(t, "input")
	stored := input
	stored.Metadata = rapid.OneOf(rapid.Just[[]byte](nil), encodedStruct).Draw(t, "stored metadata")
	x := &orca.Execution{Input: input, Stored: stored}
	for range rapid.IntRange(0, 3).Draw(t, "algorithms") {
		a := algorithm.Draw(t, "algorithm")
		e := orca.AlgorithmExecution{Algorithm: &a, Self: rapid.SliceOfN(row, 0, 3).Draw(t, "self")}
		for range a.Dependencies {
			e.Dependencies = append(e.Dependencies, orca.DependencyRows{
				Algorithm: &known[rapid.IntRange(0, len(known)-1).Draw(t, "dependency")],
				Current:   rapid.OneOf(rapid.Just[[]byte](nil), encodedResult).Draw(t, "current"),
				Past:      rapid.SliceOfN(row, 0, 3).Draw(t, "past"),
			})
		}
		x.Algorithms = append(x.Algorithms, e)
	}
	return x
})

var encodedStruct = rapid.Custom(func(t *rapid.T) []byte {
	return marshalled(t, structOf(2).Draw(t, "metadata").GetFields())
})

var encodedResult = rapid.Custom(func(t *rapid.T) []byte {
	r, err := wire.Result(result.Draw(t, "result"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Encoded
})

// noun draws a window as the ledger has it, and now and then one that no ledger has.
var noun = rapid.Custom(func(t *rapid.T) orca.Window {
	at := rapid.OneOf(instant, rapid.SampledFrom([]orca.Time{0, 1, 1e9, -1, orca.MinTime, orca.MaxTime}))
	return orca.Window{
		Type:     orca.WindowTypeID{Name: name.Draw(t, "type"), Version: name.Draw(t, "version")},
		From:     at.Draw(t, "from"),
		To:       at.Draw(t, "to"),
		Origin:   text.Draw(t, "origin"),
		Metadata: rapid.OneOf(rapid.Just[[]byte](nil), encodedStruct).Draw(t, "metadata"),
	}
})

var row = rapid.Custom(func(t *rapid.T) orca.Row {
	return orca.Row{Window: noun.Draw(t, "window"), Result: encodedResult.Draw(t, "result")}
})

// The bytes are exactly those that protobuf makes of the same request built from messages.
func TestRequestIsThatOfPlainProtobuf(t *testing.T) {
	t.Parallel()
	var encoder wire.Encoder
	rapid.Check(t, func(t *rapid.T) {
		x := execution.Draw(t, "execution")
		execID := rapid.OneOf(text, rapid.Just(strings.Repeat("long", 5000))).Draw(t, "exec id") // more than is guessed
		legacy := rapid.Bool().Draw(t, "legacy")
		encoded, err := encoder.Request(execID, x, legacy)
		if err != nil {
			t.Fatal(err)
		}
		msg := plainRequest(t, execID, x, legacy)
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, encoded) {
			got := new(pb.ExecutionRequest)
			err := proto.Unmarshal(encoded, got)
			t.Fatalf("other bytes than protobuf's: %v (-want +got):\n%s", err, cmp.Diff(msg, got, protocmp.Transform()))
		}
	})
}

// plainRequest builds the request from messages, as CONTRACT.md has them.
func plainRequest(t *rapid.T, execID string, x *orca.Execution, legacy bool) *pb.ExecutionRequest {
	msg := &pb.ExecutionRequest{ExecId: execID, Window: plainWindow(t, x.Input)}
	var needed []orca.AlgorithmID
	for _, a := range x.Algorithms {
		e := &pb.ExecuteAlgorithm{Algorithm: wire.AlgorithmMessage(a.Algorithm), SelfResults: plainRows(t, a.Self)}
		for _, d := range a.Dependencies {
			rows := plainRows(t, d.Past)
			if d.Current != nil {
				rows = append([]*pb.AlgorithmDependencyResultRow{{
					Result: plainResult(t, d.Current), Window: plainWindow(t, x.Stored)}}, rows...)
				if legacy && !slices.Contains(needed, d.Algorithm.ID) {
					needed = append(needed, d.Algorithm.ID)
					msg.AlgorithmResults = append(msg.AlgorithmResults, &pb.AlgorithmResult{ //nolint:staticcheck // older peers read it
						Algorithm: wire.AlgorithmMessage(d.Algorithm), Result: plainResult(t, d.Current), Window: plainWindow(t, x.Stored)})
				}
			}
			e.Dependencies = append(e.Dependencies,
				&pb.AlgorithmDependencyResult{Algorithm: wire.AlgorithmMessage(d.Algorithm), Result: rows})
		}
		msg.AlgorithmExecutions = append(msg.AlgorithmExecutions, e)
		if legacy {
			msg.Algorithms = append(msg.Algorithms, e.Algorithm) //nolint:staticcheck // older peers read it
		}
	}
	return msg
}

func plainRows(t *rapid.T, rows []orca.Row) []*pb.AlgorithmDependencyResultRow {
	var msgs []*pb.AlgorithmDependencyResultRow
	for _, r := range rows {
		msgs = append(msgs, &pb.AlgorithmDependencyResultRow{Result: plainResult(t, r.Result), Window: plainWindow(t, r.Window)})
	}
	return msgs
}

func plainResult(t *rapid.T, encoded []byte) *pb.Result {
	msg := new(pb.Result)
	if err := proto.Unmarshal(encoded, msg); err != nil {
		t.Fatal(err)
	}
	return msg
}

func plainWindow(t *rapid.T, w orca.Window) *pb.Window {
	msg := &pb.Window{
		TimeFrom: timestamppb.New(w.From.Std()), TimeTo: timestamppb.New(w.To.Std()),
		WindowTypeName: w.Type.Name, WindowTypeVersion: w.Type.Version, Origin: w.Origin,
	}
	if w.Metadata != nil {
		msg.Metadata = new(structpb.Struct)
		if err := proto.Unmarshal(w.Metadata, msg.Metadata); err != nil {
			t.Fatal(err)
		}
	}
	return msg
}

// One request, read as a person would: who gets the noStore fields, which rows carry which window.
func TestRequestFields(t *testing.T) {
	t.Parallel()
	one := orca.Algorithm{ID: orca.AlgorithmID{Processor: "p", Name: "One", Version: "1.0.0"}, ResultType: orca.ResultValue}
	two := orca.Algorithm{ID: orca.AlgorithmID{Processor: "p", Name: "Two", Version: "1.0.0"}, ResultType: orca.ResultValue}
	dependent := func(name string, on ...orca.AlgorithmID) *orca.Algorithm {
		a := &orca.Algorithm{ID: orca.AlgorithmID{Processor: "p", Name: name, Version: "1.0.0"}, ResultType: orca.ResultNone}
		for _, id := range on {
			a.Dependencies = append(a.Dependencies, orca.Dependency{On: id, Runtime: "go1.26"})
		}
		return a
	}
	value := func(v float32) []byte {
		b, err := proto.Marshal(&pb.Result{Status: 2, ResultData: &pb.Result_SingleValue{SingleValue: v}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	window := func(origin string) orca.Window { return orca.Window{From: 1, To: 2, Origin: origin} }
	x := &orca.Execution{
		Input:  window("input"),
		Stored: window("stored"),
		Algorithms: []orca.AlgorithmExecution{
			{
				Algorithm: dependent("Sum", two.ID, one.ID, one.ID),
				Dependencies: []orca.DependencyRows{
					{Algorithm: &two, Current: value(2)},
					{Algorithm: &one, Past: []orca.Row{{Window: window("past"), Result: value(0)}}},
					{Algorithm: &one, Current: value(1)},
				},
				Self: []orca.Row{{Window: window("self"), Result: value(9)}},
			},
			{
				Algorithm:    dependent("Other", two.ID),
				Dependencies: []orca.DependencyRows{{Algorithm: &two, Current: value(2)}},
			},
		},
	}
	got := make(map[bool][]string)
	for _, legacy := range []bool{false, true} {
		b, err := wire.EncodeRequest("x", x, legacy)
		if err != nil {
			t.Fatal(err)
		}
		msg := new(pb.ExecutionRequest)
		if err := proto.Unmarshal(b, msg); err != nil {
			t.Fatal(err)
		}
		got[legacy] = summary(msg)
	}
	modern := []string{
		"window input",
		"execute Sum(Two stored:2 | One past:0 | One stored:1) self:9",
		"execute Other(Two stored:2)",
	}
	want := map[bool][]string{
		false: modern,
		true:  append(slices.Clone(modern), "algorithm Sum", "algorithm Other", "result Two stored:2", "result One stored:1"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("by legacy (-want +got):\n%s", diff)
	}
}

func summary(msg *pb.ExecutionRequest) []string {
	rows := func(rs []*pb.AlgorithmDependencyResultRow) (s string) {
		for _, r := range rs {
			s += " " + r.Window.Origin + ":" + fmt.Sprint(r.Result.GetSingleValue())
		}
		return s
	}
	lines := []string{"window " + msg.Window.Origin}
	for _, e := range msg.AlgorithmExecutions {
		var deps []string
		for _, d := range e.Dependencies {
			deps = append(deps, d.Algorithm.Name+rows(d.Result))
		}
		lines = append(lines, "execute "+e.Algorithm.Name+"("+strings.Join(deps, " | ")+")"+rows(e.SelfResults))
	}
	for _, a := range msg.Algorithms { //nolint:staticcheck // older peers read it
		lines = append(lines, "algorithm "+a.Name)
	}
	for _, r := range msg.AlgorithmResults { //nolint:staticcheck // older peers read it
		lines = append(lines, "result "+r.Algorithm.Name+" "+r.Window.Origin+":"+fmt.Sprint(r.Result.GetSingleValue()))
	}
	return lines
}

func TestRequestOfBrokenExecution(t *testing.T) {
	t.Parallel()
	a := &orca.Algorithm{Dependencies: []orca.Dependency{{}}}
	for what, x := range map[string]*orca.Execution{
		"no definition":            {Algorithms: []orca.AlgorithmExecution{{}}},
		"no inputs":                {Algorithms: []orca.AlgorithmExecution{{Algorithm: a}}},
		"dependency undefined":     {Algorithms: []orca.AlgorithmExecution{{Algorithm: a, Dependencies: make([]orca.DependencyRows, 1)}}},
		"inputs for no dependency": {Algorithms: []orca.AlgorithmExecution{{Algorithm: new(orca.Algorithm), Dependencies: make([]orca.DependencyRows, 1)}}},
	} {
		if _, err := wire.EncodeRequest("x", x, true); err == nil {
			t.Errorf("%s: a request was made of it", what)
		}
	}
}

// An encoder forgets, so that algorithms of plans that are gone do not stay in memory, and stays right.
func TestEncoderIsBounded(t *testing.T) {
	t.Parallel()
	var encoder wire.Encoder
	const many = 3 << 14
	first := &orca.Algorithm{ID: orca.AlgorithmID{Name: "first"}}
	want := string(encoder.Definition(first))
	most := 0
	for i := range many {
		encoder.Definition(&orca.Algorithm{ID: orca.AlgorithmID{Name: "n"}})
		if i%1000 == 0 {
			most = max(most, encoder.Known())
		}
	}
	if most > 1<<14 {
		t.Errorf("the encoder kept %d definitions", most)
	}
	if got := string(encoder.Definition(first)); got != want {
		t.Errorf("forgotten and encoded again: %q, want %q", got, want)
	}
}

// Readers of protobuf stop at 100 nested messages by default. The deepest metadata and data that are let in stay below
// that where they lie deepest, in a row of a dependency.
func TestDeepestRowIsReadable(t *testing.T) {
	t.Parallel()
	msg := secondWindow()
	msg.Metadata.Fields["unit"] = deepStruct(31)
	e, err := wire.Window(msg, second, secret)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wire.Result(&pb.Result{Status: 2, ResultData: &pb.Result_StructValue{StructValue: deepStruct(32).GetStructValue()}})
	if err != nil {
		t.Fatal(err)
	}
	a := &orca.Algorithm{Dependencies: make([]orca.Dependency, 1)}
	encoded, err := wire.EncodeRequest("x", &orca.Execution{Algorithms: []orca.AlgorithmExecution{{
		Algorithm:    a,
		Dependencies: []orca.DependencyRows{{Algorithm: a, Past: []orca.Row{{Window: e.Window, Result: r.Encoded}}}},
	}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: 100}).Unmarshal(encoded, new(pb.ExecutionRequest)); err != nil {
		t.Error(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	x := execution.Example(1)
	validator := newValidator(t)
	want, err := wire.EncodeRequest("x", x, true)
	if err != nil {
		t.Fatal(err)
	}
	emission, err := wire.Window(secondWindow(), second, secret)
	if err != nil {
		t.Fatal(err)
	}
	var encoder wire.Encoder
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				got, err := encoder.Request("x", x, true)
				if err != nil || !bytes.Equal(want, got) {
					t.Errorf("another request, %v", err)
				}
				again, err := wire.Window(secondWindow(), second, secret)
				if diff := cmp.Diff(emission, again); err != nil || diff != "" {
					t.Errorf("another window, %v (-want +got):\n%s", err, diff)
				}
				if _, err := wire.Window(secondWindow(), second, []byte("another")); err != nil {
					t.Error(err)
				}
				if _, err := validator.Check(workingRegistration()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
