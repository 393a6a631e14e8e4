package storetest

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var settleTests = map[string]func(*testing.T, Opener){
	"SettleKeepsOutcomesOnce":                testSettleKeeps,
	"SettleTheFirstOutcomeWins":              testFirstWins,
	"SettleFinishesTheRun":                   testFinish,
	"SettleFinishingTwiceChangesNothing":     testFinishTwice,
	"SettleMayBeRepeated":                    testSettleRepeated,
	"SettleTakesOutcomesInPieces":            testSettlePieces,
	"SettleRefusesAnUnknownRunAlone":         testSettleUnknownRun,
	"SettleRefusesAnUnknownAlgorithmAlone":   testSettleUnknownAlgorithm,
	"SettleFailsARowThatTheDatabaseRefuses":  testSettleRefusedRow,
	"SettleOfARunAcceptedInTheSameBatch":     testSettleSameBatch,
	"ResultsComeBackToTheBit":                testBits,
	"OutcomesKeepWhatAnEarlierRunProduced":   testProducedAt,
	"ResultsComeInTheOrderAskedOrAreMissing": testResults,
}

// outcomesOf returns the outcomes of the newest run of a window.
func (l *ledger) outcomesOf(window orca.WindowID) []orca.Outcome {
	l.t.Helper()
	return must[orca.RunRecord](l.t)(l.Run(l.t.Context(), window, 0)).Outcomes
}

func testSettleKeeps(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(emission(1))
	failed := orca.Outcome{Algorithm: mem.Algorithm.ID, Kind: orca.UnhandledFailed, Reason: "no result after 3 attempts", Attempts: 3,
		SettledAt: at(2), Result: &orca.Result{Status: orca.StatusUnhandledFailed, Type: orca.ResultNone, Encoded: []byte{0, 1},
			Error: `{"stack":"…"}`}}
	ok, skip := value(cpu, 1, at(3)), skipped(score, at(4))
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{skip, failed, ok}, At: at(4)})
	l.reopen()
	check(t, "outcomes", l.outcomesOf(p), []orca.Outcome{
		durable(ok, p, true), durable(failed, p, true), durable(skip, p, true)})
	check(t, "outcomes of the open run", l.openRuns()[0].Outcomes, []orca.Outcome{
		durable(ok, p, false), durable(failed, p, false), durable(skip, p, false)})
	check(t, "settled", l.allWindows()[0].Settled, 3)
}

func testFirstWins(t *testing.T, open Opener) {
	l := opened(t, open)
	l.register()
	wait := l.queue(emission(1), emission(2))
	var errs [4]error
	done := make(chan struct{}, len(errs))
	for i, s := range []orca.Settlement{
		{Position: 1, Outcomes: []orca.Outcome{value(cpu, 1, at(2)), value(cpu, 2, at(2))}},
		{Position: 1, Outcomes: []orca.Outcome{value(cpu, 3, at(3)), value(mem, 4, at(3))}},
		{Position: 2, Outcomes: []orca.Outcome{skipped(cpu, at(3))}},
		{Position: 2, Outcomes: []orca.Outcome{value(cpu, 5, at(3))}},
	} {
		l.Settle(s, func(err error) { errs[i] = err; done <- struct{}{} })
	}
	l.serve()
	wait()
	for range errs {
		<-done
	}
	check(t, "errors", errs, [4]error{})
	l.settled(orca.Settlement{Position: 1, Outcomes: []orca.Outcome{skipped(cpu, at(9))}})
	check(t, "outcomes of 1", l.outcomesOf(1), []orca.Outcome{
		durable(value(cpu, 1, at(2)), 1, true), durable(value(mem, 4, at(3)), 1, true)})
	check(t, "outcomes of 2", l.outcomesOf(2), []orca.Outcome{durable(skipped(cpu, at(3)), 2, true)})
}

func testFinish(t *testing.T, open Opener) {
	l := served(t, open)
	for i, end := range []orca.RunState{orca.RunSucceeded, orca.RunFailed, orca.RunIncomplete, orca.RunCancelled} {
		e := emission(i)
		p := l.emitted(e)
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(3))}, End: end, At: at(4)})
		want := recordOf(e, p)
		want.Newest.State, want.Newest.FinishedAt, want.Settled = end, at(4), 1
		check(t, "record", must[orca.WindowRecord](t)(l.Window(t.Context(), p)), want)
	}
	check(t, "open runs", l.openRuns(), []orca.OpenRun{})
	check(t, "backlog", must[orca.Backlog](t)(l.Backlog(t.Context())), orca.Backlog{Open: 0, Newest: 4, Windows: newestOf(emission(3))})
}

func testFinishTwice(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(emission(1))
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(3))}, End: orca.RunSucceeded, At: at(3)})
	before := must[orca.RunRecord](t)(l.Run(t.Context(), p, 0))
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{skipped(cpu, at(5))}, End: orca.RunCancelled, At: at(5)})
	check(t, "run", must[orca.RunRecord](t)(l.Run(t.Context(), p, 0)), before)
}

func testSettleRepeated(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(emission(1))
	s := orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(3)), skipped(mem, at(3))}, End: orca.RunIncomplete, At: at(3)}
	l.settled(s)
	before := must[orca.RunRecord](t)(l.Run(t.Context(), p, 0))
	l.settled(s)
	check(t, "run", must[orca.RunRecord](t)(l.Run(t.Context(), p, 0)), before)
}

func testSettlePieces(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(emission(1))
	for i, o := range []orca.Outcome{value(cpu, 1, at(2)), value(mem, 2, at(2))} {
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{o}})
		check(t, "settled", l.allWindows()[0].Settled, i+1)
		check(t, "open", positions(l.openRuns()), []orca.Position{p})
	}
	l.settled(orca.Settlement{Position: p, End: orca.RunSucceeded, At: at(4)})
	check(t, "open", positions(l.openRuns()), []orca.Position{})
}

// settleRefused queues two good settlements around a bad one, so that they share a transaction, and returns the error
// of the bad one.
func settleRefused(t *testing.T, open Opener, bad orca.Settlement) error {
	t.Helper()
	l := opened(t, open)
	l.register()
	wait := l.queue(emission(1), emission(2), emission(3))
	errs := make(chan error, 3)
	for _, s := range []orca.Settlement{
		{Position: 1, Outcomes: []orca.Outcome{value(cpu, 1, at(2))}},
		bad,
		{Position: 3, Outcomes: []orca.Outcome{value(cpu, 3, at(2))}, End: orca.RunSucceeded, At: at(2)},
	} {
		l.Settle(s, func(err error) { errs <- err })
	}
	l.serve()
	wait()
	first, refused, last := <-errs, <-errs, <-errs
	if first != nil || last != nil {
		t.Fatalf("the neighbours are refused: %v, %v", first, last)
	}
	check(t, "open", positions(l.openRuns()), []orca.Position{1, 2})
	check(t, "outcomes", [][]orca.Outcome{l.outcomesOf(1), l.outcomesOf(2), l.outcomesOf(3)}, [][]orca.Outcome{
		{durable(value(cpu, 1, at(2)), 1, true)}, nil, {durable(value(cpu, 3, at(2)), 3, true)}})
	return refused
}

func testSettleUnknownRun(t *testing.T, open Opener) {
	bad := orca.Settlement{Position: 4, Outcomes: []orca.Outcome{value(cpu, 2, at(2))}, End: orca.RunSucceeded, At: at(2)}
	if err := settleRefused(t, open, bad); !errors.Is(err, orca.NotFound) {
		t.Errorf("settling a run that does not exist gives %v, want not found", err)
	}
}

func testSettleUnknownAlgorithm(t *testing.T, open Opener) {
	nobody := known("beta", "Nobody", minute, orca.ResultNone, "r")
	bad := orca.Settlement{Position: 2, Outcomes: []orca.Outcome{value(cpu, 2, at(2)), skipped(nobody, at(2))}, End: orca.RunSucceeded}
	if err := settleRefused(t, open, bad); !errors.Is(err, orca.NotFound) {
		t.Errorf("settling an unknown algorithm gives %v, want not found", err)
	}
}

func testSettleRefusedRow(t *testing.T, open Opener) {
	broken := value(mem, 1, at(2))
	broken.Kind = 99
	bad := orca.Settlement{Position: 2, Outcomes: []orca.Outcome{value(cpu, 2, at(2)), broken}, End: orca.RunSucceeded, At: at(2)}
	if err := settleRefused(t, open, bad); err == nil {
		t.Error("an outcome of a kind that does not exist is taken")
	}
}

func testSettleSameBatch(t *testing.T, open Opener) {
	l := opened(t, open)
	l.register()
	wait := l.queue(emission(1))
	done := make(chan error, 1)
	l.Settle(orca.Settlement{Position: 1, Outcomes: []orca.Outcome{value(cpu, 1, at(2))}, End: orca.RunSucceeded, At: at(2)},
		func(err error) { done <- err })
	l.serve()
	check(t, "errors", []error{wait()[0].Err, <-done}, []error{nil, nil})
	check(t, "open", positions(l.openRuns()), []orca.Position{})
}

func testBits(t *testing.T, open Opener) {
	l := served(t, open)
	large := bytes.Repeat([]byte{0, 0xff, 'x', '\''}, 1<<20)
	for i, r := range []orca.Result{
		{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: math.NaN(), Encoded: []byte{0}},
		{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: math.Inf(-1), Timestamp: math.MinInt64},
		{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: math.MaxFloat32, Timestamp: math.MaxInt64},
		{Status: orca.StatusSucceeded, Type: orca.ResultValue, Value: math.SmallestNonzeroFloat64},
		{Status: orca.StatusSucceeded, Type: orca.ResultArray, JSON: `[1,null,"NaN"]`, Encoded: large},
		{Status: orca.StatusSucceeded, Type: orca.ResultStruct, JSON: "{\"a\":\"ünï 🐋 \\u0000\"}", Error: "{}"},
		{Status: orca.StatusSucceeded, Type: orca.ResultNone},
		{Status: orca.StatusHandledFailed, Type: orca.ResultNone, Error: `{"why":"it's \"quoted\""}`},
	} {
		p := l.emitted(emission(i))
		o := orca.Outcome{Algorithm: cpu.Algorithm.ID, Kind: orca.Succeeded, Attempts: math.MaxInt32, SettledAt: orca.MaxTime, Result: &r}
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{o}})
		check(t, "outcome", l.outcomesOf(p), []orca.Outcome{durable(o, p, true)})
		check(t, "result", must[[]orca.Result](t)(l.Results(t.Context(), p, []orca.AlgorithmID{cpu.Algorithm.ID})), []orca.Result{r})
	}
}

func testProducedAt(t *testing.T, open Opener) {
	l := served(t, open)
	first := l.emitted(emission(1))
	e := emission(2)
	kept, own := value(cpu, 1, at(1)), value(mem, 2, at(2))
	kept.ProducedAt = first
	e.Outcomes = []orca.Outcome{kept}
	p := l.emitted(e)
	own.ProducedAt = p
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{own}})
	check(t, "outcomes", l.outcomesOf(p), []orca.Outcome{kept, own})
	check(t, "results", must[[]orca.Result](t)(l.Results(t.Context(), p, []orca.AlgorithmID{cpu.Algorithm.ID})), []orca.Result{*kept.Result})
}

func testResults(t *testing.T, open Opener) {
	l := served(t, open)
	p, other := l.emitted(emission(1)), l.emitted(emission(2))
	failed := value(score, 3, at(2))
	failed.Kind = orca.HandledFailed
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(2)), value(mem, 2, at(2)), failed}})
	l.settled(orca.Settlement{Position: other, Outcomes: []orca.Outcome{value(hourly, 9, at(2))}})
	ids := func(list ...orca.KnownAlgorithm) (ids []orca.AlgorithmID) {
		for _, a := range list {
			ids = append(ids, a.Algorithm.ID)
		}
		return ids
	}
	got := must[[]orca.Result](t)(l.Results(t.Context(), p, ids(mem, cpu, mem)))
	check(t, "results", got, []orca.Result{*value(mem, 2, 0).Result, *value(cpu, 1, 0).Result, *value(mem, 2, 0).Result})
	check(t, "no results", must[[]orca.Result](t)(l.Results(t.Context(), p, nil)), []orca.Result{})
	for _, missing := range []orca.KnownAlgorithm{score, hourly, known("beta", "Nobody", minute, orca.ResultNone, "r")} {
		_, err := l.Results(t.Context(), p, ids(cpu, missing))
		if want := missing.Algorithm.ID.Full(); !errors.Is(err, orca.NotFound) || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("a result that is not there gives %v, want not found and %s", err, want)
		}
	}
}
