package rpc_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// badInputs are the calls of the table, on a core that has A and B of window type W 1.0.0 at processor p of project
// racing, A at processor q too, and one window, id, whose run has succeeded.
func badInputs(core *orcatest.Core, id string) map[string]func(context.Context) error {
	emit := func(change func(*pb.Window)) func(context.Context) error {
		return func(ctx context.Context) error {
			w := orcatest.Window("W", "1.0.0", 7, nil)
			change(w)
			_, err := core.EmitWindow(ctx, w)
			return err
		}
	}
	register := func(change func(*pb.ProcessorRegistration)) func(context.Context) error {
		return func(ctx context.Context) error {
			r := registration("r", orcatest.Define("V", "C", orcatest.On("p", "A")))
			change(r)
			_, err := core.RegisterProcessor(ctx, r)
			return err
		}
	}
	algorithm := func(change func(*pb.Algorithm)) func(context.Context) error {
		return register(func(r *pb.ProcessorRegistration) { change(r.SupportedAlgorithms[0]) })
	}
	windows := func(req *pb.ListWindowsRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := core.ListWindows(ctx, req); return err }
	}
	results := func(req *pb.ListResultsRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := core.ListResults(ctx, req); return err }
	}
	inputs := func(req *pb.ListInputsRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := core.ListInputs(ctx, req); return err }
	}
	reprocess := func(req *pb.ReprocessWindowsRequest) func(context.Context) error {
		return func(ctx context.Context) error {
			stream, err := core.ReprocessWindows(ctx, req)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}
	}
	watch := func(req *pb.WatchWindowRequest) func(context.Context) error {
		return func(ctx context.Context) error {
			stream, err := core.WatchWindow(ctx, req)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}
	}
	early, late := &timestamppb.Timestamp{Seconds: 1}, &timestamppb.Timestamp{Seconds: 2}
	some := &structpb.Struct{Fields: map[string]*structpb.Value{"asset": structpb.NewStringValue("pump")}}
	return map[string]func(context.Context) error{
		"emit: type":     emit(func(w *pb.Window) { w.WindowTypeName = "Ww" }),
		"emit: version":  emit(func(w *pb.Window) { w.WindowTypeVersion = "" }),
		"emit: origin":   emit(func(w *pb.Window) { w.Origin = "" }),
		"emit: unset":    emit(func(w *pb.Window) { w.TimeFrom = nil }),
		"emit: order":    emit(func(w *pb.Window) { w.TimeFrom, w.TimeTo = late, early }),
		"emit: epoch":    emit(func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{} }),
		"emit: nanos":    emit(func(w *pb.Window) { w.TimeTo.Nanos = 1_000_000_000 }),
		"emit: too late": emit(func(w *pb.Window) { w.TimeTo = &timestamppb.Timestamp{Seconds: 1 << 40} }),
		"emit: nesting":  emit(func(w *pb.Window) { w.Metadata = nested(33) }),
		"emit: key": func(ctx context.Context) error {
			return emit(func(*pb.Window) {})(metadata.AppendToOutgoingContext(ctx, "idempotency-key", strings.Repeat("k", 256)))
		},
		"emit: project": func(ctx context.Context) error {
			return emit(func(*pb.Window) {})(metadata.AppendToOutgoingContext(ctx, "orca-project", strings.Repeat("k", 256)))
		},

		"register: name":    register(func(r *pb.ProcessorRegistration) { r.Name = "" }),
		"register: runtime": register(func(r *pb.ProcessorRegistration) { r.Runtime = "" }),
		"register: address": register(func(r *pb.ProcessorRegistration) { r.ConnectionStr = "unix:///tmp/x" }),
		"register: port":    register(func(r *pb.ProcessorRegistration) { r.ConnectionStr = "here:0" }),
		"register: twice": register(func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms = append(r.SupportedAlgorithms, r.SupportedAlgorithms...)
		}),
		"register: project":      register(func(r *pb.ProcessorRegistration) { r.Name, r.ProjectName = "p", "sailing" }),
		"register: version":      algorithm(func(a *pb.Algorithm) { a.Version = "" }),
		"register: no type":      algorithm(func(a *pb.Algorithm) { a.WindowType = nil }),
		"register: result type":  algorithm(func(a *pb.Algorithm) { a.ResultType = 9 }),
		"register: no result":    algorithm(func(a *pb.Algorithm) { a.ResultType = 0 }),
		"register: description":  algorithm(func(a *pb.Algorithm) { a.Description = strings.Repeat("é", 1001) }),
		"register: field":        algorithm(func(a *pb.Algorithm) { a.WindowType.MetadataFields = []*pb.MetadataField{{Name: ""}} }),
		"register: field twice":  algorithm(func(a *pb.Algorithm) { a.WindowType.MetadataFields = []*pb.MetadataField{{Name: "f"}, {Name: "f"}} }),
		"register: dependency":   algorithm(func(a *pb.Algorithm) { a.Dependencies[0].ProcessorName = "" }),
		"register: need twice":   algorithm(func(a *pb.Algorithm) { a.Dependencies = append(a.Dependencies, a.Dependencies...) }),
		"register: needs itself": algorithm(func(a *pb.Algorithm) { a.Dependencies = []*pb.AlgorithmDependency{orcatest.On("r", "C")} }),
		"register: fields change": algorithm(func(a *pb.Algorithm) {
			a.WindowType.Name, a.WindowType.MetadataFields = "W", []*pb.MetadataField{{Name: "f"}}
		}),
		"register: cycle": register(func(r *pb.ProcessorRegistration) {
			r.Name, r.ProjectName, r.SupportedAlgorithms[0] = "p", "", orcatest.Define("W", "A", orcatest.On("p", "B"))
		}),
		"register: type changes": register(func(r *pb.ProcessorRegistration) {
			r.Name, r.SupportedAlgorithms[0] = "p", orcatest.Define("W2", "A")
		}),

		"processors: token": func(ctx context.Context) error {
			_, err := core.ListProcessors(ctx, &pb.ListProcessorsRequest{PageToken: "'; DROP TABLE run; --"})
			return err
		},
		"algorithms: token": func(ctx context.Context) error {
			_, err := core.ListAlgorithms(ctx, &pb.ListAlgorithmsRequest{PageToken: "e30x"})
			return err
		},
		"algorithms: version": func(ctx context.Context) error {
			_, err := core.ListAlgorithms(ctx, &pb.ListAlgorithmsRequest{WindowTypeVersion: "1.0.0"})
			return err
		},
		"windows: token":      windows(&pb.ListWindowsRequest{PageToken: "bm8"}),
		"windows: version":    windows(&pb.ListWindowsRequest{WindowTypeVersion: "1.0.0"}),
		"windows: type":       windows(&pb.ListWindowsRequest{WindowTypeName: "W' OR '1'='1"}),
		"windows: state":      windows(&pb.ListWindowsRequest{State: 99}),
		"windows: order":      windows(&pb.ListWindowsRequest{TimeFrom: late, TimeTo: early}),
		"windows: time":       windows(&pb.ListWindowsRequest{TimeFrom: &timestamppb.Timestamp{Seconds: 1 << 50}}),
		"results: no name":    results(&pb.ListResultsRequest{Version: "1.0.0"}),
		"results: name":       results(&pb.ListResultsRequest{Name: "Aa", Version: "1.0.0"}),
		"results: version":    results(&pb.ListResultsRequest{Name: "B", Version: "2.0.0"}),
		"results: processor":  results(&pb.ListResultsRequest{Name: "A", Version: "1.0.0", Processor: "x"}),
		"results: of several": results(&pb.ListResultsRequest{Name: "A", Version: "1.0.0"}),
		"results: token":      results(&pb.ListResultsRequest{Name: "B", Version: "1.0.0", PageToken: "W10"}),
		"get: no id":          func(ctx context.Context) error { _, err := core.GetWindow(ctx, &pb.GetWindowRequest{}); return err },
		"get: id": func(ctx context.Context) error {
			_, err := core.GetWindow(ctx, &pb.GetWindowRequest{Id: "1; DROP TABLE run"})
			return err
		},
		"get: another ledger": func(ctx context.Context) error {
			_, err := core.GetWindow(ctx, &pb.GetWindowRequest{Id: "x-1"})
			return err
		},
		"get: revision": func(ctx context.Context) error {
			_, err := core.GetWindow(ctx, &pb.GetWindowRequest{Id: id, Revision: -1})
			return err
		},
		"inputs: no id":     inputs(&pb.ListInputsRequest{}),
		"inputs: id":        inputs(&pb.ListInputsRequest{Id: id + "0"}),
		"inputs: revision":  inputs(&pb.ListInputsRequest{Id: id, Revision: 7}),
		"inputs: token":     inputs(&pb.ListInputsRequest{Id: id, PageToken: "W10"}),
		"inputs: rows":      inputs(&pb.ListInputsRequest{Id: id, RowsPerInput: -1}),
		"inputs: algorithm": inputs(&pb.ListInputsRequest{Id: id, Algorithms: []*pb.AlgorithmRef{{Processor: "p", Name: "a", Version: "1.0.0"}}}),
		"watch: id":         watch(&pb.WatchWindowRequest{Id: id + "0"}),
		"watch: revision":   watch(&pb.WatchWindowRequest{Id: id, Revision: 7}),
		"retry: metadata": func(ctx context.Context) error {
			_, err := core.RetryWindow(ctx, &pb.RetryWindowRequest{Id: id, Metadata: some})
			return err
		},
		"reprocess: id": func(ctx context.Context) error {
			_, err := core.ReprocessWindow(ctx, &pb.ReprocessWindowRequest{Id: id + "0"})
			return err
		},
		"reprocess: no version": reprocess(&pb.ReprocessWindowsRequest{WindowTypeName: "W"}),
		"reprocess: type":       reprocess(&pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "3.0.0"}),
		"reprocess: order":      reprocess(&pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", TimeFrom: late, TimeTo: early}),
		"cancel: finished": func(ctx context.Context) error {
			_, err := core.CancelWindow(ctx, &pb.CancelWindowRequest{Id: id})
			return err
		},
		"forget: no name": func(ctx context.Context) error {
			_, err := core.ForgetProcessor(ctx, &pb.ForgetProcessorRequest{})
			return err
		},
		"forget: name": func(ctx context.Context) error {
			_, err := core.ForgetProcessor(ctx, &pb.ForgetProcessorRequest{Name: "'; DELETE FROM run; --"})
			return err
		},
	}
}

// nested is a struct with as many structs in each other.
func nested(depth int) *structpb.Struct {
	s := &structpb.Struct{}
	for range depth - 1 {
		s = &structpb.Struct{Fields: map[string]*structpb.Value{"s": structpb.NewStructValue(s)}}
	}
	return s
}

// Every refusal says what was wrong, with which value, and what to do; and it leaves everything as it was.
func TestBadInput(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := orcatest.NewProcessor(t, "p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")},
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "B", orcatest.On("p", "A"))})
	r := p.Registration()
	r.ProjectName = "racing"
	if _, err := core.RegisterProcessor(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	core.Wait(id)
	before := everything(t, core)
	tag, _, _ := strings.Cut(id, "-")
	got := map[string]string{}
	for name, call := range badInputs(core, id) {
		s := status.Convert(call(t.Context()))
		got[name] = strings.ReplaceAll(s.Code().String()+": "+s.Message(), tag+"-", "LEDGER-")
	}
	if diff := cmp.Diff(wantRefusals, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, everything(t, core)); diff != "" {
		t.Errorf("refused, and not without effect (-before +after):\n%s", diff)
	}
}

// everything is what the core shows of what was registered and what ran.
func everything(t *testing.T, core *orcatest.Core) []string {
	t.Helper()
	registered, err := core.Expose(t.Context(), &pb.ExposeSettings{})
	if err != nil {
		t.Fatal(err)
	}
	windows, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range []proto.Message{registered, windows} {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// wantRefusals are the answers to badInputs, by what is wrong.
var wantRefusals = map[string]string{
	"algorithms: token":       `InvalidArgument: page_token: "e30x" was not given by this list; begin without one`,
	"algorithms: version":     `InvalidArgument: window_type_version is "1.0.0" and window_type_name is empty: give the name too`,
	"cancel: finished":        "FailedPrecondition: no run of the window is open: revision 1 is succeeded",
	"emit: epoch":             `InvalidArgument: time_from: 1970-01-01T00:00:00Z breaks the rule "timestamp.gt": use a time after 1970-01-01T00:00:00Z and up to 2262-04-11T23:47:16.854775807Z`,
	"emit: key":               "InvalidArgument: idempotency-key: 256 bytes are more than the 255 allowed: use a UUID",
	"emit: nanos":             "InvalidArgument: time_to: 1000000000 nanos are outside a second: send 0 to 999999999",
	"emit: nesting":           `InvalidArgument: metadata."s": more than 32 structs and lists lie in each other: flatten it`,
	"emit: order":             `InvalidArgument: a window from 1970-01-01T00:00:02Z to 1970-01-01T00:00:01Z breaks the rule "window.time_ordering": let it end when it begins, or later`,
	"emit: origin":            `InvalidArgument: origin: "" breaks the rule "required": say who emits the window`,
	"emit: project":           "InvalidArgument: orca-project: 256 bytes are more than the 255 allowed: shorten it",
	"emit: too late":          "InvalidArgument: time_to: 1099511627776 seconds and 0 nanos are too late: the last instant is 2262-04-11T23:47:16.854775807Z",
	"emit: type":              "NotFound: window type Ww 1.0.0 is not registered; known are W 1.0.0",
	"emit: unset":             `InvalidArgument: time_from: unset breaks the rule "required": say when the window begins`,
	"emit: version":           `InvalidArgument: window_type_version: "" breaks the rule "required": give the version of the window's type, such as "1.0.0"`,
	"forget: name":            `NotFound: no processor "'; DELETE FROM run; --" has ever registered: ListProcessors (orca processors) has all of them`,
	"forget: no name":         "InvalidArgument: name is empty: say which processor to forget",
	"get: another ledger":     `NotFound: there is no window "x-1" here: it is of another ledger, this one's ids begin with LEDGER-`,
	"get: id":                 `NotFound: there is no window "1; DROP TABLE run"; ids look like LEDGER-42`,
	"get: no id":              "InvalidArgument: id is empty: give the orca-window-id that the emit was answered with",
	"inputs: no id":           "InvalidArgument: id is empty: give the orca-window-id that the emit was answered with",
	"inputs: id":              `NotFound: there is no window "LEDGER-10": ListWindows (orca windows) has all of them`,
	"inputs: revision":        "NotFound: window LEDGER-1 has no revision 7; the newest is 1",
	"inputs: token":           `InvalidArgument: page_token: "W10" was not given by this list; begin without one`,
	"inputs: rows":            "InvalidArgument: rows_per_input is -1: send how many rows of each input you want, or 0 for all",
	"inputs: algorithm":       `NotFound: algorithms: a 1.0.0 of processor "p" is no part of this run: GetWindow (orca window) shows all that are`,
	"get: revision":           "NotFound: window LEDGER-1 has no revision -1; the newest is 1",
	"processors: token":       `InvalidArgument: page_token: "'; DROP TABLE run; --" was not given by this list; begin without one`,
	"register: address":       `InvalidArgument: connection_str: "unix:///tmp/x" has no port between 1 and 65535: write host:port, such as "10.0.0.7:5377" or "grpc://worker:5377", with "grpcs://" for TLS`,
	"register: cycle":         "FailedPrecondition: the dependencies form a cycle: A 1.0.0 → B 1.0.0 → A 1.0.0; take one of them out",
	"register: dependency":    `InvalidArgument: supported_algorithms[0].dependencies[0].processor_name: "" breaks the rule "required": name the processor that has the algorithm`,
	"register: description":   `InvalidArgument: supported_algorithms[0].description: "éééééééééééééééééééééééééééééééé"… (1001 characters) breaks the rule "string.max_len": shorten it to 1000 characters`,
	"register: field":         `InvalidArgument: supported_algorithms[0].window_type.metadataFields[0].name: "" breaks the rule "required": give the metadata field a name`,
	"register: field twice":   `InvalidArgument: supported_algorithms[0].window_type.metadataFields[1]: the metadata field "f" is declared twice, first in metadataFields[0]: declare it once`,
	"register: fields change": `FailedPrecondition: window type W 1.0.0 has other metadata fields: field "f" is there only in this registration; this never changes within one version: give what has changed a new version`,
	"register: name":          `InvalidArgument: name: "" breaks the rule "required": give the processor a name`,
	"register: need twice":    `InvalidArgument: supported_algorithms[0].dependencies[1]: "A" "1.0.0" is needed twice with the same lookback, first in dependencies[0]: list it once, or with another lookback`,
	"register: needs itself":  "FailedPrecondition: an algorithm depends on itself: C 1.0.0 → C 1.0.0; its own past results are asked for by its self lookback",
	"register: no result":     `InvalidArgument: supported_algorithms[0].result_type: NOT_SPECIFIED breaks the rule "required": say STRUCT, VALUE, ARRAY or NONE`,
	"register: no type":       `InvalidArgument: supported_algorithms[0].window_type: unset breaks the rule "required": say which type of window triggers the algorithm`,
	"register: port":          `InvalidArgument: connection_str: "here:0" has no port between 1 and 65535: write host:port, such as "10.0.0.7:5377" or "grpc://worker:5377", with "grpcs://" for TLS`,
	"register: project":       `AlreadyExists: processor "p" belongs to project "racing", and this registration says project "sailing": give the processor another name, or register it under its own project`,
	"register: result type":   "InvalidArgument: supported_algorithms[0].result_type: 9 is no kind of result: say STRUCT, VALUE, ARRAY or NONE",
	"register: runtime":       `InvalidArgument: runtime: "" breaks the rule "required": say what the processor runs on, such as "python3.12" or "go1.26"`,
	"register: twice":         `InvalidArgument: supported_algorithms[1]: the algorithm "C" "1.0.0" is announced twice, first in supported_algorithms[0]: announce it once`,
	"register: type changes":  "FailedPrecondition: algorithm A 1.0.0 is registered with window type W 1.0.0, and this registration says W2 1.0.0; this never changes within one version: give what has changed a new version",
	"register: version":       `InvalidArgument: supported_algorithms[0].version: "" breaks the rule "required": give the algorithm a version, such as "1.0.0"`,
	"reprocess: id":           `NotFound: there is no window "LEDGER-10": ListWindows (orca windows) has all of them`,
	"reprocess: no version":   `InvalidArgument: window_type_name is "W" and window_type_version "": give both`,
	"reprocess: order":        "InvalidArgument: time_to 1970-01-01T00:00:01Z is before time_from 1970-01-01T00:00:02Z: swap them",
	"reprocess: type":         "NotFound: window type W 3.0.0 is not registered; known versions of W: 1.0.0",
	"results: name":           "NotFound: no algorithm Aa 1.0.0 was ever announced: ListAlgorithms (orca algorithms) has all of them",
	"results: no name":        `InvalidArgument: name is "" and version "1.0.0": give both`,
	"results: of several":     "InvalidArgument: A 1.0.0 is an algorithm of several processors: say which, of p, q",
	"results: processor":      `NotFound: no algorithm A 1.0.0 of processor "x" was ever announced: ListAlgorithms (orca algorithms) has all of them`,
	"results: token":          `InvalidArgument: page_token: "W10" was not given by this list; begin without one`,
	"results: version":        "NotFound: algorithm B has no version 2.0.0; there is 1.0.0",
	"retry: metadata":         `InvalidArgument: metadata: has "asset", which the window keeps as it was emitted: give the noStore fields of W 1.0.0 alone`,
	"watch: id":               `NotFound: there is no window "LEDGER-10": ListWindows (orca windows) has all of them`,
	"watch: revision":         "NotFound: window LEDGER-1 has no revision 7; the newest is 1",
	"windows: order":          "InvalidArgument: time_to 1970-01-01T00:00:01Z is before time_from 1970-01-01T00:00:02Z: swap them",
	"windows: state":          "InvalidArgument: state: 99 is no state of a run: send one of RunState, or none for any",
	"windows: time":           "InvalidArgument: time_from, time_to: 1125899906842624 seconds and 0 nanos are no time between the years 1 and 9999: send one, or leave it out",
	"windows: token":          `InvalidArgument: page_token: "bm8" was not given by this list; begin without one`,
	"windows: type":           "NotFound: no window type W' OR '1'='1 is registered: ListAlgorithms (orca algorithms) has those that are",
	"windows: version":        `InvalidArgument: window_type_version is "1.0.0" and window_type_name is empty: give the name too`,
}
