package postgres

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/orca-telemetry/orca/internal/orca"
)

// encodeFilters returns the stored form of filter values: per field the length of its name as uvarint, the name and
// the 16 bytes of the hash. Fields are sorted by name.
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

// cutFilter cuts the first value off the stored form of some.
func cutFilter(encoded []byte) (f orca.FilterValue, rest []byte, err error) {
	n, size := binary.Uvarint(encoded)
	if size <= 0 || n > uint64(len(encoded)-size) || len(encoded)-size-int(n) < len(f.Hash) {
		return f, nil, errDamagedFilters
	}
	f.Field, encoded = string(encoded[size:size+int(n)]), encoded[size+int(n):]
	return f, encoded[copy(f.Hash[:], encoded):], nil
}

// decodeFilters reads what encodeFilters has written.
func decodeFilters(encoded []byte) (filters []orca.FilterValue, err error) {
	for len(encoded) > 0 {
		var f orca.FilterValue
		if f, encoded, err = cutFilter(encoded); err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	return filters, nil
}

// restrict returns the values of the named fields, sorted as they are, in stored form. A field that is not there has no
// value.
func restrict(encoded []byte, fields []string) ([]byte, error) {
	var out []byte
	for len(encoded) > 0 && len(fields) > 0 {
		f, rest, err := cutFilter(encoded)
		if err != nil {
			return nil, err
		}
		for len(fields) > 0 && fields[0] < f.Field {
			fields = fields[1:]
		}
		if len(fields) > 0 && fields[0] == f.Field {
			out = append(out, encoded[:len(encoded)-len(rest)]...)
		}
		encoded = rest
	}
	return out, nil
}

// matches reports whether filters in stored form have the wanted values in some fields.
func matches(encoded []byte, fields []string, want []byte) (bool, error) {
	got, err := restrict(encoded, fields)
	return bytes.Equal(got, want), err
}
