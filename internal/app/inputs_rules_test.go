package app_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// last returns a dependency on an algorithm of processor p that looks back by count.
func last(name string, n, gap uint32) *pb.AlgorithmDependency {
	d := orcatest.On("p", name)
	d.Lookback = &pb.AlgorithmDependency_LookbackNum{LookbackNum: n}
	d.LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: gap}
	return d
}

// span returns one that looks back by seconds.
func span(name string, seconds, gap uint64) *pb.AlgorithmDependency {
	d := orcatest.On("p", name)
	d.Lookback = &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: seconds * 1e9}
	d.LookbackGap = &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: gap * 1e9}
	return d
}

// mixed looks back by seconds and leaves out a number of results.
func mixed(name string, seconds uint64, gap uint32) *pb.AlgorithmDependency {
	d := span(name, seconds, 0)
	d.LookbackGap = last(name, 0, gap).GetLookbackGap()
	return d
}

// historian is a processor that notes what it is given.
type historian struct {
	windows float64 // made so far

	mu    sync.Mutex
	given map[string][]*pb.ExecuteAlgorithm // by algorithm and window, in the order of its runs
	runs  float32
}

func (h *historian) key(algorithm string, w *pb.Window) string {
	return fmt.Sprint(algorithm, w.GetMetadata().GetFields()["number"].GetNumberValue())
}

// run gives another value each time. A window with the metadata "fails" fails once.
func (h *historian) run(_ context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := x.GetAlgorithm().GetName()
	key := h.key(name, req.GetWindow())
	h.given[key] = append(h.given[key], x)
	h.runs++
	if req.GetWindow().GetMetadata().GetFields()["fails"].GetStringValue() == name && len(h.given[key]) == 1 {
		return handled(), nil
	}
	return orcatest.Value(h.runs), nil
}

// algorithm is one of the historian's, of a window type that marks asset filter.
func (h *historian) algorithm(typeName, name string, needs ...*pb.AlgorithmDependency) orcatest.Algorithm {
	a := orcatest.Define(typeName, name, needs...)
	a.WindowType.MetadataFields = []*pb.MetadataField{{Name: "asset", Filter: true}}
	return orcatest.Algorithm{Algorithm: a, Run: h.run}
}

// self has an algorithm look back at its own past, as a dependency does.
func self(a orcatest.Algorithm, l *pb.AlgorithmDependency) orcatest.Algorithm {
	a.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: l.GetLookbackNum()}
	if l.GetLookbackTimeDelta() > 0 {
		a.Lookback = &pb.Algorithm_LookbackTimeDelta{LookbackTimeDelta: l.GetLookbackTimeDelta()}
	}
	a.LookbackGap = &pb.Algorithm_LookbackGapNum{LookbackGapNum: l.GetLookbackGapNum()}
	return a
}

// window returns window i of the type and asset, as many seconds long. What fails once is the algorithm of that name.
func (h *historian) window(typeName, asset, fails string, i, seconds int) *pb.Window {
	h.windows++
	w := orcatest.Window(typeName, "1.0.0", i, map[string]any{"asset": asset, "fails": fails, "number": h.windows})
	w.TimeTo.Seconds = w.GetTimeFrom().GetSeconds() + int64(seconds)
	return w
}

// startHistory starts a core with every kind of lookback.
func startHistory(t *testing.T, changes ...func(*config.Config)) (*orcatest.Core, *historian) {
	t.Helper()
	h := &historian{given: map[string][]*pb.ExecuteAlgorithm{}}
	core := orcatest.Start(t, changes...)
	core.Processor("p",
		h.algorithm("S", "Base"),
		h.algorithm("S", "Plain", orcatest.On("p", "Base")),
		h.algorithm("S", "Count", last("Base", 3, 0)),
		h.algorithm("S", "Skips", last("Base", 2, 1)),
		h.algorithm("S", "Span", span("Base", 3, 0)),
		h.algorithm("S", "Earlier", span("Base", 3, 1)),
		h.algorithm("S", "Mixed", mixed("Base", 4, 1)),
		h.algorithm("S", "Both", last("Base", 1, 0), span("Base", 2, 0), orcatest.On("p", "Span")),
		self(h.algorithm("S", "Own"), last("", 2, 1)),
		self(h.algorithm("S", "OwnSpan", orcatest.On("p", "Count")), span("", 3, 0)),
		h.algorithm("S", "Cross", orcatest.On("p", "Report"), last("Trend", 2, 0)),
		h.algorithm("M", "Report", span("Base", 4, 0)),
		self(h.algorithm("M", "Trend", last("Report", 2, 0), orcatest.On("p", "Base"), last("Count", 0, 2)), last("", 1, 0)),
	)
	return core, h
}

// inputsOf returns what ListInputs shows, in pages of so many rows, put together by node and place.
func inputsOf(t *testing.T, core *orcatest.Core, req *pb.ListInputsRequest) (inputs []*pb.Input) {
	t.Helper()
	for {
		page, err := core.ListInputs(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for i, in := range page.GetInputs() {
			rows += max(1, len(in.GetRows()))
			if n := len(inputs); i == 0 && n > 0 && inputs[n-1].GetDependency() == in.GetDependency() &&
				refText(inputs[n-1].GetAlgorithm()) == refText(in.GetAlgorithm()) {
				inputs[n-1].Rows = append(inputs[n-1].GetRows(), in.GetRows()...)
				inputs[n-1].More = in.GetMore()
				continue
			}
			inputs = append(inputs, in)
		}
		if req.GetPageSize() > 0 && rows > int(req.GetPageSize()) {
			t.Errorf("a page of %d rows has %d", req.GetPageSize(), rows)
		}
		if req.PageToken = page.GetPageToken(); req.GetPageToken() == "" {
			return inputs
		}
	}
}

func refText(r *pb.AlgorithmRef) string {
	return r.GetProcessor() + "/" + r.GetName() + "/" + r.GetVersion()
}

// row is a row as it was given, and as it is shown.
type row struct {
	Window *pb.Window
	Result *pb.Result
}

// wireInputs are the rows of each place of an execution; the own past is the last.
func wireInputs(x *pb.ExecuteAlgorithm) (places [][]row) {
	for _, d := range x.GetDependencies() {
		var rows []row
		for _, r := range d.GetResult() {
			rows = append(rows, row{r.GetWindow(), r.GetResult()})
		}
		places = append(places, rows)
	}
	var self []row
	for _, r := range x.GetSelfResults() {
		self = append(self, row{r.GetWindow(), r.GetResult()})
	}
	return append(places, self)
}

// shownInputs are the same of what is shown for one node.
func shownInputs(inputs []*pb.Input, node *pb.AlgorithmRef, dependencies int) [][]row {
	places := make([][]row, dependencies+1)
	for _, in := range inputs {
		if refText(in.GetAlgorithm()) != refText(node) {
			continue
		}
		place := int(in.GetDependency())
		if place < 0 {
			place = dependencies
		}
		for _, r := range in.GetRows() {
			places[place] = append(places[place], row{r.GetWindow(), r.GetResult()})
		}
	}
	return places
}

// revisions returns all runs of a window, the first first.
func revisions(t *testing.T, core *orcatest.Core, id string) (runs []*pb.GetWindowResponse) {
	t.Helper()
	newest := core.Wait(id).GetRun().GetRevision()
	for revision := range newest {
		run, err := core.GetWindow(t.Context(), &pb.GetWindowRequest{Id: id, Revision: revision + 1})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}

// checkInputs compares what all runs of a window are shown to have been given with what they were given. It returns
// how many rows that were.
func (h *historian) checkInputs(t *testing.T, core *orcatest.Core, id string, pageSize int32) (rows int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	times := map[string]int{}                    // how often an algorithm ran
	given := map[string][][]row{}                // by algorithm and run
	for _, run := range revisions(t, core, id) { // an outcome that is kept was given what the earlier run was
		inputs := inputsOf(t, core, &pb.ListInputsRequest{Id: id, Revision: run.GetRun().GetRevision(), PageSize: pageSize})
		for _, n := range run.GetNodes() {
			name := n.GetAlgorithm().GetName()
			key := fmt.Sprint(name, n.GetProducedAt())
			if n.GetOutcome() != pb.Outcome_OUTCOME_SUCCEEDED && n.GetOutcome() != pb.Outcome_OUTCOME_HANDLED_FAILED {
				if slices.ContainsFunc(inputs, func(in *pb.Input) bool { return in.GetAlgorithm().GetName() == name }) {
					t.Errorf("%s %s was not run, and is shown with inputs", id, name)
				}
				continue
			}
			if n.GetProducedAt() == run.GetRun().GetPosition() {
				given[key] = wireInputs(h.given[h.key(name, run.GetWindow().GetWindow())][times[name]])
				times[name]++
			}
			want := given[key]
			if diff := cmp.Diff(want, shownInputs(inputs, n.GetAlgorithm(), len(want)-1), protocmp.Transform()); diff != "" {
				t.Errorf("%s, revision %d, %s (-given +shown):\n%s", id, run.GetRun().GetRevision(), name, diff)
			}
			for _, place := range want {
				rows += len(place)
			}
		}
	}
	return rows
}

// play emits windows that come late, overlap and fail, retries and reprocesses some, and returns all of them.
func (h *historian) play(t *testing.T, core *orcatest.Core) (ids []string) {
	t.Helper()
	emit := func(typeName, asset, fails string, i, seconds int) string {
		id, _ := core.Emit(h.window(typeName, asset, fails, i, seconds))
		ids = append(ids, id)
		return id
	}
	fails := map[int]string{2: "Base", 5: "Own", 7: "Count"}
	failed := map[string]bool{}
	for i, at := range []int{0, 1, 2, 4, 5, 3, 6, 7, 8, 7, 10} { // 3 is late, 7 comes twice
		for _, asset := range []string{"a", "b"} {
			id := emit("S", asset, fails[i], at, 1)
			failed[id] = fails[i] != ""
		}
		if i%4 == 3 {
			emit("M", "a", "", at-3, 4)
			failed[emit("M", "b", "Report", at-3, 4)] = true
		}
	}
	emit("S", "a", "", 4, 3) // overlaps its neighbours
	emit("S", "a", "", 11, 1)
	for k, id := range slices.Clone(ids) {
		core.Wait(id)
		var err error
		switch {
		case failed[id]:
			_, err = core.RetryWindow(t.Context(), &pb.RetryWindowRequest{Id: id})
		case k%5 == 0:
			_, err = core.ReprocessWindow(t.Context(), &pb.ReprocessWindowRequest{Id: id})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	emit("S", "a", "", 12, 1)
	emit("M", "a", "", 9, 4)
	return ids
}

// What is shown of a run is what its algorithms were given, to the bit and in the same order, whatever has come since: of
// all kinds of lookbacks and gaps, with failures, of several assets, of windows that came late, of all revisions.
func TestInputsAreTheRowsThatWereGiven(t *testing.T) {
	t.Parallel()
	core, h := startHistory(t)
	ids := h.play(t, core)
	rows := 0
	for _, id := range ids {
		rows += h.checkInputs(t, core, id, 20)
	}
	checkFew(t, core, ids[len(ids)-1], 2)
	if rows < 500 {
		t.Errorf("only %d rows were compared", rows)
	}
}

// checkFew compares a number of past rows of each input with all of them.
func checkFew(t *testing.T, core *orcatest.Core, id string, few int32) {
	t.Helper()
	want := inputsOf(t, core, &pb.ListInputsRequest{Id: id})
	cut := 0
	for _, in := range want {
		end := int(few)
		if len(in.GetRows()) > 0 && in.GetRows()[0].GetCurrent() {
			end++
		}
		if len(in.GetRows()) > end {
			in.Rows, in.More = in.GetRows()[:end], true
			cut++
		}
	}
	if cut == 0 {
		t.Error("no input has more rows than that")
	}
	for _, size := range []int32{0, 1, 2} {
		got := inputsOf(t, core, &pb.ListInputsRequest{Id: id, RowsPerInput: few, PageSize: size})
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%d rows of each, in pages of %d (-want +got):\n%s", few, size, diff)
		}
	}
}
