package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Windows and fields, written the way proto.Marshal writes them: what is empty in proto3's sense is left out.

func sizeWindow(w orca.Window) int {
	n := sizeBytes(windowFrom, sizeTime(w.From)) +
		sizeBytes(windowTo, sizeTime(w.To)) +
		sizeString(windowTypeName, w.Type.Name) +
		sizeString(windowVersion, w.Type.Version) +
		sizeString(windowOrigin, w.Origin)
	if w.Metadata != nil {
		n += sizeBytes(windowMetadata, len(w.Metadata))
	}
	return n
}

// appendWindow appends the content of a Window message.
func appendWindow(b []byte, w orca.Window) []byte {
	b = appendHead(b, windowFrom, sizeTime(w.From))
	b = appendTime(b, w.From)
	b = appendHead(b, windowTo, sizeTime(w.To))
	b = appendTime(b, w.To)
	b = appendText(b, windowTypeName, w.Type.Name)
	b = appendText(b, windowVersion, w.Type.Version)
	b = appendText(b, windowOrigin, w.Origin)
	if w.Metadata != nil {
		b = appendBytes(b, windowMetadata, w.Metadata)
	}
	return b
}

// Field numbers of google/protobuf/timestamp.proto.
const (
	timeSeconds protowire.Number = 1
	timeNanos   protowire.Number = 2
)

func sizeTime(t orca.Time) int {
	sec, nanos := split(t)
	n := 0
	if sec != 0 {
		n += protowire.SizeTag(timeSeconds) + protowire.SizeVarint(uint64(sec))
	}
	if nanos != 0 {
		n += protowire.SizeTag(timeNanos) + protowire.SizeVarint(uint64(nanos))
	}
	return n
}

func appendTime(b []byte, t orca.Time) []byte {
	sec, nanos := split(t)
	if sec != 0 {
		b = protowire.AppendTag(b, timeSeconds, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(sec))
	}
	if nanos != 0 {
		b = protowire.AppendTag(b, timeNanos, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(nanos))
	}
	return b
}

// split returns seconds since the epoch and the nanoseconds, 0 to 999999999, that go on from there.
func split(t orca.Time) (sec, nanos int64) {
	const perSecond = 1_000_000_000
	sec, nanos = int64(t)/perSecond, int64(t)%perSecond
	if nanos < 0 {
		return sec - 1, nanos + perSecond
	}
	return sec, nanos
}

// sizeBytes returns the size of a field whose content has n bytes.
func sizeBytes(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

func sizeString(field protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return sizeBytes(field, len(s))
}

// appendHead appends what comes before the n bytes of a field's content.
func appendHead(b []byte, field protowire.Number, n int) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(n))
}

func appendBytes(b []byte, field protowire.Number, content []byte) []byte {
	return append(appendHead(b, field, len(content)), content...)
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return append(appendHead(b, field, len(s)), s...)
}
