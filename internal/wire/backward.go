package wire

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/orca-telemetry/orca/internal/orca"
)

// backward writes a message from its last byte to its first. On the wire the length of a message comes before it, and
// this way it is known when it is written, without working out every size beforehand. Fields are therefore written in
// descending order, and what is empty in proto3's sense is left out, so that the bytes are those of proto.Marshal.
type backward struct {
	buf []byte
	at  int // where the first byte written so far is
}

func newBackward(size int) *backward { return &backward{buf: make([]byte, size), at: size} }

// written returns the message.
func (w *backward) written() []byte { return w.buf[w.at:] }

// end returns where a message ends that is written next; it stays good when the buffer grows.
func (w *backward) end() int { return len(w.buf) - w.at }

// room makes room for n more bytes and moves the beginning there.
func (w *backward) room(n int) []byte {
	if n > w.at {
		grown := make([]byte, 2*len(w.buf)+n)
		at := len(grown) - w.end()
		copy(grown[at:], w.written())
		w.buf, w.at = grown, at
	}
	w.at -= n
	return w.buf[w.at : w.at+n]
}

// message writes the head of a message that was begun at end.
func (w *backward) message(field protowire.Number, end int) { w.head(field, w.end()-end) }

// head writes tag and length of a field whose n bytes of content were written.
func (w *backward) head(field protowire.Number, n int) {
	w.varint(uint64(n))
	w.varint(protowire.EncodeTag(field, protowire.BytesType))
}

func (w *backward) varint(v uint64) { binary.PutUvarint(w.room(protowire.SizeVarint(v)), v) }

func (w *backward) bytes(field protowire.Number, content []byte) {
	copy(w.room(len(content)), content)
	w.head(field, len(content))
}

func (w *backward) text(field protowire.Number, s string) {
	if s == "" {
		return
	}
	copy(w.room(len(s)), s)
	w.head(field, len(s))
}

// window writes the content of a Window message.
func (w *backward) window(o *orca.Window) {
	if o.Metadata != nil {
		w.bytes(windowMetadata, o.Metadata)
	}
	w.text(windowOrigin, o.Origin)
	w.text(windowTypeVersion, o.Type.Version)
	w.text(windowTypeName, o.Type.Name)
	w.time(windowTo, o.To)
	w.time(windowFrom, o.From)
}

// time writes a Timestamp.
func (w *backward) time(field protowire.Number, t orca.Time) {
	end := w.end()
	sec, nanos := split(t)
	w.number(timeNanos, nanos)
	w.number(timeSeconds, sec)
	w.message(field, end)
}

func (w *backward) number(field protowire.Number, v int64) {
	if v == 0 {
		return
	}
	w.varint(uint64(v))
	w.varint(protowire.EncodeTag(field, protowire.VarintType))
}

// split returns seconds since the epoch, and the nanoseconds, 0 to 999999999, that go on from there.
func split(t orca.Time) (sec, nanos int64) {
	const perSecond = 1_000_000_000
	sec, nanos = int64(t)/perSecond, int64(t)%perSecond
	if nanos < 0 {
		return sec - 1, nanos + perSecond
	}
	return sec, nanos
}

// encodeWindow returns the encoded Window message.
func encodeWindow(w orca.Window) []byte {
	out := newBackward(sizeOfWindow(w))
	out.window(&w)
	return out.written()
}
