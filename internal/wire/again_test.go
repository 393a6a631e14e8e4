package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

func againStruct(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func againBytes(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	b, err := proto.Marshal(againStruct(t, fields))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A window that runs again has what is stored of it, extra fields included, and the noStore fields as they are given.
func TestFullMetadata(t *testing.T) {
	t.Parallel()
	id := orca.WindowTypeID{Name: "Lap", Version: "1.0.0"}
	car, token, pin := orca.MetadataField{Name: "car"}, orca.MetadataField{Name: "token", NoStore: true}, orca.MetadataField{Name: "pin", NoStore: true}
	plain := orca.WindowType{ID: id, Fields: []orca.MetadataField{car}}
	secret := orca.WindowType{ID: id, Fields: []orca.MetadataField{car, token, pin}}
	bare := orca.WindowType{ID: id, Fields: []orca.MetadataField{token}}
	kept := map[string]any{"car": 7.0, "extra": []any{"x", nil}}
	for name, c := range map[string]struct {
		typ    orca.WindowType
		stored map[string]any
		given  map[string]any // nil for none
		want   map[string]any // nil for none
		kind   error
		words  string
	}{
		"no noStore fields":             {typ: plain, stored: kept},
		"no noStore fields, none given": {typ: plain, stored: kept, given: map[string]any{}},
		"given again": {typ: secret, stored: kept, given: map[string]any{"token": "t", "pin": nil},
			want: map[string]any{"car": 7.0, "extra": []any{"x", nil}, "token": "t", "pin": nil}},
		"nothing stored":   {typ: bare, given: map[string]any{"token": map[string]any{"a": 1.0}}, want: map[string]any{"token": map[string]any{"a": 1.0}}},
		"all missing":      {typ: secret, stored: kept, kind: orca.Precondition, words: `lacks "pin", "token", which Lap 1.0.0 does not store`},
		"one missing":      {typ: secret, stored: kept, given: map[string]any{"pin": 1.0}, kind: orca.Precondition, words: `lacks "token", which`},
		"a stored field":   {typ: secret, stored: kept, given: map[string]any{"pin": 1.0, "token": 1.0, "car": 8.0}, kind: orca.Invalid, words: `metadata: has "car", which`},
		"an extra field":   {typ: secret, stored: kept, given: map[string]any{"pin": 1.0, "token": 1.0, "extra": 8.0}, kind: orca.Invalid, words: `has "extra"`},
		"of a plain type":  {typ: plain, stored: kept, given: map[string]any{"car": 7.0}, kind: orca.Invalid, words: `has "car"`},
		"a value too deep": {typ: bare, given: map[string]any{"token": nested(40)}, kind: orca.Invalid, words: `metadata."token"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var given *structpb.Struct
			if c.given != nil {
				given = againStruct(t, c.given)
			}
			got, err := wire.FullMetadata(againBytes(t, c.stored), c.typ, given)
			if c.kind != nil {
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
					t.Errorf("%v, want %v and %q", err, c.kind, c.words)
				}
				return
			}
			if err != nil || (got == nil) != (c.want == nil) {
				t.Fatalf("%v, %v", got, err)
			}
			var s structpb.Struct
			if err := proto.Unmarshal(got, &s); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(againStruct(t, c.want), &s, protocmp.Transform(), protocmp.IgnoreEmptyMessages()); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := wire.FullMetadata([]byte{0xff}, bare, againStruct(t, map[string]any{"token": 1.0})); err == nil || errors.Is(err, orca.Invalid) {
		t.Errorf("a stored struct that cannot be read gives %v, want a defect", err)
	}
}

func nested(levels int) any {
	v := any(1.0)
	for range levels {
		v = []any{v}
	}
	return v
}
