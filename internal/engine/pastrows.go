package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

// past puts the rows together that the looks of a node found.
func (j *job) past(ctx context.Context, i int) (dependencies map[int][]orca.Row, err error) {
	r := j.run
	if !r.plan.LooksBack(i) {
		return nil, nil
	}
	positions := j.found[i]
	dependencies = map[int][]orca.Row{}
	for k, place := range r.looks(i) {
		if s, known := j.engine.recent.read(&place, r.filters, r.position, j.engine.cfg.Available, true); known && s.open == nil {
			dependencies[place.Dependency] = s.rows
			continue
		}
		rows := pastRows{job: j, of: place.Of}
		if positions != nil && positions[k] != nil {
			err = rows.take(ctx, runsAt(positions[k]))
		} else {
			err = rows.walk(ctx, &place)
		}
		if err != nil {
			return nil, err
		}
		dependencies[place.Dependency] = rows.rows
	}
	return dependencies, nil
}

func runsAt(positions []orca.Position) []orca.PastRun {
	runs := make([]orca.PastRun, len(positions))
	for i, p := range positions {
		runs[i].Position = p
	}
	return runs
}

const (
	// rowsAtOnce is how many rows are read from the ledger at once, and runsAtOnce in how many runs it is walked for them.
	rowsAtOnce = 256
	runsAtOnce = 1024
)

// pastRows are the rows of one look while they are read.
type pastRows struct {
	*job
	of   orca.AlgorithmID
	rows []orca.Row
	size int64
}

// walk reads the rows of a look, most of which the ledger may have at hand where it meets their runs.
func (p *pastRows) walk(ctx context.Context, l *lookback.Look) error {
	r, cfg := p.run, &p.engine.cfg
	view := lookback.View{Window: r.window, At: r.position, Available: cfg.Available, Rows: true}
	for at, more := (lookback.Place{}), true; more; {
		part, err := l.Part(ctx, cfg.Ledger, view, at, runsAtOnce)
		if err != nil {
			return fmt.Errorf("look back from run %d: %w", r.position, err)
		}
		if part.Open != nil {
			return fmt.Errorf("look back from run %d: %s of run %d is not settled any more", r.position, l.Of.Full(), part.Open.Position)
		}
		if err := p.take(ctx, part.Rows); err != nil {
			return err
		}
		for _, run := range part.Rows {
			at = at.Next(run)
		}
		more = part.More
	}
	return nil
}

// take takes the rows of some runs, reading those that are not at hand.
func (p *pastRows) take(ctx context.Context, runs []orca.PastRun) error {
	for some := range slices.Chunk(runs, rowsAtOnce) {
		var missing []orca.Position
		for i := range some {
			if some[i].Row == nil {
				missing = append(missing, some[i].Position)
			}
		}
		read, err := p.read(ctx, missing)
		if err != nil {
			return err
		}
		for i := range some {
			row := some[i].Row
			if row == nil {
				row, read = &read[0], read[1:]
			}
			if err := p.add(row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pastRows) read(ctx context.Context, at []orca.Position) ([]orca.PastRow, error) {
	if len(at) == 0 {
		return nil, nil
	}
	rows, err := p.engine.cfg.Ledger.PastRows(ctx, p.of, at)
	if err != nil {
		return nil, fmt.Errorf("read past results for run %d: %w", p.run.position, err)
	}
	return rows, nil
}

// add gives up when there are more bytes than a request may have.
func (p *pastRows) add(row *orca.PastRow) error {
	p.rows = append(p.rows, orca.Row{Window: row.Window, Result: row.Result})
	p.size += int64(len(row.Result) + len(row.Window.Metadata))
	if most := p.engine.cfg.MaxRequestBytes; p.size > most {
		return orca.Errorf(orca.Exhausted, "the past results of %s alone have more than %d bytes, which is the limit (--max-message-size): look back less far",
			p.of.Full(), most)
	}
	return nil
}
