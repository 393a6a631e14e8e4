package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/orca-telemetry/orca/internal/orca"
)

// What lookbacks want of a window is copied into table past once its first run has ended. There the windows of one
// machine or asset lie next to one another: a thousand rows of one are then some pages, and two thousand pages, in no
// order, without the copies. They are of outcomes that never change any more, so whoever finds one need not look further.
//
// Only windows of types that are looked back at by filters have copies, and get them late: a page takes as long to write
// for one row as for many, so some thousand windows wait and are then taken in the order of the table. Those that wait
// when the process is killed, or the ledger fails, never get any, and are found the slow way.

const (
	// mostKeptResult and mostKept bound the copies of one window, in bytes of one result and of all together, and
	// mostKeptWindow its origin and metadata. Beyond them reading costs more than finding, and with all of them a row of
	// past still fits into its page.
	mostKeptResult, mostKept = 256, 1024
	mostKeptWindow           = 512
	// keptSize is the size of an entry in past.kept: keptKey, and the kind of the outcome.
	keptSize = keptKeySize + 1
)

const keptKeySize = 3

// keptKey is the key of an algorithm in past.kept, where SQL finds it as a part of the whole: only its first byte has the
// highest bit.
func keptKey(algorithm int64) []byte { return appendKeptKey(nil, algorithm) }

func appendKeptKey(b []byte, algorithm int64) []byte {
	return append(b, 0x80|byte(algorithm>>14), byte(algorithm>>7)&0x7f, byte(algorithm)&0x7f)
}

// keptRun are the copies of a run in the making.
type keptRun struct {
	window int64
	// kept has keptSize bytes per outcome. rest has origin, metadata and the results of successes, each after its length as
	// uvarint.
	kept, rest []byte
}

// add takes an outcome, unless it is too large.
func (k *keptRun) add(algorithm int64, kind orca.OutcomeKind, result []byte) {
	if len(result) > mostKeptResult || len(k.kept)+len(k.rest)+len(result) > mostKept {
		return
	}
	k.kept = append(appendKeptKey(k.kept, algorithm), byte(kind))
	if kind == orca.Succeeded {
		k.rest = appendPart(k.rest, result)
	}
}

func appendPart[T string | []byte](b []byte, part T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

var errDamagedKept = errors.New("the copies of a window's results are damaged")

// nextPart cuts off what appendPart has added; nil when it is empty.
func nextPart(b []byte) (part, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, errDamagedKept
	}
	if n > 0 {
		part = b[size : size+int(n)]
	}
	return part, b[size+int(n):], nil
}

// findKept returns the kind of an algorithm's outcome among the copies of a window, and how many results come before its
// own.
func findKept(kept, key []byte) (kind orca.OutcomeKind, before int, err error) {
	for ; len(kept) >= keptSize; kept = kept[keptSize:] {
		kind = orca.OutcomeKind(kept[keptKeySize])
		if string(kept[:keptKeySize]) == string(key) {
			return kind, before, nil
		}
		if kind == orca.Succeeded {
			before++
		}
	}
	return 0, 0, errDamagedKept
}

// readKept reads origin, metadata and the result that comes after so many others.
func readKept(rest []byte, before int) (origin, metadata, result []byte, err error) {
	if origin, rest, err = nextPart(rest); err != nil {
		return nil, nil, nil, err
	}
	if metadata, rest, err = nextPart(rest); err != nil {
		return nil, nil, nil, err
	}
	for ; before >= 0 && err == nil; before-- {
		result, rest, err = nextPart(rest)
	}
	return origin, metadata, result, err
}

var (
	// endedWindowsQuery takes a JSON list of positions. Only first runs are found, whose position is the window's key.
	endedWindowsQuery = `SELECT w.id, w.type, w.filter_key, w.time_to, w.time_from, w.origin, w.metadata FROM json_each(?) asked
		CROSS JOIN window w ON w.id = asked.value WHERE w.filter_key IS NOT NULL`
	// endedOutcomesQuery takes the same.
	endedOutcomesQuery = `SELECT o.position, o.algorithm, o.kind, o.result FROM json_each(?) asked
		CROSS JOIN outcome o ON ` + outcomeIn("asked.value")
	// keepPastQuery leaves a window alone that got another run meanwhile, since what is copied may not be what counts.
	keepPastQuery = `UPDATE past SET kept = ?6, rest = ?7
		WHERE type = ?1 AND filter_key = ?2 AND time_to = ?3 AND time_from = ?4 AND window = ?5
			AND NOT EXISTS (SELECT 1 FROM run WHERE run.window = ?5 AND revision > 1)`
	forgetPastQuery = `UPDATE past SET kept = NULL, rest = NULL FROM window w
		WHERE w.id = ?1 AND past.type = w.type AND past.filter_key = w.filter_key AND past.time_to = w.time_to
			AND past.time_from = w.time_from AND past.window = w.id`
)

// keeper has the windows that wait for their copies. The writer owns it. Windows that have ended wait until there are
// Config.keepAtOnce of them, and become due all at once, sorted. More of them are written with each batch than end in it,
// so that those who wait are never many more.
type keeper struct{ waiting, due []endedWindow }

// endedWindow is the key of a row of past, with origin and metadata as in keptRun.rest.
type endedWindow struct {
	typ              int64
	filters          [16]byte
	to, from, window int64
	rest             []byte
}

func compareEnded(a, b endedWindow) int {
	return cmp.Or(cmp.Compare(a.typ, b.typ), bytes.Compare(a.filters[:], b.filters[:]), cmp.Compare(a.to, b.to),
		cmp.Compare(a.from, b.from), cmp.Compare(a.window, b.window))
}

// add takes the windows of a committed batch, and drops those that got copies in it.
func (k *keeper) add(ended []endedWindow, kept, atOnce int) {
	k.due, k.waiting = k.due[kept:], append(k.waiting, ended...)
	if len(k.due) == 0 && len(k.waiting) >= atOnce {
		k.dueNow()
	}
}

// dueNow makes all that wait due.
func (k *keeper) dueNow() {
	k.due, k.waiting = append(slices.Clone(k.due), k.waiting...), k.waiting[:0]
	slices.SortFunc(k.due, compareEnded)
}

// keepEnded finds the windows whose first runs the batch has ended, and copies about as many of those that are due.
func (tx *batchTx) keepEnded(ctx context.Context) error {
	ended, n := tx.ended, len(tx.ended)+tx.endedFresh
	tx.ended, tx.endedFresh = nil, 0
	if len(tx.keeper.due) > tx.kept { // their outcomes are looked up
		if err := tx.settleDown(ctx); err != nil {
			return err
		}
	}
	if len(ended) > 0 {
		if err := tx.stmt.endedWindows.rows(ctx, func(row []driver.Value) error {
			w := endedWindow{typ: row[1].(int64), to: row[3].(int64), from: row[4].(int64), window: row[0].(int64)}
			copy(w.filters[:], row[2].([]byte))
			tx.keepLater(w, text(row, 5), blob(row, 6))
			return nil
		}, positionList(ended)); err != nil {
			return fmt.Errorf("look up windows that have ended: %w", err)
		}
	}
	return tx.keepDue(ctx, n+n/4+1)
}

// keepFresh is for a run that has ended what keepEnded finds of others.
func (tx *batchTx) keepFresh(r *freshRun) {
	tx.endedFresh++
	if r.past == nil {
		return
	}
	w := endedWindow{typ: r.past[0].(int64), to: r.past[2].(int64), from: r.past[3].(int64), window: int64(r.position)}
	copy(w.filters[:], r.past[1].([]byte))
	tx.keepLater(w, text(r.window, windowOrigin), blob(r.window, windowMetadata))
}

// keepLater has a window wait for its copies, unless it is large.
func (tx *batchTx) keepLater(w endedWindow, origin string, metadata []byte) {
	if len(origin)+len(metadata) <= mostKeptWindow {
		w.rest = appendPart(appendPart(nil, origin), metadata)
		tx.endedWindows = append(tx.endedWindows, w)
	}
}

// keepDue copies the results of so many windows that are due.
func (tx *batchTx) keepDue(ctx context.Context, n int) error {
	due := tx.keeper.due[tx.kept:min(tx.kept+n, len(tx.keeper.due))]
	if len(due) == 0 {
		return nil
	}
	tx.kept += len(due)
	positions := make([]orca.Position, len(due))
	for i := range due {
		positions[i] = orca.Position(due[i].window)
	}
	var run keptRun
	row := func(row []driver.Value) error { // in the order of the list
		if window := row[0].(int64); window != run.window {
			if err := tx.keepRun(ctx, due, &run); err != nil {
				return err
			}
			for due[0].window != window { // what it passes has no outcome, or was written
				due = due[1:]
			}
			run = keptRun{window: window, kept: run.kept[:0], rest: append(run.rest[:0], due[0].rest...)}
		}
		if algorithm := row[1].(int64); tx.lookedAt[algorithm] {
			result, _ := row[3].([]byte)
			run.add(algorithm, orca.OutcomeKind(row[2].(int64)), result)
		}
		return nil
	}
	err := tx.stmt.endedOutcomes.rows(ctx, row, positionList(positions))
	if err == nil {
		err = tx.keepRun(ctx, due, &run)
	}
	if err != nil {
		return fmt.Errorf("copy results for lookbacks: %w", err)
	}
	return nil
}

// keepRun writes the copies of the first of the windows that are due, if there are any.
func (tx *batchTx) keepRun(ctx context.Context, due []endedWindow, k *keptRun) error {
	if len(k.kept) == 0 {
		return nil
	}
	w := &due[0]
	_, err := tx.stmt.keepPast.exec(ctx, w.typ, w.filters[:], w.to, w.from, w.window, k.kept, k.rest)
	return err
}

// keepRest makes the copies that are missing, when the queue has ended. They are of no consequence to anybody who waits.
func (s *Store) keepRest(ctx context.Context) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.writer == nil {
		return
	}
	s.writer.keeper.dueNow()
	for len(s.writer.keeper.due) > 0 {
		tx, err := s.writer.begin(ctx, s.cfg)
		if err == nil {
			err = tx.keepDue(ctx, 1024)
		}
		if err == nil {
			err = s.commitDurably(ctx, s.writer)
		}
		if err != nil {
			s.fault(err)
			return
		}
		tx.keep()
	}
}

// positionList is a JSON list.
func positionList(positions []orca.Position) string {
	list := []byte("[")
	for i, p := range positions {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, int64(p), 10)
	}
	return string(append(list, ']'))
}

const (
	insertLookedAt = `INSERT OR IGNORE INTO looked_at (processor, name, version, window_type)
		VALUES (?, ?, ?, coalesce((SELECT id FROM window_type WHERE name = ? AND version = ?), 0))`

	// lookedAtQuery finds the algorithms that are looked back at, of window types that have filters.
	lookedAtQuery = `SELECT DISTINCT a.id FROM looked_at l
		CROSS JOIN algorithm a ON a.processor = l.processor AND a.name = l.name AND a.version = l.version
		CROSS JOIN window_type t ON t.id = a.window_type
		WHERE l.window_type <> a.window_type AND t.filter_fields > 0`
)

// lookedAtRows are what the algorithms of a change look back at, as rows of table looked_at. A dependency without a
// lookback counts with the dependent's window type, since only later it may be known of which type it is itself.
func lookedAtRows(c *orca.RegistryChange) (rows [][]driver.Value) {
	seen := map[[2]any]bool{}
	add := func(of orca.AlgorithmID, by orca.WindowTypeID) {
		if k := [2]any{of, by}; !seen[k] {
			seen[k] = true
			rows = append(rows, []driver.Value{of.Processor, of.Name, of.Version, by.Name, by.Version})
		}
	}
	for i := range c.Algorithms {
		a := &c.Algorithms[i].Algorithm
		if !a.Self.Range.IsZero() {
			add(a.ID, orca.WindowTypeID{})
		}
		for _, d := range a.Dependencies {
			if d.Lookback.Range.IsZero() {
				add(d.On, a.WindowType.ID)
			} else {
				add(d.On, orca.WindowTypeID{})
			}
		}
	}
	return rows
}
