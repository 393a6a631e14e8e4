package postgres

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// PostgreSQL's text holds neither NUL nor bytes that are not UTF-8, and clients may send both. Texts are stored as they
// are but for these, which follow an escape; so does the escape itself. The order of texts stays, by bytes.
const (
	escape     = "\x01"
	escapedNUL = escape + "\x01"
	escapedOne = escape + "\x02"
	// escapedByte is followed by the byte in hexadecimal.
	escapedByte = escape + "\x03"
)

// stored returns the stored form of a text.
func stored(s string) string {
	if !strings.ContainsAny(s, "\x00\x01") && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == 0:
			b.WriteString(escapedNUL)
		case r == 1:
			b.WriteString(escapedOne)
		case r == utf8.RuneError && size == 1:
			b.WriteString(escapedByte + hex.EncodeToString([]byte{s[0]}))
		default:
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// restored reads what stored has written.
func restored(s string) string {
	if !strings.Contains(s, escape) {
		return s
	}
	var b strings.Builder
	for {
		plain, rest, more := strings.Cut(s, escape)
		b.WriteString(plain)
		if !more || rest == "" {
			return b.String()
		}
		s = rest[1:]
		switch rest[0] {
		case escapedNUL[1]:
			b.WriteByte(0)
		case escapedOne[1]:
			b.WriteByte(1)
		case escapedByte[1]:
			if one, err := hex.DecodeString(s[:min(2, len(s))]); err == nil {
				b.Write(one)
			}
			s = s[min(2, len(s)):]
		}
	}
}

// into receives a text column; NULL is the empty text.
type into struct{ text *string }

// ScanText implements pgtype.TextScanner.
func (t into) ScanText(v pgtype.Text) error {
	*t.text = restored(v.String)
	return nil
}
