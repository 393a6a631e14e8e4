package wire_test

import (
	"encoding/json"
	"errors"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// maxRefusal is how long a refusal may be, in bytes: gRPC carries it in a header.
const maxRefusal = 8 << 10

func addMessage(f *testing.F, msg proto.Message) {
	b, err := proto.Marshal(msg)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
}

// checkRefusal holds for every error that a peer's message causes.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, orca.Invalid) {
		t.Fatalf("refused with %v, want an error of kind invalid", err)
	}
	if n := len(err.Error()); n > maxRefusal {
		t.Fatalf("a refusal of %d bytes: %.200s", n, err)
	}
}

func FuzzRegistration(f *testing.F) {
	addMessage(f, workingRegistration())
	addMessage(f, &pb.ProcessorRegistration{})
	addMessage(f, &pb.ProcessorRegistration{SupportedAlgorithms: []*pb.Algorithm{nil, {WindowType: &pb.WindowType{
		MetadataFields: []*pb.MetadataField{nil}}, Dependencies: []*pb.AlgorithmDependency{nil}}}})
	validator := newValidator(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		msg := new(pb.ProcessorRegistration)
		if proto.Unmarshal(b, msg) != nil {
			t.Skip()
		}
		if _, err := validator.Check(msg); err != nil {
			checkRefusal(t, err)
		}
		r, err := wire.Registration(msg)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		again, err := wire.Registration(overTheWire(t, wire.ProcessorRegistrationMessage(r)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("another registration (-first +again):\n%s", diff)
		}
	})
}

// FuzzWindow reads a window as one of a type that declares the first of its fields, with the given flags.
func FuzzWindow(f *testing.F) {
	add := func(msg *pb.Window, field string, flags byte) {
		b, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, field, flags)
	}
	add(secondWindow(), "host", 3)
	add(secondWindow(), "missing", 0)
	add(&pb.Window{}, "", 0)
	deep := secondWindow()
	deep.Metadata.Fields["deep"] = deepStruct(31)
	deep.Metadata.Fields["list"] = deepList(31)
	add(deep, "deep", 1)
	deep.Metadata.Fields["list"] = deepList(3000)
	add(deep, "list", 2)
	validator := newValidator(f)
	rules, err := protovalidate.New()
	if err != nil {
		f.Fatal(err)
	}
	for _, broken := range brokenWindows() {
		add(broken, "host", 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, field string, flags byte) {
		msg := new(pb.Window)
		if proto.Unmarshal(b, msg) != nil {
			t.Skip()
		}
		if _, err := validator.Check(msg); err != nil {
			checkRefusal(t, err)
		}
		if err := rules.Validate(msg); err != nil && wire.Plain(msg) {
			t.Fatalf("taken for a window that keeps all rules: %v", err)
		}
		typ := orca.WindowType{ID: wire.WindowTypeID(msg), Fields: []orca.MetadataField{
			{Name: field, NoStore: flags&1 != 0, Filter: flags&2 != 0},
		}}
		e, err := wire.Window(msg, typ, secret)
		if err != nil {
			checkRefusal(t, err)
			wire.Digest(msg, typ, secret) // whatever it is
			return
		}
		checkStored(t, e, field, flags&1 != 0)
		back := e.Window
		if e.FullMetadata != nil {
			back.Metadata = e.FullMetadata
		}
		sent, err := wire.WindowMessage(back)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.Window(overTheWire(t, sent), typ, secret)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatalf("another window (-first +again):\n%s", diff)
		}
		if wire.Digest(msg, typ, secret) != wire.Digest(sent, typ, secret) {
			t.Fatal("the same window has two digests")
		}
	})
}

// checkStored holds that what is not to be stored is not.
func checkStored(t *testing.T, e orca.Emission, field string, noStore bool) {
	t.Helper()
	stored, err := wire.WindowMessage(e.Window)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := stored.GetMetadata().GetFields()[field]; there == noStore {
		t.Fatalf("field %q is stored: %v, and noStore: %v", field, there, noStore)
	}
}

func FuzzResult(f *testing.F) {
	for _, r := range []*pb.Result{
		{},
		{Status: 2, ResultData: &pb.Result_SingleValue{SingleValue: 1}, Timestamp: 1},
		{Status: 2, ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{1, 2}}}},
		{Status: 2, ResultData: &pb.Result_StructValue{StructValue: secondWindow().Metadata}},
		{Status: 1, Error: secondWindow().Metadata},
		{Status: 9, Error: deepStruct(32).GetStructValue()},
		{Status: 2, ResultData: &pb.Result_StructValue{StructValue: deepStruct(3000).GetStructValue()}},
	} {
		addMessage(f, r)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		msg := new(pb.Result)
		if proto.Unmarshal(b, msg) != nil {
			t.Skip()
		}
		r, err := wire.Result(msg)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		back, err := wire.ResultMessage(r.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		if err := sameResult(msg, back); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{r.JSON, r.Error} {
			if text != "" && !json.Valid([]byte(text)) {
				t.Fatalf("%s is not JSON", text)
			}
		}
	})
}
