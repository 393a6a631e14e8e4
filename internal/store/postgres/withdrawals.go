package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Announce tells all cores of a withdrawal, with their next renewals, and returns its id.
func (s *Store) Announce(ctx context.Context, w orca.Withdrawal) (id int32, err error) {
	err = s.asMember(ctx, "announce a withdrawal", func(ctx context.Context) error {
		return s.members.QueryRow(ctx, s.names.in(`INSERT INTO {withdrawal} (core, first, last, processor, kind, reason)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`),
			s.self(), int64(w.First), int64(w.Last), stored(w.Processor), int16(w.Kind), stored(w.Reason)).Scan(&id)
	})
	if err == nil {
		s.teller.tell(message{Around: true})
	}
	return id, err
}

// Answer tells that this core has settled what a withdrawal is about, durably, in so many of its runs. It may be repeated.
func (s *Store) Answer(ctx context.Context, id int32, runs int64) error {
	return s.asMember(ctx, "answer a withdrawal", func(ctx context.Context) error {
		_, err := s.members.Exec(ctx, s.names.in(`INSERT INTO {withdrawn} (withdrawal, core, runs)
			SELECT id, $2, $3 FROM {withdrawal} WHERE id = $1 ON CONFLICT DO NOTHING`), id, s.self(), runs)
		return err
	})
}

// Answered reports whether all cores have answered, those too whose runs are just being given to others, and for how many runs.
func (s *Store) Answered(ctx context.Context, id int32) (all bool, runs int64, err error) {
	err = s.asMember(ctx, "look for the end of a withdrawal", func(ctx context.Context) error {
		return s.members.QueryRow(ctx, s.names.in(`SELECT
			NOT EXISTS (SELECT 1 FROM {core} c WHERE NOT EXISTS (SELECT 1 FROM {withdrawn} n WHERE n.withdrawal = $1 AND n.core = c.id)),
			(SELECT coalesce(sum(runs), 0)::bigint FROM {withdrawn} WHERE withdrawal = $1)`), id).Scan(&all, &runs)
	})
	return all, runs, err
}

// Retract ends a withdrawal.
func (s *Store) Retract(ctx context.Context, id int32) error {
	return s.asMember(ctx, "end a withdrawal", func(ctx context.Context) error {
		_, err := s.members.Exec(ctx, s.names.in(`WITH ended AS (DELETE FROM {withdrawal} WHERE id = $1)
			DELETE FROM {withdrawn} WHERE withdrawal = $1`), id)
		return err
	})
}

// withdrawalsOf reads what renew tells of them.
func withdrawalsOf(text []byte) (all []orca.Withdrawal, err error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("read the withdrawals: %w", err)
	}
	for _, row := range rows {
		var w orca.Withdrawal
		if err := json.Unmarshal(row, &[]any{&w.ID, &w.First, &w.Last, &w.Processor, &w.Kind, &w.Reason}); err != nil {
			return nil, fmt.Errorf("read a withdrawal: %w", err)
		}
		w.Processor, w.Reason = restored(w.Processor), restored(w.Reason)
		all = append(all, w)
	}
	return all, nil
}
