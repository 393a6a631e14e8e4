package orca_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

// aged is a row as a test looks at it.
type aged struct {
	Value float32
	Age   time.Duration
}

// What is there and what is missing: of the own window type, of another one, of the algorithm's own past.
func TestRowsAreReadInBothOrders(t *testing.T) {
	t.Parallel()
	p := orca.NewProcessor("racing")
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	weather := orca.Value(p, "Weather", "1.0.0", day, constant(1))
	recent, past := speed.Over(orca.Last(2)), weather.Over(orca.Past(time.Hour))
	type reading struct {
		Current, Latest          aged
		HasCurrent, HasLatest    bool
		Newest, Oldest, AllPast  []aged
		FirstOnly                []aged
		SelfNewest, SelfOldest   []aged
		CurrentOfAlgorithm       aged
		HasCurrentOfTheAlgorithm bool
	}
	var got reading
	read := func(run *orca.Run, a *orca.Algorithm[float32], d orca.Dependency[float32]) (r reading) {
		look := func(row orca.Row[float32]) aged { return aged{row.Value, row.Age(run)} }
		if row, ok := d.Current(run); ok {
			r.Current, r.HasCurrent = look(row), ok
		}
		if row, ok := a.Current(run); ok {
			r.CurrentOfAlgorithm, r.HasCurrentOfTheAlgorithm = look(row), ok
		}
		if row, ok := d.Latest(run); ok {
			r.Latest, r.HasLatest = look(row), ok
		}
		for row := range d.Rows(run).NewestFirst() {
			r.Newest = append(r.Newest, look(row))
		}
		for row := range d.Rows(run).OldestFirst() {
			r.Oldest = append(r.Oldest, look(row))
		}
		for row := range d.Rows(run).OldestFirst() {
			r.FirstOnly = append(r.FirstOnly, look(row))
			break
		}
		for _, row := range d.Past(run) {
			r.AllPast = append(r.AllPast, look(row))
		}
		for row := range orca.Self[float32](run).NewestFirst() {
			r.SelfNewest = append(r.SelfNewest, look(row))
		}
		for row := range orca.Self[float32](run).OldestFirst() {
			r.SelfOldest = append(r.SelfOldest, look(row))
		}
		return r
	}
	near := orca.Value(p, "Near", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		got = read(run, speed, recent)
		return 0, nil
	}, orca.Needs(recent), orca.NeedsSelf(orca.Last(2)))
	far := orca.Value(p, "Far", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		got = read(run, weather, past)
		return 0, nil
	}, orca.Needs(past))
	row := func(on orca.WindowType, v float32, ago time.Duration) orca.Row[float32] {
		return orca.Row[float32]{Window: window(on, noon.Add(-ago), time.Minute), Value: v}
	}
	if _, err := near.Call(t.Context(), window(lap, noon, time.Minute), recent.Given(5, row(lap, 4, time.Nanosecond), row(lap, 3, time.Hour)),
		orca.GivenSelf(row(lap, 0.5, time.Minute), row(lap, 0.25, 2*time.Minute))); err != nil {
		t.Fatal(err)
	}
	now, second, third := aged{5, 0}, aged{4, 1}, aged{3, time.Hour}
	if diff := cmp.Diff(reading{
		Current: now, Latest: now, HasCurrent: true, HasLatest: true, CurrentOfAlgorithm: now, HasCurrentOfTheAlgorithm: true,
		Newest: []aged{now, second, third}, Oldest: []aged{third, second, now}, FirstOnly: []aged{third}, AllPast: []aged{second, third},
		SelfNewest: []aged{{0.5, time.Minute}, {0.25, 2 * time.Minute}}, SelfOldest: []aged{{0.25, 2 * time.Minute}, {0.5, time.Minute}},
	}, got); diff != "" {
		t.Errorf("own window type: %s", diff)
	}
	if _, err := far.Call(t.Context(), window(lap, noon, time.Minute), past.GivenPast(row(day, 7, time.Hour))); err != nil {
		t.Fatal(err)
	}
	old := aged{7, time.Hour}
	if diff := cmp.Diff(reading{
		Latest: old, HasLatest: true, Newest: []aged{old}, Oldest: []aged{old}, FirstOnly: []aged{old}, AllPast: []aged{old},
	}, got); diff != "" {
		t.Errorf("another window type: %s", diff)
	}
	if _, err := far.Call(t.Context(), window(lap, noon, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reading{}, got); diff != "" {
		t.Errorf("nothing: %s", diff)
	}
}

// What a core sends reaches the algorithm to the bit, over a real connection: values, arrays, structs, windows.
func TestRowsAreExact(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	p := newProcessor(core.Addr)
	value := orca.Value(p, "Value", "1.0.0", lap, constant(1)).Over(orca.Last(9))
	array := orca.Remote[[]float32](orca.AlgorithmID{Processor: "x", Name: "Array", Version: "1.0.0"}).Over(orca.Last(9))
	loose := orca.Remote[map[string]any](orca.AlgorithmID{Processor: "x", Name: "Loose", Version: "1.0.0"}).Over(orca.Last(9))
	type read struct {
		Values [][]uint32 // the bits of each row
		Number uint64
		Loose  map[string]any
		Window orca.Window
		Self   []uint32
	}
	bits := func(values ...float32) (out []uint32) {
		out = []uint32{}
		for _, v := range values {
			out = append(out, math.Float32bits(v))
		}
		return out
	}
	var got read
	orca.Value(p, "Reader", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
		for row := range value.Past(run).NewestFirst() {
			got.Values = append(got.Values, bits(row.Value))
		}
		for row := range array.Past(run).NewestFirst() {
			got.Values = append(got.Values, bits(row.Value...))
		}
		row, _ := loose.Latest(run)
		got.Number = math.Float64bits(row.Value["payload"].(float64))
		delete(row.Value, "payload")
		got.Loose, got.Window = row.Value, row.Window
		got.Self = bits(orca.Values(orca.Self[float32](run))...)
		return 0, nil
	}, orca.Needs(value, array, loose), orca.NeedsSelf(orca.Past(time.Hour)))
	s := serve(t, core, p)

	const payload32, payload64 = 0x7fc0beef, 0x7ff80000deadbeef
	single := func(b uint32) *pb.Result {
		return &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: math.Float32frombits(b)}}
	}
	floats := func(v ...float32) *pb.Result {
		return &pb.Result{ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: v}}}
	}
	number := structpb.NewNumberValue
	object := &pb.Result{ResultData: &pb.Result_StructValue{StructValue: &structpb.Struct{Fields: map[string]*structpb.Value{
		"payload": number(math.Float64frombits(payload64)), "null": structpb.NewNullValue(), "inf": number(math.Inf(-1)),
		"zero": number(math.Copysign(0, -1)), "tiny": number(math.SmallestNonzeroFloat64),
		"list": structpb.NewListValue(&structpb.ListValue{}), "object": structpb.NewStructValue(&structpb.Struct{}), "": number(1),
	}}}}
	at := wireWindow()
	at.TimeFrom, at.TimeTo = timestamppb.New(noon.Add(-time.Hour)), timestamppb.New(noon.Add(-time.Hour+time.Nanosecond))
	rows := func(results ...*pb.Result) (out []*pb.AlgorithmDependencyResultRow) {
		for _, r := range results {
			out = append(out, &pb.AlgorithmDependencyResultRow{Result: r, Window: at})
		}
		return out
	}
	r := request("Reader")
	r.AlgorithmExecutions[0].Algorithm = s.Registration.GetSupportedAlgorithms()[1]
	r.AlgorithmExecutions[0].Dependencies = []*pb.AlgorithmDependencyResult{
		{Result: rows(single(payload32), single(1<<31), single(1))}, {Result: rows(floats(), floats(0, math.Float32frombits(payload32)))}, {Result: rows(object)},
	}
	r.AlgorithmExecutions[0].SelfResults = rows(single(payload32), single(1<<31))
	if _, err := execute(t, s, r); err != nil {
		t.Fatal(err)
	}
	want := read{
		Values: [][]uint32{{payload32}, {1 << 31}, {1}, {}, {0, payload32}}, Number: payload64,
		Loose: map[string]any{"null": nil, "inf": math.Inf(-1), "zero": math.Copysign(0, -1), "tiny": math.SmallestNonzeroFloat64,
			"list": []any{}, "object": map[string]any{}, "": 1.0},
		Window: orca.Window{Type: orca.WindowType{Name: "Lap", Version: "1.0.0"}, From: noon.Add(-time.Hour).UTC(),
			To: noon.Add(-time.Hour + time.Nanosecond), Origin: "test", Metadata: map[string]any{"car": 7.0}},
		Self: []uint32{payload32, 1 << 31},
	}
	sameBits := cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
	if diff := cmp.Diff(want, got, sameBits); diff != "" {
		t.Error(diff)
	}
}
