package config

import (
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// Units of [Size].
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// sizeUnits are the units that a size is written in; the binary ones come first, largest first, for String.
var sizeUnits = []struct {
	name  string
	bytes Size
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a whole number of bytes with or without a unit: 1GiB, 64 MiB, 500MB, 4096. It reports false for
// anything else, and for what does not fit.
func ParseSize(s string) (Size, bool) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := Size(1)
	if name := s[len(digits):]; name != "" {
		unit = 0
		for _, u := range sizeUnits {
			if strings.EqualFold(u.name, name) {
				unit = u.bytes
			}
		}
	}
	n, err := strconv.ParseInt(strings.TrimRight(digits, " "), 10, 64)
	if err != nil || n < 0 || unit == 0 || n > math.MaxInt64/int64(unit) {
		return 0, false
	}
	return Size(n) * unit, true
}

// String writes a size exactly, in the largest binary unit that divides it; ParseSize reads it back.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
