package lookback

import (
	"context"

	"github.com/orca-telemetry/orca/internal/orca"
)

// View is who looks: a run of a window.
type View struct {
	Window orca.WindowID
	// At is the run's position; it sees smaller ones.
	At orca.Position
	// Available passes over what is not settled.
	Available bool
	// Rows asks for rows with the runs, as far as the ledger has them at hand.
	Rows bool
}

// Place is how far somebody has read in the rows of a look. The zero value is their beginning.
type Place struct {
	// Last is the row that was read last, and Taken how many were read up to it.
	Last  orca.ResultKey
	Taken uint64
}

// Part is some of the rows of a look, newest first.
type Part struct {
	Rows []orca.PastRun
	// Open is the run that has to be settled before it is known what comes next; nil for none.
	Open *orca.PastRun
	// More: another row comes next.
	More bool
}

// Part reads at most limit rows from a place on.
func (l *Look) Part(ctx context.Context, from Ledger, v View, place Place, limit int) (part Part, err error) {
	walk := l.after(place).Walk()
	q := walk.Limit(orca.PastQuery{Algorithm: l.Of, Window: v.Window, Before: v.At, Fields: l.Fields, Rows: v.Rows})
	err = from.Past(ctx, q, func(p orca.PastRun) bool {
		if place.holds(p) {
			return true
		}
		switch walk.Next(p) {
		case Take:
			if part.More = len(part.Rows) == limit; part.More {
				return false
			}
			part.Rows = append(part.Rows, p)
		case Wait:
			if !v.Available {
				part.Open = &p
				return false
			}
		case Pass, Full:
		}
		return !walk.Full()
	})
	return part, err
}

// after is what is left of the range behind a place.
func (r Range) after(p Place) Range {
	if p.Taken > 0 {
		r.to, r.from = p.Last.To, p.Last.From
		r.skip, r.take = 0, r.take-min(r.take, p.Taken)
	}
	return r
}

// holds reports whether a run of the interval at which the place is was read already.
func (p Place) holds(run orca.PastRun) bool {
	return p.Taken > 0 && run.To == p.Last.To && run.From == p.Last.From && run.Position >= p.Last.Position
}

// Next is the place after a row.
func (p Place) Next(row orca.PastRun) Place { return Place{Last: row.Key(), Taken: p.Taken + 1} }
