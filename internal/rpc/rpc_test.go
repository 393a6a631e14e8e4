package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, core *orcatest.Core) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+core.Addresses.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A generic client learns both services by reflection: every import of the files that it is given leads to one of them.
func TestReflection(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	stream, err := reflectionpb.NewServerReflectionClient(dial(t, core)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(req *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
		t.Helper()
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	list := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	var services []string
	for _, s := range list.GetListServicesResponse().GetService() {
		services = append(services, s.GetName())
	}
	files := map[string]*descriptorpb.FileDescriptorProto{}
	for _, name := range []string{"OrcaCore", "orca.console.v1.OrcaConsole"} {
		if !slices.Contains(services, name) {
			t.Errorf("reflection lists %v, want %s among them", services, name)
		}
		answer := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}})
		for _, b := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
			var f descriptorpb.FileDescriptorProto
			if err := proto.Unmarshal(b, &f); err != nil {
				t.Fatal(err)
			}
			files[f.GetName()] = &f
		}
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range files {
		set.File = append(set.File, f)
	}
	if _, err := protodesc.NewFiles(set); err != nil {
		t.Errorf("the files do not fit together: %v", err)
	}
}

// The health service answers for the server and for both services.
func TestHealth(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	client := healthpb.NewHealthClient(dial(t, core))
	for _, service := range []string{"", "OrcaCore", "orca.console.v1.OrcaConsole"} {
		answer, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q is %v, %v; want SERVING", service, answer.GetStatus(), err)
		}
	}
}

// Lists are paged by key: every row comes once, in order, though rows are written between the pages.
func TestPaging(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")}, orcatest.Algorithm{Algorithm: orcatest.Define("W", "B")})
	var want []string
	for i := range 25 {
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", i, nil))
		core.Wait(id)
		want = append([]string{id}, want...)
	}
	var windows, results []string
	for token := ""; ; {
		page, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{PageSize: 10, PageToken: token, WindowTypeName: "W"})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range page.GetWindows() {
			windows = append(windows, w.GetId())
		}
		if token = page.GetPageToken(); token == "" {
			break
		}
		core.Emit(orcatest.Window("W", "1.0.0", 1000+len(windows), nil)) // newer than every page
	}
	if diff := cmp.Diff(want, windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	end := orcatest.Window("W", "1.0.0", 500, nil).GetTimeTo()
	for token := ""; ; {
		page, err := core.ListResults(t.Context(), &pb.ListResultsRequest{PageSize: 10, PageToken: token, Name: "A", Version: "1.0.0", TimeTo: end})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetResults() {
			results = append(results, r.GetWindowId())
		}
		if token = page.GetPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	var algorithms []string
	for token := ""; ; {
		page, err := core.ListAlgorithms(t.Context(), &pb.ListAlgorithmsRequest{PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAlgorithms() {
			algorithms = append(algorithms, a.GetAlgorithm().GetName())
		}
		if token = page.GetPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"A", "B"}, algorithms); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
}

// A page of large rows ends before it is large itself, has at least one row, and leaves out none.
func TestPagesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	const mib = 1 << 20
	sizes := []int{1, 1, 3 * mib, 3 * mib, 1, 1, 6 * mib, 1, 1}
	algorithm := orcatest.Define("W", "A")
	algorithm.ResultType = pb.ResultType_STRUCT
	core.Processor("p", orcatest.Algorithm{
		Algorithm: algorithm,
		Run: func(_ context.Context, req *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
			size := len(req.GetWindow().GetMetadata().GetFields()["payload"].GetStringValue())
			s, err := structpb.NewStruct(map[string]any{"payload": strings.Repeat("x", size)})
			r := orcatest.Value(0)
			r.ResultData = &pb.Result_StructValue{StructValue: s}
			return r, err
		},
	})
	for i, size := range slices.Backward(sizes) { // the newest come first
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", len(sizes)-i, map[string]any{"payload": strings.Repeat("x", size)}))
		core.Wait(id)
	}
	var windows, results [][]int // the sizes in each page
	for token := ""; ; {
		page, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		var rows []int
		for _, w := range page.GetWindows() {
			rows = append(rows, len(w.GetWindow().GetMetadata().GetFields()["payload"].GetStringValue()))
		}
		windows = append(windows, rows)
		if token = page.GetPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff([][]int{{1, 1, 3 * mib}, {3 * mib, 1, 1}, {6 * mib}, {1, 1}}, windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	for token := ""; ; {
		page, err := core.ListResults(t.Context(), &pb.ListResultsRequest{PageToken: token, Name: "A", Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		var rows []int
		for _, r := range page.GetResults() {
			rows = append(rows, len(r.GetNode().GetResult().GetStructValue().GetFields()["payload"].GetStringValue()))
		}
		results = append(results, rows)
		if token = page.GetPageToken(); token == "" {
			break
		}
	}
	// A result comes with its window, so that 3 MiB of payload are 6 MiB in a row.
	if diff := cmp.Diff([][]int{{1, 1}, {3 * mib}, {3 * mib}, {1, 1}, {6 * mib}, {1, 1}}, results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// A list that is longer than what is read of the ledger at once is whole, in pages of any size.
func TestLongResultList(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	var want []string
	for i := range 100 {
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", i, map[string]any{"even": i%2 == 0}))
		want = append([]string{id}, want...)
	}
	for _, id := range want {
		core.Wait(id)
	}
	even, err := structpb.NewStruct(map[string]any{"even": true})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{0, 1, 7, 16, 90, 1000} {
		for _, filter := range []*structpb.Struct{nil, even} {
			wanted := want
			if filter != nil {
				wanted = nil
				for i := 1; i < len(want); i += 2 {
					wanted = append(wanted, want[i])
				}
			}
			var got []string
			for token := ""; ; {
				page, err := core.ListResults(t.Context(), &pb.ListResultsRequest{
					PageSize: size, PageToken: token, Name: "A", Version: "1.0.0", Metadata: filter,
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.GetResults() {
					got = append(got, r.GetWindowId())
				}
				if token = page.GetPageToken(); token == "" {
					break
				}
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("pages of %d, filter %v (-want +got):\n%s", size, filter, diff)
			}
		}
	}
}

// What is not there is named as the client named it, with what there is.
func TestWindowAndRevisionThatAreNotThere(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	tag, _, _ := strings.Cut(id, "-")
	for _, test := range []struct {
		id       string
		revision int32
		want     string
	}{
		{id, 7, "window " + id + " has no revision 7; the newest is 1"},
		{id, -1, "window " + id + " has no revision -1; the newest is 1"},
		{tag + "-99", 0, `there is no window "` + tag + `-99": ListWindows (orca windows) has all of them`},
		{tag + "-99", 2, `there is no window "` + tag + `-99": ListWindows (orca windows) has all of them`},
	} {
		_, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: test.id, Revision: test.revision})
		stream, watched := core.WatchWindow(t.Context(), &pb.WatchWindowRequest{Id: test.id, Revision: test.revision})
		if watched == nil {
			_, watched = stream.Recv()
		}
		for _, got := range []error{err, watched} {
			if status.Code(got) != codes.NotFound || status.Convert(got).Message() != test.want {
				t.Errorf("%s %d:\n got %v\nwant %s", test.id, test.revision, got, test.want)
			}
		}
	}
}

// Results can be asked for by metadata: only windows that hold all the fields with equal values.
func TestResultsByMetadata(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	var want []string
	for i := range 30 {
		asset := fmt.Sprintf("pump-%d", i%3)
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", i, map[string]any{"asset": asset, "i": float64(i)}))
		core.Wait(id)
		if i%3 == 1 {
			want = append([]string{id}, want...)
		}
	}
	filter, err := structpb.NewStruct(map[string]any{"asset": "pump-1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for token := ""; ; {
		page, err := core.ListResults(t.Context(), &pb.ListResultsRequest{PageSize: 4, PageToken: token, Name: "A", Version: "1.0.0", Metadata: filter})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetResults() {
			got = append(got, r.GetWindowId())
		}
		if token = page.GetPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results of pump-1 (-want +got):\n%s", diff)
	}
}

// A time filter may end anywhere between the years 1 and 9999: beyond the time that windows can have it is no bound.
func TestTimesBeyondThoseOfWindows(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	core.Wait(id)
	first, last := &timestamppb.Timestamp{Seconds: -62135596800}, &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999}
	want := map[string]int{"all": 1, "before": 0, "after": 0}
	got := map[string]int{}
	for name, span := range map[string][2]*timestamppb.Timestamp{"all": {first, last}, "before": {nil, first}, "after": {last, nil}} {
		page, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{TimeFrom: span[0], TimeTo: span[1]})
		if err != nil {
			t.Fatal(err)
		}
		got[name] = len(page.GetWindows())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
}

// A watch that began before the run ended gets each node as it settles, and then the end.
func TestWatch(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	proceed := make(chan struct{})
	core.Processor("p",
		orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")},
		orcatest.Algorithm{
			Algorithm: orcatest.Define("W", "B", orcatest.On("p", "A")),
			Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
				select {
				case <-proceed:
				case <-ctx.Done():
				}
				return orcatest.Value(2), ctx.Err()
			},
		},
	)
	id, _ := core.Emit(orcatest.Window("W", "1.0.0", 0, nil))
	stream, err := core.WatchWindow(t.Context(), &pb.WatchWindowRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		event, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if n := event.GetNode(); n != nil {
			got = append(got, fmt.Sprintf("%s %v %v", n.GetAlgorithm().GetName(), n.GetOutcome(), n.GetResult().GetSingleValue()))
		}
		if len(got) == 1 && event.GetNode() != nil {
			close(proceed) // B cannot have ended before A was seen
		}
		if f := event.GetFinished(); f != nil {
			got = append(got, fmt.Sprint(f.GetState(), " ", f.GetSettled(), " of ", f.GetNodes()))
			break
		}
	}
	want := []string{"A OUTCOME_SUCCEEDED 1", "B OUTCOME_SUCCEEDED 2", "RUN_STATE_SUCCEEDED 2 of 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// The same idempotency key with the same window gives the first answer and runs nothing twice; with another window it
// is ALREADY_EXISTS.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	p := core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "k1")
	var ids []string
	for range 3 {
		var header metadata.MD
		answer, err := core.EmitWindow(ctx, orcatest.Window("W", "1.0.0", 0, nil), grpc.Header(&header))
		if err != nil || answer.GetStatus() != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
			t.Fatalf("emit answered %v, %v", answer, err)
		}
		ids = append(ids, header.Get("orca-window-id")...)
	}
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("three emits with one key gave the windows %v", ids)
	}
	core.Wait(ids[0])
	if n := len(p.Requests()); n != 1 {
		t.Errorf("%d executions, want 1", n)
	}
	_, err := core.EmitWindow(ctx, orcatest.Window("W", "1.0.0", 1, nil))
	if status.Code(err) != codes.AlreadyExists {
		t.Errorf("another window with the key gives %v, want ALREADY_EXISTS", err)
	}
}

// Requests that name what is not there get NOT_FOUND or INVALID_ARGUMENT with a reason, never an internal error.
func TestRefusals(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	core.Processor("q", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	ctx := t.Context()
	for name, tt := range map[string]struct {
		call func() error
		want codes.Code
	}{
		"emit of an unknown type": {func() error { _, err := core.EmitWindow(ctx, orcatest.Window("X", "1.0.0", 0, nil)); return err }, codes.NotFound},
		"emit of nothing":         {func() error { _, err := core.EmitWindow(ctx, &pb.Window{}); return err }, codes.InvalidArgument},
		"an empty registration":   {func() error { _, err := core.RegisterProcessor(ctx, &pb.ProcessorRegistration{}); return err }, codes.InvalidArgument},
		"a window id of nowhere":  {func() error { _, err := core.GetWindow(ctx, &pb.GetWindowRequest{Id: "x-1"}); return err }, codes.NotFound},
		"no window id":            {func() error { _, err := core.GetWindow(ctx, &pb.GetWindowRequest{}); return err }, codes.InvalidArgument},
		"results without a name":  {func() error { _, err := core.ListResults(ctx, &pb.ListResultsRequest{}); return err }, codes.InvalidArgument},
		"results of two": {func() error {
			_, err := core.ListResults(ctx, &pb.ListResultsRequest{Name: "A", Version: "1.0.0"})
			return err
		}, codes.InvalidArgument},
		"a made-up page token": {func() error {
			_, err := core.ListWindows(ctx, &pb.ListWindowsRequest{PageToken: "{"})
			return err
		}, codes.InvalidArgument},
		"a version without a name": {func() error {
			_, err := core.ListWindows(ctx, &pb.ListWindowsRequest{WindowTypeVersion: "1.0.0"})
			return err
		}, codes.InvalidArgument},
	} {
		if err := tt.call(); status.Code(err) != tt.want || status.Convert(err).Message() == "" {
			t.Errorf("%s gives %v, want %v with a reason", name, err, tt.want)
		}
	}
	stream, err := core.WatchWindow(ctx, &pb.WatchWindowRequest{Id: "x-1"})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.NotFound || errors.Is(err, context.Canceled) {
		t.Errorf("a watch of nothing gives %v, want NOT_FOUND", err)
	}
}
