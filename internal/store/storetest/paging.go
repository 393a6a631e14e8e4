package storetest

import (
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var pagingTests = map[string]func(*testing.T, Opener){
	"PagesOfWindowsHoldWhileOthersAreWritten": testWindowPages,
	"PagesOfHistoryHoldWhileOthersAreWritten": testHistoryPages,
}

func testWindowPages(t *testing.T, open Opener) {
	l := served(t, open)
	var want []orca.WindowID
	for i := range 23 {
		want = append([]orca.WindowID{l.emitted(emission(i))}, want...)
	}
	var got []orca.WindowID
	for before := orca.WindowID(0); ; before = got[len(got)-1] {
		page := l.windowIDs(orca.WindowQuery{Type: minute.ID, Before: before, Limit: 5})
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		l.emitted(emission(100)) // newer than any page
		l.settled(orca.Settlement{Position: page[0], End: orca.RunSucceeded, At: at(100)})
	}
	check(t, "windows over all pages", got, want)
}

func testHistoryPages(t *testing.T, open Opener) {
	l := served(t, open)
	write := func(e orca.Emission) orca.Position {
		p := l.emitted(e)
		l.settled(orca.Settlement{Position: p, Outcomes: []orca.Outcome{value(cpu, 1, at(9))}, End: orca.RunSucceeded, At: at(9)})
		return p
	}
	var want []orca.Position
	for i := range 23 {
		want = append([]orca.Position{write(emission(i / 3))}, want...) // three of the same interval each
	}
	var got []orca.Position
	for q := (orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Limit: 5}); ; {
		page := l.history(q)
		if len(page) == 0 {
			break
		}
		got = append(got, historyPositions(page)...)
		key := page[len(page)-1].Key()
		q.Before = &key
		write(emission(100))
	}
	check(t, "results over all pages", got, want)
}
