package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var readTests = map[string]func(*testing.T, Opener){
	"OpenRunsAreReadInPieces":           testOpenRuns,
	"WindowsAndRunsThatAreNotThere":     testNotThere,
	"WindowsAreSelectedByTypeAndTime":   testWindowsBy,
	"WindowsAreSelectedByState":         testWindowsByState,
	"HistoryIsSelectedByTimeAndFailure": testHistoryBy,
	"HistoryIsOrderedByTimeNotByEmit":   testHistoryOrder,
	"HistoryOfAnUnknownAlgorithm":       testHistoryUnknown,
	"ReadsEndWithTheirContext":          testReadCancelled,
}

func testOpenRuns(t *testing.T, open Opener) {
	l := served(t, open)
	var want []orca.OpenRun
	for i := range 10 {
		e := emission(i)
		p := l.emitted(e)
		s := orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(mem, 1, at(9)), skipped(cpu, at(9))}, At: at(9)}
		if i%3 == 0 {
			s.End = orca.RunIncomplete
		} else {
			e.Outcomes = []orca.Outcome{s.Outcomes[1], s.Outcomes[0]}
			want = append(want, openOf(e, p))
		}
		l.settled(s)
	}
	l.reopen()
	var got []orca.OpenRun
	for after := orca.Position(0); ; {
		page := must[[]orca.OpenRun](t)(l.OpenRuns(t.Context(), after, 4))
		if len(page) == 0 {
			break
		}
		if len(page) > 4 {
			t.Fatalf("%d runs in a page of 4", len(page))
		}
		got, after = append(got, page...), page[len(page)-1].Position
	}
	check(t, "open runs", got, want)
}

func testNotThere(t *testing.T, open Opener) {
	l := served(t, open)
	p := l.emitted(emission(1))
	for _, try := range []func() error{
		func() error { _, err := l.Window(t.Context(), p+1); return err },
		func() error { _, err := l.Window(t.Context(), 0); return err },
		func() error { _, err := l.Window(t.Context(), -p); return err },
		func() error { _, err := l.Run(t.Context(), p+1, 0); return err },
		func() error { _, err := l.Run(t.Context(), p+1, 1); return err },
		func() error { _, err := l.Run(t.Context(), p, 2); return err },
	} {
		if err := try(); !errors.Is(err, orca.NotFound) {
			t.Errorf("what is not there gives %v, want not found", err)
		}
	}
}

// ids of windows in a listing.
func ids(records []orca.WindowRecord) []orca.WindowID {
	var list []orca.WindowID
	for _, r := range records {
		list = append(list, r.ID)
	}
	return list
}

func (l *ledger) windowIDs(q orca.WindowQuery) []orca.WindowID {
	l.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	return ids(must[[]orca.WindowRecord](l.t)(l.Windows(l.t.Context(), q)))
}

func testWindowsBy(t *testing.T, open Opener) {
	l := served(t, open)
	hourly := emission(0) // covers the minutes 0 to 59
	hourly.Window.Type, hourly.Window.To, hourly.FullMetadata = hour.ID, at(60), nil
	point := emission(5)
	point.Window.To = point.Window.From
	l.emit(emission(3), hourly, emission(1), emission(2), point) // 1 to 5
	for name, c := range map[string]struct {
		query orca.WindowQuery
		want  []orca.WindowID
	}{
		"all":                  {orca.WindowQuery{}, []orca.WindowID{5, 4, 3, 2, 1}},
		"type":                 {orca.WindowQuery{Type: minute.ID}, []orca.WindowID{5, 4, 3, 1}},
		"another type":         {orca.WindowQuery{Type: hour.ID}, []orca.WindowID{2}},
		"unknown type":         {orca.WindowQuery{Type: orca.WindowTypeID{Name: "Minute", Version: "1.0.1"}}, nil},
		"what ends after":      {orca.WindowQuery{From: at(3)}, []orca.WindowID{5, 2, 1}},
		"what begins before":   {orca.WindowQuery{To: at(2)}, []orca.WindowID{3, 2}},
		"between":              {orca.WindowQuery{From: at(2) + 1, To: at(3) + 1}, []orca.WindowID{4, 2, 1}},
		"touching is not in":   {orca.WindowQuery{From: at(2), To: at(3)}, []orca.WindowID{4, 2}},
		"type and time":        {orca.WindowQuery{Type: minute.ID, From: at(2), To: at(4)}, []orca.WindowID{4, 1}},
		"a point in time":      {orca.WindowQuery{Type: minute.ID, From: at(5) - 1, To: at(5) + 1}, []orca.WindowID{5}},
		"limit":                {orca.WindowQuery{Limit: 2}, []orca.WindowID{5, 4}},
		"before":               {orca.WindowQuery{Before: 4}, []orca.WindowID{3, 2, 1}},
		"before, type, limit":  {orca.WindowQuery{Before: 5, Type: minute.ID, Limit: 2}, []orca.WindowID{4, 3}},
		"before and time":      {orca.WindowQuery{Before: 4, Type: minute.ID, From: at(1)}, []orca.WindowID{3, 1}},
		"nothing before first": {orca.WindowQuery{Before: 1}, nil},
	} {
		check(t, name, l.windowIDs(c.query), c.want)
	}
}

func testWindowsByState(t *testing.T, open Opener) {
	l := served(t, open)
	states := []orca.RunState{orca.RunOpen, orca.RunSucceeded, orca.RunFailed, orca.RunIncomplete, orca.RunCancelled}
	for i, end := range append(states, states...) {
		l.settled(orca.Settlement{Position: l.emitted(emission(i)), End: end, At: at(i + 1)})
	}
	for i, state := range states {
		low, high := orca.WindowID(i+1), orca.WindowID(i+1+len(states))
		check(t, state.String(), l.windowIDs(orca.WindowQuery{State: state, HasState: true}), []orca.WindowID{high, low})
		check(t, "of a type", l.windowIDs(orca.WindowQuery{State: state, HasState: true, Type: minute.ID, From: at(i + 1)}), []orca.WindowID{high})
		check(t, "of another type", l.windowIDs(orca.WindowQuery{State: state, HasState: true, Type: hour.ID}), nil)
		check(t, "before", l.windowIDs(orca.WindowQuery{State: state, HasState: true, Before: high}), []orca.WindowID{low})
	}
}

func (l *ledger) history(q orca.ResultQuery) []orca.ResultRecord {
	l.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	return must[[]orca.ResultRecord](l.t)(l.History(l.t.Context(), q))
}

func historyPositions(records []orca.ResultRecord) []orca.Position {
	var list []orca.Position
	for _, r := range records {
		list = append(list, r.Run.Position)
	}
	return list
}

func testHistoryBy(t *testing.T, open Opener) {
	l := served(t, open)
	var records []orca.ResultRecord
	for i := range 6 {
		e := emission(i)
		p := l.emitted(e)
		o := value(cpu, float64(i), at(i+2))
		if i%2 == 1 {
			o.Kind, o.Reason = orca.HandledFailed, "too warm"
		}
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{o, value(mem, 0, at(9))}, End: orca.RunSucceeded, At: at(9)})
		window := recordOf(e, p)
		window.Newest.State, window.Newest.FinishedAt, window.Settled = orca.RunSucceeded, at(9), 2
		records = append([]orca.ResultRecord{{Window: window, Run: window.Newest, Outcome: durable(o, p, true)}}, records...)
	}
	check(t, "all", l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Failed: true}), records)
	check(t, "succeeded", l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID}), []orca.ResultRecord{records[1], records[3], records[5]})
	check(t, "in time", l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID, From: at(2), To: at(4), Failed: true}), records[2:4])
	check(t, "limit", l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Limit: 2}), []orca.ResultRecord{records[1], records[3]})
	key := records[2].Key()
	check(t, "before", l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Before: &key, Failed: true}), records[3:])
	check(t, "nothing", l.history(orca.ResultQuery{Algorithm: score.Algorithm.ID, Failed: true}), nil)
}

func testHistoryOrder(t *testing.T, open Opener) {
	l := served(t, open)
	long := emission(2) // ends with minute 3 and begins earlier
	long.Window.From = at(0)
	for _, e := range []orca.Emission{emission(3), emission(1), long, emission(3), emission(2)} {
		l.settled(orca.Settlement{Position: l.emitted(e), Outcomes: []orca.Outcome{value(cpu, 1, at(9))}, End: orca.RunSucceeded, At: at(9)})
	}
	want := []orca.Position{4, 1, 5, 3, 2}
	q := orca.ResultQuery{Algorithm: cpu.Algorithm.ID}
	check(t, "order", historyPositions(l.history(q)), want)
	for i, r := range l.history(q) {
		key := r.Key()
		check(t, "after each", historyPositions(l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Before: &key})), want[i+1:])
	}
}

func testHistoryUnknown(t *testing.T, open Opener) {
	l := served(t, open)
	_, err := l.History(t.Context(), orca.ResultQuery{Algorithm: id("beta", "Nobody"), Limit: 1})
	if !errors.Is(err, orca.NotFound) {
		t.Errorf("the history of an unknown algorithm gives %v, want not found", err)
	}
}

func testReadCancelled(t *testing.T, open Opener) {
	l := served(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Windows(ctx, orca.WindowQuery{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled read gives %v", err)
	}
	if err := l.ChangeRegistry(ctx, orca.RegistryChange{Base: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled change gives %v", err)
	}
	check(t, "registry", l.registry(), registered())
}
