package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var acceptTests = map[string]func(*testing.T, Opener){
	"AcceptGivesPositionsFromOne":               testPositions,
	"AcceptAnswersInTheOrderOfPositions":        testAnswerOrder,
	"AcceptKeepsWindowAndRun":                   testAcceptKeeps,
	"AcceptEndsARunThatHasNothingToDo":          testAcceptEnded,
	"AcceptKeepsOutcomesSettledFromTheStart":    testAcceptOutcomes,
	"AcceptRefusesAnUnknownTypeAlone":           testAcceptUnknownType,
	"AcceptRefusesAnUnknownAlgorithmAlone":      testAcceptUnknownAlgorithm,
	"AcceptFailsARowThatTheDatabaseRefusesOnly": testAcceptRefusedRow,
	"AcceptRefusesAnEmissionWithoutAPlanAlone":  testAcceptNoPlan,
	"PlansAreKeptByContent":                     testPlans,
	"NoStoreMetadataIsInTheOpenRunOnly":         testNoStore,
	"TextsMayHoldAnything":                      testAnyText,
}

func testPositions(t *testing.T, open Opener) {
	l := served(t, open)
	var got []orca.Accepted
	for i := range 3 {
		got = append(got, l.emit(emission(i))[0].Accepted)
	}
	l.reopen()
	got = append(got, l.emit(idle(3))[0].Accepted)
	check(t, "answers", got, []orca.Accepted{
		{Window: 1, Position: 1, Status: orca.ProcessingTriggered},
		{Window: 2, Position: 2, Status: orca.ProcessingTriggered},
		{Window: 3, Position: 3, Status: orca.ProcessingTriggered},
		{Window: 4, Position: 4, Status: orca.NoTriggeredAlgorithms},
	})
}

func testAnswerOrder(t *testing.T, open Opener) {
	l := served(t, open)
	const emitters, each = 8, 40
	var mu sync.Mutex
	var told []orca.Position
	var all sync.WaitGroup
	for range emitters {
		all.Go(func() {
			for i := range each {
				all.Add(1)
				l.Accept(emission(i), func(a orca.Accepted, err error) {
					defer all.Done()
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					told = append(told, a.Position)
				})
			}
		})
	}
	all.Wait()
	if !slices.IsSorted(told) || len(slices.Compact(told)) != emitters*each {
		t.Errorf("answers came for positions %v, want %d ascending ones", told, emitters*each)
	}
}

func testAcceptKeeps(t *testing.T, open Opener) {
	l := served(t, open)
	e := emission(1)
	position := l.emitted(e)
	for _, when := range []string{"", " after reopening"} {
		check(t, "open runs"+when, l.openRuns(), []orca.OpenRun{openOf(e, position)})
		check(t, "windows"+when, l.allWindows(), []orca.WindowRecord{recordOf(e, position)})
		check(t, "run"+when, must[orca.RunRecord](t)(l.Run(context.Background(), position, 0)),
			orca.RunRecord{Run: runOf(e, position), Plan: e.Plan.Content})
		check(t, "backlog"+when, must[orca.Backlog](t)(l.Backlog(context.Background())), orca.Backlog{Open: 1, Newest: position, Windows: newestOf(e)})
		l.reopen()
	}
}

func testAcceptEnded(t *testing.T, open Opener) {
	l := served(t, open)
	for i, end := range []orca.RunState{orca.RunSucceeded, orca.RunFailed, orca.RunIncomplete, orca.RunCancelled} {
		e := idle(i)
		e.End = end
		position := l.emitted(e)
		check(t, "record", must[orca.WindowRecord](t)(l.Window(t.Context(), position)), recordOf(e, position))
	}
	check(t, "open runs", l.openRuns(), []orca.OpenRun{})
}

func testAcceptOutcomes(t *testing.T, open Opener) {
	l := served(t, open)
	e := emission(1)
	e.Outcomes = []orca.Outcome{skipped(score, at(1)), value(cpu, 5, at(1))}
	position := l.emitted(e)
	check(t, "record", must[orca.WindowRecord](t)(l.Window(t.Context(), position)), recordOf(e, position))
	check(t, "outcomes of the run", must[orca.RunRecord](t)(l.Run(t.Context(), position, 1)).Outcomes, []orca.Outcome{
		durable(e.Outcomes[1], position, true), durable(e.Outcomes[0], position, true)})
	check(t, "outcomes of the open run", l.openRuns()[0].Outcomes, []orca.Outcome{
		durable(e.Outcomes[1], position, false), durable(e.Outcomes[0], position, false)})
}

// refusedAlone queues good, bad and good before the store is served, so that they share a transaction.
func refusedAlone(t *testing.T, open Opener, bad orca.Emission) error {
	t.Helper()
	l := opened(t, open)
	l.register()
	before, after := emission(1), emission(3)
	if bad.Plan != nil {
		after.Plan = bad.Plan // what the refused one brought along has to be written nevertheless
	}
	wait := l.queue(before, bad, after)
	l.serve()
	answers := wait()
	if answers[0].Err != nil || answers[2].Err != nil {
		t.Fatalf("the neighbours are refused: %v, %v", answers[0].Err, answers[2].Err)
	}
	check(t, "windows", l.allWindows(), []orca.WindowRecord{
		recordOf(after, answers[2].Position), recordOf(before, answers[0].Position)})
	check(t, "plan", must[[]byte](t)(l.Plan(t.Context(), after.Plan.Hash)), after.Plan.Content)
	check(t, "open runs", len(l.openRuns()), 2)
	return answers[1].Err
}

func testAcceptUnknownType(t *testing.T, open Opener) {
	bad := emission(2)
	bad.Window.Type.Version = "9.9.9"
	if err := refusedAlone(t, open, bad); !errors.Is(err, orca.NotFound) {
		t.Errorf("a window of an unknown type gives %v, want not found", err)
	}
}

func testAcceptUnknownAlgorithm(t *testing.T, open Opener) {
	bad := emission(2)
	bad.Outcomes = []orca.Outcome{skipped(known("beta", "Nobody", minute, orca.ResultNone, "r"), at(2))}
	if err := refusedAlone(t, open, bad); !errors.Is(err, orca.NotFound) {
		t.Errorf("an outcome of an unknown algorithm gives %v, want not found", err)
	}
}

func testAcceptRefusedRow(t *testing.T, open Opener) {
	bad := emission(2)
	bad.Plan = planOf("a plan that the refused one brings")
	bad.Key = orca.IdempotencyKey{Project: "plant", Key: "bad"}
	broken := skipped(cpu, at(2))
	broken.Kind = 99
	bad.Outcomes = []orca.Outcome{skipped(mem, at(2)), broken}
	if err := refusedAlone(t, open, bad); err == nil {
		t.Error("an outcome of a kind that does not exist is accepted")
	}
}

func testAcceptNoPlan(t *testing.T, open Opener) {
	bad := emission(2)
	bad.Plan = nil
	if err := refusedAlone(t, open, bad); !errors.Is(err, orca.Invalid) {
		t.Errorf("an emission without a plan gives %v, want invalid", err)
	}
}

func testPlans(t *testing.T, open Opener) {
	l := served(t, open)
	large := planOf(string(make([]byte, 1<<20)))
	for i, p := range []*orca.PlanContent{planOf("one"), large, planOf("one"), planOf("")} {
		e := emission(i)
		e.Plan = p
		position := l.emitted(e)
		check(t, "hash", must[orca.WindowRecord](t)(l.Window(t.Context(), position)).Newest.Plan, p.Hash)
		check(t, "plan", must[[]byte](t)(l.Plan(t.Context(), p.Hash)), p.Content)
	}
	l.reopen()
	e := emission(9)
	e.Plan = planOf("one")
	l.emitted(e)
	check(t, "plan after reopening", must[[]byte](t)(l.Plan(t.Context(), e.Plan.Hash)), e.Plan.Content)
	if _, err := l.Plan(t.Context(), orca.PlanHash{1}); !errors.Is(err, orca.NotFound) {
		t.Errorf("a plan that nobody wrote gives %v, want not found", err)
	}
}

func testNoStore(t *testing.T, open Opener) {
	l := served(t, open)
	with, without := emission(1), emission(2)
	without.FullMetadata = nil
	l.emit(with, without)
	runs := l.openRuns()
	check(t, "inputs", []string{string(runs[0].Input.Metadata), string(runs[1].Input.Metadata)},
		[]string{string(with.FullMetadata), string(without.Window.Metadata)})
	check(t, "stored", []string{string(runs[0].Stored.Metadata), string(runs[1].Stored.Metadata)},
		[]string{string(with.Window.Metadata), string(without.Window.Metadata)})
}

// testAnyText: whatever a client sends as text comes back, be it NUL or no text at all.
func testAnyText(t *testing.T, open Opener) {
	l := served(t, open)
	for i, text := range []string{"a\x00b", "\x00", "\x01", "\x01\x02\x00\x01", "\xff\xfe", "a\xc3", "ünï 🐋 \u2028", `\x00'"\`} {
		e := keyed(i, text)
		e.Window.Origin, e.Key.Project = text, text
		p := l.emitted(e)
		check(t, "repeat", l.emit(e)[0], replayed(p, e.Status))
		o := value(cpu, 1, at(9))
		o.Kind, o.Reason = orca.HandledFailed, text
		o.Result.Status, o.Result.Type, o.Result.Value, o.Result.JSON, o.Result.Error = orca.StatusHandledFailed, orca.ResultStruct, 0, text, text
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{o}})
		check(t, "window", must[orca.WindowRecord](t)(l.Window(t.Context(), p)).Window, e.Window)
		check(t, "outcomes", l.outcomesOf(p), []orca.Outcome{durable(o, p, true)})
	}
}
