package sqlite

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/orca-telemetry/orca/internal/orca"
)

// encodeFilters returns the stored form of filter values: per field the length of its name as uvarint, the name and
// the 16 bytes of the hash.
func encodeFilters(filters []orca.FilterValue) []byte {
	var b []byte
	for i := range filters {
		b = binary.AppendUvarint(b, uint64(len(filters[i].Field)))
		b = append(b, filters[i].Field...)
		b = append(b, filters[i].Hash[:]...)
	}
	return b
}

// filterKey returns what the index finds windows of equal filters by, nil when there are none.
func filterKey(encoded []byte) []byte {
	if len(encoded) == 0 {
		return nil
	}
	sum := sha256.Sum256(encoded)
	return sum[:16]
}

var errDamagedFilters = errors.New("the filters of a window are damaged")

// restrict returns the entries of the named fields, which are sorted as the entries are. A field that is not there has
// no entry. It appends to b.
func restrict(b, encoded []byte, fields []string) ([]byte, error) {
	for len(encoded) > 0 && len(fields) > 0 {
		n, size := binary.Uvarint(encoded)
		if size <= 0 || n > uint64(len(encoded)-size) || len(encoded)-size-int(n) < len(orca.FilterValue{}.Hash) {
			return nil, errDamagedFilters
		}
		name, end := encoded[size:size+int(n)], size+int(n)+len(orca.FilterValue{}.Hash)
		for len(fields) > 0 && fields[0] < string(name) {
			fields = fields[1:]
		}
		if len(fields) > 0 && fields[0] == string(name) {
			b = append(b, encoded[:end]...)
		}
		encoded = encoded[end:]
	}
	return b, nil
}

// matcher compares the filters of windows with those of one window, in some fields. One goroutine at a time may use it.
type matcher struct {
	fields []string
	want   []byte
	buf    []byte
}

func newMatcher(encoded []byte, fields []string) (*matcher, error) {
	want, err := restrict(nil, encoded, fields)
	return &matcher{fields: fields, want: want}, err
}

func (m *matcher) match(encoded []byte) (_ bool, err error) {
	m.buf, err = restrict(m.buf[:0], encoded, m.fields)
	return bytes.Equal(m.buf, m.want), err
}

// decodeFilters reads what encodeFilters has written.
func decodeFilters(encoded []byte) (filters []orca.FilterValue, err error) {
	for len(encoded) > 0 {
		var f orca.FilterValue
		n, size := binary.Uvarint(encoded)
		if size <= 0 || n > uint64(len(encoded)-size) || len(encoded)-size-int(n) < len(f.Hash) {
			return nil, errDamagedFilters
		}
		f.Field, encoded = string(encoded[size:size+int(n)]), encoded[size+int(n):]
		encoded = encoded[copy(f.Hash[:], encoded):]
		filters = append(filters, f)
	}
	return filters, nil
}
