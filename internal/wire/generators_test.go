package wire_test

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// A generator works out its name on first use, without a lock, and those of this package are used by many tests at
// once: so they are named before any test begins.
func init() {
	for _, g := range []fmt.Stringer{
		text, name, extent, lookback, windowType, dependency, algorithm, registration, number, number32, instant,
		execution, encodedStruct, encodedResult, noun, row, result, unknown, window,
	} {
		_ = g.String()
	}
}

// text is any Unicode, with what trips encoders drawn often.
var text = rapid.StringOfN(rapid.OneOf(
	rapid.Rune(),
	rapid.SampledFrom([]rune{0, '\n', '"', '\\', 0x7f, 'é', '\u2028', '\ufeff', '😀', 0x10ffff}),
), 0, 12, -1)

// name is a name or version: not empty, at most 255 bytes.
var name = rapid.OneOf(
	rapid.SampledFrom([]string{"CPU", "Load", "Trend", "1.0.0", "2.0.0"}),
	rapid.StringOfN(rapid.Rune(), 1, 20, 255),
	rapid.Just(strings.Repeat("n", 255)),
)

var extent = rapid.OneOf(
	rapid.Just(orca.Extent{}),
	rapid.Map(rapid.Uint32(), func(n uint32) orca.Extent { return orca.Extent{Count: n} }),
	rapid.Map(rapid.Uint64(), func(n uint64) orca.Extent { return orca.Extent{Span: n} }),
)

var lookback = rapid.Custom(func(t *rapid.T) orca.Lookback {
	return orca.Lookback{Range: extent.Draw(t, "range"), Gap: extent.Draw(t, "gap")}
})

var windowType = rapid.Custom(func(t *rapid.T) orca.WindowType {
	fields := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) orca.MetadataField {
		return orca.MetadataField{
			Name:        name.Draw(t, "field"),
			Description: text.Draw(t, "description"),
			NoStore:     rapid.Bool().Draw(t, "noStore"),
			Filter:      rapid.Bool().Draw(t, "filter"),
		}
	}), 0, 4, func(f orca.MetadataField) string { return f.Name }).Draw(t, "fields")
	return orca.WindowType{
		ID:          orca.WindowTypeID{Name: name.Draw(t, "type"), Version: name.Draw(t, "version")},
		Description: text.Draw(t, "description"),
		Fields:      noneIfEmpty(fields),
	}
})

var dependency = rapid.Custom(func(t *rapid.T) orca.Dependency {
	return orca.Dependency{
		On: orca.AlgorithmID{
			Processor: name.Draw(t, "processor"), Name: name.Draw(t, "name"), Version: name.Draw(t, "version"),
		},
		Runtime:  text.Draw(t, "runtime"),
		Lookback: lookback.Draw(t, "lookback"),
	}
})

// algorithm is a definition of any processor.
var algorithm = algorithmOf(name)

func algorithmOf(processor *rapid.Generator[string]) *rapid.Generator[orca.Algorithm] {
	type need struct {
		on       orca.AlgorithmID
		lookback orca.Lookback
	}
	return rapid.Custom(func(t *rapid.T) orca.Algorithm {
		return orca.Algorithm{
			ID: orca.AlgorithmID{
				Processor: processor.Draw(t, "processor"), Name: name.Draw(t, "name"), Version: name.Draw(t, "version"),
			},
			Description: text.Draw(t, "description"),
			WindowType:  windowType.Draw(t, "window type"),
			ResultType: rapid.SampledFrom([]orca.ResultType{
				orca.ResultStruct, orca.ResultValue, orca.ResultArray, orca.ResultNone,
			}).Draw(t, "result type"),
			Dependencies: noneIfEmpty(rapid.SliceOfNDistinct(dependency, 0, 4, func(d orca.Dependency) need {
				return need{d.On, d.Lookback}
			}).Draw(t, "dependencies")),
			Self: lookback.Draw(t, "self"),
		}
	})
}

var registration = rapid.Custom(func(t *rapid.T) orca.Registration {
	r := orca.Registration{
		Processor: name.Draw(t, "processor"),
		Project:   rapid.OneOf(rapid.Just(""), name).Draw(t, "project"),
		Runtime: rapid.OneOf(text, rapid.Just("3.12.3 (main, Feb  4 2025, 14:48:35)\n[GCC 13.3.0]")).
			Draw(t, "runtime"),
		Connection: rapid.SampledFrom([]string{"localhost:5377", "grpc://[::1]:1", "GRPCS://a.b:65535"}).
			Draw(t, "connection"),
	}
	r.Algorithms = noneIfEmpty(rapid.SliceOfNDistinct(algorithmOf(rapid.Just(r.Processor)), 0, 4, idOf).
		Draw(t, "algorithms"))
	return r
})

func idOf(a orca.Algorithm) orca.AlgorithmID { return a.ID }

// number draws every kind of float64, the bits of odd NaNs included.
var number = rapid.OneOf(
	rapid.Float64(),
	rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), 1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
		1e21, 1e-7, math.Float64frombits(0xfff0000000000001), math.Float64frombits(0x7ff8dead00000000),
	}),
	rapid.Map(rapid.Uint64(), math.Float64frombits),
)

// number32 draws every kind of float32.
var number32 = rapid.OneOf(
	rapid.Float32(),
	rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), 0.1, float32(math.Inf(-1)), math.SmallestNonzeroFloat32}),
	rapid.Map(rapid.Uint32(), math.Float32frombits),
)

// value draws a value with at most depth structs and lists in each other.
func value(depth int) *rapid.Generator[*structpb.Value] {
	kinds := []*rapid.Generator[*structpb.Value]{
		rapid.Just(&structpb.Value{}),
		rapid.Just(structpb.NewNullValue()),
		rapid.Just(&structpb.Value{Kind: &structpb.Value_NullValue{NullValue: -7}}),
		rapid.Custom(func(t *rapid.T) *structpb.Value {
			v := structpb.NewStringValue("with unknown fields")
			v.ProtoReflect().SetUnknown(unknown.Draw(t, "unknown"))
			return v
		}),
		rapid.Map(rapid.Bool(), structpb.NewBoolValue),
		rapid.Map(number, structpb.NewNumberValue),
		rapid.Map(text, structpb.NewStringValue),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(structOf(depth), structpb.NewStructValue),
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 4), func(vs []*structpb.Value) *structpb.Value {
				list := &structpb.ListValue{Values: vs}
				list.ProtoReflect().SetUnknown([]byte{0x98, 0x06, 0x01})
				return structpb.NewListValue(list)
			}))
	}
	return rapid.OneOf(kinds...)
}

// structOf draws a struct of at most depth levels.
func structOf(depth int) *rapid.Generator[*structpb.Struct] {
	return rapid.Map(rapid.MapOfN(text, value(depth-1), 0, 4), func(fields map[string]*structpb.Value) *structpb.Struct {
		return &structpb.Struct{Fields: fields}
	})
}

// instant draws a time that a window may have.
var instant = rapid.Map(rapid.Int64Range(1, math.MaxInt64), func(n int64) orca.Time { return orca.Time(n) })

func noneIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// sameStruct reports whether two structs are the same to the bit; nil is the same as an absent one only.
func sameStruct(a, b *structpb.Struct) error {
	if (a == nil) != (b == nil) {
		return fmt.Errorf("one is absent: %v, %v", a, b)
	}
	if len(a.GetFields()) != len(b.GetFields()) {
		return fmt.Errorf("%d fields, %d fields", len(a.GetFields()), len(b.GetFields()))
	}
	for k, v := range a.GetFields() {
		w, ok := b.GetFields()[k]
		if !ok {
			return fmt.Errorf("%q is missing", k)
		}
		if err := sameValue(v, w); err != nil {
			return fmt.Errorf("%q: %w", k, err)
		}
	}
	return nil
}

func sameValue(a, b *structpb.Value) error {
	switch ka := a.GetKind().(type) {
	case *structpb.Value_NumberValue:
		kb, ok := b.GetKind().(*structpb.Value_NumberValue)
		if !ok || math.Float64bits(ka.NumberValue) != math.Float64bits(kb.NumberValue) {
			return fmt.Errorf("%v, %v", a, b)
		}
	case *structpb.Value_StructValue:
		kb, ok := b.GetKind().(*structpb.Value_StructValue)
		if !ok {
			return fmt.Errorf("%v, %v", a, b)
		}
		return sameStruct(ka.StructValue, kb.StructValue)
	case *structpb.Value_ListValue:
		kb, ok := b.GetKind().(*structpb.Value_ListValue)
		if !ok || len(ka.ListValue.GetValues()) != len(kb.ListValue.GetValues()) {
			return fmt.Errorf("%v, %v", a, b)
		}
		for i, v := range ka.ListValue.GetValues() {
			if err := sameValue(v, kb.ListValue.GetValues()[i]); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
	default:
		if fmt.Sprintf("%T %v", a.GetKind(), a) != fmt.Sprintf("%T %v", b.GetKind(), b) {
			return fmt.Errorf("%T %v, %T %v", a.GetKind(), a, b.GetKind(), b)
		}
	}
	return nil
}
