package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Digest returns a hash of the whole of a window that Window accepts: equal for windows that are equal, whatever the
// order of their fields on the wire. Fields that the type does not store enter by their keyed hash.
func Digest(msg *pb.Window, t orca.WindowType, secret []byte) [32]byte {
	fields := msg.GetMetadata().GetFields()
	s := takeScratch()
	defer s.giveBack()
	unstored := s.unstored(fields, t, secret)
	if len(unstored) > 0 {
		fields = storedFields(fields, t)
	}
	from, _ := instant(msg.GetTimeFrom()) // Window has refused what is no instant
	to, _ := instant(msg.GetTimeTo())

	b := append(s.buf[:0], "orca window 1\x00"...)
	b = appendSized(b, t.ID.Name)
	b = appendSized(b, t.ID.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(from))
	b = binary.BigEndian.AppendUint64(b, uint64(to))
	b = appendSized(b, msg.GetOrigin())
	b = binary.BigEndian.AppendUint64(b, uint64(len(unstored)))
	for _, f := range unstored {
		b = appendSized(b, f.name)
		b = append(b, f.sum[:]...)
	}
	s.buf, _ = appendFields(b, fields, comparing, 1)
	return sha256.Sum256(s.buf)
}

// keyedField stands for a field that is not stored.
type keyedField struct {
	name string
	sum  [sha256.Size]byte
}

// unstored returns the fields that are there and are not stored, by name.
func (s *scratch) unstored(fields map[string]*structpb.Value, t orca.WindowType, secret []byte) []keyedField {
	var all []keyedField
	for _, f := range t.Fields {
		if v, there := fields[f.Name]; there && f.NoStore {
			all = append(all, keyedField{f.Name, s.keyed(v, secret)})
		}
	}
	slices.SortFunc(all, func(a, b keyedField) int { return strings.Compare(a.name, b.name) })
	return all
}

func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}
