package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// keys are the integer keys of the registry, as of one version. They are immutable.
type keys struct {
	version    int64
	types      map[orca.WindowTypeID]typeKey
	algorithms map[orca.AlgorithmID]algorithmKey
	typeOf     map[int32]orca.WindowTypeID
	idOf       map[int32]orca.AlgorithmID
}

type typeKey struct {
	id int32
	// fields is how many fields the type marks filter.
	fields int
}

type algorithmKey struct {
	id int32
	// typ is the key of the window type that triggers it.
	typ int32
}

// loadKeys reads the keys. It leaves the definitions alone: after a change of a large registry, emits would wait for them.
func (s *Store) loadKeys(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	k := &keys{types: map[orca.WindowTypeID]typeKey{}, algorithms: map[orca.AlgorithmID]algorithmKey{},
		typeOf: map[int32]orca.WindowTypeID{}, idOf: map[int32]orca.AlgorithmID{}}
	err := s.snapshot(ctx, "read the keys of the registry", func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, s.names.in(`SELECT registry_version FROM {ledger}`)).Scan(&k.version); err != nil {
			return err
		}
		if before := s.keys.Load(); before != nil && before.version == k.version {
			k = before
			return nil
		}
		if err := k.readTypes(ctx, tx, s.names); err != nil {
			return err
		}
		return k.readAlgorithms(ctx, tx, s.names)
	})
	if err == nil {
		s.keys.Store(k)
	}
	return err
}

func (k *keys) readTypes(ctx context.Context, tx pgx.Tx, n *names) error {
	var id orca.WindowTypeID
	var key typeKey
	return each(ctx, tx, n.in(`SELECT id, name, version, filter_fields FROM {window_type}`), nil,
		[]any{&key.id, into{&id.Name}, into{&id.Version}, &key.fields}, func() error {
			k.types[id], k.typeOf[key.id] = key, id
			return nil
		})
}

func (k *keys) readAlgorithms(ctx context.Context, tx pgx.Tx, n *names) error {
	var id orca.AlgorithmID
	var key algorithmKey
	return each(ctx, tx, n.in(`SELECT id, processor, name, version, window_type FROM {algorithm}`), nil,
		[]any{&key.id, into{&id.Processor}, into{&id.Name}, into{&id.Version}, &key.typ}, func() error {
			k.algorithms[id], k.idOf[key.id] = key, id
			return nil
		})
}

// keysWith returns the keys, read again when they lack something: another core may have registered it.
func (s *Store) keysWith(ctx context.Context, has func(*keys) bool) (*keys, error) {
	if k := s.keys.Load(); has(k) {
		return k, nil
	}
	if err := s.loadKeys(ctx); err != nil {
		return nil, err
	}
	return s.keys.Load(), nil
}

// algorithm returns the key of an algorithm.
func (s *Store) algorithm(ctx context.Context, id orca.AlgorithmID) (key algorithmKey, known bool, err error) {
	k, err := s.keysWith(ctx, func(k *keys) bool { _, ok := k.algorithms[id]; return ok })
	if err == nil {
		key, known = k.algorithms[id]
	}
	return key, known, err
}

func errUnknownAlgorithm(id orca.AlgorithmID) error {
	return orca.Errorf(orca.NotFound, "algorithm %s was never registered", id.Full())
}

// algorithmOf returns the identity of an algorithm that a row names.
func (s *Store) algorithmOf(ctx context.Context, id int32) (orca.AlgorithmID, error) {
	k, err := s.keysWith(ctx, func(k *keys) bool { _, ok := k.idOf[id]; return ok })
	if err != nil {
		return orca.AlgorithmID{}, err
	}
	of, ok := k.idOf[id]
	if !ok {
		return of, fmt.Errorf("the ledger has an outcome of algorithm %d, which the registry lacks", id)
	}
	return of, nil
}

// windowTypeOf returns the identity of a window type that a row names.
func (s *Store) windowTypeOf(ctx context.Context, id int32) (orca.WindowTypeID, error) {
	k, err := s.keysWith(ctx, func(k *keys) bool { _, ok := k.typeOf[id]; return ok })
	if err != nil {
		return orca.WindowTypeID{}, err
	}
	of, ok := k.typeOf[id]
	if !ok {
		return of, fmt.Errorf("the ledger has a window of type %d, which the registry lacks", id)
	}
	return of, nil
}

// filterFields counts the fields that a type marks filter.
func filterFields(t *orca.WindowType) (n int32) {
	for _, f := range t.Fields {
		if f.Filter {
			n++
		}
	}
	return n
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
