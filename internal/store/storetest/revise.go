package storetest

import (
	"errors"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var reviseTests = map[string]func(*testing.T, Opener){
	"ReviseMakesTheNextRevision":                testRevise,
	"ReviseKeepsOutcomesAsTheyAre":              testReviseKeeps,
	"ReviseWithAnotherPlan":                     testRevisePlan,
	"ReviseOfAnOpenRunIsRefusedAlone":           testReviseRefused,
	"ReviseOfAnyButTheNewestRunIsRefused":       testReviseOtherBase,
	"ReviseOfWhatIsNotThereIsRefusedAlone":      testReviseNotThere,
	"ReviseTwiceInOneBatchMakesOneRun":          testReviseTwice,
	"ReviseThatHasNothingToDoIsFinished":        testReviseFinished,
	"ReviseLeavesOlderRevisionsAsTheyAre":       testReviseOlder,
	"ReviseKeepsNoStoreMetadataForTheRunAlone":  testReviseNoStore,
	"ReviseFailsARowThatTheDatabaseRefuses":     testReviseRefusedRow,
	"WindowsByTimeComeOldestFirstInPages":       testByTime,
	"WindowsByTimeAreThoseThatTheQuerySelects":  testByTimeSelected,
	"OutcomesOfARunLackTheirResults":            testOutcomes,
	"ReviseAnOutcomeSettledTwiceKeepsTheFirst":  testReviseFirstWins,
	"ReviseAfterTheStoreWasStoppedIsRefused":    testReviseStopped,
	"ReviseOfAWindowByTheIDOfALaterRunIsNoGood": testReviseByRun,
}

// revise writes a revision and returns its answer.
func (l *ledger) revise(r orca.Revision) answer {
	done := make(chan answer, 1)
	l.Revise(r, func(a orca.Accepted, err error) { done <- answer{a, err} })
	return <-done
}

// revised writes a revision that has to be accepted.
func (l *ledger) revised(r orca.Revision) orca.Accepted {
	l.t.Helper()
	a := l.revise(r)
	if a.Err != nil {
		l.t.Fatal(a.Err)
	}
	return a.Accepted
}

// failed emits minute i and settles cpu as a success and mem as a failure.
func (l *ledger) failed(i int) (e orca.Emission, p orca.Position) {
	l.t.Helper()
	e = emission(i)
	p = l.emitted(e)
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(2)), broken(at(2))}, End: orca.RunFailed, At: at(3)})
	return e, p
}

func broken(at orca.Time) orca.Outcome {
	return orca.Outcome{Algorithm: mem.Algorithm.ID, Kind: orca.UnhandledFailed, Reason: "no", Attempts: 3, SettledAt: at}
}

// retry of a run that failed so.
func retry(window, base orca.Position) orca.Revision {
	return orca.Revision{Window: window, Base: base, Kind: orca.RunRetry, Status: orca.ProcessingTriggered, AcceptedAt: at(5),
		Outcomes: []orca.Outcome{keep(cpu, base)}}
}

// keep is the outcome of an algorithm in a revision that keeps it.
func keep(of orca.KnownAlgorithm, producedAt orca.Position) orca.Outcome {
	return orca.Outcome{Algorithm: of.Algorithm.ID, Kind: orca.Succeeded, ProducedAt: producedAt}
}

func testRevise(t *testing.T, open Opener) {
	l := served(t, open)
	e, p := l.failed(1)
	l.emitted(emission(2))
	a := l.revised(retry(p, p))
	check(t, "answer", a, orca.Accepted{Window: p, Position: 3, Status: orca.ProcessingTriggered, Revision: 2})
	l.reopen()
	want := orca.Run{Position: 3, Window: p, Revision: 2, Kind: orca.RunRetry, Plan: e.Plan.Hash, AcceptedAt: at(5)}
	check(t, "window", must[orca.WindowRecord](t)(l.Window(t.Context(), p)), orca.WindowRecord{
		ID: p, Window: e.Window, AcceptedAt: e.AcceptedAt, Newest: want, Nodes: e.Plan.Nodes, Settled: 1})
	kept := durable(value(cpu, 1, at(2)), p, false)
	check(t, "open runs", l.openRuns()[1], orca.OpenRun{Run: want, Input: e.Window, Stored: e.Window, Filters: e.Filters, Outcomes: []orca.Outcome{kept}})
	check(t, "backlog", must[orca.Backlog](t)(l.Backlog(t.Context())), orca.Backlog{Open: 2, Newest: 3, Windows: newestOf(emission(2))})
	again := value(mem, 2, at(6))
	l.settled(orca.Settlement{Position: 3, Outcomes: []orca.Outcome{again}, End: orca.RunSucceeded, At: at(6)})
	third := l.revised(orca.Revision{Window: p, Base: 3, Kind: orca.RunReprocess, AcceptedAt: at(7)})
	check(t, "third revision", third, orca.Accepted{Window: p, Position: 4, Revision: 3})
	check(t, "windows", l.windowIDs(orca.WindowQuery{}), []orca.WindowID{2, 1})
}

func testReviseKeeps(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	second := l.revised(retry(p, p)).Position
	ids := []orca.AlgorithmID{cpu.Algorithm.ID}
	check(t, "results", must[[]orca.Result](t)(l.Results(t.Context(), second, ids)), []orca.Result{*value(cpu, 1, 0).Result})
	l.settled(orca.Settlement{Position: second, Outcomes: []orca.Outcome{broken(at(6))}, End: orca.RunFailed, At: at(6)})
	third := l.revised(retry(p, second)).Position
	// Both name the run that produced it, and are results of their own runs.
	kept := durable(value(cpu, 1, at(2)), p, true)
	check(t, "outcomes", l.outcomesOf(p), []orca.Outcome{kept})
	records := l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID})
	check(t, "history", historyPositions(records), []orca.Position{third, second, p})
	for _, r := range records {
		check(t, "outcome", r.Outcome, kept)
	}
}

func testRevisePlan(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	next := orca.Revision{Window: p, Base: p, Kind: orca.RunReprocess, Plan: planOf("another plan"), AcceptedAt: at(5)}
	l.revised(next)
	newest := must[orca.RunRecord](t)(l.Run(t.Context(), p, 0))
	check(t, "plan", string(newest.Plan), "another plan")
	check(t, "outcomes", newest.Outcomes, nil)
	check(t, "nodes", l.allWindows()[0].Nodes, len("another plan"))
}

// reviseRefused queues a good revision on each side of a bad one, and returns the error of that.
func reviseRefused(t *testing.T, open Opener, bad func(failed, open orca.Position) orca.Revision) error {
	t.Helper()
	l := served(t, open)
	_, first := l.failed(1)
	_, last := l.failed(2)
	_, middle := l.failed(3)
	running := l.emitted(emission(4))
	l.stop()
	l.reopenUnserved()
	answers := make(chan answer, 3)
	for _, r := range []orca.Revision{retry(first, first), bad(middle, running), retry(last, last)} {
		l.Revise(r, func(a orca.Accepted, err error) { answers <- answer{a, err} })
	}
	l.serve()
	one, refused, two := <-answers, <-answers, <-answers
	check(t, "neighbours", []answer{one, two}, []answer{
		{Accepted: orca.Accepted{Window: first, Position: 5, Status: orca.ProcessingTriggered, Revision: 2}},
		{Accepted: orca.Accepted{Window: last, Position: 6, Status: orca.ProcessingTriggered, Revision: 2}}})
	check(t, "open", positions(l.openRuns()), []orca.Position{4, 5, 6})
	check(t, "refused window", must[orca.WindowRecord](t)(l.Window(t.Context(), middle)).Newest.Position, middle)
	return refused.Err
}

// reopenUnserved closes the store and opens it again: what is queued then goes into one transaction.
func (l *ledger) reopenUnserved() {
	l.t.Helper()
	l.close()
	l.Service = must[Service](l.t)(l.open(l.t.Context()))
}

func testReviseRefused(t *testing.T, open Opener) {
	err := reviseRefused(t, open, func(_, open orca.Position) orca.Revision { return retry(open, open) })
	if !errors.Is(err, orca.Precondition) {
		t.Errorf("a revision of an open run gives %v, want failed precondition", err)
	}
}

func testReviseOtherBase(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	_, other := l.failed(2)
	second := l.revised(orca.Revision{Window: p, Base: p, Kind: orca.RunRetry, End: orca.RunFailed, AcceptedAt: at(5)}).Position
	for name, base := range map[string]orca.Position{"an older run": p, "another window's": other, "no run": 99} {
		if err := l.revise(retry(p, base)).Err; !errors.Is(err, orca.Precondition) {
			t.Errorf("with %s as its base a revision gives %v, want failed precondition", name, err)
		}
	}
	check(t, "newest", must[orca.WindowRecord](t)(l.Window(t.Context(), p)).Newest.Position, second)
}

func testReviseNotThere(t *testing.T, open Opener) {
	if err := reviseRefused(t, open, func(failed, _ orca.Position) orca.Revision {
		r := retry(failed, failed)
		r.Plan = planOf("never written")
		r.Outcomes = append(r.Outcomes, keep(mem, failed)) // it failed there
		return r
	}); !errors.Is(err, orca.NotFound) {
		t.Errorf("keeping what did not succeed gives %v, want not found", err)
	}
}

func testReviseByRun(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	second := l.revised(orca.Revision{Window: p, Base: p, Kind: orca.RunRetry, End: orca.RunSucceeded, AcceptedAt: at(5)}).Position
	for _, window := range []orca.WindowID{second, 99, 0, -1} {
		if err := l.revise(orca.Revision{Window: window, Base: second, Kind: orca.RunRetry}).Err; !errors.Is(err, orca.NotFound) {
			t.Errorf("a revision of window %d gives %v, want not found", window, err)
		}
	}
}

func testReviseTwice(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	l.reopenUnserved()
	answers := make(chan answer, 2)
	for range 2 {
		l.Revise(retry(p, p), func(a orca.Accepted, err error) { answers <- answer{a, err} })
	}
	l.serve()
	first, second := <-answers, <-answers
	if first.Err != nil || !errors.Is(second.Err, orca.Precondition) {
		t.Errorf("two revisions of one run give %v and %v, want one run", first.Err, second.Err)
	}
	check(t, "open", positions(l.openRuns()), []orca.Position{2})
}

func testReviseFinished(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	l.revised(orca.Revision{Window: p, Base: p, Kind: orca.RunReprocess, Plan: planOf("m"), Outcomes: []orca.Outcome{skipped(mem, at(5))},
		Status: orca.TriggeringFailed, End: orca.RunIncomplete, AcceptedAt: at(5)})
	newest := must[orca.WindowRecord](t)(l.Window(t.Context(), p)).Newest
	check(t, "state", newest.State, orca.RunIncomplete)
	check(t, "finished", newest.FinishedAt, at(5))
	check(t, "open", l.openRuns(), nil)
}

func testReviseOlder(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	before := must[orca.RunRecord](t)(l.Run(t.Context(), p, 1))
	second := l.revised(retry(p, p)).Position
	l.settled(orca.Settlement{Position: second, Outcomes: []orca.Outcome{value(mem, 2, at(6))}, End: orca.RunSucceeded, At: at(6)})
	check(t, "first revision", must[orca.RunRecord](t)(l.Run(t.Context(), p, 1)), before)
	check(t, "failed windows", l.windowIDs(orca.WindowQuery{State: orca.RunFailed, HasState: true}), nil)
	check(t, "succeeded windows", l.windowIDs(orca.WindowQuery{State: orca.RunSucceeded, HasState: true}), []orca.WindowID{p})
}

func testReviseNoStore(t *testing.T, open Opener) {
	l := served(t, open)
	e, p := l.failed(1)
	r := retry(p, p)
	r.FullMetadata = []byte("given again")
	l.revised(r)
	run := l.openRuns()[0]
	check(t, "input", string(run.Input.Metadata), "given again")
	check(t, "stored", run.Stored, e.Window)
}

func testReviseRefusedRow(t *testing.T, open Opener) {
	if err := reviseRefused(t, open, func(failed, _ orca.Position) orca.Revision {
		r := retry(failed, failed)
		bad := skipped(mem, at(5))
		bad.Kind = 99
		r.Outcomes = append(r.Outcomes, bad)
		return r
	}); err == nil {
		t.Error("an outcome of a kind that does not exist is accepted")
	}
}

func testReviseFirstWins(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	r := retry(p, p)
	r.Outcomes = append(r.Outcomes, keep(cpu, p), skipped(cpu, at(5)))
	l.revised(r)
	check(t, "outcomes", l.outcomesOf(p), []orca.Outcome{durable(value(cpu, 1, at(2)), p, true)})
}

func testReviseStopped(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	l.stop()
	if err := l.revise(retry(p, p)).Err; !errors.Is(err, orca.Unavailable) {
		t.Errorf("a revision after the end gives %v, want unavailable", err)
	}
}

func testOutcomes(t *testing.T, open Opener) {
	l := served(t, open)
	_, p := l.failed(1)
	check(t, "outcomes", must[[]orca.Outcome](t)(l.Outcomes(t.Context(), p)), []orca.Outcome{
		durable(value(cpu, 1, at(2)), p, false), durable(broken(at(2)), p, false)})
	check(t, "of no run", must[[]orca.Outcome](t)(l.Outcomes(t.Context(), 99)), nil)
}

func testByTime(t *testing.T, open Opener) {
	l := served(t, open)
	long := emission(2) // ends with minute 2 and begins earlier
	long.Window.From = at(0)
	l.emit(emission(3), emission(1), emission(2), long, emission(2), emission(0))
	want := []orca.WindowID{6, 2, 4, 3, 5, 1}
	var got []orca.WindowID
	var after orca.WindowKey
	for {
		page := must[[]orca.WindowRecord](t)(l.WindowsByTime(t.Context(), orca.WindowQuery{Type: minute.ID, Limit: 2}, after))
		if len(page) == 0 {
			break
		}
		got, after = append(got, ids(page)...), page[len(page)-1].Key()
	}
	check(t, "order", got, want)
}

func testByTimeSelected(t *testing.T, open Opener) {
	l := served(t, open)
	hourly := emission(0)
	hourly.Window.Type, hourly.Window.To, hourly.FullMetadata = hour.ID, at(60), nil
	l.emit(emission(1), hourly, emission(2), emission(3), emission(4))
	for name, c := range map[string]struct {
		query orca.WindowQuery
		want  []orca.WindowID
	}{
		"all of a type":        {orca.WindowQuery{Type: minute.ID}, []orca.WindowID{1, 3, 4, 5}},
		"of another":           {orca.WindowQuery{Type: hour.ID, From: at(1), To: at(3)}, []orca.WindowID{2}},
		"in time":              {orca.WindowQuery{Type: minute.ID, From: at(2), To: at(4)}, []orca.WindowID{3, 4}},
		"accepted before":      {orca.WindowQuery{Type: minute.ID, Before: 4}, []orca.WindowID{1, 3}},
		"of a type nobody has": {orca.WindowQuery{Type: orca.WindowTypeID{Name: "Nobody"}}, nil},
	} {
		check(t, name+", count", must[int64](t)(l.CountWindows(t.Context(), c.query)), int64(len(c.want)))
		c.query.Limit = 100
		check(t, name, ids(must[[]orca.WindowRecord](t)(l.WindowsByTime(t.Context(), c.query, orca.WindowKey{}))), c.want)
	}
}
