package orca_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

func TestRegistrationSaysWhatTheProgramDefines(t *testing.T) {
	t.Parallel()
	sector := orca.WindowType{Name: "Sector", Version: "3.0.10", Description: "A part of a lap", Fields: []orca.Field{
		{Name: "car", Description: "Which car", Filter: true}, {Name: "driver", NoStore: true},
	}}
	p := orca.NewProcessor("racing")
	speed := orca.Value(p, "Speed", "1.0.0", sector, constant(1), orca.Describe("Mean speed"))
	grip := orca.Remote[[]float32](orca.AlgorithmID{Processor: "chassis", Name: "Grip", Version: "2.0.0"})
	orca.Array(p, "A", "1.0.0", sector, func(context.Context, *orca.Run) ([]float32, error) { return nil, nil },
		orca.Needs(speed, grip.OnRuntime("python3.12"), speed.Over(orca.Last(24).Skip(2))),
		orca.NeedsSelf(orca.Past(time.Hour).SkipTime(time.Minute)))
	orca.Struct(p, "S", "1.0.0", lap, func(context.Context, *orca.Run) (map[string]any, error) { return nil, nil },
		orca.Needs(grip.Over(orca.Past(time.Hour).Skip(1)), grip.Over(orca.Last(3).SkipTime(time.Second)),
			speed.Over(orca.Last(0).Skip(0)), speed.Over(orca.Lookback{}.Skip(1))),
		orca.NeedsSelf(orca.Last(5).Skip(6)))
	orca.None(p, "N", "1.0.0", lap, func(context.Context, *orca.Run) error { return nil }, orca.NeedsSelf(orca.Past(0)))
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}

	wireSector := &pb.WindowType{Name: "Sector", Version: "3.0.10", Description: "A part of a lap",
		MetadataFields: []*pb.MetadataField{
			{Name: "car", Description: "Which car", Filter: true}, {Name: "driver", NoStore: true},
		}}
	wireLap := &pb.WindowType{Name: "Lap", Version: "1.0.0", Description: "One lap"}
	needSpeed := func(d *pb.AlgorithmDependency) *pb.AlgorithmDependency {
		d.Name, d.Version, d.ProcessorName, d.ProcessorRuntime = "Speed", "1.0.0", "racing", runtime.Version()
		return d
	}
	needGrip := func(d *pb.AlgorithmDependency) *pb.AlgorithmDependency {
		d.Name, d.Version, d.ProcessorName, d.ProcessorRuntime = "Grip", "2.0.0", "chassis", runtime.Version()
		return d
	}
	onPython := needGrip(&pb.AlgorithmDependency{})
	onPython.ProcessorRuntime = "python3.12"
	want := &pb.ProcessorRegistration{
		Name: "racing", Runtime: runtime.Version(), ConnectionStr: "127.0.0.1:5377", ProjectName: "f1",
		SupportedAlgorithms: []*pb.Algorithm{
			{
				Name: "Speed", Version: "1.0.0", Description: "Mean speed", WindowType: wireSector,
				ResultType: pb.ResultType_VALUE,
			},
			{
				Name: "A", Version: "1.0.0", WindowType: wireSector, ResultType: pb.ResultType_ARRAY,
				Dependencies: []*pb.AlgorithmDependency{
					needSpeed(&pb.AlgorithmDependency{}),
					onPython,
					needSpeed(&pb.AlgorithmDependency{
						Lookback:    &pb.AlgorithmDependency_LookbackNum{LookbackNum: 24},
						LookbackGap: &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: 2},
					}),
				},
				Lookback:    &pb.Algorithm_LookbackTimeDelta{LookbackTimeDelta: 3_600_000_000_000},
				LookbackGap: &pb.Algorithm_LookbackGapTimeDelta{LookbackGapTimeDelta: 60_000_000_000},
			},
			{
				Name: "S", Version: "1.0.0", WindowType: wireLap, ResultType: pb.ResultType_STRUCT,
				Dependencies: []*pb.AlgorithmDependency{
					needGrip(&pb.AlgorithmDependency{
						Lookback:    &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: 3_600_000_000_000},
						LookbackGap: &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: 1},
					}),
					needGrip(&pb.AlgorithmDependency{
						Lookback:    &pb.AlgorithmDependency_LookbackNum{LookbackNum: 3},
						LookbackGap: &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: 1_000_000_000},
					}),
					needSpeed(&pb.AlgorithmDependency{}),
					needSpeed(&pb.AlgorithmDependency{
						LookbackGap: &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: 1},
					}),
				},
				Lookback:    &pb.Algorithm_LookbackNum{LookbackNum: 5},
				LookbackGap: &pb.Algorithm_LookbackGapNum{LookbackGapNum: 6},
			},
			{Name: "N", Version: "1.0.0", WindowType: wireLap, ResultType: pb.ResultType_NONE},
		},
	}
	if diff := cmp.Diff(want, p.Registration("127.0.0.1:5377", "f1"), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestValidateReportsEveryMistake(t *testing.T) {
	t.Parallel()
	define := func(name, version string, on orca.WindowType, opts ...orca.AlgorithmOption) func(*orca.Processor) {
		return func(p *orca.Processor) { orca.Value(p, name, version, on, constant(1), opts...) }
	}
	remote := func(processor, name, version string) *orca.Algorithm[float32] {
		return orca.Remote[float32](orca.AlgorithmID{Processor: processor, Name: name, Version: version})
	}
	fine := remote("chassis", "Grip", "1.0.0")
	var missing *orca.Algorithm[float32]
	tooMany := math.MaxUint32
	tooMany++ // wraps on 32 bits, where it is negative
	for name, tc := range map[string]struct {
		define func(*orca.Processor)
		want   []string
	}{
		"lower case": {define("speed", "1.0.0", lap), []string{`algorithm speed 1.0.0: invalid algorithm name "speed": must be PascalCase, such as "LapSpeed"`}},
		"underscore": {define("Lap_Speed", "1.0.0", lap), []string{`name "Lap_Speed"`}},
		"no name":    {define("", "1.0.0", lap), []string{`name ""`}},
		"new line":   {define("Speed\n", "1.0.0", lap), []string{`name "Speed\n"`}},
		"long name":  {define("A"+strings.Repeat("a", 255), "1.0.0", lap), []string{"256 bytes long, at most 255"}},
		"two numbers": {define("Speed", "1.0", lap), []string{
			`algorithm Speed 1.0: invalid algorithm version "1.0": must be plain semver, such as "1.0.0"`,
		}},
		"prefix":       {define("Speed", "v1.0.0", lap), []string{`version "v1.0.0"`}},
		"leading zero": {define("Speed", "1.02.0", lap), []string{`version "1.02.0"`}},
		"pre-release":  {define("Speed", "1.0.0-rc1", lap), []string{`version "1.0.0-rc1"`}},
		"both": {define("speed", "1", orca.WindowType{Name: "lap", Version: "2"}), []string{
			`algorithm name "speed"`, `algorithm version "1"`, `window type name "lap"`, `window type version "2"`,
		}},
		"fields": {
			define("Speed", "1.0.0", orca.WindowType{Name: "Lap", Version: "1.0.0", Fields: []orca.Field{{}, {Name: "car"}, {Name: "car"}}}),
			[]string{"field name of window type Lap: must not be empty", `the field "car" is there twice`},
		},
		"description":    {define("Speed", "1.0.0", lap, orca.Describe(strings.Repeat("ü", 1001))), []string{"1001 characters, at most 1000"}},
		"self":           {define("Speed", "1.0.0", lap, orca.Needs(remote("racing", "Speed", "1.0.0"))), []string{"it needs itself; ask for its own past results with NeedsSelf"}},
		"twice the same": {define("Speed", "1.0.0", lap, orca.Needs(fine, fine.Over(orca.Last(0)))), []string{"Grip 1.0.0 of chassis is there twice with the same lookback"}},
		"dependency":     {define("Speed", "1.0.0", lap, orca.Needs(remote("", "grip", "1"))), []string{"processor name of a dependency", `dependency name "grip"`, `dependency version "1"`}},
		"no runtime":     {define("Speed", "1.0.0", lap, orca.Needs(fine.OnRuntime(""))), []string{"runtime of a dependency: must not be empty"}},
		"nil dependency": {define("Speed", "1.0.0", lap, orca.Needs(fine, nil, missing)), []string{"number 2 given to Needs is nil", "number 3 given to Needs is nil"}},
		"negative":       {define("Speed", "1.0.0", lap, orca.Needs(fine.Over(orca.Last(-1)))), []string{"lookback (last -1): must not be negative"}},
		"negative time":  {define("Speed", "1.0.0", lap, orca.NeedsSelf(orca.Past(1).SkipTime(-1))), []string{"must not be negative"}},
		"too many":       {define("Speed", "1.0.0", lap, orca.NeedsSelf(orca.Last(tooMany))), []string{"lookback (last"}},
		"two gaps":       {define("Speed", "1.0.0", lap, orca.NeedsSelf(orca.Last(1).Skip(1).SkipTime(1))), []string{"skips both 1 results and 1ns"}},
		"idle gap":       {define("Speed", "1.0.0", lap, orca.NeedsSelf(orca.Lookback{}.Skip(1))), []string{"lookback (skipping 1) over own past results: it asks for no past results"}},
		"idle time gap": {func(p *orca.Processor) {
			speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
			orca.Value(p, "Pace", "1.0.0", lap, constant(1), orca.Needs(speed.Over(orca.Past(0).SkipTime(1))))
		}, []string{"algorithm Pace 1.0.0: invalid lookback (skipping 1ns) over Speed 1.0.0 of racing: it asks for no past results"}},
		"two selves":   {define("Speed", "1.0.0", lap, orca.NeedsSelf(orca.Last(1)), orca.NeedsSelf(orca.Past(1))), []string{"NeedsSelf is given 2 times"}},
		"nil function": {func(p *orca.Processor) { orca.Value(p, "Speed", "1.0.0", lap, nil) }, []string{"function: it is nil"}},
		"nil none":     {func(p *orca.Processor) { orca.None(p, "Speed", "1.0.0", lap, nil) }, []string{"function: it is nil"}},
		"not a struct": {func(p *orca.Processor) {
			orca.Struct(p, "Speed", "1.0.0", lap, func(context.Context, *orca.Run) (int, error) { return 1, nil })
		}, []string{"algorithm Speed 1.0.0: invalid result type int"}},
		"a value as struct": {func(p *orca.Processor) {
			orca.Struct(p, "Speed", "1.0.0", lap, constant(1))
		}, []string{"result type float32"}},
		"defined twice": {func(p *orca.Processor) {
			define("Speed", "1.0.0", lap)(p)
			define("Speed", "1.0.0", lap)(p)
		}, []string{"algorithm Speed 1.0.0: invalid definition: this name and version is defined twice"}},
		"other fields": {func(p *orca.Processor) {
			define("Speed", "1.0.0", lap)(p)
			define("Pace", "1.0.0", orca.WindowType{Name: "Lap", Version: "1.0.0", Fields: []orca.Field{{Name: "car"}}})(p)
		}, []string{"algorithm Pace 1.0.0: invalid window type Lap 1.0.0: another algorithm declares other fields"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := orca.NewProcessor("racing", orca.WithoutEnvironment())
			tc.define(p)
			err := p.Validate()
			if !errors.Is(err, orca.ErrInvalid) {
				t.Fatalf("got %v, want an ErrInvalid", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant it to say %q", err, want)
				}
			}
			if run := p.Run(t.Context()); run == nil || run.Error() != err.Error() {
				t.Errorf("Run returned %v, want the same", run)
			}
		})
	}
}

func TestProcessorNeedsAName(t *testing.T) {
	t.Parallel()
	if err := orca.NewProcessor("").Validate(); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestFieldsInAnotherOrderAreTheSame(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	a, b := orca.Field{Name: "a", Filter: true, Description: "one"}, orca.Field{Name: "b"}
	orca.Value(p, "Speed", "1.0.0", orca.WindowType{Name: "Lap", Version: "1.0.0", Fields: []orca.Field{a, b}}, constant(1))
	a.Description = "another"
	orca.Value(p, "Pace", "1.0.0", orca.WindowType{Name: "Lap", Version: "1.0.0", Fields: []orca.Field{b, a}}, constant(1))
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}
