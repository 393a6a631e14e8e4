package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// LoadRegistry returns the registry, each list in the order of its identities.
func (s *Store) LoadRegistry(ctx context.Context) (reg orca.Registry, err error) {
	err = s.snapshot(ctx, "load the registry", func(ctx context.Context, tx pgx.Tx) error {
		reg = orca.Registry{}
		if err := tx.QueryRow(ctx, s.names.in(`SELECT registry_version FROM {ledger}`)).Scan(&reg.Version); err != nil {
			return err
		}
		for _, part := range []struct {
			what string
			read func(context.Context, pgx.Tx, *names, *orca.Registry) error
		}{
			{"window types", readWindowTypes}, {"processors", readProcessors},
			{"algorithms", readAlgorithms}, {"instances", readInstances},
		} {
			if err := part.read(ctx, tx, s.names, &reg); err != nil {
				return fmt.Errorf("read its %s: %w", part.what, err)
			}
		}
		return nil
	})
	if err != nil {
		return orca.Registry{}, err
	}
	return reg, nil
}

func readWindowTypes(ctx context.Context, tx pgx.Tx, n *names, reg *orca.Registry) error {
	var definition []byte
	return each(ctx, tx, n.in(`SELECT definition FROM {window_type} ORDER BY name, version`), nil, []any{&definition}, func() error {
		var t orca.WindowType
		err := json.Unmarshal(definition, &t)
		reg.WindowTypes = append(reg.WindowTypes, t)
		return err
	})
}

func readProcessors(ctx context.Context, tx pgx.Tx, n *names, reg *orca.Registry) error {
	var p orca.Processor
	var newest []byte
	return each(ctx, tx, n.in(`SELECT name, project, newest FROM {processor} ORDER BY name`), nil,
		[]any{into{&p.Name}, into{&p.Project}, &newest}, func() error {
			p.Newest = nil
			err := json.Unmarshal(newest, &p.Newest)
			reg.Processors = append(reg.Processors, p)
			return err
		})
}

func readAlgorithms(ctx context.Context, tx pgx.Tx, n *names, reg *orca.Registry) error {
	var a orca.KnownAlgorithm
	var definition []byte
	return each(ctx, tx, n.in(`SELECT definition, runtime, retired, retired_at FROM {algorithm} ORDER BY processor, name, version`), nil,
		[]any{&definition, into{&a.Runtime}, &a.Retired, &a.RetiredAt}, func() error {
			a.Algorithm = orca.Algorithm{}
			err := json.Unmarshal(definition, &a.Algorithm)
			reg.Algorithms = append(reg.Algorithms, a)
			return err
		})
}

func readInstances(ctx context.Context, tx pgx.Tx, n *names, reg *orca.Registry) error {
	var i orca.Instance
	var algorithms []byte
	return each(ctx, tx, n.in(`SELECT address, connection, processor, runtime, algorithms, registered_at FROM {instance} ORDER BY address`), nil,
		[]any{into{&i.Address}, into{&i.Connection}, into{&i.Processor}, into{&i.Runtime}, &algorithms, &i.RegisteredAt}, func() (err error) {
			i.Algorithms, err = decodeAnnounced(algorithms)
			reg.Instances = append(reg.Instances, i)
			return err
		})
}

// RegistryVersion returns the version of the registry, which grows with each change.
func (s *Store) RegistryVersion(ctx context.Context) (version int64, err error) {
	err = s.read(ctx, "read the registry's version", func(ctx context.Context, db querier) error {
		return db.QueryRow(ctx, s.names.in(`SELECT registry_version FROM {ledger}`)).Scan(&version)
	})
	return version, err
}

// announced is the stored form of one entry of orca.Instance.Algorithms.
type announced struct {
	Algorithm  orca.AlgorithmID `json:"algorithm"`
	Definition string           `json:"definition"` // hash in hexadecimal
}

func encodeAnnounced(algorithms map[orca.AlgorithmID]orca.DefinitionHash) (string, error) {
	list := make([]announced, 0, len(algorithms))
	for id, hash := range algorithms {
		list = append(list, announced{Algorithm: id, Definition: hex.EncodeToString(hash[:])})
	}
	slices.SortFunc(list, func(a, b announced) int { return a.Algorithm.Compare(b.Algorithm) })
	return toJSON(list)
}

func decodeAnnounced(b []byte) (map[orca.AlgorithmID]orca.DefinitionHash, error) {
	var list []announced
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	algorithms := make(map[orca.AlgorithmID]orca.DefinitionHash, len(list))
	for _, a := range list {
		var hash orca.DefinitionHash
		if n, err := hex.Decode(hash[:], []byte(a.Definition)); err != nil || n != len(hash) {
			return nil, fmt.Errorf("definition hash %q of %s is damaged", a.Definition, a.Algorithm.Full())
		}
		algorithms[a.Algorithm] = hash
	}
	return algorithms, nil
}
