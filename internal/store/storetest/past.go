package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var pastTests = map[string]func(*testing.T, Opener){
	"PastIsTheNewestRunOfEachWindowThatCounts": testPastRevisions,
	"PastIsBoundedInTimeAndByPosition":         testPastBounds,
	"PastMatchesTheFieldsThatAreAskedFor":      testPastFields,
	"PastSeesLowerTimesOfLaterRuns":            testPastLate,
	"PastSeesTheNodesOfARevision":              testPastRevised,
	"PastEndsWhenItIsTold":                     testPastEnds,
	"PastOfWhatIsNotThere":                     testPastNotThere,
	"PastRowsComeInTheOrderAskedOrAreMissing":  testPastRows,
	"AcceptRefusesAPlanOfUnknownAlgorithms":    testUnknownNode,
}

// minutes returns minute i that runs the given algorithms.
func minutes(i int, nodes ...orca.KnownAlgorithm) orca.Emission {
	e := emission(i)
	e.Plan = planOf("a plan of", nodes...)
	return e
}

// newestFirst is a query for all of an algorithm's past that has no field to match.
func newestFirst(of orca.KnownAlgorithm, window orca.WindowID, before orca.Position) orca.PastQuery {
	return orca.PastQuery{Algorithm: of.Algorithm.ID, Window: window, Before: before, To: orca.MaxTime, From: orca.MaxTime,
		EarliestTo: orca.MinTime}
}

func (l *ledger) past(q orca.PastQuery) []orca.PastRun {
	l.t.Helper()
	var runs []orca.PastRun
	if err := l.Past(l.t.Context(), q, func(p orca.PastRun) bool { runs = append(runs, p); return true }); err != nil {
		l.t.Fatal(err)
	}
	return runs
}

func pastPositions(runs []orca.PastRun) []orca.Position {
	var list []orca.Position
	for _, r := range runs {
		list = append(list, r.Position)
	}
	return list
}

// outcome of an algorithm, of the given kind.
func outcome(of orca.KnownAlgorithm, kind orca.OutcomeKind) orca.Outcome {
	o := value(of, 1, at(2))
	if o.Kind = kind; kind != orca.Succeeded {
		o.Result, o.Reason = nil, "so it is"
	}
	return o
}

func testPastRevisions(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(minutes(1, cpu, mem))
	l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{outcome(cpu, orca.HandledFailed), outcome(mem, orca.Skipped)},
		End: orca.RunFailed, At: at(3)})
	revise := func(base orca.Position, end orca.RunState, plan *orca.PlanContent, outcomes ...orca.Outcome) orca.Position {
		return l.revised(orca.Revision{Window: p, Base: base, Kind: orca.RunReprocess, Plan: plan, Outcomes: outcomes, End: end, AcceptedAt: at(5)}).Position
	}
	cancelled := revise(p, orca.RunCancelled, nil, outcome(cpu, orca.Cancelled), outcome(mem, orca.Succeeded))
	without := revise(cancelled, orca.RunSucceeded, planOf("a plan of", mem), outcome(mem, orca.Succeeded))
	open4 := revise(without, orca.RunOpen, planOf("a plan of", cpu, mem))
	looks := l.emitted(minutes(2, cpu))
	run := func(position orca.Position, kind orca.OutcomeKind) []orca.PastRun {
		return []orca.PastRun{{Window: p, From: at(1), To: at(2), Position: position, Kind: kind}}
	}
	for before, want := range map[orca.Position][]orca.PastRun{
		p:         nil,
		cancelled: run(p, orca.HandledFailed),
		without:   run(p, orca.HandledFailed),
		open4:     run(p, orca.HandledFailed),
		looks:     run(open4, 0),
	} {
		check(t, number("before", int(before)), l.past(newestFirst(cpu, looks, before)), want)
	}
	check(t, "of the other node", l.past(newestFirst(mem, looks, open4)), run(without, orca.Succeeded))
	l.settled(orca.Settlement{Position: open4, Outcomes: []orca.Outcome{outcome(cpu, orca.Succeeded)}, At: at(6)})
	check(t, "settled", l.past(newestFirst(cpu, looks, looks)), run(open4, orca.Succeeded))
	l.settled(orca.Settlement{Position: looks, Outcomes: []orca.Outcome{outcome(cpu, orca.Cancelled)}, End: orca.RunCancelled, At: at(6)})
	check(t, "of a cancelled run alone", l.past(newestFirst(cpu, looks, looks+1)), run(open4, orca.Succeeded))
}

func testPastBounds(t *testing.T, open Opener) {
	l := served(t, open)
	long := minutes(2, cpu) // ends with minute 2 and begins earlier
	long.Window.From = at(0)
	for _, e := range []orca.Emission{minutes(3, cpu), minutes(1, cpu), minutes(2, cpu), long, minutes(2, cpu), minutes(9, mem)} {
		l.emitted(e)
	}
	all := newestFirst(cpu, 1, 7)
	bounded := func(to, from, earliest orca.Time) orca.PastQuery {
		q := all
		q.To, q.From, q.EarliestTo = to, from, earliest
		return q
	}
	for name, c := range map[string]struct {
		query orca.PastQuery
		want  []orca.Position
	}{
		"all":                            {all, []orca.Position{1, 5, 3, 4, 2}},
		"before a run":                   {newestFirst(cpu, 1, 4), []orca.Position{1, 3, 2}},
		"an end, whatever the beginning": {bounded(at(3), orca.MaxTime, orca.MinTime), []orca.Position{5, 3, 4, 2}},
		"an end and a beginning":         {bounded(at(3), at(2), orca.MinTime), []orca.Position{5, 3, 4, 2}},
		"one beginning less":             {bounded(at(3), at(2)-1, orca.MinTime), []orca.Position{4, 2}},
		"from below, inclusively":        {bounded(orca.MaxTime, orca.MaxTime, at(3)), []orca.Position{1, 5, 3, 4}},
		"nothing is between":             {bounded(at(3)-1, orca.MaxTime, at(2)+1), nil},
	} {
		check(t, name, pastPositions(l.past(c.query)), c.want)
	}
}

func testPastFields(t *testing.T, open Opener) {
	l := served(t, open)
	filtered := func(i int, asset byte) orca.Emission {
		e := minutes(i, cpu)
		e.Filters = []orca.FilterValue{{Field: "asset", Hash: [16]byte{asset}}}
		return e
	}
	for i, asset := range []byte{1, 2, 1, 3} {
		l.emitted(filtered(i, asset))
	}
	hour := emission(10)
	hour.Window.Type, hour.FullMetadata, hour.Filters, hour.Plan = hourly.Algorithm.WindowType.ID, nil, nil, planOf("a plan of", hourly)
	ofHour := l.emitted(hour)
	looks := l.emitted(filtered(11, 1))
	q := newestFirst(cpu, looks, looks)
	check(t, "without fields", pastPositions(l.past(q)), []orca.Position{4, 3, 2, 1})
	q.Fields = []string{"asset"}
	check(t, "with a field", pastPositions(l.past(q)), []orca.Position{3, 1})
	check(t, "of another type", pastPositions(l.past(newestFirst(hourly, looks, looks))), []orca.Position{ofHour})
	check(t, "over another type", pastPositions(l.past(newestFirst(cpu, ofHour, ofHour))), []orca.Position{4, 3, 2, 1})
}

func testPastLate(t *testing.T, open Opener) {
	l := served(t, open)
	l.emit(minutes(5, cpu), minutes(6, mem), minutes(3, cpu))
	l.reopen()
	l.emit(minutes(4, cpu), minutes(1, cpu, mem), minutes(2, mem))
	check(t, "past", pastPositions(l.past(newestFirst(cpu, 1, 9))), []orca.Position{1, 4, 3, 5})
	check(t, "past of the other", pastPositions(l.past(newestFirst(mem, 1, 9))), []orca.Position{2, 6, 5})
}

func testPastRevised(t *testing.T, open Opener) {
	l := served(t, open)
	e := minutes(1)
	e.End = orca.RunSucceeded
	p := l.emitted(e)
	l.emitted(minutes(5, score))
	check(t, "past", l.past(newestFirst(score, p, 9))[0].Position, 2)
	again := l.revised(orca.Revision{Window: p, Base: p, Kind: orca.RunReprocess, Plan: planOf("a plan of", score), AcceptedAt: at(5)})
	check(t, "past with the revision", pastPositions(l.past(newestFirst(score, p, 9))), []orca.Position{2, again.Position})
}

func testPastEnds(t *testing.T, open Opener) {
	l := served(t, open)
	l.emit(minutes(1, cpu), minutes(2, cpu), minutes(3, cpu))
	calls := 0
	err := l.Past(t.Context(), newestFirst(cpu, 1, 9), func(orca.PastRun) bool { calls++; return calls < 2 })
	if err != nil || calls != 2 {
		t.Errorf("told to end after 2 runs, it yields %d (%v)", calls, err)
	}
}

func testPastNotThere(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(minutes(1, cpu))
	check(t, "of what never ran", l.past(newestFirst(mem, p, 9)), nil)
	yield := func(orca.PastRun) bool { return true }
	nobody := known("beta", "Nobody", minute, orca.ResultNone, "r")
	for name, q := range map[string]orca.PastQuery{"algorithm": newestFirst(nobody, p, 9), "window": newestFirst(cpu, p+1, 9)} {
		if err := l.Past(t.Context(), q, yield); !errors.Is(err, orca.NotFound) {
			t.Errorf("the past with an unknown %s gives %v, want not found", name, err)
		}
	}
}

func testPastRows(t *testing.T, open Opener) {
	l := served(t, open)
	var want []orca.PastRow
	for i := range 4 {
		e := minutes(i, cpu, mem)
		p := l.emitted(e)
		o := value(cpu, float64(i), at(9))
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{o, outcome(mem, orca.Skipped)}, End: orca.RunFailed, At: at(9)})
		want = append(want, orca.PastRow{WindowID: p, Position: p, Revision: 1, ProducedAt: p, Window: e.Window, Result: o.Result.Encoded})
	}
	kept := l.revised(orca.Revision{Window: 2, Base: 2, Kind: orca.RunRetry, Outcomes: []orca.Outcome{keep(cpu, 2)}, AcceptedAt: at(9)})
	again := want[1]
	again.Position, again.Revision = kept.Position, 2
	rows := func(positions ...orca.Position) []orca.PastRow {
		return must[[]orca.PastRow](t)(l.PastRows(t.Context(), cpu.Algorithm.ID, positions))
	}
	check(t, "rows", rows(3, 1, 4, kept.Position, 1), []orca.PastRow{want[2], want[0], want[3], again, want[0]})
	check(t, "no rows", rows(), nil)
	for name, of := range map[string]orca.KnownAlgorithm{"skipped": mem, "without a node": score, "unknown": known("b", "N", minute, orca.ResultNone, "r")} {
		_, err := l.PastRows(t.Context(), of.Algorithm.ID, []orca.Position{1, 2})
		if !errors.Is(err, orca.NotFound) || !strings.Contains(err.Error(), "run 1 has no result of "+of.Algorithm.ID.Full()) {
			t.Errorf("%s: %v, want not found, and what it is", name, err)
		}
	}
	if _, err := l.PastRows(t.Context(), cpu.Algorithm.ID, []orca.Position{1, 99, 2}); !errors.Is(err, orca.NotFound) || !strings.Contains(err.Error(), "99") {
		t.Errorf("a run that is not there gives %v, want not found and its position", err)
	}
}

func testUnknownNode(t *testing.T, open Opener) {
	l := served(t, open)
	plan := planOf("a plan of", cpu, known("beta", "Nobody", minute, orca.ResultNone, "r"))
	bad := emission(1)
	bad.Plan, bad.Key = plan, orca.IdempotencyKey{Project: "plant", Key: "a"}
	if err := l.emit(bad)[0].Err; !errors.Is(err, orca.NotFound) || !strings.Contains(err.Error(), "Nobody") {
		t.Errorf("a plan with an unknown node gives %v, want not found, and which", err)
	}
	_, p := l.failed(1) // at the position, and with the key, that the refused one would have had
	again := retry(p, p)
	again.Plan = plan
	if err := l.revise(again).Err; !errors.Is(err, orca.NotFound) {
		t.Errorf("a revision with such a plan gives %v, want not found", err)
	}
	bad.Plan = planOf("a plan of", cpu)
	check(t, "the key is free", l.emit(bad), []answer{{Accepted: orca.Accepted{Window: 2, Position: 2, Status: bad.Status}}})
}
