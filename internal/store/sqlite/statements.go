package sqlite

import (
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
)

// statements are those of the writing connection, compiled once. Here and elsewhere LIMIT takes +? and not ?, because
// SQLite would compile the statement again for each new value of a bare parameter.
type statements struct {
	planID, insertPlan, insertNode, lower   *stmt
	insertWindow, insertRun, insertPending  *stmt
	insertOutcome, finishRun, deletePend    *stmt
	insertPast, endedWindows, endedOutcomes *stmt
	keepPast, forgetPast                    *stmt
	insertParked, deleteParked              *stmt
	parkRun, reparkRun, lotID, insertLot    *stmt
	hasOutcome, insertExpected              *stmt
	deleteExpected, findExpected, lotOf     *stmt
	wakeRun                                 *stmt
	insertKey, findKey, deleteKey, expire   *stmt
	newestRun, hasSucceeded, keepOutcome    *stmt
	savepoint, release, rollbackTo          *stmt
	// begin and commit are compiled too: with little in a batch compiling them was a tenth of it.
	begin, commit, setApplied *stmt
}

func (s *statements) list() map[**stmt]string {
	return map[**stmt]string{
		&s.planID:     `SELECT id FROM plan WHERE hash = ?`,
		&s.insertPlan: `INSERT INTO plan (hash, nodes, content) VALUES (?, ?, ?) RETURNING id`,
		&s.insertNode: `INSERT INTO plan_node (plan, algorithm) VALUES (?, ?)`,
		&s.lower: `INSERT INTO earliest (algorithm, time_to) SELECT algorithm, ?2 FROM plan_node WHERE plan = ?1
			ON CONFLICT (algorithm) DO UPDATE SET time_to = excluded.time_to WHERE excluded.time_to < time_to`,
		&s.insertWindow: `INSERT INTO window (id, type, time_from, time_to, origin, metadata, filters, filter_key)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		&s.insertRun: `INSERT INTO run (position, window, revision, kind, plan, state, accepted_at, finished_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		&s.insertPending: `INSERT INTO pending (position, metadata) VALUES (?, ?)`,
		&s.insertParked:  `INSERT INTO parked (position, lot, metadata) VALUES (?, ?, ?)`,
		&s.deleteParked:  `DELETE FROM parked WHERE position = ?`,
		&s.parkRun: `INSERT INTO parked (lot, tries, position, metadata)
			SELECT ?, ?, position, metadata FROM pending WHERE position = ?`,
		&s.reparkRun:      `UPDATE parked SET lot = ?, tries = ? WHERE position = ?`,
		&s.hasOutcome:     `SELECT 1 FROM outcome WHERE key = ?`,
		&s.insertExpected: `INSERT OR IGNORE INTO expected (run, algorithm, position) VALUES (?, ?, ?)`,
		&s.deleteExpected: `DELETE FROM expected WHERE position = ?`,
		&s.findExpected:   `SELECT position FROM expected WHERE run = ? AND algorithm = ? ORDER BY position LIMIT 1`,
		&s.lotOf:          `SELECT lot.hash FROM parked CROSS JOIN lot ON lot.id = parked.lot WHERE parked.position = ?`,
		&s.wakeRun:        `UPDATE parked SET lot = ? WHERE position = ?`,
		&s.lotID:          `SELECT id FROM lot WHERE hash = ?`,
		&s.insertLot:      `INSERT INTO lot (hash, algorithms) VALUES (?, ?) RETURNING id`,
		&s.insertOutcome: `INSERT INTO outcome (key, kind, attempts, settled_at, produced_at, reason,
				result_status, result_type, result_timestamp, result_value, result_json, result_error, result)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (key) DO NOTHING`,
		&s.finishRun:     `UPDATE run SET state = ?, finished_at = ? WHERE position = ? AND state = 0`,
		&s.deletePend:    `DELETE FROM pending WHERE position = ?`,
		&s.insertPast:    `INSERT INTO past (type, filter_key, time_to, time_from, window) VALUES (?, ?, ?, ?, ?)`,
		&s.endedWindows:  endedWindowsQuery,
		&s.endedOutcomes: endedOutcomesQuery,
		&s.keepPast:      keepPastQuery,
		&s.forgetPast:    forgetPastQuery,
		&s.insertKey: `INSERT INTO emit_key (position, project, key, digest, status, accepted_at)
			VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (project, key) DO NOTHING`,
		&s.findKey:   `SELECT position, digest, status, accepted_at FROM emit_key WHERE project = ? AND key = ?`,
		&s.deleteKey: `DELETE FROM emit_key WHERE position = ?`,
		&s.expire: `DELETE FROM emit_key WHERE accepted_at <= ?
			AND position IN (SELECT position FROM emit_key ORDER BY position LIMIT +?)`,
		&s.newestRun: `SELECT position, revision, state, plan, (SELECT time_to FROM window WHERE id = ?1) FROM run
			WHERE position IN (SELECT ?1 UNION ALL SELECT position FROM run WHERE window = ?1 AND revision > 1) AND window = ?1
			ORDER BY revision DESC LIMIT 1`,
		&s.hasSucceeded: `SELECT 1 FROM outcome WHERE key = ? AND kind = 1`,
		&s.keepOutcome: `INSERT INTO outcome (key, kind, attempts, settled_at, produced_at, reason,
				result_status, result_type, result_timestamp, result_value, result_json, result_error, result)
			SELECT ?, kind, attempts, settled_at, coalesce(produced_at, position), reason,
				result_status, result_type, result_timestamp, result_value, result_json, result_error, result
			FROM outcome WHERE key = ?
			ON CONFLICT (key) DO NOTHING`,
		&s.savepoint:  `SAVEPOINT one`,
		&s.release:    `RELEASE one`,
		&s.rollbackTo: `ROLLBACK TO one`,
		&s.begin:      `BEGIN IMMEDIATE`,
		&s.commit:     `COMMIT`,
		&s.setApplied: `UPDATE ledger SET redo_applied = ?`,
	}
}

// prepare compiles the statements, of which those that change something tell redo when they run.
func (s *statements) prepare(c *conn, redo *redoLog) error {
	changes := s.changes()
	for field, query := range s.list() {
		st, err := c.prepare(query)
		if err != nil {
			return err
		}
		if i, change := slices.BinarySearch(changes, query); change {
			st.redo, st.number = redo, i
		}
		*field = st
	}
	return nil
}

// changes returns the statements that batches change something with, in the order of their numbers in the redo log.
func (s *statements) changes() (changes []string) {
	for field, query := range s.list() {
		if verb, _, _ := strings.Cut(query, " "); field != &s.setApplied && (verb == "INSERT" || verb == "UPDATE" || verb == "DELETE") {
			changes = append(changes, query)
		}
	}
	slices.Sort(changes)
	return changes
}

func (s *statements) close() error {
	var errs []error
	for field := range s.list() {
		if *field != nil {
			errs = append(errs, (*field).driver.Close())
		}
	}
	return errors.Join(errs...)
}

// text and blob read a column of a row that may be absent.
func text(row []driver.Value, i int) string {
	if i < len(row) {
		s, _ := row[i].(string)
		return s
	}
	return ""
}

func blob(row []driver.Value, i int) []byte {
	if i < len(row) {
		b, _ := row[i].([]byte)
		return b
	}
	return nil
}

// nullText and nullBlob store what is empty as NULL.
func nullText(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

func nullBlob(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}
