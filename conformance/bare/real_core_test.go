package bare

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// Every processor, of either generation, runs what every emitter sends, against the real core: each algorithm once,
// after its dependencies, with exactly their results.
func TestAgainstTheRealCore(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{"new", "old"} {
		t.Run(fields, func(t *testing.T) {
			t.Parallel()
			forEachLanguage(t, func(t *testing.T, l language) {
				core := orcatest.Start(t)
				p := start(t, l, "processor", "--core", core.Addresses.GRPC, "--name", "bare", "--fields", fields)
				p.line(t) // listening

				for _, emitter := range languages {
					asset := "pump of " + emitter.name
					got := core.Wait(emit(t, emitter, core.Addresses.GRPC, asset))
					if state := got.GetRun().GetState(); state != pb.RunState_RUN_STATE_SUCCEEDED {
						t.Errorf("the run of %s is %v", asset, state)
					}
					ignore := protocmp.IgnoreFields(&pb.Result{}, "timestamp")
					if diff := cmp.Diff(outcomes(t, asset), results(got), protocmp.Transform(), ignore); diff != "" {
						t.Errorf("results of %s (-want +got):\n%s", asset, diff)
					}
					if diff := cmp.Diff(ran(asset), []map[string]any{executed(p.line(t)), executed(p.line(t)), executed(p.line(t))}); diff != "" {
						t.Errorf("what the processor was given of %s (-want +got):\n%s", asset, diff)
					}
				}
				if err := p.terminate(t); err != nil {
					t.Errorf("after SIGTERM the processor ended with %v", err)
				}
				for line := range p.lines {
					t.Errorf("the processor ran more than was asked: %s", line)
				}
			})
		})
	}
}

// emit runs an emitter and returns the id of the window, which lasts ten seconds and begins a nanosecond late.
func emit(t *testing.T, l language, address, asset string) string {
	t.Helper()
	p := start(t, l, "emitter", "--core", address, "--origin", "test",
		"--from", "1700000000000000001", "--to", "1700000010000000001", "--metadata", `{"asset": "`+asset+`"}`)
	line := p.line(t)
	id, _ := line["windowId"].(string)
	if line["status"] != "PROCESSING_TRIGGERED" || id == "" {
		t.Fatalf("the emitter of %s said %v", l.name, line)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("the emitter of %s ended with %v", l.name, err)
	}
	return id
}

func outcomes(t *testing.T, asset string) map[string]*pb.Result {
	t.Helper()
	return map[string]*pb.Result{"Mean": value(10), "Spread": array(19, 21), "Report": report(t, asset, 60)}
}

// results are the results of a run by the algorithm's name.
func results(window *pb.GetWindowResponse) map[string]*pb.Result {
	out := map[string]*pb.Result{}
	for _, n := range window.GetNodes() {
		out[n.GetAlgorithm().GetName()] = n.GetResult()
	}
	return out
}

// ran are the lines that a processor of either generation prints for a window, without the id of the call.
func ran(asset string) []map[string]any {
	lines := given("new")
	mean, spread := lines[1]["dependencies"].([]any)[0], lines[2]["dependencies"].([]any)[1]
	mean.(map[string]any)["rows"].([]any)[0].(map[string]any)["value"] = 10.0
	spread.(map[string]any)["rows"].([]any)[0].(map[string]any)["array"] = []any{19.0, 21.0}
	for _, line := range lines {
		line["window"].(map[string]any)["metadata"] = map[string]any{"asset": asset}
		delete(line, "execId")
	}
	return lines
}

// executed is a printed line without the id of the call, which is new each time.
func executed(line map[string]any) map[string]any {
	delete(line, "execId")
	return line
}
