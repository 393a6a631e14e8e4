// Package transfer copies a ledger from a SQLite file to a PostgreSQL schema, table by table. It knows which tables and
// columns both have and what they hold alike; how they are read and written is the stores' own.
package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Source is what is copied: sqlite.Export. Rows hands over int64, float64, string, []byte and nil.
type Source interface {
	Tag() string
	Rows(ctx context.Context, table string, columns []string, key int, after []int64, take func([]any) (bool, error)) error
}

// Target is where it goes: postgres.Import.
type Target interface {
	// Done says that all of it is there.
	Done() bool
	Progress(ctx context.Context, table string) (after []int64, whole bool, err error)
	Put(ctx context.Context, table string, columns []string, rows [][]any, after []int64, whole bool) error
	Rows(ctx context.Context, table string, columns []string, key int, take func([]any) error) error
	Finish(ctx context.Context, tag string) error
}

// table is what both stores have under one name.
type table struct {
	name string
	// key is how many columns, the first ones, are the key, in whose order rows come.
	key     int
	columns []string
	// named tables have keys that are texts. They are as small as the registry, and are copied at once.
	named bool
}

var tables = []table{
	{"ledger", 1, []string{"id", "tag", "secret", "registry_version"}, false},
	{"window_type", 1, []string{"id", "name", "version", "definition", "filter_fields"}, false},
	{"algorithm", 1, []string{"id", "processor", "name", "version", "window_type", "definition", "runtime", "retired", "retired_at"}, false},
	{"processor", 1, []string{"name", "project", "newest"}, true},
	{"instance", 1, []string{"address", "connection", "processor", "runtime", "algorithms", "registered_at"}, true},
	{"plan", 1, []string{"id", "hash", "nodes", "content"}, false},
	{"plan_node", 2, []string{"plan", "algorithm"}, false},
	{"earliest", 1, []string{"algorithm", "time_to"}, false},
	{"window", 1, []string{"id", "type", "time_from", "time_to", "origin", "metadata", "filters", "filter_key"}, false},
	{"run", 1, []string{"position", "window", "revision", "kind", "plan", "state", "accepted_at", "finished_at"}, false},
	{"outcome", 2, []string{
		"position", "algorithm", "kind", "attempts", "settled_at", "produced_at", "reason", "result_status", "result_type",
		"result_timestamp", "result_value", "result_json", "result_error", "result",
	}, false},
	{"lot", 1, []string{"id", "hash", "algorithms"}, false},
	{"pending", 1, []string{"position", "metadata"}, false},
	{"parked", 1, []string{"position", "lot", "metadata", "tries"}, false},
	{"expected", 3, []string{"run", "algorithm", "position"}, false},
	{"emit_key", 1, []string{"position", "project", "key", "digest", "status", "accepted_at"}, false},
}

// Columns that the stores hold differently: SQLite has no booleans and stores no NaN.
const (
	retiredColumn    = 7  // of algorithm
	resultTypeColumn = 8  // of outcome
	valueColumn      = 10 // of outcome
)

// adapt makes a row of SQLite what PostgreSQL holds.
func (t *table) adapt(row []any) []any {
	switch t.name {
	case "algorithm":
		row[retiredColumn] = row[retiredColumn] != int64(0)
	case "outcome":
		if row[valueColumn] == nil && row[resultTypeColumn] == int64(orca.ResultValue) {
			row[valueColumn] = math.NaN()
		}
	}
	return row
}

// What one transaction writes at most, but for a row that is larger.
const (
	pageRows  = 10_000
	pageBytes = 8 << 20
)

// Report is what was copied.
type Report struct {
	Tables []TableReport
	// Before says that all of it was there before, which was not looked at again.
	Before bool
}

// TableReport is a table, how many rows it has, and the hash of all of them, which is the same on both sides.
type TableReport struct {
	Name string
	Rows int64
	Hash string
}

// Copy copies what is not there yet, compares all of it, and makes it the target's ledger. It can be cut off at any moment
// and called again. progress is told of rows that were copied, and, without a number, that a table is compared.
func Copy(ctx context.Context, from Source, to Target, progress func(table string, rows int64)) (r Report, err error) {
	if to.Done() {
		return Report{Before: true}, nil
	}
	for i := range tables {
		if err := tables[i].copy(ctx, from, to, progress); err != nil {
			return r, fmt.Errorf("copy table %s: %w", tables[i].name, err)
		}
	}
	for i := range tables {
		progress(tables[i].name, 0)
		compared, err := tables[i].compare(ctx, from, to)
		if err != nil {
			return r, fmt.Errorf("compare table %s: %w", tables[i].name, err)
		}
		r.Tables = append(r.Tables, compared)
	}
	return r, to.Finish(ctx, from.Tag())
}

// copy goes on with a table page by page.
func (t *table) copy(ctx context.Context, from Source, to Target, progress func(string, int64)) error {
	after, whole, err := to.Progress(ctx, t.name)
	if err != nil {
		return err
	}
	for !whole {
		var page [][]any
		bytes, more := 0, false
		err := from.Rows(ctx, t.name, t.columns, t.key, after, func(row []any) (bool, error) {
			if more = !t.named && (len(page) == pageRows || bytes > pageBytes); more {
				return false, nil
			}
			page, bytes = append(page, t.adapt(row)), bytes+size(row)
			return true, nil
		})
		if err != nil {
			return err
		}
		if len(page) > 0 && !t.named {
			after = t.keyOf(page[len(page)-1])
		}
		whole = !more
		if err := to.Put(ctx, t.name, t.columns, page, after, whole); err != nil {
			return err
		}
		progress(t.name, int64(len(page)))
	}
	return nil
}

func (t *table) keyOf(row []any) (key []int64) {
	for _, v := range row[:t.key] {
		key = append(key, v.(int64))
	}
	return key
}

func size(row []any) (n int) {
	for _, v := range row {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		default:
			n += 8
		}
	}
	return n
}

// compare reads a table on both sides at once.
func (t *table) compare(ctx context.Context, from Source, to Target) (TableReport, error) {
	here, there := newDigest(), newDigest()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return from.Rows(ctx, t.name, t.columns, t.key, nil, func(row []any) (bool, error) { return true, here.add(t.adapt(row)) })
	})
	group.Go(func() error { return to.Rows(ctx, t.name, t.columns, t.key, there.add) })
	if err := group.Wait(); err != nil {
		return TableReport{}, err
	}
	if here.rows != there.rows || here.sum() != there.sum() {
		return TableReport{}, orca.Errorf(orca.Precondition,
			"the copy has %d rows with the hash %s, and the original %d with %s: was it worked on in between? drop the schema of the copy and begin anew",
			there.rows, there.sum(), here.rows, here.sum())
	}
	return TableReport{Name: t.name, Rows: here.rows, Hash: here.sum()}, nil
}

// digest is a hash of rows.
type digest struct {
	rows int64
	hash hash.Hash
	buf  []byte
}

func newDigest() *digest { return &digest{hash: sha256.New()} }

func (d *digest) sum() string { return hex.EncodeToString(d.hash.Sum(nil)[:8]) }

// add adds a row: each value with its kind and, where lengths differ, its length.
func (d *digest) add(row []any) error {
	b := d.buf[:0]
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case bool:
			b = append(b, 'b', map[bool]byte{true: 1}[v])
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 'f'), bitsOf(v))
		case string:
			b = append(binary.AppendUvarint(append(b, 't'), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(append(b, 'x'), uint64(len(v))), v...)
		default:
			return fmt.Errorf("a value of type %T", v)
		}
	}
	d.rows, d.buf = d.rows+1, b
	_, err := d.hash.Write(b)
	return err
}

// bitsOf takes one NaN for all.
func bitsOf(f float64) uint64 {
	if math.IsNaN(f) {
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}
