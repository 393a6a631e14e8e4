package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// What a transaction has to know before it is sent. Nothing here is needed by rows as they mostly are: plans and lots are
// known, keys are new, and revisions are rare.

// dropRepeats answers emissions whose idempotency key was used before. Without checkKeys it trusts that none was; the
// transaction fails if one was.
func (w *write) dropRepeats(ctx context.Context) error {
	var keyed []*request
	for _, r := range w.emissions {
		if k := &r.emission.Key; k.Key != "" {
			keyed = append(keyed, r)
			w.newest = max(w.newest, r.emission.AcceptedAt)
		}
	}
	if w.keyCount = len(keyed); w.keyCount == 0 || !w.checkKeys {
		return nil
	}
	projects, names := make([]string, len(keyed)), make([]string, len(keyed))
	for i, r := range keyed {
		projects[i], names[i] = stored(r.emission.Key.Project), stored(r.emission.Key.Key)
	}
	var nth, position, at int64
	var status int16
	var digest []byte
	return each(ctx, w.conn, w.names.in(`SELECT u.nth, k.position, k.digest, k.status, k.accepted_at
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(project, key, nth)
		JOIN {emit_key} k ON k.project = u.project COLLATE "C" AND k.key = u.key COLLATE "C"`), []any{projects, names},
		[]any{&nth, &position, &digest, &status, &at}, func() error {
			w.repeat(keyed[nth-1], position, at, status, digest)
			return nil
		})
}

// repeat answers an emission whose key was used before, or takes note that the key has expired.
func (w *write) repeat(r *request, position, at int64, status int16, digest []byte) {
	e := r.emission
	if int64(e.AcceptedAt)-at >= int64(w.cfg.IdempotencyTTL) {
		w.expired = append(w.expired, position)
		return
	}
	w.keyCount--
	w.emissions = slices.DeleteFunc(w.emissions, func(other *request) bool { return other == r })
	w.starts = slices.DeleteFunc(w.starts, func(other *request) bool { return other == r })
	if !slices.Equal(digest, e.Key.Digest[:]) {
		r.answer.err = orca.Errorf(orca.Conflict,
			"idempotency key %q was used with another window; send a fresh key with every window", e.Key.Key)
		return
	}
	first := orca.Position(position)
	r.answer.accepted = orca.Accepted{Window: first, Position: first, Status: orca.EmitStatus(status), Replayed: true}
}

// base is the run that a revision begins from.
type base struct {
	position  orca.Position
	revision  int32
	state     int16
	plan      int32
	end       orca.Time // of the window
	succeeded []int32   // algorithms
}

// findBases looks up the newest runs of the windows that are revised, and refuses what is no revision of them.
func (w *write) findBases(ctx context.Context) error {
	if len(w.revisions) == 0 {
		return nil
	}
	windows := make([]int64, len(w.revisions))
	for i, r := range w.revisions {
		windows[i] = int64(r.revision.Window)
	}
	bases := make([]base, len(windows))
	var nth int64
	var b base
	err := each(ctx, w.conn, w.names.in(`SELECT u.nth, r.position, r.revision, r.state, r.plan, w.time_to,
			ARRAY(SELECT o.algorithm FROM {outcome} o WHERE o.position = r.position AND o.kind = 1)
		FROM unnest($1::bigint[]) WITH ORDINALITY AS u(id, nth)
		JOIN {window} w ON w.id = u.id
		JOIN {run} r ON r.position = coalesce((SELECT later.position FROM {run} later WHERE later."window" = w.id AND later.revision > 1
			ORDER BY later.revision DESC LIMIT 1), w.id)`), []any{windows},
		[]any{&nth, &b.position, &b.revision, &b.state, &b.plan, &b.end, &b.succeeded}, func() error {
			bases[nth-1] = b
			b.succeeded = nil
			return nil
		})
	if err != nil {
		return err
	}
	all := w.revisions
	w.revisions, w.bases = nil, nil
	for i, r := range all {
		if err := w.checkRevision(ctx, r.revision, &bases[i]); err != nil && !isKind(err) {
			return err
		} else if err != nil {
			r.answer.err = err
			continue
		}
		w.revisions, w.bases = append(w.revisions, r), append(w.bases, bases[i])
	}
	return nil
}

func (w *write) checkRevision(ctx context.Context, v *orca.Revision, b *base) error {
	switch {
	case b.position == 0:
		return noWindow(v.Window)
	case b.position != v.Base:
		return orca.Errorf(orca.Precondition, "the window got another run meanwhile, of position %d: look at it first", b.position)
	case orca.RunState(b.state) == orca.RunOpen:
		return orca.Errorf(orca.Precondition, "a run of the window is open, of position %d: wait for its end, or cancel it", b.position)
	}
	if err := w.checkOutcomes(ctx, v.Outcomes); err != nil {
		return err
	}
	for i := range v.Outcomes {
		o := &v.Outcomes[i]
		if isKept(o) && !slices.Contains(b.succeeded, w.keys.Load().algorithms[o.Algorithm].id) {
			return orca.Errorf(orca.NotFound, "%s did not succeed in run %d", o.Algorithm.Full(), v.Base)
		}
	}
	if v.Plan == nil {
		return nil
	}
	return w.checkPlan(ctx, v.Plan)
}

// isKept reports whether an outcome of a revision is copied from its base.
func isKept(o *orca.Outcome) bool { return o.ProducedAt != 0 }

// findPlans makes sure that the plans of new runs have keys. A plan that is new is written in a transaction of its own: it
// is nobody's until a run names it.
func (w *write) findPlans(ctx context.Context) error {
	fresh := map[orca.PlanHash]*orca.PlanContent{}
	note := func(p *orca.PlanContent) {
		if p != nil && w.memory.plans[p.Hash] == 0 {
			fresh[p.Hash] = p
		}
	}
	for _, r := range w.emissions {
		note(r.emission.Plan)
	}
	for _, r := range w.revisions {
		note(r.revision.Plan)
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := w.insertPlans(ctx, fresh); err != nil {
		return fmt.Errorf("write plans: %w", err)
	}
	return nil
}

func (w *write) insertPlans(ctx context.Context, fresh map[orca.PlanHash]*orca.PlanContent) error {
	var hashes, contents, nodesOf [][]byte
	var nodes, algorithms []int32
	k := w.keys.Load()
	for _, p := range fresh {
		hash := p.Hash
		hashes, contents, nodes = append(hashes, hash[:]), append(contents, notNil(p.Content)), append(nodes, int32(p.Nodes))
		for _, a := range p.Algorithms {
			nodesOf, algorithms = append(nodesOf, hash[:]), append(algorithms, k.algorithms[a].id)
		}
	}
	found := map[orca.PlanHash]int32{}
	var b pgx.Batch
	b.Queue(w.names.in(`INSERT INTO {plan} (hash, nodes, content) SELECT * FROM unnest($1::bytea[], $2::int[], $3::bytea[]) AS p(hash, nodes, content)
		ORDER BY hash ON CONFLICT (hash) DO NOTHING`), hashes, nodes, contents)
	b.Queue(w.names.in(`INSERT INTO {plan_node} (plan, algorithm) SELECT p.id, u.algorithm FROM unnest($1::bytea[], $2::int[]) AS u(hash, algorithm)
		JOIN {plan} p ON p.hash = u.hash ORDER BY 1, 2 ON CONFLICT DO NOTHING`), nodesOf, algorithms)
	w.keysByHash(&b, `SELECT hash, id FROM {plan} WHERE hash = ANY($1::bytea[])`, hashes, func(hash [32]byte, id int32) { found[hash] = id })
	if err := w.conn.send(ctx, &b); err != nil {
		return err
	}
	for hash, id := range found {
		w.memory.plans[hash] = id
	}
	return nil
}

// keysByHash adds a query of hashes and keys to a batch.
func (w *write) keysByHash(b *pgx.Batch, query string, hashes [][]byte, take func([32]byte, int32)) {
	b.Queue(w.names.in(query), hashes).Query(func(rows pgx.Rows) error {
		var hash []byte
		var id int32
		_, err := pgx.ForEachRow(rows, []any{&hash, &id}, func() error {
			take([32]byte(hash), id)
			return nil
		})
		return err
	})
}

// findLots makes sure that lots have keys, like findPlans.
func (w *write) findLots(ctx context.Context) error {
	fresh := map[orca.LotHash]*orca.Lot{}
	note := func(l *orca.Lot) {
		if l != nil && w.memory.lots[l.Hash] == 0 {
			fresh[l.Hash] = l
		}
	}
	for _, r := range w.emissions {
		note(r.emission.Lot)
	}
	for _, r := range w.parkings {
		note(r.parking.Lot)
	}
	if len(w.wakings) > 0 {
		note(orca.Woken)
	}
	if len(fresh) == 0 {
		return nil
	}
	var hashes [][]byte
	var contents []string
	for _, l := range fresh {
		hash := l.Hash
		hashes, contents = append(hashes, hash[:]), append(contents, l.Content())
	}
	found := map[orca.LotHash]int32{}
	var b pgx.Batch
	b.Queue(w.names.in(`INSERT INTO {lot} (hash, algorithms) SELECT * FROM unnest($1::bytea[], $2::text[]) AS l(hash, algorithms)
		ORDER BY hash ON CONFLICT (hash) DO NOTHING`), hashes, contents)
	w.keysByHash(&b, `SELECT hash, id FROM {lot} WHERE hash = ANY($1::bytea[])`, hashes, func(hash [32]byte, id int32) { found[hash] = id })
	if err := w.conn.send(ctx, &b); err != nil {
		return fmt.Errorf("write lots: %w", err)
	}
	for hash, id := range found {
		w.memory.lots[hash] = id
	}
	return nil
}

// notNil is a value for a column that takes no NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
