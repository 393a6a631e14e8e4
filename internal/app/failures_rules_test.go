package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// failing is a processor with A, B and D, and C which needs A, that answers the nth request for A as the test says.
type failing struct {
	// answer is what it does with the nth request that has A, from 1.
	answer func(n int, req *pb.ExecutionRequest, s stream) error
	set    func(*config.Config)
	state  pb.RunState
	nodes  []string
	// attempts by algorithm.
	attempts map[string]int32
	// requests by the algorithms in them, however they are ordered.
	requests map[string]int
}

func failure(s pb.ResultStatus, details string) *pb.Result {
	text, err := structpb.NewStruct(map[string]any{"why": details})
	if err != nil {
		panic(err)
	}
	return &pb.Result{Status: s, Timestamp: 1, Error: text}
}

// failA answers everything with 1, and the first n requests for A with a failure.
func failA(n int, s pb.ResultStatus) func(int, *pb.ExecutionRequest, stream) error {
	return func(i int, req *pb.ExecutionRequest, to stream) error {
		return with(func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
			r := fixedResult(1)
			if name == "A" && i <= n {
				r = failure(s, "no signal")
			}
			return []*pb.ExecutionResult{resultOf(req.GetExecId(), name, r)}
		})(req, to)
	}
}

// refuseA ends the first n requests for A with a status, and answers the others.
func refuseA(n int, code codes.Code) func(int, *pb.ExecutionRequest, stream) error {
	return func(i int, req *pb.ExecutionRequest, to stream) error {
		if i <= n {
			return status.Error(code, "not with me")
		}
		return succeed(req, to)
	}
}

const once = 1

// failures are the rows of the table of what can go wrong that a well-connected processor can bring about.
func failures() map[string]failing {
	const handledFailure, unhandledFailure = pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED, pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED
	const failed, succeeded = pb.RunState_RUN_STATE_FAILED, pb.RunState_RUN_STATE_SUCCEEDED
	fine := []string{"A succeeded of 1", "B succeeded of 1", "C succeeded of 1", "D succeeded of 1"}
	broken := func(a, c string) []string {
		return []string{"A " + a, "B succeeded of 1", "C skipped of 1: needs A 1.0.0, which failed (" + c + ")", "D succeeded of 1"}
	}
	attempts := func(a int32) map[string]int32 { return map[string]int32{"A": a, "B": 1, "C": 1, "D": 1} }
	without := func(a int32) map[string]int32 { return map[string]int32{"A": a, "B": 1, "C": 0, "D": 1} }
	refused := func(code string) string {
		return "unhandled_failed of 1: the processor at ADDRESS answered " + code + ": not with me"
	}
	return map[string]failing{
		"success": {answer: failA(0, handledFailure), state: succeeded, nodes: fine, attempts: attempts(1), requests: map[string]int{"A B D": once, "C": once}},
		"a handled failure": {
			answer: failA(99, handledFailure), state: failed, nodes: broken(`handled_failed of 1: {"why":"no signal"}`, "handled"),
			attempts: without(1), requests: map[string]int{"A B D": once},
		},
		"handled failures that are retried": {
			answer: failA(2, handledFailure), set: func(cfg *config.Config) { cfg.RetryHandled = true },
			state: succeeded, nodes: fine, attempts: attempts(3), requests: map[string]int{"A B D": once, "A": 2, "C": once},
		},
		"an unhandled failure": {
			answer: failA(99, unhandledFailure), state: failed, nodes: broken(`unhandled_failed of 1: {"why":"no signal"}`, "unhandled"),
			attempts: without(3), requests: map[string]int{"A B D": once, "A": 2},
		},
		"an unhandled failure that passes": {
			answer: failA(1, unhandledFailure), state: succeeded, nodes: fine, attempts: attempts(2), requests: map[string]int{"A B D": once, "A": once, "C": once},
		},
		"a stream that breaks after results": {
			answer: func(n int, req *pb.ExecutionRequest, s stream) error {
				if n > 1 {
					return succeed(req, s)
				}
				if err := s.Send(resultOf(req.GetExecId(), "B", fixedResult(1))); err != nil {
					return err
				}
				return status.Error(codes.Internal, "it broke")
			},
			state: succeeded, nodes: fine, attempts: map[string]int32{"A": 2, "B": 1, "C": 1, "D": 2},
			requests: map[string]int{"A B D": once, "A": once, "D": once, "C": once},
		},
		"INVALID_ARGUMENT": {
			answer: refuseA(99, codes.InvalidArgument), state: failed, nodes: broken(refused("InvalidArgument"), "unhandled"),
			attempts: without(1), requests: map[string]int{"A B D": once, "A": once, "B": once, "D": once},
		},
		"NOT_FOUND": {
			answer: refuseA(99, codes.NotFound), state: failed, nodes: broken(refused("NotFound"), "unhandled"),
			attempts: without(1), requests: map[string]int{"A B D": once, "A": once, "B": once, "D": once},
		},
		"another status": {
			answer: refuseA(99, codes.Internal), state: failed, nodes: broken(refused("Internal"), "unhandled"),
			attempts: without(3), requests: map[string]int{"A B D": once, "A": 3, "B": once, "D": once},
		},
		"another status of several together": {
			answer: refuseA(1, codes.Internal), state: succeeded, nodes: fine, attempts: attempts(1),
			requests: map[string]int{"A B D": once, "A": once, "B": once, "D": once, "C": once},
		},
	}
}

// Every row of the table of failures: what becomes of the nodes, how many attempts that was and what was asked.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, test := range failures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := test.set
			if set == nil {
				set = func(*config.Config) {}
			}
			core := orcatest.Start(t, set)
			var mu sync.Mutex
			n := 0
			p := serveProgram(t, "", func(req *pb.ExecutionRequest, s stream) error {
				if !strings.Contains(namesIn(req), "A") {
					return succeed(req, s)
				}
				mu.Lock()
				n++
				i := n
				mu.Unlock()
				return test.answer(i, req, s)
			})
			announced(t, core, "p", p.address, orcatest.Define("W", "A"), orcatest.Define("W", "B"),
				orcatest.Define("W", "C", orcatest.On("p", "A")), orcatest.Define("W", "D"))
			id, _ := core.Emit(window("W", 0))
			w := core.Wait(id)
			checkNodes(t, withoutAddress(w, p.address), test.state, test.nodes...)
			attempts, requests := map[string]int32{}, map[string]int{}
			for _, n := range w.GetNodes() {
				attempts[n.GetAlgorithm().GetName()] = n.GetAttempts()
			}
			for _, r := range p.requests() {
				requests[namesIn(r)]++
			}
			if diff := cmp.Diff(test.attempts, attempts); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.requests, requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// withoutAddress replaces an address in the reasons of nodes.
func withoutAddress(w *pb.GetWindowResponse, address string) *pb.GetWindowResponse {
	for _, n := range w.GetNodes() {
		n.Reason = strings.ReplaceAll(n.GetReason(), address, "ADDRESS")
	}
	return w
}

func namesIn(req *pb.ExecutionRequest) string {
	var names []string
	for _, x := range req.GetAlgorithmExecutions() {
		names = append(names, x.GetAlgorithm().GetName())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// large is a struct of so many bytes.
func large(t *testing.T, bytes int) *pb.Result {
	t.Helper()
	s, err := structpb.NewStruct(map[string]any{"payload": strings.Repeat("x", bytes)})
	if err != nil {
		t.Fatal(err)
	}
	r := fixedResult(0)
	r.ResultData = &pb.Result_StructValue{StructValue: s}
	return r
}

// An instance that takes messages of 4 MiB, gRPC's default: what is too large together goes out one by one and succeeds,
// what is too large alone fails for that reason, and nothing else does.
func TestInstanceWithASmallMessageLimit(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	returning := func(name string, bytes int) orcatest.Algorithm {
		a, r := orcatest.Define("W", name), large(t, bytes)
		a.ResultType = pb.ResultType_STRUCT
		return orcatest.Algorithm{Algorithm: a, Run: func(context.Context, *pb.ExecutionRequest, *pb.ExecuteAlgorithm) (*pb.Result, error) { return r, nil }}
	}
	core.Processor("source", returning("Mid", 1<<20), returning("Big", 5<<20), plain("W", "Other"))
	small := serveProgram(t, "", succeed, grpc.MaxRecvMsgSize(4<<20))
	mid, big := orcatest.On("source", "Mid"), orcatest.On("source", "Big")
	announced(t, core, "small", small.address, orcatest.Define("W", "Fits"), orcatest.Define("W", "A", mid), orcatest.Define("W", "B", mid),
		orcatest.Define("W", "C", mid), orcatest.Define("W", "D", mid), orcatest.Define("W", "Large", big),
		orcatest.Define("W", "AfterLarge", orcatest.On("small", "Large")))
	ids := make([]string, 3)
	for i := range ids {
		ids[i], _ = core.Emit(window("W", i))
	}
	for i, id := range ids {
		for _, n := range core.Wait(id).GetNodes() {
			want := pb.Outcome_OUTCOME_SUCCEEDED
			switch n.GetAlgorithm().GetName() {
			case "Large":
				want = pb.Outcome_OUTCOME_UNHANDLED_FAILED
				if !strings.HasPrefix(n.GetReason(), "inputs too large") {
					t.Errorf("Large failed because of %q", n.GetReason())
				}
			case "AfterLarge":
				want = pb.Outcome_OUTCOME_SKIPPED
			}
			if n.GetOutcome() != want {
				t.Errorf("window %d: %s is %v (%s), want %v", i, n.GetAlgorithm().GetName(), n.GetOutcome(), n.GetReason(), want)
			}
		}
	}
}

// A result beyond what the core receives is an attempt of its algorithm alone.
func TestResultBeyondTheCoresLimit(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.MaxMessageSize, cfg.MaxAttempts = config.MiB, 2 })
	a := orcatest.Define("W", "A")
	a.ResultType = pb.ResultType_STRUCT
	tooLarge := large(t, 2<<20)
	p := serveProgram(t, "", with(func(req *pb.ExecutionRequest, name string) []*pb.ExecutionResult {
		r := fixedResult(1)
		if name == "A" {
			r = tooLarge
		}
		return []*pb.ExecutionResult{resultOf(req.GetExecId(), name, r)}
	}))
	announced(t, core, "p", p.address, a, orcatest.Define("W", "B"))
	id, _ := core.Emit(window("W", 0))
	w := core.Wait(id)
	outcomes := map[string]string{}
	for _, n := range w.GetNodes() {
		outcomes[n.GetAlgorithm().GetName()] = fmt.Sprintf("%v %d", n.GetOutcome(), n.GetAttempts())
	}
	want := map[string]string{"A": "OUTCOME_UNHANDLED_FAILED 2", "B": "OUTCOME_SUCCEEDED 1"}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes and attempts (-want +got):\n%s", diff)
	}
}
