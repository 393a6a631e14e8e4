package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// hasher hashes values so that those which count as equal have equal hashes: the same kind and value, numbers as
// float64 with −0 = 0 and NaN = NaN, lists and structs deeply. Hashes are stored, so their input never changes.
type hasher struct {
	mac hash.Hash
	buf []byte
}

// keyed returns the HMAC-SHA-256 of a value. All calls of one hasher take the same secret.
func (h *hasher) keyed(v *structpb.Value, secret []byte) (sum [sha256.Size]byte) {
	if h.mac == nil {
		h.mac = hmac.New(sha256.New, secret)
	}
	h.mac.Reset()
	h.buf, _ = appendValue(h.buf[:0], v, comparing, 1) // the value was encoded before, so it can be
	h.mac.Write(h.buf)
	h.mac.Sum(sum[:0])
	return sum
}

// Digest returns a hash of the whole of a window that Window accepts: equal for windows that are equal, whatever the
// order of their fields on the wire. Fields that the type does not store enter by their keyed hash.
func Digest(msg *pb.Window, t orca.WindowType, secret []byte) [32]byte {
	var space [1024]byte
	b := append(space[:0], "orca window 1\x00"...)
	b = appendSized(b, t.ID.Name)
	b = appendSized(b, t.ID.Version)
	from, _ := instant(msg.GetTimeFrom())
	to, _ := instant(msg.GetTimeTo())
	b = binary.BigEndian.AppendUint64(b, uint64(from))
	b = binary.BigEndian.AppendUint64(b, uint64(to))
	b = appendSized(b, msg.GetOrigin())

	fields := msg.GetMetadata().GetFields()
	b = appendUnstored(b, fields, t, secret)
	if t.HasNoStore() {
		fields = storedFields(fields, t)
	}
	b, _ = appendStruct(b, fields, comparing, 1)
	return sha256.Sum256(b)
}

// appendUnstored appends the names and keyed hashes of the fields that are there and are not stored, by name.
func appendUnstored(b []byte, fields map[string]*structpb.Value, t orca.WindowType, secret []byte) []byte {
	var names []string
	for _, f := range t.Fields {
		if _, there := fields[f.Name]; there && f.NoStore {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	var h hasher
	b = binary.BigEndian.AppendUint64(b, uint64(len(names)))
	for _, name := range names {
		sum := h.keyed(fields[name], secret)
		b = appendSized(b, name)
		b = append(b, sum[:]...)
	}
	return b
}

func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}
