package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// querier runs one query and hands over its rows: the writing connection, or a snapshot of a reader.
type querier interface {
	each(ctx context.Context, query string, row func([]driver.Value) error, args ...driver.Value) error
}

// storedRegistry is the registry while it is read.
type storedRegistry struct{ orca.Registry }

// readRegistry reads the whole registry, each list in the order of its identities.
func readRegistry(ctx context.Context, q querier) (*storedRegistry, error) {
	r := &storedRegistry{}
	for _, part := range []struct {
		what, query string
		row         func([]driver.Value) error
	}{
		{"version", "SELECT registry_version FROM ledger", r.scanVersion},
		{"window types", "SELECT definition FROM window_type ORDER BY name, version", r.scanWindowType},
		{"processors", "SELECT name, project, newest FROM processor ORDER BY name", r.scanProcessor},
		{"algorithms", `SELECT definition, runtime, retired, retired_at FROM algorithm
			ORDER BY processor, name, version`, r.scanAlgorithm},
		{"instances", `SELECT address, connection, processor, runtime, algorithms, registered_at FROM instance
			ORDER BY address`, r.scanInstance},
	} {
		if err := q.each(ctx, part.query, part.row); err != nil {
			return nil, fmt.Errorf("read %s of the registry: %w", part.what, err)
		}
	}
	return r, nil
}

func (r *storedRegistry) scanVersion(row []driver.Value) error {
	r.Version = row[0].(int64)
	return nil
}

func (r *storedRegistry) scanWindowType(row []driver.Value) error {
	var t orca.WindowType
	if err := json.Unmarshal([]byte(text(row, 0)), &t); err != nil {
		return err
	}
	r.WindowTypes = append(r.WindowTypes, t)
	return nil
}

func (r *storedRegistry) scanProcessor(row []driver.Value) error {
	p := orca.Processor{Name: text(row, 0), Project: text(row, 1)}
	if err := json.Unmarshal([]byte(text(row, 2)), &p.Newest); err != nil {
		return err
	}
	r.Processors = append(r.Processors, p)
	return nil
}

func (r *storedRegistry) scanAlgorithm(row []driver.Value) error {
	a := orca.KnownAlgorithm{Runtime: text(row, 1), Retired: row[2].(int64) != 0, RetiredAt: orca.Time(row[3].(int64))}
	if err := json.Unmarshal([]byte(text(row, 0)), &a.Algorithm); err != nil {
		return err
	}
	r.Algorithms = append(r.Algorithms, a)
	return nil
}

func (r *storedRegistry) scanInstance(row []driver.Value) error {
	i := orca.Instance{Address: text(row, 0), Connection: text(row, 1), Processor: text(row, 2), Runtime: text(row, 3),
		RegisteredAt: orca.Time(row[5].(int64))}
	var err error
	if i.Algorithms, err = decodeAnnounced([]byte(text(row, 4))); err != nil {
		return err
	}
	r.Instances = append(r.Instances, i)
	return nil
}

// announced is the stored form of one entry of orca.Instance.Algorithms.
type announced struct {
	Algorithm  orca.AlgorithmID `json:"algorithm"`
	Definition string           `json:"definition"` // hash in hexadecimal
}

func encodeAnnounced(algorithms map[orca.AlgorithmID]orca.DefinitionHash) ([]byte, error) {
	list := make([]announced, 0, len(algorithms))
	for id, hash := range algorithms {
		list = append(list, announced{Algorithm: id, Definition: hex.EncodeToString(hash[:])})
	}
	slices.SortFunc(list, func(a, b announced) int { return a.Algorithm.Compare(b.Algorithm) })
	return json.Marshal(list)
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

// LoadRegistry returns the registry, each list in the order of its identities.
func (s *Store) LoadRegistry(ctx context.Context) (orca.Registry, error) {
	var reg *storedRegistry
	err := s.read(ctx, "load the registry", func(ctx context.Context, tx snapshot) (err error) {
		reg, err = readRegistry(ctx, tx)
		return err
	})
	if err != nil {
		return orca.Registry{}, err
	}
	return reg.Registry, nil
}

// RegistryVersion returns the version of the registry, which grows with each change.
func (s *Store) RegistryVersion(ctx context.Context) (version int64, err error) {
	err = s.read(ctx, "read the registry's version", func(ctx context.Context, tx snapshot) error {
		return tx.QueryRowContext(ctx, "SELECT registry_version FROM ledger").Scan(&version)
	})
	return version, err
}
