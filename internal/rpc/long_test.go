package rpc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// variant is a message with one string replaced.
type variant struct {
	field   string
	message proto.Message
}

// withLong returns a variant of the message for each string in it.
func withLong(m proto.Message, long string) []variant {
	var all []variant
	var walk func(path string, at func(proto.Message) protoreflect.Message)
	walk = func(path string, at func(proto.Message) protoreflect.Message) {
		add := func(field string, set func(protoreflect.Message)) {
			again := proto.Clone(m)
			set(at(again))
			all = append(all, variant{path + field, again})
		}
		at(m).Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			name := string(f.Name())
			switch {
			case f.IsMap():
				v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
					add(name+" key", func(m protoreflect.Message) {
						m.Mutable(f).Map().Set(protoreflect.ValueOfString(long).MapKey(), e)
					})
					walk(path+name+"."+k.String()+".", func(p proto.Message) protoreflect.Message { return at(p).Get(f).Map().Get(k).Message() })
					return true
				})
			case f.IsList() && f.Kind() == protoreflect.MessageKind:
				for i := range v.List().Len() {
					walk(fmt.Sprintf("%s%s[%d].", path, name, i), func(p proto.Message) protoreflect.Message { return at(p).Get(f).List().Get(i).Message() })
				}
			case f.Kind() == protoreflect.StringKind:
				add(name, func(m protoreflect.Message) { m.Set(f, protoreflect.ValueOfString(long)) })
			case f.Kind() == protoreflect.MessageKind:
				walk(path+name+".", func(p proto.Message) protoreflect.Message { return at(p).Get(f).Message() })
			}
			return true
		})
	}
	walk("", func(p proto.Message) protoreflect.Message { return p.ProtoReflect() })
	return all
}

// full are requests in which every string has a value.
func full(id string) map[string]proto.Message {
	fields := &structpb.Struct{Fields: map[string]*structpb.Value{"asset": structpb.NewStringValue("pump")}}
	return map[string]proto.Message{
		"RegisterProcessor": registration("long", described()),
		"EmitWindow":        orcatest.Window("W", "1.0.0", 1, map[string]any{"asset": "pump"}),
		"Expose":            &pb.ExposeSettings{ExcludeProject: "racing"},
		"ListProcessors":    &pb.ListProcessorsRequest{PageToken: "InAi"},
		"ListAlgorithms":    &pb.ListAlgorithmsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", PageToken: "e30"},
		"ListWindows":       &pb.ListWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", PageToken: "NDI"},
		"GetWindow":         &pb.GetWindowRequest{Id: id},
		"ListInputs": &pb.ListInputsRequest{Id: id, PageToken: "e30",
			Algorithms: []*pb.AlgorithmRef{{Processor: "p", Name: "A", Version: "1.0.0"}}},
		"ListResults":      &pb.ListResultsRequest{Name: "A", Version: "1.0.0", Processor: "p", PageToken: "bnVsbA", Metadata: fields},
		"WatchWindow":      &pb.WatchWindowRequest{Id: id},
		"GetStatus":        &pb.GetStatusRequest{},
		"RetryWindow":      &pb.RetryWindowRequest{Id: id, Metadata: fields},
		"ReprocessWindow":  &pb.ReprocessWindowRequest{Id: id, Metadata: fields},
		"ReprocessWindows": &pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", DryRun: true},
		"CancelWindow":     &pb.CancelWindowRequest{Id: id},
		"ForgetProcessor":  &pb.ForgetProcessorRequest{Name: "long"},
	}
}

// A string of 1 MiB, in whichever field of whichever request, is served or refused at once, in few words that say where
// it is, how long it is or what to do; and everything can be read as before. The bound is that of a loaded machine.
func TestLongStrings(t *testing.T) {
	t.Parallel()
	const long, most, soon = 1 << 20, 1 << 10, 10 * time.Second
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	core.Wait(id)
	v := &victim{core: core, fuzzed: dial(t, core)}
	requests, slowest := full(id), time.Duration(0)
	for _, file := range []protoreflect.FileDescriptor{pb.File_service_proto, pb.File_console_proto} {
		methods := file.Services().Get(0).Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			for _, variant := range withLong(requests[string(m.Name())], strings.Repeat("x", long)) {
				b, err := proto.Marshal(variant.message)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				answer := v.call(t.Context(), m, b)
				took := time.Since(begin)
				slowest = max(slowest, took)
				checkAnswer(t, m, answer)
				if n := len(status.Convert(answer).Message()); n > most || took > soon {
					t.Errorf("%s with a long %s is answered in %v, with %d bytes: %.200v", m.Name(), variant.field, took, n, answer)
				}
			}
		}
	}
	t.Logf("the slowest took %v", slowest.Round(time.Millisecond))
	headers := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", strings.Repeat("k", 4<<10), "orca-project", strings.Repeat("p", 256))
	_, err := core.EmitWindow(headers, orcatest.Window("W", "1.0.0", 1, nil))
	want := status.Error(codes.InvalidArgument, "idempotency-key: 4096 bytes are more than the 255 allowed: use a UUID")
	if diff := cmp.Diff(want.Error(), fmt.Sprint(err)); diff != "" {
		t.Errorf("a long key (-want +got):\n%s", diff)
	}
}

// A message of 64 MiB passes, and one byte more is refused without being read.
func TestMessageSize(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")}).Forget()
	conn, err := grpc.NewClient("passthrough:///"+core.Addresses.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	window := orcatest.Window("X", "1.0.0", 0, nil) // of no type, so that nothing is stored
	const limit = 64 << 20
	window.Origin = strings.Repeat("x", limit-proto.Size(window)+len(window.GetOrigin())-3) // three more for its length
	for want, more := range map[codes.Code]string{codes.NotFound: "", codes.ResourceExhausted: "x"} {
		window.Origin += more
		begin := time.Now()
		_, err := pb.NewOrcaCoreClient(conn).EmitWindow(t.Context(), window)
		t.Logf("%d bytes: %v, %.100v", proto.Size(window), time.Since(begin).Round(time.Millisecond), err)
		if n := proto.Size(window); status.Code(err) != want || n != limit+len(more) {
			t.Errorf("%d bytes are answered with %.200v, want %v", n, err, want)
		}
		window.Origin = strings.TrimSuffix(window.Origin, more)
	}
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	core.Wait(id)
}
