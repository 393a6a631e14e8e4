package wire_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

var secret = []byte("the ledger's secret key")

// second is a type with every combination of flags.
var second = orca.WindowType{
	ID: orca.WindowTypeID{Name: "Second", Version: "1.0.0"},
	Fields: []orca.MetadataField{
		{Name: "unit"}, {Name: "token", NoStore: true}, {Name: "patient", NoStore: true, Filter: true}, {Name: "host", Filter: true},
	},
}

// secondWindow is a window of that type.
func secondWindow() *pb.Window {
	return &pb.Window{
		TimeFrom:          &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 1},
		TimeTo:            &timestamppb.Timestamp{Seconds: 1_700_000_001},
		WindowTypeName:    "Second",
		WindowTypeVersion: "1.0.0",
		Origin:            "test",
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"unit":    structpb.NewStringValue("percent"),
			"token":   structpb.NewStringValue("s3cret"),
			"patient": structpb.NewNumberValue(7),
			"host":    structpb.NewStringValue("a"),
			"extra":   structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{{}, structpb.NewNumberValue(math.Copysign(0, -1))}}),
		}},
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	got, err := wire.Window(secondWindow(), second, secret)
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, f := range got.Filters {
		fields = append(fields, f.Field)
	}
	if diff := cmp.Diff([]string{"host", "patient"}, fields); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
	list := structpb.NewListValue(&structpb.ListValue{
		Values: []*structpb.Value{structpb.NewNullValue(), structpb.NewNumberValue(math.Copysign(0, -1))}})
	full := map[string]*structpb.Value{
		"unit": structpb.NewStringValue("percent"), "host": structpb.NewStringValue("a"), "extra": list,
		"token": structpb.NewStringValue("s3cret"), "patient": structpb.NewNumberValue(7),
	}
	stored := map[string]*structpb.Value{"unit": full["unit"], "host": full["host"], "extra": list}
	want := orca.Emission{
		Window: orca.Window{
			Type:     second.ID,
			From:     1_700_000_000_000_000_001,
			To:       1_700_000_001_000_000_000,
			Origin:   "test",
			Metadata: marshalled(t, stored),
		},
		FullMetadata: marshalled(t, full),
		Filters:      got.Filters,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the emission (-want +got):\n%s", diff)
	}
}

// marshalled is what protobuf itself makes of the fields.
func marshalled(t interface{ Fatal(...any) }, fields map[string]*structpb.Value) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&structpb.Struct{Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// window draws a message and its registered type: each declared field is there, and others may be.
var window = rapid.Custom(func(t *rapid.T) (w struct {
	msg *pb.Window
	t   orca.WindowType
}) {
	w.t = windowType.Draw(t, "window type")
	metadata := structOf(3).Draw(t, "extra metadata")
	for _, f := range w.t.Fields {
		metadata.Fields[f.Name] = value(2).Draw(t, "value")
	}
	from, to := instant.Draw(t, "a time"), instant.Draw(t, "a time")
	w.msg = &pb.Window{
		TimeFrom:          timestamppb.New(min(from, to).Std()),
		TimeTo:            timestamppb.New(max(from, to).Std()),
		WindowTypeName:    w.t.ID.Name,
		WindowTypeVersion: w.t.ID.Version,
		Origin:            "origin " + text.Draw(t, "origin"),
		Metadata:          metadata,
	}
	return w
})

// What is stored and what the algorithms get is what was sent, without the noStore fields in the one and with nulls for
// values of no kind in both.
func TestWindowComesBackEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := window.Draw(t, "window")
		got, err := wire.Window(overTheWire(t, w.msg), w.t, secret)
		if err != nil {
			t.Fatal(err)
		}
		full := proto.Clone(w.msg.GetMetadata()).(*structpb.Struct)
		store(full)
		stored := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for k, v := range full.Fields {
			if !slices.ContainsFunc(w.t.Fields, func(f orca.MetadataField) bool { return f.NoStore && f.Name == k }) {
				stored.Fields[k] = v
			}
		}
		checkWindow(t, w.msg, stored, got.Window)
		if (got.FullMetadata != nil) != w.t.HasNoStore() {
			t.Fatalf("%d bytes of full metadata for a type with fields %+v", len(got.FullMetadata), w.t.Fields)
		}
		if w.t.HasNoStore() {
			input := got.Window
			input.Metadata = got.FullMetadata
			checkWindow(t, w.msg, full, input)
		}
	})
}

func checkWindow(t *rapid.T, sent *pb.Window, metadata *structpb.Struct, w orca.Window) {
	t.Helper()
	msg, err := wire.WindowMessage(w)
	if err != nil {
		t.Fatal(err)
	}
	if (w.Metadata == nil) != (len(metadata.Fields) == 0) {
		t.Fatalf("%d fields became %d bytes", len(metadata.Fields), len(w.Metadata))
	}
	if w.Metadata != nil {
		if err := sameStruct(metadata, msg.Metadata); err != nil {
			t.Fatal("metadata:", err)
		}
	}
	got, want := proto.Clone(msg).(*pb.Window), proto.Clone(sent).(*pb.Window)
	got.Metadata, want.Metadata = nil, nil
	if !proto.Equal(want, got) {
		t.Fatalf("sent %v, got %v", want, got)
	}
}

// store makes of a struct what is stored of it: null for values of no kind, and no unknown fields.
func store(s *structpb.Struct) {
	s.ProtoReflect().SetUnknown(nil)
	for _, v := range s.GetFields() {
		storeValue(v)
	}
}

func storeValue(v *structpb.Value) {
	v.ProtoReflect().SetUnknown(nil)
	switch kind := v.GetKind().(type) {
	case nil, *structpb.Value_NullValue:
		v.Kind = &structpb.Value_NullValue{}
	case *structpb.Value_StructValue:
		store(kind.StructValue)
	case *structpb.Value_ListValue:
		kind.ListValue.ProtoReflect().SetUnknown(nil)
		for _, e := range kind.ListValue.GetValues() {
			storeValue(e)
		}
	}
}

func TestEncodingDoesNotDependOnTheSender(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := window.Draw(t, "window")
		first, err := wire.Window(w.msg, w.t, secret)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.Window(overTheWire(t, w.msg), w.t, secret)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("the same window twice (-first +again):\n%s", diff)
		}
		if a, b := wire.Digest(w.msg, w.t, secret), wire.Digest(overTheWire(t, w.msg), w.t, secret); a != b {
			t.Fatalf("the same window has digests %x and %x", a, b)
		}
	})
}

// equal is the matching of filter values, written down a second time: same kind and same value, numbers as float64 with
// −0 = 0 and NaN = NaN, lists and structs deeply, null equals null.
func equal(a, b *structpb.Value) bool {
	switch ka := a.GetKind().(type) {
	case nil, *structpb.Value_NullValue:
		_, null := b.GetKind().(*structpb.Value_NullValue)
		return null || b.GetKind() == nil
	case *structpb.Value_NumberValue:
		kb, ok := b.GetKind().(*structpb.Value_NumberValue)
		return ok && (ka.NumberValue == kb.NumberValue || math.IsNaN(ka.NumberValue) && math.IsNaN(kb.NumberValue))
	case *structpb.Value_StringValue:
		kb, ok := b.GetKind().(*structpb.Value_StringValue)
		return ok && ka.StringValue == kb.StringValue
	case *structpb.Value_BoolValue:
		kb, ok := b.GetKind().(*structpb.Value_BoolValue)
		return ok && ka.BoolValue == kb.BoolValue
	case *structpb.Value_ListValue:
		kb, ok := b.GetKind().(*structpb.Value_ListValue)
		return ok && slices.EqualFunc(ka.ListValue.GetValues(), kb.ListValue.GetValues(), equal)
	case *structpb.Value_StructValue:
		kb, ok := b.GetKind().(*structpb.Value_StructValue)
		if !ok || len(ka.StructValue.GetFields()) != len(kb.StructValue.GetFields()) {
			return false
		}
		for k, v := range ka.StructValue.GetFields() {
			w, there := kb.StructValue.GetFields()[k]
			if !there || !equal(v, w) {
				return false
			}
		}
		return true
	}
	panic("a value of another kind")
}

// scalars are values of which some are equal, and some nearly so.
var scalars = []*structpb.Value{
	{}, structpb.NewNullValue(), structpb.NewBoolValue(false), structpb.NewBoolValue(true),
	structpb.NewNumberValue(0), structpb.NewNumberValue(math.Copysign(0, -1)), structpb.NewNumberValue(1),
	structpb.NewNumberValue(math.NaN()), structpb.NewNumberValue(math.Float64frombits(0xfff0000000000001)),
	structpb.NewNumberValue(math.Inf(1)), structpb.NewNumberValue(math.Inf(-1)),
	structpb.NewStringValue(""), structpb.NewStringValue("0"), structpb.NewStringValue("NaN"),
}

// likely draws values of which many are equal, and many nearly so.
func likely(depth int) *rapid.Generator[*structpb.Value] {
	kinds := []*rapid.Generator[*structpb.Value]{rapid.SampledFrom(scalars)}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(likely(depth-1), 0, 2), func(vs []*structpb.Value) *structpb.Value {
				return structpb.NewListValue(&structpb.ListValue{Values: vs})
			}),
			rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"", "a", "b"}), likely(depth-1), 0, 2),
				func(fields map[string]*structpb.Value) *structpb.Value {
					return structpb.NewStructValue(&structpb.Struct{Fields: fields})
				}))
	}
	return rapid.OneOf(kinds...)
}

func TestFiltersAndDigestsAreEqualExactlyForEqualValues(t *testing.T) {
	t.Parallel()
	for _, a := range scalars {
		for _, b := range scalars {
			checkEquality(t, a, b)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		checkEquality(t, likely(2).Draw(t, "a value"), likely(2).Draw(t, "another value"))
	})
}

func checkEquality(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, a, b *structpb.Value) {
	t.Helper()
	for _, field := range []string{"unit", "token", "patient", "host", "extra"} {
		x, y := secondWindow(), secondWindow()
		x.Metadata.Fields[field], y.Metadata.Fields[field] = a, b
		if got := wire.Digest(x, second, secret) == wire.Digest(y, second, secret); got != equal(a, b) {
			t.Fatalf("%s of %v and %v: equal digests %v, equal values %v", field, a, b, got, equal(a, b))
		}
		ex, errX := wire.Window(x, second, secret)
		ey, errY := wire.Window(y, second, secret)
		if err := errors.Join(errX, errY); err != nil {
			t.Fatal(err)
		}
		want := equal(a, b) || field != "patient" && field != "host"
		if got := cmp.Equal(ex.Filters, ey.Filters); got != want {
			t.Fatalf("%s of %v and %v: equal filters %v, want %v", field, a, b, got, want)
		}
	}
	have := marshalled(t, map[string]*structpb.Value{"a": a, "more": b})
	got, err := wire.MetadataMatches(have, &structpb.Struct{Fields: map[string]*structpb.Value{"a": b}})
	if err != nil || got != equal(a, b) {
		t.Fatalf("%v matches %v: %v, %v", a, b, got, err)
	}
}

// A field that one type stores and another does not is still the same field to a lookback.
func TestFilterMatchesWhereOnlyOneTypeStoresIt(t *testing.T) {
	t.Parallel()
	stores, hides := second, second
	hides.Fields = []orca.MetadataField{{Name: "host", Filter: true, NoStore: true}}
	stores.Fields = []orca.MetadataField{{Name: "host", Filter: true}}
	a, errA := wire.Window(secondWindow(), stores, secret)
	b, errB := wire.Window(secondWindow(), hides, secret)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.Filters, b.Filters); diff != "" {
		t.Errorf("the same host (-stored +not stored):\n%s", diff)
	}
}

// Without the key nobody finds a value again by hashing guesses.
func TestHashesNeedTheSecret(t *testing.T) {
	t.Parallel()
	a, errA := wire.Window(secondWindow(), second, secret)
	b, errB := wire.Window(secondWindow(), second, []byte("another"))
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	for i := range a.Filters {
		if a.Filters[i] == b.Filters[i] {
			t.Errorf("the hash of %s does not depend on the secret", a.Filters[i].Field)
		}
	}
	if wire.Digest(secondWindow(), second, secret) == wire.Digest(secondWindow(), second, []byte("another")) {
		t.Error("the digest of noStore values does not depend on the secret")
	}
}

// Hashes are stored in ledgers: these values hold in every version to come.
func TestHashesNeverChange(t *testing.T) {
	t.Parallel()
	e, err := wire.Window(secondWindow(), second, secret)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"digest": fmt.Sprintf("%x", wire.Digest(secondWindow(), second, secret))}
	for _, f := range e.Filters {
		got[f.Field] = fmt.Sprintf("%x", f.Hash)
	}
	want := map[string]string{
		"digest":  "4ffbd5e6e6ac3a2cc68f22fb7d072b2e72def41ff45cd769d14c238f680cddda",
		"host":    "8bb8121d6107c8af2869be6edf207010",
		"patient": "9203c77c130f0bb4c477694662297511",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hashes (-want +got):\n%s", diff)
	}
}

func TestDigestSeesEveryPart(t *testing.T) {
	t.Parallel()
	want := wire.Digest(secondWindow(), second, secret)
	for what, change := range map[string]func(*pb.Window, *orca.WindowType){
		"time_from":     func(w *pb.Window, _ *orca.WindowType) { w.TimeFrom.Nanos++ },
		"time_to":       func(w *pb.Window, _ *orca.WindowType) { w.TimeTo.Seconds++ },
		"type":          func(_ *pb.Window, t *orca.WindowType) { t.ID.Name += "s" },
		"version":       func(_ *pb.Window, t *orca.WindowType) { t.ID.Version += "0" },
		"boundary":      func(_ *pb.Window, t *orca.WindowType) { t.ID.Name, t.ID.Version = "Second1", ".0.0" },
		"origin":        func(w *pb.Window, _ *orca.WindowType) { w.Origin += "." },
		"missing field": func(w *pb.Window, _ *orca.WindowType) { delete(w.Metadata.Fields, "extra") },
		"one more null": func(w *pb.Window, _ *orca.WindowType) { w.Metadata.Fields["null"] = structpb.NewNullValue() },
		"swapped": func(w *pb.Window, _ *orca.WindowType) {
			f := w.Metadata.Fields
			f["token"], f["patient"] = f["patient"], f["token"]
		},
	} {
		msg, typ := secondWindow(), second
		change(msg, &typ)
		if wire.Digest(msg, typ, secret) == want {
			t.Errorf("%s: the digest does not show it", what)
		}
	}
	none, empty := secondWindow(), secondWindow()
	none.Metadata, empty.Metadata = nil, &structpb.Struct{}
	bare := orca.WindowType{ID: second.ID}
	if wire.Digest(none, bare, secret) != wire.Digest(empty, bare, secret) {
		t.Error("no metadata and empty metadata have different digests")
	}
}

func TestWindowRefused(t *testing.T) {
	t.Parallel()
	many := second
	many.Fields = nil
	for i := range 1000 {
		many.Fields = append(many.Fields, orca.MetadataField{Name: "f" + strconv.Itoa(1000+i)})
	}
	for _, tc := range []struct {
		what  string
		spoil func(*pb.Window)
		want  string
	}{
		{"no beginning", func(w *pb.Window) { w.TimeFrom = nil }, `time_from: unset: give the window a beginning and an end`},
		{"no end", func(w *pb.Window) { w.TimeTo = nil }, `time_to: unset: give the window a beginning and an end`},
		{"at the epoch", func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{} },
			`time_from: 0 seconds and 0 nanos are not after the epoch: use a time after 1970-01-01T00:00:00Z`},
		{"before the epoch", func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{Seconds: -1, Nanos: 999_999_999} },
			`time_from: -1 seconds and 999999999 nanos are not after the epoch: use a time after 1970-01-01T00:00:00Z`},
		{"too late", func(w *pb.Window) { w.TimeTo = &timestamppb.Timestamp{Seconds: 9223372036, Nanos: 854775808} },
			`time_to: 9223372036 seconds and 854775808 nanos are too late: the last instant is 2262-04-11T23:47:16.854775807Z`},
		{"a second too late", func(w *pb.Window) { w.TimeTo = &timestamppb.Timestamp{Seconds: 9223372037} },
			`time_to: 9223372037 seconds and 0 nanos are too late: the last instant is 2262-04-11T23:47:16.854775807Z`},
		{"the last second that protobuf has", func(w *pb.Window) { w.TimeTo = &timestamppb.Timestamp{Seconds: math.MaxInt64} },
			`time_to: 9223372036854775807 seconds and 0 nanos are too late: the last instant is 2262-04-11T23:47:16.854775807Z`},
		{"negative nanos", func(w *pb.Window) { w.TimeFrom.Nanos = -1 }, `time_from: -1 nanos are outside a second: send 0 to 999999999`},
		{"a whole second of nanos", func(w *pb.Window) { w.TimeTo.Nanos = 1e9 },
			`time_to: 1000000000 nanos are outside a second: send 0 to 999999999`},
		{"backwards", func(w *pb.Window) { w.TimeFrom, w.TimeTo = w.TimeTo, w.TimeFrom },
			`time_to: 2023-11-14T22:13:20.000000001Z is before time_from 2023-11-14T22:13:21Z: swap them`},
		{"no origin", func(w *pb.Window) { w.Origin = "" }, `origin: "" is no origin: say who emits the window`},
		{"origin that is no text", func(w *pb.Window) { w.Origin = "\xff" }, `origin: "\xff" is not UTF-8: send text`},
		{"missing fields", func(w *pb.Window) { delete(w.Metadata.Fields, "unit"); delete(w.Metadata.Fields, "patient") },
			`metadata: lacks "patient", "unit", which Second 1.0.0 declares: send every declared field, null where there is no value`},
		{"no metadata", func(w *pb.Window) { w.Metadata = nil },
			`metadata: lacks "host", "patient", "token", "unit", which Second 1.0.0 declares: send every declared field, null where there is no value`},
		{"name that is no text", func(w *pb.Window) { w.Metadata.Fields["\xff"] = &structpb.Value{} },
			`metadata."\xff": the name is not UTF-8: send text`},
		{"value that is no text", func(w *pb.Window) { w.Metadata.Fields["unit"] = structpb.NewStringValue("\xff") },
			`metadata."unit": "\xff" is not UTF-8: send text`},
		{"deep structs", func(w *pb.Window) { w.Metadata.Fields["token"] = deepStruct(32) },
			`metadata."token": more than 32 structs and lists lie in each other: flatten it`},
		{"deep lists", func(w *pb.Window) { w.Metadata.Fields["token"] = deepList(32) },
			`metadata."token": more than 32 structs and lists lie in each other: flatten it`},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			msg := secondWindow()
			tc.spoil(msg)
			_, err := wire.Window(msg, second, secret)
			if !errors.Is(err, orca.Invalid) {
				t.Fatalf("error %v, want one of kind invalid", err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("the message (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("many missing fields", func(t *testing.T) {
		t.Parallel()
		_, err := wire.Window(secondWindow(), many, secret)
		if err == nil || !strings.Contains(err.Error(), `"f1226", "f1227" and 772 more, which`) {
			t.Errorf("error %v, want two kilobytes of fields and the number of the others", err)
		}
	})
	t.Run("another type", func(t *testing.T) {
		t.Parallel()
		if _, err := wire.Window(secondWindow(), orca.WindowType{ID: orca.WindowTypeID{Name: "Minute"}}, secret); err == nil {
			t.Error("a window was read as one of another type")
		}
	})
}

func TestWindowAccepted(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*pb.Window){
		"a point":        func(w *pb.Window) { w.TimeTo = w.TimeFrom },
		"first instant":  func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{Nanos: 1} },
		"last instant":   func(w *pb.Window) { w.TimeTo = &timestamppb.Timestamp{Seconds: 9223372036, Nanos: 854775807} },
		"null":           func(w *pb.Window) { w.Metadata.Fields["host"] = structpb.NewNullValue() },
		"no kind":        func(w *pb.Window) { w.Metadata.Fields["host"] = &structpb.Value{} },
		"no value":       func(w *pb.Window) { w.Metadata.Fields["host"] = nil },
		"deepest struct": func(w *pb.Window) { w.Metadata.Fields["host"] = deepStruct(31) },
		"deepest list":   func(w *pb.Window) { w.Metadata.Fields["host"] = deepList(31) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			msg := secondWindow()
			change(msg)
			if _, err := wire.Window(msg, second, secret); err != nil {
				t.Error(err)
			}
		})
	}
}

// deepStruct returns n structs in each other.
func deepStruct(n int) *structpb.Value {
	v := structpb.NewStructValue(&structpb.Struct{})
	for range n - 1 {
		v = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"d": v}})
	}
	return v
}

// deepList returns n lists in each other.
func deepList(n int) *structpb.Value {
	v := structpb.NewListValue(&structpb.ListValue{})
	for range n - 1 {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	return v
}

func TestWindowMessageOfBrokenBytes(t *testing.T) {
	t.Parallel()
	if _, err := wire.WindowMessage(orca.Window{Metadata: []byte{0xff}}); err == nil {
		t.Error("broken metadata was decoded")
	}
}

func TestMetadataMatches(t *testing.T) {
	t.Parallel()
	field := func(name string, v *structpb.Value) *structpb.Struct {
		return &structpb.Struct{Fields: map[string]*structpb.Value{name: v}}
	}
	have := marshalled(t, field("a", structpb.NewBoolValue(true)).Fields)
	for _, tc := range []struct {
		what     string
		metadata []byte
		want     *structpb.Struct
		matches  bool
		fails    bool
	}{
		{"nothing wanted", have, nil, true, false},
		{"nothing wanted, nothing there", nil, &structpb.Struct{}, true, false},
		{"null wanted, nothing there", nil, field("a", structpb.NewNullValue()), false, false},
		{"wanted too deep", have, field("a", deepList(32)), false, true},
		{"broken", []byte{0xff}, field("a", structpb.NewNullValue()), false, true},
	} {
		got, err := wire.MetadataMatches(tc.metadata, tc.want)
		if got != tc.matches || (err != nil) != tc.fails {
			t.Errorf("%s: %v, %v", tc.what, got, err)
		}
	}
}
