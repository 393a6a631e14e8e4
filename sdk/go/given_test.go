package orca_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

func racing(name string) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: "racing", Name: name, Version: "1.0.0"}
}

func TestInputsAreReadInPages(t *testing.T) {
	t.Parallel()
	row := func(id string, v float32, current bool) *pb.InputRow {
		return &pb.InputRow{
			WindowId: id, Window: wireWindow(), Position: 7, Revision: 2, Current: current, ProducedAt: 5,
			Result: &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: v}, Timestamp: noon.Unix()},
		}
	}
	near := func(rows ...*pb.InputRow) *pb.Input {
		return &pb.Input{Algorithm: ref("Trend"), Of: ref("Speed"), LookbackNum: 2, LookbackGapTimeDelta: 3, Rows: rows}
	}
	own := &pb.Input{Algorithm: ref("Trend"), Dependency: -1, Of: ref("Trend"), LookbackTimeDelta: 60e9, Rows: []*pb.InputRow{row("c", 3, false)}}
	pages := map[string]*pb.ListInputsResponse{
		"":  {Inputs: []*pb.Input{near(row("a", 1, true))}, PageToken: "2"},
		"2": {Inputs: []*pb.Input{near(row("b", 2, false)), {Algorithm: ref("Trend"), Dependency: 1, Of: ref("Weather")}, own}},
	}
	var mu sync.Mutex
	var asked []*pb.ListInputsRequest
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Inputs: func(r *pb.ListInputsRequest) (*pb.ListInputsResponse, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r)
			if len(asked) == 2 {
				return nil, status.Error(codes.Unavailable, "for a moment")
			}
			return pages[r.GetPageToken()], nil
		},
	}))
	client.SkipSleeps()
	var got []orca.Input
	for in, err := range client.Inputs(t.Context(), "w-1", 2, racing("Trend")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, in)
	}
	want := func(id string, v float32) orca.Input {
		w := window(lap, noon, time.Minute)
		w.ID, w.Metadata["car"] = id, 7.0
		return orca.Input{
			Algorithm: racing("Trend"), Of: racing("Speed"), Lookback: orca.Last(2).SkipTime(3), Position: 7, Revision: 2, ProducedAt: 5,
			Row: orca.Row[any]{Window: w, Value: v, Computed: noon.Truncate(time.Second)},
		}
	}
	rows := []orca.Input{want("a", 1), want("b", 2), want("c", 3)}
	rows[0].Current = true
	rows[2].Of, rows[2].Dependency, rows[2].Lookback = racing("Trend"), -1, orca.Past(time.Minute)
	if diff := cmp.Diff(rows, got, cmpopts.EquateComparable(orca.Lookback{})); diff != "" {
		t.Error(diff)
	}
	var wantAsked []*pb.ListInputsRequest
	for _, token := range []string{"", "2", "2"} {
		wantAsked = append(wantAsked, &pb.ListInputsRequest{
			PageSize: 500, PageToken: token, Id: "w-1", Revision: 2, Algorithms: []*pb.AlgorithmRef{ref("Trend")},
		})
	}
	if diff := cmp.Diff(wantAsked, asked, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestInputsEndWithTheirError(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Inputs: func(*pb.ListInputsRequest) (*pb.ListInputsResponse, error) {
			return nil, status.Error(codes.NotFound, "window w-1")
		},
	}))
	for want, ask := range map[error]struct {
		id       string
		revision int
	}{orca.ErrNotFound: {"w-1", 0}, orca.ErrInvalid: {"w-1", -1}} {
		times := 0
		for _, err := range client.Inputs(t.Context(), ask.id, ask.revision) {
			if times++; !errors.Is(err, want) {
				t.Errorf("%v: %v, want %v", ask, err, want)
			}
		}
		if times != 1 {
			t.Errorf("%v: the loop ran %d times, want once", ask, times)
		}
	}
}

func TestFreshnessOfARun(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Window: func(r *pb.GetWindowRequest) (*pb.GetWindowResponse, error) {
			switch {
			case r.GetId() != "w-1":
				return nil, status.Error(codes.NotFound, "window "+r.GetId())
			case r.GetRevision() == 9:
				return &pb.GetWindowResponse{Nodes: []*pb.NodeInfo{{Algorithm: ref("Speed"), Freshness: 77}}}, nil
			case r.GetRevision() != 2:
				return nil, status.Errorf(codes.NotFound, "revision %d", r.GetRevision())
			}
			return &pb.GetWindowResponse{Nodes: []*pb.NodeInfo{
				{Algorithm: ref("Speed")}, {Algorithm: ref("Trend"), Freshness: pb.Freshness_FRESHNESS_STALE},
				{Algorithm: ref("Mean"), Freshness: pb.Freshness_FRESHNESS_CURRENT},
			}}, nil
		},
	}))
	got, err := client.Freshness(t.Context(), "w-1", 2)
	if err != nil {
		t.Fatal(err)
	}
	want := map[orca.AlgorithmID]orca.Freshness{racing("Trend"): orca.InputsStale, racing("Mean"): orca.InputsCurrent}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := client.Freshness(t.Context(), "w-2", 0); !errors.Is(err, orca.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := client.Freshness(t.Context(), "", 0); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
	if _, err := client.Freshness(t.Context(), "w-1", 9); err == nil || !strings.Contains(err.Error(), "77 is no freshness") {
		t.Errorf("odd: %v", err)
	}
}
