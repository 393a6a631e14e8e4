package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Grown is a store that Grow has made. Bytes are of the pages in the file.
type Grown struct {
	Windows, Results int64
	// WindowBytes are of all that is there of windows and their runs, with indexes, PastBytes of what is there for lookbacks
	// by filters, and ResultBytes of outcomes.
	WindowBytes, PastBytes, ResultBytes int64
}

// Grow makes a store large, for measurements: it copies the windows that are there, which must all have ended, until there
// are so many. What would take hours by emitting takes minutes. Each copy of them all is as far before the next one in time
// as they take together, and they come in another order, so that what is found by asset and time is in no order in the file.
func Grow(ctx context.Context, path string, windows int64, progress func(windows int64)) (g Grown, err error) {
	s, err := Open(ctx, path, Config{})
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.grow(ctx, windows, progress); err != nil {
		return g, fmt.Errorf("grow store %s: %w", path, err)
	}
	return s.writer.grown(ctx)
}

// growAtOnce is how many windows are copied in one transaction, about.
const growAtOnce = 100_000

func (s *Store) grow(ctx context.Context, windows int64, progress func(int64)) error {
	w := s.writer
	row, err := w.conn.row(ctx, `SELECT (SELECT count(*) FROM run WHERE state = 0), max(id) - count(*), count(*), max(time_to) - min(time_from) FROM window`)
	if err != nil {
		return err
	}
	if row[2].(int64) >= windows {
		return nil
	}
	if row[0] != int64(0) || row[1] != int64(0) || int64(w.last) != row[2] || row[2] == int64(0) {
		return orca.Errorf(orca.Precondition, "it has %v windows, %v open runs and the last position %d: it must have windows of one run each, which have ended",
			row[2], row[0], w.last)
	}
	originals, span := row[2].(int64), row[3].(int64)
	copies := windows/originals - 1
	exec := func(query string) {
		if err == nil {
			err = w.conn.exec(ctx, query)
		}
	}
	exec(`PRAGMA synchronous = off; CREATE TEMP TABLE shuffled (new INTEGER PRIMARY KEY, old INTEGER); BEGIN`)
	random := rand.New(rand.NewPCG(1, 2))
	for i := int64(1); i <= copies && err == nil; i++ {
		err = w.shuffle(ctx, random.Perm(int(originals)))
		exec(copyQuery(i*originals, (i-copies-1)*span))
		if i*originals/growAtOnce != (i-1)*originals/growAtOnce {
			exec(`COMMIT; BEGIN`)
			progress((i + 1) * originals)
		}
	}
	exec(fmt.Sprintf(`UPDATE earliest SET time_to = time_to - %d; COMMIT; DROP TABLE shuffled; PRAGMA synchronous = normal`, copies*span))
	w.last = orca.Position((copies + 1) * originals)
	return err
}

// shuffle says in which order the windows are copied next.
func (w *writer) shuffle(ctx context.Context, order []int) error {
	return w.conn.execEach(ctx, `INSERT OR REPLACE INTO shuffled VALUES (?, ?)`, len(order), func(i int) ([]driver.Value, error) {
		return []driver.Value{int64(i + 1), int64(order[i] + 1)}, nil
	})
}

// copyQuery copies the windows, with so much added to their positions and to their times.
func copyQuery(positions, times int64) string {
	return fmt.Sprintf(`
		INSERT INTO window SELECT new + %[1]d, type, time_from + %[2]d, time_to + %[2]d, origin, metadata, filters, filter_key
			FROM shuffled CROSS JOIN window ON id = old;
		INSERT INTO past SELECT p.type, p.filter_key, p.time_to + %[2]d, p.time_from + %[2]d, new + %[1]d, p.kept, p.rest
			FROM shuffled CROSS JOIN window w ON w.id = old CROSS JOIN past p ON p.type = w.type AND p.filter_key = w.filter_key
				AND p.time_to = w.time_to AND p.time_from = w.time_from AND p.window = w.id;
		INSERT INTO run SELECT new + %[1]d, new + %[1]d, revision, kind, plan, state, accepted_at, finished_at
			FROM shuffled CROSS JOIN run ON position = old;
		INSERT INTO outcome (key, kind, attempts, settled_at, produced_at, reason, result_status,
			result_type, result_timestamp, result_value, result_json, result_error, result)
			SELECT (new + %[1]d) << %[3]d | algorithm, kind, attempts, settled_at, produced_at, reason, result_status,
			result_type, result_timestamp, result_value, result_json, result_error, result
			FROM shuffled CROSS JOIN outcome o ON `+outcomeIn("old"), positions, times, algorithmBits)
}

// grown looks at how large the store is. It reads every page.
func (w *writer) grown(ctx context.Context) (g Grown, err error) {
	row, err := w.conn.row(ctx, `SELECT (SELECT count(*) FROM window), (SELECT count(*) FROM outcome)`)
	if err != nil {
		return g, err
	}
	g.Windows, g.Results = row[0].(int64), row[1].(int64)
	err = w.conn.each(ctx, `SELECT name, sum(pgsize) FROM dbstat GROUP BY name`, func(row []driver.Value) error {
		switch bytes := row[1].(int64); text(row, 0) {
		case "window", "window_time", "run", "run_revision", "run_unsuccessful":
			g.WindowBytes += bytes
		case "past":
			g.PastBytes += bytes
		case "outcome":
			g.ResultBytes += bytes
		}
		return nil
	})
	return g, err
}
