package cli

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestProcessors(t *testing.T) {
	t.Parallel()
	f := &fakeCore{perPage: 1, processors: []*pb.ProcessorInfo{
		{Name: "host", Project: "telemetry", Queued: 3, Instances: []*pb.InstanceInfo{
			{
				ConnectionStr: "127.0.0.1:5377", Runtime: "3.12.1 (main, Jan  1 2026) \n[GCC 12.2.0]",
				State: pb.InstanceState_INSTANCE_STATE_SERVING, RegisteredAt: at("09:00:00"), LastSeen: at("11:59:58.25"),
				Algorithms: 4, InFlight: 32,
				Metrics: &pb.ProcessorMetrics{ActiveTasks: 2, MemoryBytes: 1 << 20, CpuPercent: 12.5, UptimeSeconds: 60},
			},
			{
				ConnectionStr: "grpc://127.0.0.1:5378", Runtime: "go1.26", State: pb.InstanceState_INSTANCE_STATE_UNREACHABLE,
				Reason: "connection refused\x1b[31m", Algorithms: 4, Metrics: &pb.ProcessorMetrics{CpuPercent: float32(math.NaN())},
			},
		}},
		{Name: "score"},
	}}
	transcript(t, "processors", f.start(t), "processors", "processors --json")
}

func TestProcessorsOfAnEmptyCore(t *testing.T) {
	t.Parallel()
	core := (&fakeCore{}).start(t)
	for _, args := range [][]string{{"processors"}, {"processors", "--json"}} {
		compare(t, fmt.Sprint(args), said{0, "", "orca: no processor has registered\n"}, orca(t, core, args...))
	}
}

// dag is a registry with everything that algorithms can have.
func dag() *fakeCore {
	cpu := &pb.WindowType{Name: "CpuWindow", Version: "1.0.0", MetadataFields: []*pb.MetadataField{
		{Name: "host", Description: "name of the machine", Filter: true}, {Name: "token", NoStore: true},
	}}
	hour := &pb.WindowType{Name: "HourWindow", Version: "2.1.0"}
	needs := func(processor, name string) *pb.AlgorithmDependency {
		return &pb.AlgorithmDependency{ProcessorName: processor, Name: name, Version: "1.0.0", ProcessorRuntime: "go1.26"}
	}
	trend := needs("score", "Trend")
	trend.Lookback = &pb.AlgorithmDependency_LookbackNum{LookbackNum: 24}
	trend.LookbackGap = &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: 3600e9}
	usage := needs("host", "Usage")
	usage.Lookback = &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: 90e9}
	usage.LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: 2}
	skips := needs("host", "Memory")
	skips.LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: 1}
	of := func(types ...*pb.WindowType) (refs []*pb.WindowTypeRef) {
		for _, t := range types {
			refs = append(refs, &pb.WindowTypeRef{Name: t.GetName(), Version: t.GetVersion()})
		}
		return refs
	}
	return &fakeCore{algorithms: []*pb.AlgorithmInfo{
		{Processor: "host", State: pb.AlgorithmState_ALGORITHM_STATE_ACTIVE, Algorithm: &pb.Algorithm{
			Name: "Memory", Version: "1.0.0", WindowType: cpu, ResultType: pb.ResultType_ARRAY, Description: "memory in use"}},
		{Processor: "host", State: pb.AlgorithmState_ALGORITHM_STATE_ACTIVE, Algorithm: &pb.Algorithm{
			Name: "Usage", Version: "1.0.0", WindowType: cpu, ResultType: pb.ResultType_VALUE}},
		{Processor: "score", State: pb.AlgorithmState_ALGORITHM_STATE_ACTIVE, Algorithm: &pb.Algorithm{
			Name: "Alarm", Version: "1.0.0", WindowType: cpu, ResultType: pb.ResultType_NONE,
			Dependencies: []*pb.AlgorithmDependency{needs("score", "Health"), needs("host", "Usage"), needs("score", "Trend")}},
			DependencyWindowTypes: of(cpu, cpu, hour)},
		{Processor: "score", State: pb.AlgorithmState_ALGORITHM_STATE_ACTIVE, Algorithm: &pb.Algorithm{
			Name: "Health", Version: "1.0.0", WindowType: cpu, ResultType: pb.ResultType_STRUCT,
			Dependencies: []*pb.AlgorithmDependency{needs("host", "Memory"), needs("host", "Usage"), trend},
			Lookback:     &pb.Algorithm_LookbackNum{LookbackNum: 1}},
			DependencyWindowTypes: of(cpu, cpu, hour)},
		{Processor: "score", State: pb.AlgorithmState_ALGORITHM_STATE_RETIRED, Algorithm: &pb.Algorithm{
			Name: "Old", Version: "0.9.0", WindowType: hour, ResultType: pb.ResultType_VALUE}},
		{Processor: "score", State: pb.AlgorithmState_ALGORITHM_STATE_WAITING, Algorithm: &pb.Algorithm{
			Name: "Trend", Version: "1.0.0", WindowType: hour, ResultType: pb.ResultType_VALUE,
			Dependencies: []*pb.AlgorithmDependency{usage, needs("absent", `Odd"<name>`), skips}},
			DependencyWindowTypes: of(cpu, nil, cpu),
			Awaited:               []*pb.AlgorithmRef{{Processor: "absent", Name: `Odd"<name>`, Version: "1.0.0"}}},
	}}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	f := dag()
	f.perPage = 2
	transcript(t, "algorithms", f.start(t),
		"algorithms", "algorithms --retired --type HourWindow@2.1.0", "algorithms --json", "algorithms --type @1.0.0")
}

func TestAlgorithmsOfATypeAreAskedFor(t *testing.T) {
	t.Parallel()
	f := dag()
	orca(t, f.start(t), "algorithms", "--type", "HourWindow@2.1.0", "--retired")
	want := []proto.Message{&pb.ListAlgorithmsRequest{PageSize: maxPage, WindowTypeName: "HourWindow", WindowTypeVersion: "2.1.0"}}
	if diff := cmp.Diff(want, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGraph(t *testing.T) {
	t.Parallel()
	transcript(t, "graph", dag().start(t),
		"graph", "graph --type HourWindow", "graph --format dot", "graph --format mermaid", "graph --format mermaid --type HourWindow", "graph --json --type HourWindow",
		"graph --format svg", "graph --json --format dot")
}

func TestGraphOfAnEmptyCore(t *testing.T) {
	t.Parallel()
	transcript(t, "graph_empty", (&fakeCore{}).start(t), "graph", "graph --json", "graph --format dot")
}

// A core refuses cycles; one that does not must not hang whoever looks at it.
func TestGraphOfACycle(t *testing.T) {
	t.Parallel()
	f := dag()
	usage := f.algorithms[1].GetAlgorithm()
	usage.Dependencies = []*pb.AlgorithmDependency{{Name: "Health", Version: "1.0.0", ProcessorName: "score"}}
	if got := orca(t, f.start(t), "graph"); got.Code != 0 || got.Err != "" {
		t.Errorf("%+v", got)
	}
}

// infos are some windows, in every state.
func infos() []*pb.WindowInfo {
	window := func(host string, minute string) *pb.Window {
		return &pb.Window{
			WindowTypeName: "CpuWindow", WindowTypeVersion: "1.0.0", Origin: "demo", Metadata: fields("host", host),
			TimeFrom: at("11:" + minute + ":00"), TimeTo: at("11:" + minute + ":59.999999999"),
		}
	}
	run := func(position int64, state pb.RunState, settled int32) *pb.RunInfo {
		return &pb.RunInfo{Position: position, Revision: 1, Kind: pb.RunKind_RUN_KIND_EMIT, State: state, AcceptedAt: at("12:00:00"), Nodes: 3, Settled: settled}
	}
	return []*pb.WindowInfo{
		{Id: "w3", Window: window("web-2", "03"), AcceptedAt: at("12:00:00.5"), Run: run(3, pb.RunState_RUN_STATE_OPEN, 1)},
		{Id: "w2", Window: window("a machine\nwith a name that is too long for the cell of a table", "02"), AcceptedAt: at("12:00:00.25"), Run: run(2, pb.RunState_RUN_STATE_FAILED, 3)},
		{Id: "w1", Window: &pb.Window{WindowTypeName: "CpuWindow", WindowTypeVersion: "1.0.0", TimeFrom: at("11:01:00"), TimeTo: at("11:01:00")}, AcceptedAt: at("12:00:00.000000125")},
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	transcript(t, "windows", (&fakeCore{perPage: 2, windows: infos()}).start(t),
		"windows", "windows --limit 1", "windows --limit 2 --json", "windows --limit 0 --json",
		"windows --limit -1", "windows --state done", "windows --from 2026-01-31", "windows --type @2")
}

func TestWindowsFilters(t *testing.T) {
	t.Parallel()
	f := &fakeCore{}
	orca(t, f.start(t), "windows", "--type", "CpuWindow", "--from", "-1h30m", "--to", "2026-01-31T12:30:00.5+01:00", "--state", "incomplete", "--limit", "7")
	want := []proto.Message{&pb.ListWindowsRequest{
		PageSize: 7, WindowTypeName: "CpuWindow", TimeFrom: at("10:30:00"), TimeTo: at("11:30:00.5"), State: pb.RunState_RUN_STATE_INCOMPLETE,
	}}
	if diff := cmp.Diff(want, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPagesAreWalkedUpToTheLimit(t *testing.T) {
	t.Parallel()
	many := make([]*pb.WindowInfo, 1234)
	for i := range many {
		many[i] = &pb.WindowInfo{Id: fmt.Sprintf("w%d", i)}
	}
	for _, test := range []struct {
		limit string
		sizes []int32
		more  bool
	}{
		{"0", []int32{500, 500, 500}, false},
		{"1234", []int32{500, 500, 234}, false},
		{"1000", []int32{500, 500}, true},
		{"501", []int32{500, 1}, true},
	} {
		f := &fakeCore{windows: many}
		got := orca(t, f.start(t), "windows", "--json", "--limit", test.limit)
		var sizes []int32
		for _, q := range f.questions() {
			sizes = append(sizes, q.(*pb.ListWindowsRequest).GetPageSize())
		}
		if diff := cmp.Diff(test.sizes, sizes); diff != "" {
			t.Errorf("--limit %s: page sizes (-want +got):\n%s", test.limit, diff)
		}
		if more := got.Err != ""; more != test.more {
			t.Errorf("--limit %s: stderr %q; want it to tell of more: %v", test.limit, got.Err, test.more)
		}
	}
}

// window is a run with every outcome and every kind of value.
func window() *pb.GetWindowResponse {
	ref := func(name string) *pb.AlgorithmRef {
		return &pb.AlgorithmRef{Processor: "host", Name: name, Version: "1.0.0"}
	}
	succeeded := func(name string, r *pb.Result) *pb.NodeInfo {
		r.Status, r.Timestamp = pb.ResultStatus_RESULT_STATUS_SUCEEDED, 1769860800
		return &pb.NodeInfo{
			Algorithm: ref(name), Outcome: pb.Outcome_OUTCOME_SUCCEEDED, Result: r, Attempts: 1, SettledAt: at("12:00:00.5"), ProducedAt: 9,
		}
	}
	value := func(v float32) *pb.Result { return &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: v}} }
	array := func(v ...float32) *pb.Result {
		return &pb.Result{ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: v}}}
	}
	inf := float32(math.Inf(1))
	nested := fields("b", []any{true, nil, "x<y"}, "a", map[string]any{"n": -0.5}, "note", "long enough to be cut off")
	nested.Fields["c"] = structpb.NewNumberValue(math.NaN())
	kept := succeeded("Kept", value(3))
	kept.ProducedAt = 4
	after := &pb.NodeInfo{
		Algorithm: ref("After"), Outcome: pb.Outcome_OUTCOME_SKIPPED, Reason: "Failed@1.0.0 failed", SettledAt: at("12:00:01"),
		DependsOn: []*pb.AlgorithmRef{ref("Failed"), ref("Value")},
	}
	run := &pb.RunInfo{
		Position: 9, Revision: 2, Kind: pb.RunKind_RUN_KIND_RETRY, State: pb.RunState_RUN_STATE_FAILED,
		AcceptedAt: at("12:00:00"), FinishedAt: at("12:00:01.2344"), Nodes: 14, Settled: 13,
	}
	info := infos()[0]
	info.Run = run
	short, empty := succeeded("Short", array(1, 2)), succeeded("Empty", array())
	short.Freshness, empty.Freshness = pb.Freshness_FRESHNESS_STALE, pb.Freshness_FRESHNESS_CURRENT
	return &pb.GetWindowResponse{Window: info, Run: run, Nodes: []*pb.NodeInfo{
		succeeded("Value", value(0.1)), succeeded("Large", value(16777216)), succeeded("Tiny", value(1e-45)),
		succeeded("NotANumber", value(float32(math.NaN()))),
		succeeded("Array", array(1, -2.5, inf, -inf, 5, 6)), short, empty,
		succeeded("Struct", &pb.Result{ResultData: &pb.Result_StructValue{StructValue: nested}}),
		succeeded("None", &pb.Result{}), kept,
		{
			Algorithm: ref("Failed"), Outcome: pb.Outcome_OUTCOME_UNHANDLED_FAILED, Reason: "division by zero\nat line 3", Attempts: 3,
			Result: &pb.Result{Status: pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED, Error: fields("message", "division by zero")},
		},
		{Algorithm: ref("Handled"), Outcome: pb.Outcome_OUTCOME_HANDLED_FAILED, Reason: "no data", Attempts: 1},
		after,
		{Algorithm: ref("Open"), Outcome: pb.Outcome_OUTCOME_OPEN, Reason: "waits for processor host"},
	}}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	older := window()
	older.Run = &pb.RunInfo{Position: 4, Revision: 1, Kind: pb.RunKind_RUN_KIND_EMIT, State: pb.RunState_RUN_STATE_OPEN, Nodes: 1}
	older.Nodes = nil
	f := &fakeCore{window: map[string]*pb.GetWindowResponse{"w3/0": window(), "w3/1": older}}
	transcript(t, "window", f.start(t),
		"window w3", "window w3 --revision 1", "window w3 --json", "window w3 --json --revision 1", "window w4",
		"window", "window w3 w4", "window w3 --revision -1", "window w3 --revision one")
}

// givenInputs is what algorithms of that window were given: one that is cut by a page, one of another window type, nothing, and
// one that waits.
func givenInputs() []*pb.Input {
	ref := func(processor, name string) *pb.AlgorithmRef {
		return &pb.AlgorithmRef{Processor: processor, Name: name, Version: "1.0.0"}
	}
	cpu, hour := &pb.WindowTypeRef{Name: "CpuWindow", Version: "1.0.0"}, &pb.WindowTypeRef{Name: "HourWindow", Version: "2.1.0"}
	row := func(id, from, to string, position, producedAt int64, v float32) *pb.InputRow {
		return &pb.InputRow{
			WindowId: id, Window: &pb.Window{WindowTypeName: "CpuWindow", WindowTypeVersion: "1.0.0", Origin: "demo", TimeFrom: at(from), TimeTo: at(to)},
			Position: position, Revision: 1, ProducedAt: producedAt, Result: &pb.Result{
				Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: 1769860800, ResultData: &pb.Result_SingleValue{SingleValue: v}},
		}
	}
	usage := func(more bool, rows ...*pb.InputRow) *pb.Input {
		return &pb.Input{
			Algorithm: ref("host", "Kept"), Of: ref("host", "Usage"), WindowType: cpu, LookbackNum: 24, LookbackGapTimeDelta: 60e9,
			Position: 4, Rows: rows, More: more,
		}
	}
	current := row("w3", "11:03:00", "11:03:59.999999999", 4, 4, 0.5)
	current.Current = true
	return []*pb.Input{
		usage(false, current, row("w2", "11:02:00", "11:02:59.999999999", 2, 2, 0.25)),
		usage(true, row("w1", "11:01:00", "11:01:00", 3, 1, 0.125)),
		{Algorithm: ref("host", "Kept"), Dependency: 1, Of: ref("score", "Trend"), WindowType: hour, Position: 4, LookbackGapNum: 2,
			Rows: []*pb.InputRow{row("h1", "09:00:00", "10:00:00", 1, 1, 7)}},
		{Algorithm: ref("host", "Kept"), Dependency: 2, Of: ref("score", "Mean"), WindowType: hour, Position: 4},
		{Algorithm: ref("host", "Kept"), Dependency: -1, Of: ref("host", "Kept"), WindowType: cpu, Position: 4, LookbackTimeDelta: 3600e9,
			Rows: []*pb.InputRow{row("w5", "11:02:30", "11:03:30", 2, 2, 3)}},
		{Algorithm: ref("host", "Open"), Dependency: -1, Of: ref("host", "Open"), WindowType: cpu, Position: 9, LookbackNum: 1,
			AwaitedPosition: 8, AwaitedWindowId: "w2"},
	}
}

func TestWindowInputs(t *testing.T) {
	t.Parallel()
	shown := window()
	shown.Nodes = shown.GetNodes()[9:10]
	shown.Nodes[0].Freshness = pb.Freshness_FRESHNESS_STALE
	f := &fakeCore{perPage: 1, window: map[string]*pb.GetWindowResponse{"w3/0": shown}, inputs: givenInputs()}
	transcript(t, "window_inputs", f.start(t), "window w3 --inputs --limit 2", "window w3 --inputs --json", "window w3 --inputs --limit -1")
	want := []proto.Message{
		&pb.GetWindowRequest{Id: "w3"},
		&pb.ListInputsRequest{Id: "w3", Revision: 2, PageSize: maxPage, RowsPerInput: 2},
	}
	if diff := cmp.Diff(want, f.questions()[:2], protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none := &fakeCore{window: map[string]*pb.GetWindowResponse{"w3/0": window()}}
	if got := orca(t, none.start(t), "window", "w3", "--inputs"); got.Err != "orca: no algorithm of this run was given any results\n" {
		t.Errorf("%+v", got)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	w := window()
	f := &fakeCore{perPage: 1, results: []*pb.ResultInfo{
		{WindowId: "w3", Window: w.GetWindow().GetWindow(), Position: 9, Revision: 2, Node: w.GetNodes()[0]},
		{WindowId: "w2", Window: w.GetWindow().GetWindow(), Position: 8, Revision: 1, Node: w.GetNodes()[10]},
	}}
	transcript(t, "results", f.start(t),
		"results Value@1.0.0 --failed", "results Value@1.0.0 --json", "results Value@1.0.0 --limit 1",
		"results", "results Value", "results Value@1.0.0 --meta host", "results Value@1.0.0 --to 12:00")
}

func TestResultsFilters(t *testing.T) {
	t.Parallel()
	f := &fakeCore{}
	got := orca(t, f.start(t), "results", "Value@1.0.0", "--from", "-7d", "--to", "now", "--processor", "host", "--failed",
		"--limit", "0", "--meta", "host=007", "--meta", "load:=0.5", "--meta", "ok:=true", "--meta", "tags:=[1,\"a\"]", "--meta", "q=a=b,c")
	compare(t, "results", said{0, "", "orca: no such results\n"}, got)
	from := at("12:00:00")
	from.Seconds -= 7 * 24 * 3600
	want := []proto.Message{&pb.ListResultsRequest{
		PageSize: maxPage, Name: "Value", Version: "1.0.0", Processor: "host", TimeFrom: from, TimeTo: at("12:00:00"), IncludeFailed: true,
		Metadata: fields("host", "007", "load", 0.5, "ok", true, "tags", []any{1, "a"}, "q", "a=b,c"),
	}}
	if diff := cmp.Diff(want, f.questions(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	f := &fakeCore{status: &pb.GetStatusResponse{
		Version: "v0.1.0", StartedAt: at("08:29:30"), Store: "sqlite:/var/lib/orca/orca.db", Pending: 5, Active: 2, Parked: 3,
		NotReady: "free disk space is below the reserve",
		Waiting:  []*pb.Waiting{{Processor: "host", Runs: 2, Oldest: 7}, {Processor: "score", Runs: 1, Oldest: 9}},
	}}
	transcript(t, "status", f.start(t), "status", "status --json", "status now")
	ready := &fakeCore{status: &pb.GetStatusResponse{Version: "v0.1.0", Store: "sqlite:orca.db"}}
	transcript(t, "status_ready", ready.start(t), "status", "status --json")
}
