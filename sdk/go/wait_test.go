package orca_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

func ref(name string) *pb.AlgorithmRef {
	return &pb.AlgorithmRef{Processor: "racing", Name: name, Version: "1.0.0"}
}

func nodeEvent(n *pb.NodeInfo) *pb.WatchWindowResponse {
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Node{Node: n}}
}

func finishedEvent(state pb.RunState) *pb.WatchWindowResponse {
	return &pb.WatchWindowResponse{Event: &pb.WatchWindowResponse_Finished{Finished: &pb.RunInfo{
		Position: 17, Revision: 2, State: state,
		AcceptedAt: timestamppb.New(noon), FinishedAt: timestamppb.New(noon.Add(time.Second)),
	}}}
}

func succeeded(name string, r *pb.Result) *pb.NodeInfo {
	r.Status = pb.ResultStatus_RESULT_STATUS_SUCEEDED
	return &pb.NodeInfo{
		Algorithm: ref(name), Outcome: pb.Outcome_OUTCOME_SUCCEEDED, Result: r, Attempts: 1, SettledAt: timestamppb.New(noon),
	}
}

func TestWaitGivesTheOutcomeThroughBrokenStreams(t *testing.T) {
	t.Parallel()
	speed := nodeEvent(succeeded("Speed", &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: 61.5}}))
	pace := nodeEvent(&pb.NodeInfo{
		Algorithm: ref("Pace"), Outcome: pb.Outcome_OUTCOME_HANDLED_FAILED, Reason: "no signal", Attempts: 1,
		Result: &pb.Result{Error: structure(t, map[string]any{"message": "no signal"})}, SettledAt: timestamppb.New(noon),
	})
	score := nodeEvent(&pb.NodeInfo{
		Algorithm: ref("Score"), Outcome: pb.Outcome_OUTCOME_SKIPPED, Reason: "Pace 1.0.0 failed", SettledAt: timestamppb.New(noon),
	})
	type life struct {
		events []*pb.WatchWindowResponse
		end    error
	}
	lives := []life{
		{nil, status.Error(codes.Unavailable, "starting")},
		{[]*pb.WatchWindowResponse{speed}, status.Error(codes.Unavailable, "going down")},
		{[]*pb.WatchWindowResponse{speed, pace}, nil}, // ends too early
		{[]*pb.WatchWindowResponse{speed, pace, speed, score, finishedEvent(pb.RunState_RUN_STATE_FAILED)}, nil},
	}
	var calls atomic.Int32
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(r *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			if !proto.Equal(r, &pb.WatchWindowRequest{Id: "w-1"}) {
				return status.Errorf(codes.NotFound, "window %v", r)
			}
			life := lives[calls.Add(1)-1]
			for _, event := range life.events {
				if err := stream.Send(event); err != nil {
					return err
				}
			}
			return life.end
		},
	}))
	slept := client.SkipSleeps()
	outcome, err := client.Wait(t.Context(), "w-1")
	if err != nil {
		t.Fatal(err)
	}
	id := func(name string) orca.AlgorithmID {
		return orca.AlgorithmID{Processor: "racing", Name: name, Version: "1.0.0"}
	}
	want := &orca.Outcome{
		WindowID: "w-1", Position: 17, Revision: 2, State: orca.RunFailed, Accepted: noon, Finished: noon.Add(time.Second),
		Nodes: []orca.Node{
			{Algorithm: id("Speed"), State: orca.NodeSucceeded, Value: float32(61.5), Attempts: 1, Settled: noon},
			{Algorithm: id("Pace"), State: orca.NodeHandledFailed, Reason: "no signal", Error: map[string]any{"message": "no signal"}, Attempts: 1, Settled: noon},
			{Algorithm: id("Score"), State: orca.NodeSkipped, Reason: "Pace 1.0.0 failed", Settled: noon},
		},
	}
	if diff := cmp.Diff(want, outcome, ignoreWire); diff != "" {
		t.Error(diff)
	}
	if len(slept()) != 3 || int(calls.Load()) != len(lives) {
		t.Errorf("%d streams and pauses %v, want 4 and 3", calls.Load(), slept())
	}
	if err := outcome.Err(); !errors.Is(err, orca.ErrNoResult) || !strings.Contains(err.Error(), "Pace 1.0.0 of racing: handled failure: no signal") {
		t.Errorf("Err: %v", err)
	}

	typed := orca.Remote[float32](id("Speed"))
	if v, err := typed.In(outcome); v != 61.5 || err != nil {
		t.Errorf("Speed: %v, %v", v, err)
	}
	if _, err := orca.Remote[float32](id("Pace")).In(outcome); !errors.Is(err, orca.ErrNoResult) || !strings.Contains(err.Error(), "no signal") {
		t.Errorf("Pace: %v", err)
	}
	if _, err := orca.Remote[float32](id("Other")).In(outcome); !errors.Is(err, orca.ErrNoResult) || !strings.Contains(err.Error(), "no part of the run") {
		t.Errorf("Other: %v", err)
	}
	namesake := orca.AlgorithmID{Processor: "chassis", Name: "Speed", Version: "1.0.0"}
	if _, err := orca.Remote[float32](namesake).In(outcome); !errors.Is(err, orca.ErrNoResult) {
		t.Errorf("another processor's Speed: %v", err)
	}
	if _, err := orca.Remote[[]float32](id("Speed")).In(outcome); err == nil || !strings.Contains(err.Error(), "is a value, not an array") {
		t.Errorf("Speed as an array: %v", err)
	}
}

// ignoreWire leaves out what a node keeps for typed reading.
var ignoreWire = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".result" }, cmp.Ignore())

func TestWaitReadsEveryKindOfResult(t *testing.T) {
	t.Parallel()
	events := []*pb.WatchWindowResponse{
		nodeEvent(succeeded("Value", &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: float32(math.Inf(1))}})),
		nodeEvent(succeeded("Array", &pb.Result{ResultData: &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: []float32{1, 2}}}})),
		nodeEvent(succeeded("Object", &pb.Result{ResultData: &pb.Result_StructValue{StructValue: &structpb.Struct{}}})),
		nodeEvent(succeeded("None", &pb.Result{})),
		finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED),
	}
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(_ *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			for _, event := range events {
				if err := stream.Send(event); err != nil {
					return err
				}
			}
			return nil
		},
	}))
	outcome, err := client.Wait(t.Context(), "w-1")
	if err != nil || outcome.Err() != nil {
		t.Fatal(err, outcome.Err())
	}
	var values []any
	for _, node := range outcome.Nodes {
		values = append(values, node.Value)
	}
	if diff := cmp.Diff([]any{float32(math.Inf(1)), []float32{1, 2}, map[string]any{}, nil}, values); diff != "" {
		t.Error(diff)
	}
}

func TestWaitEnds(t *testing.T) {
	t.Parallel()
	client := newClient(t, fakecore.Start(t, fakecore.Script{
		Watch: func(r *pb.WatchWindowRequest, stream grpc.ServerStreamingServer[pb.WatchWindowResponse]) error {
			switch r.GetId() {
			case "open":
				<-stream.Context().Done()
				return stream.Context().Err()
			case "odd":
				return stream.Send(finishedEvent(pb.RunState_RUN_STATE_OPEN))
			case "odd node":
				return stream.Send(nodeEvent(&pb.NodeInfo{Algorithm: ref("Speed"), Outcome: pb.Outcome_OUTCOME_OPEN}))
			}
			return status.Error(codes.NotFound, "window "+r.GetId())
		},
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Wait(ctx, "open"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open: %v", err)
	}
	if _, err := client.Wait(t.Context(), "unknown"); !errors.Is(err, orca.ErrNotFound) || !strings.Contains(err.Error(), "wait for window unknown") {
		t.Errorf("unknown: %v", err)
	}
	if _, err := client.Wait(t.Context(), ""); !errors.Is(err, orca.ErrInvalid) {
		t.Errorf("no id: %v", err)
	}
	if _, err := client.Wait(t.Context(), "odd"); err == nil || !strings.Contains(err.Error(), "RUN_STATE_OPEN is not the state") {
		t.Errorf("odd: %v", err)
	}
	if _, err := client.Wait(t.Context(), "odd node"); err == nil || !strings.Contains(err.Error(), "OUTCOME_OPEN is not the outcome") {
		t.Errorf("odd node: %v", err)
	}
}
