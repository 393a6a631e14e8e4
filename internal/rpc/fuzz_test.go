package rpc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/wire"
)

// FuzzCore sends any message to any method of OrcaCore, with any headers of an emit.
func FuzzCore(f *testing.F) {
	service := pb.File_service_proto.Services().ByName("OrcaCore")
	fuzzService(f, service, map[string][]proto.Message{
		"RegisterProcessor": {
			registration("p", orcatest.Define("W", "A")), registration("q", orcatest.Define("W", "B", orcatest.On("p", "A"))),
			registration("q", described()), registration("q"), &pb.ProcessorRegistration{},
		},
		"EmitWindow": {
			orcatest.Window("W", "1.0.0", 1, nil), orcatest.Window("X", "1.0.0", 1, nil), &pb.Window{},
			orcatest.Window("W", "1.0.0", 2, map[string]any{"asset": "pump", "n": 1.5, "list": []any{nil, true, map[string]any{"a": "b"}}}),
		},
		"Expose": {&pb.ExposeSettings{}, &pb.ExposeSettings{ExcludeProject: "racing"}},
	})
}

// FuzzConsole sends any message to any method of OrcaConsole.
func FuzzConsole(f *testing.F) {
	const id = anyTag + "-1"
	at := &timestamppb.Timestamp{Seconds: 1767225600, Nanos: 5}
	fields := &structpb.Struct{Fields: map[string]*structpb.Value{"asset": structpb.NewStringValue("pump")}}
	service := pb.File_console_proto.Services().ByName("OrcaConsole")
	fuzzService(f, service, map[string][]proto.Message{
		"ListProcessors": {&pb.ListProcessorsRequest{PageSize: 1}, &pb.ListProcessorsRequest{PageToken: "InAi"}},
		"ListAlgorithms": {
			&pb.ListAlgorithmsRequest{PageSize: 1, WindowTypeName: "W", ExcludeRetired: true},
			&pb.ListAlgorithmsRequest{PageToken: "eyJwcm9jZXNzb3IiOiJwIiwibmFtZSI6IkEiLCJ2ZXJzaW9uIjoiMS4wLjAifQ"},
		},
		"ListWindows": {
			&pb.ListWindowsRequest{PageToken: "NDI", TimeFrom: at, TimeTo: at, State: pb.RunState_RUN_STATE_FAILED},
			&pb.ListWindowsRequest{PageSize: -1, WindowTypeName: "W", WindowTypeVersion: "1.0.0"},
		},
		"GetWindow": {&pb.GetWindowRequest{Id: id}, &pb.GetWindowRequest{Id: id, Revision: -1}},
		"ListInputs": {
			&pb.ListInputsRequest{Id: id, RowsPerInput: 1, PageToken: "eyJEZXBlbmRlbmN5IjotMSwiVGFrZW4iOjd9"},
			&pb.ListInputsRequest{Id: id, PageSize: 1, Algorithms: []*pb.AlgorithmRef{{Processor: "p", Name: "A", Version: "1.0.0"}}},
		},
		"ListResults": {
			&pb.ListResultsRequest{Name: "A", Version: "1.0.0", Processor: "p", Metadata: fields, IncludeFailed: true, PageToken: "bnVsbA"},
			&pb.ListResultsRequest{Name: "A", Version: "1.0.0", TimeFrom: at, PageSize: 1 << 30},
		},
		"WatchWindow":     {&pb.WatchWindowRequest{Id: id}, &pb.WatchWindowRequest{Id: id, Revision: 1}},
		"GetStatus":       {&pb.GetStatusRequest{}},
		"RetryWindow":     {&pb.RetryWindowRequest{Id: id, Metadata: fields}},
		"ReprocessWindow": {&pb.ReprocessWindowRequest{Id: id}},
		"ReprocessWindows": {
			&pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", TimeTo: at},
			&pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", DryRun: true},
		},
		"CancelWindow":    {&pb.CancelWindowRequest{Id: id}},
		"ForgetProcessor": {&pb.ForgetProcessorRequest{Name: "q"}},
	})
}

// deadAddress is where nobody listens, on this machine.
const deadAddress = "127.0.0.1:1"

func registration(name string, algorithms ...*pb.Algorithm) *pb.ProcessorRegistration {
	return &pb.ProcessorRegistration{
		Name: name, Runtime: "go-test", ConnectionStr: deadAddress, ProjectName: "racing", SupportedAlgorithms: algorithms,
	}
}

// described is a definition with all there is.
func described() *pb.Algorithm {
	a := orcatest.Define("Lap", "Described", orcatest.On("p", "A"))
	a.WindowType.MetadataFields = []*pb.MetadataField{{Name: "car", Description: "d", Filter: true}, {Name: "secret", NoStore: true}}
	a.Dependencies[0].Lookback = &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: 1 << 63}
	a.Dependencies[0].LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: 2}
	a.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: 3}
	return a
}

// anyTag stands for the ledger's own in the ids of seeds.
const anyTag = "qqqqqq"

// fuzzService fuzzes every method of a service, each of which must have a seed.
func fuzzService(f *testing.F, service protoreflect.ServiceDescriptor, seeds map[string][]proto.Message) {
	methods := service.Methods()
	for i := range methods.Len() {
		messages := seeds[string(methods.Get(i).Name())]
		if len(messages) == 0 {
			f.Fatalf("%s has no seed", methods.Get(i).FullName())
		}
		for _, m := range messages {
			b, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), b, "", "")
			f.Add(byte(i), b, "key", "racing")
		}
	}
	v := newVictim(f)
	f.Fuzz(func(t *testing.T, method byte, message []byte, key, project string) {
		m := methods.Get(int(method) % methods.Len())
		message, ok := v.decodable(t, m, message)
		if !ok {
			t.Skip("it is no message of this method")
		}
		ctx, cancel := context.WithTimeout(t.Context(), orcatest.Patience)
		defer cancel()
		_, _ = v.core.RegisterProcessor(ctx, v.known) // refused where an earlier message stands against it
		headers := metadata.MD{}
		for header, value := range map[string]string{"idempotency-key": key, "orca-project": project} {
			if value != "" && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				headers.Set(header, value)
			}
		}
		checkAnswer(t, m, v.call(metadata.NewOutgoingContext(ctx, headers), m, message))
		v.checkOthers(t)
	})
}

// checkAnswer holds for the answer to anything: no defect of the core shows, and a refusal has words that travel.
func checkAnswer(t *testing.T, m protoreflect.MethodDescriptor, err error) {
	t.Helper()
	s := status.Convert(err)
	switch s.Code() {
	case codes.OK:
		return
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition:
	default:
		t.Fatalf("%s answered %v: %s", m.FullName(), s.Code(), s.Message())
	}
	if text := s.Message(); text == "" || !utf8.ValidString(text) || len(text) > 4<<10 {
		t.Fatalf("%s answered %v with %d bytes: %.300q", m.FullName(), s.Code(), len(text), text)
	}
}

// victim is a core under fuzz. Other clients have a connection of their own, that of the core.
type victim struct {
	core   *orcatest.Core
	fuzzed *grpc.ClientConn
	// known is announced before every message, so that there is something to hit; nobody guesses sentinel's name.
	known    *pb.ProcessorRegistration
	sentinel string
	tag      string
	windows  int
}

func newVictim(f *testing.F) *victim {
	v := &victim{core: orcatest.Start(f), sentinel: rand.Text()}
	var err error
	v.fuzzed, err = grpc.NewClient("passthrough:///"+v.core.Addresses.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = v.fuzzed.Close() })
	v.core.Processor(v.sentinel, orcatest.Algorithm{Algorithm: orcatest.Define(v.sentinel, "S")}).Forget()
	v.known = v.core.Processor("p",
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "B", orcatest.On("p", "A"))}).Forget().Registration()
	id, _ := v.core.Emit(orcatest.Window("W", "1.0.0", 0, map[string]any{"asset": "pump"}))
	v.core.Wait(id)
	v.tag, _, _ = strings.Cut(id, "-")
	return v
}

// decodable returns the message with the ledger's own tag, and with an address at which nobody answers if it is one of
// a registration that the core could dial; false if it does not decode.
func (v *victim) decodable(t *testing.T, m protoreflect.MethodDescriptor, b []byte) ([]byte, bool) {
	t.Helper()
	b = bytes.ReplaceAll(b, []byte(anyTag), []byte(v.tag))
	typ, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		t.Fatal(err)
	}
	message := typ.New().Interface()
	if proto.Unmarshal(b, message) != nil {
		return nil, false
	}
	if r, ok := message.(*pb.ProcessorRegistration); ok {
		if _, _, err := wire.Address(r.GetConnectionStr()); err == nil {
			r.ConnectionStr = deadAddress
		}
		if b, err = proto.Marshal(r); err != nil {
			t.Fatal(err)
		}
	}
	return b, true
}

// call sends the bytes and returns the error that came back; of a stream it takes a few answers, for a short time.
func (v *victim) call(ctx context.Context, m protoreflect.MethodDescriptor, message []byte) error {
	name := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	raw := grpc.ForceCodecV2(wire.Codec{})
	typ, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return err
	}
	if !m.IsStreamingServer() {
		return v.fuzzed.Invoke(ctx, name, wire.Encoded(message), typ.New().Interface(), raw)
	}
	const most, short = 10, 50 * time.Millisecond
	brief, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	stream, err := v.fuzzed.NewStream(brief, &grpc.StreamDesc{ServerStreams: true}, name, raw)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(wire.Encoded(message)), stream.CloseSend()); err != nil {
		return err
	}
	for range most {
		err := stream.RecvMsg(typ.New().Interface())
		if errors.Is(err, io.EOF) || status.Code(err) == codes.DeadlineExceeded && ctx.Err() == nil { // it may wait for ever
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkOthers emits another client's window and waits until it has run.
func (v *victim) checkOthers(t *testing.T) {
	t.Helper()
	core := v.core.For(t)
	v.windows++
	id, status := core.Emit(orcatest.Window(v.sentinel, "1.0.0", v.windows, nil))
	if state := core.Wait(id).GetRun().GetState(); state != pb.RunState_RUN_STATE_SUCCEEDED || status != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
		t.Fatalf("another client's window is answered with %v and ends as %v", status, state)
	}
}

// Every method of every service of the core is fuzzed: a new one needs a seed, and a new service a target.
func TestEveryServiceIsFuzzed(t *testing.T) {
	t.Parallel()
	fuzzed := []protoreflect.FullName{"OrcaCore", "orca.console.v1.OrcaConsole"}
	served := []protoreflect.FullName{}
	for _, file := range []protoreflect.FileDescriptor{pb.File_service_proto, pb.File_console_proto} {
		for i := range file.Services().Len() {
			if name := file.Services().Get(i).FullName(); name != "OrcaProcessor" { // which the core calls
				served = append(served, name)
			}
		}
	}
	if !slices.Equal(fuzzed, served) {
		t.Errorf("%v are fuzzed, and %v served", fuzzed, served)
	}
}
