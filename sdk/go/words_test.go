package orca

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Every value of the console's enums either has a state here or is refused.
func TestStatesOfTheWireAreTotal(t *testing.T) {
	t.Parallel()
	nodes, runs, fresh := map[string]string{}, map[string]string{}, map[string]string{}
	for value, name := range pb.Freshness_name {
		if f, known, err := freshnessOf(pb.Freshness(value)); known || err != nil {
			fresh[name] = f.String()
		}
	}
	if diff := cmp.Diff(map[string]string{
		"FRESHNESS_CURRENT": "current", "FRESHNESS_STALE": "stale", "FRESHNESS_NOT_COMPARED": "not compared",
	}, fresh); diff != "" {
		t.Error(diff)
	}
	for value, name := range pb.Outcome_name {
		if state, err := nodeStateOf(pb.Outcome(value)); err == nil {
			nodes[name] = state.String()
		}
	}
	for value, name := range pb.RunState_name {
		if state, err := runStateOf(pb.RunState(value)); err == nil {
			runs[name] = state.String()
		}
	}
	if diff := cmp.Diff(map[string]string{
		"OUTCOME_SUCCEEDED": "succeeded", "OUTCOME_HANDLED_FAILED": "handled failure", "OUTCOME_SKIPPED": "skipped",
		"OUTCOME_UNHANDLED_FAILED": "unhandled failure", "OUTCOME_CANCELLED": "cancelled",
	}, nodes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{
		"RUN_STATE_SUCCEEDED": "succeeded", "RUN_STATE_FAILED": "failed", "RUN_STATE_INCOMPLETE": "incomplete",
		"RUN_STATE_CANCELLED": "cancelled",
	}, runs); diff != "" {
		t.Error(diff)
	}
}

func TestTextsForPeople(t *testing.T) {
	t.Parallel()
	speed := Remote[float32](AlgorithmID{Processor: "racing", Name: "Speed", Version: "1.0.0"})
	got := []string{
		fmt.Sprint(ProcessingTriggered, ", ", NoTriggeredAlgorithms, ", ", TriggeringFailed, ", ", EmitStatus(9), NodeState(9), RunState(9), Freshness(9)),
		speed.String(), speed.Over(Last(3).SkipTime(1)).String(), speed.Over(Lookback{}).String(), Past(1).Skip(2).String(),
	}
	want := []string{
		"processing triggered, no triggered algorithms, triggering failed, EmitStatus(9) NodeState(9) RunState(9) Freshness(9)",
		"Speed 1.0.0 of racing", "Speed 1.0.0 of racing (last 3, skipping 1ns)", "Speed 1.0.0 of racing (no lookback)",
		"past 1ns, skipping 2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	err := Fail(strings.Repeat("ü", maxFailureText), map[string]any{"big": strings.Repeat("x", maxDetailBytes)})
	got := failed(err).GetError().GetFields()
	if text := got["message"].GetStringValue(); len(text) > maxFailureText+len("…") || !strings.HasSuffix(text, "ü…") {
		t.Errorf("the message has %d bytes and ends with %q", len(text), text[len(text)-8:])
	}
	want := structpb.NewStringValue("these details are left out: 4194324 bytes, at most 4194304 are sent")
	if got["details"].GetStringValue() != want.GetStringValue() {
		t.Errorf("got details %.100v, want %v", got["details"], want)
	}
}
