package orca_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

func newClient(t *testing.T, core *fakecore.Core, opts ...orca.ClientOption) *orca.Client {
	t.Helper()
	client, err := orca.NewClient(append([]orca.ClientOption{
		orca.WithoutEnvironment(), orca.WithCore(core.Addr), orca.WithLogger(quiet()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestResultsArePagedAndTyped(t *testing.T) {
	t.Parallel()
	info := func(n int) *pb.ResultInfo {
		return &pb.ResultInfo{WindowId: string(rune('a' + n)), Window: wireWindow(), Node: succeeded("Speed", &pb.Result{
			ResultData: &pb.Result_SingleValue{SingleValue: float32(n)}, Timestamp: noon.Unix(),
		})}
	}
	pages := map[string]*pb.ListResultsResponse{
		"":  {Results: []*pb.ResultInfo{info(0), info(1)}, PageToken: "2"},
		"2": {PageToken: "3"}, // an empty page is not the end
		"3": {Results: []*pb.ResultInfo{info(2)}},
	}
	var mu sync.Mutex
	var asked []*pb.ListResultsRequest
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Results: func(r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
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
	speed := orca.Remote[float32](orca.AlgorithmID{Processor: "racing", Name: "Speed", Version: "1.0.0"})
	var got []orca.Row[float32]
	for row, err := range speed.Results(t.Context(), client, noon, time.Time{}, orca.Where(map[string]any{"car": 7})) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	var want []orca.Row[float32]
	for n, id := range []string{"a", "b", "c"} {
		w := window(lap, noon, time.Minute)
		w.ID, w.Metadata["car"] = id, 7.0
		want = append(want, orca.Row[float32]{Window: w, Value: float32(n), Computed: noon.Truncate(time.Second)})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	request := &pb.ListResultsRequest{
		PageSize: 500, Name: "Speed", Version: "1.0.0", Processor: "racing", TimeFrom: timestamppb.New(noon),
		Metadata: structure(t, map[string]any{"car": 7}),
	}
	wantAsked := make([]*pb.ListResultsRequest, 4)
	for i, token := range []string{"", "2", "2", "3"} {
		wantAsked[i] = proto.Clone(request).(*pb.ListResultsRequest)
		wantAsked[i].PageToken = token
	}
	if diff := cmp.Diff(wantAsked, asked, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}

	for row, err := range speed.Results(t.Context(), client, time.Time{}, noon) {
		if row.Value == 0 || err != nil {
			break
		}
	}
	if len(asked) != 5 {
		t.Errorf("%d requests, want one more: breaking out of the loop stops the reading", len(asked))
	}
}

func TestResultsEndWithTheirError(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Results: func(r *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
			if r.GetName() == "Gone" {
				return nil, status.Error(codes.NotFound, "algorithm Gone 1.0.0")
			}
			return &pb.ListResultsResponse{Results: []*pb.ResultInfo{
				{WindowId: "w-7", Node: succeeded(r.GetName(), &pb.Result{})}, {WindowId: "w-8"},
			}}, nil
		},
	}))
	last := func(name string, opts ...orca.ResultsOption) (err error) {
		times := 0
		a := orca.Remote[float32](orca.AlgorithmID{Processor: "racing", Name: name, Version: "1.0.0"})
		for _, err = range a.Results(t.Context(), client, time.Time{}, time.Time{}, opts...) {
			times++
		}
		if times != 1 {
			t.Errorf("%s: the loop ran %d times, want once", name, times)
		}
		return err
	}
	if err := last("Gone"); !errors.Is(err, orca.ErrNotFound) {
		t.Errorf("Gone: %v", err)
	}
	if err := last("Speed"); err == nil || !strings.Contains(err.Error(), "result for window w-7: the result is without data") {
		t.Errorf("wrong type: %v", err)
	}
	if err := last("Speed", orca.Where(map[string]any{"f": func() {}})); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("wrong filter: %v", err)
	}
}

func TestNewClientReportsWrongSettings(t *testing.T) {
	t.Parallel()
	if _, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore("core")); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
