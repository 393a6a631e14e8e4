package wire

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// maxJSON is how much text of a result is shown to people, in bytes.
const maxJSON = 64 << 10

// arrayJSON returns the numbers as a JSON array, each in the fewest digits that give the same float32; empty above
// maxJSON.
func arrayJSON(values []float32) string {
	if 2*len(values)+1 > maxJSON { // a digit and a comma each
		return ""
	}
	b := make([]byte, 0, min(8*len(values)+2, maxJSON+maxNumber))
	b = append(b, '[')
	for i, v := range values {
		if len(b) > maxJSON {
			return ""
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, float64(v), 32)
	}
	b = append(b, ']')
	return unlessLong(b)
}

// errorJSON returns error details as a JSON object, empty when there are none. Of details that are too long, long
// strings are cut.
func errorJSON(s *structpb.Struct) string {
	if len(s.GetFields()) == 0 {
		return ""
	}
	if text := objectJSON(s, maxJSON); text != "" {
		return text
	}
	const cut = 4 << 10
	if text := objectJSON(s, cut); text != "" {
		return text
	}
	return fmt.Sprintf(`{"omitted":"error details of more than %d bytes"}`, maxJSON)
}

// objectJSON returns the struct as a JSON object with sorted names, strings cut to longest bytes; empty above maxJSON.
func objectJSON(s *structpb.Struct, longest int) string {
	work := takeScratch()
	defer work.giveBack()
	work.buf = appendObject(work.buf[:0], s.GetFields(), longest)
	return unlessLong(work.buf)
}

func unlessLong(b []byte) string {
	if len(b) > maxJSON {
		return ""
	}
	return string(b)
}

// appendObject appends a JSON object, and stops early once the text is too long to be shown. Strings longer than
// longest bytes are cut.
func appendObject(b []byte, fields map[string]*structpb.Value, longest int) []byte {
	var space [16]string // keeps the names of most structs off the heap
	names := space[:0]
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if len(b) > maxJSON {
			return b
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name, longest)
		b = append(b, ':')
		b = appendJSON(b, fields[name], longest)
	}
	return append(b, '}')
}

func appendJSON(b []byte, v *structpb.Value, longest int) []byte {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		return appendNumber(b, kind.NumberValue, 64)
	case *structpb.Value_StringValue:
		return appendString(b, kind.StringValue, longest)
	case *structpb.Value_BoolValue:
		return strconv.AppendBool(b, kind.BoolValue)
	case *structpb.Value_StructValue:
		return appendObject(b, kind.StructValue.GetFields(), longest)
	case *structpb.Value_ListValue:
		return appendArray(b, kind.ListValue.GetValues(), longest)
	}
	return append(b, "null"...)
}

func appendArray(b []byte, values []*structpb.Value, longest int) []byte {
	b = append(b, '[')
	for i, v := range values {
		if len(b) > maxJSON {
			return b
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v, longest)
	}
	return append(b, ']')
}

// maxNumber is the longest text of a number.
const maxNumber = 32

// appendNumber appends a number, or the name of what JSON has no number for.
func appendNumber(b []byte, x float64, bits int) []byte {
	switch {
	case math.IsNaN(x):
		return append(b, `"NaN"`...)
	case math.IsInf(x, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(x, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) { // as JavaScript writes numbers
		format = 'e'
	}
	return strconv.AppendFloat(b, x, format, -1, bits)
}

func appendString(b []byte, s string, longest int) []byte {
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[done:i]...)
		b = appendEscape(b, c)
		done = i + 1
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\t':
		return append(b, `\t`...)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}
