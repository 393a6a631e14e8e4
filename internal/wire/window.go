package wire

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// maxListed is how many bytes of names an error lists: a gRPC status of many kilobytes would not reach every client.
const maxListed = 2 << 10

// WindowTypeID returns the type that a window says it is of.
func WindowTypeID(msg *pb.Window) orca.WindowTypeID {
	return orca.WindowTypeID{Name: msg.GetWindowTypeName(), Version: msg.GetWindowTypeVersion()}
}

// Window returns the part of an emission that comes from the message: the window as it is stored, its whole metadata
// where the type has fields that are not stored, and what lookbacks compare. t is the registered type of the window.
// Errors are of kind orca.Invalid.
//
// Filter values are hashed under the ledger's secret, whether their fields are stored or not, so that types which
// differ in that still match.
func Window(msg *pb.Window, t orca.WindowType, secret []byte) (orca.Emission, error) {
	if id := WindowTypeID(msg); id != t.ID {
		return orca.Emission{}, fmt.Errorf("window of type %v read as one of type %v", id, t.ID)
	}
	window, err := interval(msg, t.ID)
	if err != nil {
		return orca.Emission{}, err
	}
	fields := msg.GetMetadata().GetFields()
	if err := checkFields(fields, t); err != nil {
		return orca.Emission{}, err
	}
	s := takeScratch()
	defer s.giveBack()
	full, err := s.metadata(fields)
	if err != nil {
		return orca.Emission{}, within("metadata", err)
	}
	emission := orca.Emission{Window: window, Filters: s.filters(fields, t, secret)}
	if !t.HasNoStore() {
		emission.Window.Metadata = full
		return emission, nil
	}
	emission.FullMetadata = full
	emission.Window.Metadata, err = s.metadata(storedFields(fields, t))
	return emission, err
}

func interval(msg *pb.Window, id orca.WindowTypeID) (orca.Window, error) {
	w := orca.Window{Type: id, Origin: msg.GetOrigin()}
	if w.Origin == "" {
		return w, refuse("origin", `"" is no origin: say who emits the window`)
	}
	if !utf8.ValidString(w.Origin) {
		return w, refuse("origin", "%s is not UTF-8: send text", quote(w.Origin))
	}
	var err error
	if w.From, err = instant(msg.GetTimeFrom()); err != nil {
		return w, within("time_from", err)
	}
	if w.To, err = instant(msg.GetTimeTo()); err != nil {
		return w, within("time_to", err)
	}
	if w.To < w.From {
		return w, refuse("time_to", "%v is before time_from %v: swap them", w.To, w.From)
	}
	return w, nil
}

// instant returns a time after the epoch that fits nanoseconds in 63 bits.
func instant(ts *timestamppb.Timestamp) (orca.Time, error) {
	const perSecond = 1_000_000_000
	sec, nanos := ts.GetSeconds(), int64(ts.GetNanos())
	switch {
	case ts == nil:
		return 0, refuse("", "unset: give the window a beginning and an end")
	case nanos < 0 || nanos >= perSecond:
		return 0, refuse("", "%d nanos are outside a second: send 0 to 999999999", nanos)
	case sec < 0 || sec == 0 && nanos == 0:
		return 0, refuse("", "%d seconds and %d nanos are not after the epoch: use a time after 1970-01-01T00:00:00Z", sec, nanos)
	case sec > math.MaxInt64/perSecond || sec == math.MaxInt64/perSecond && nanos > math.MaxInt64%perSecond:
		return 0, refuse("", "%d seconds and %d nanos are too late: the last instant is %v", sec, nanos, orca.MaxTime)
	}
	return orca.Time(sec*perSecond + nanos), nil
}

// checkFields refuses a window that lacks fields which its type declares. A null, or a value of no kind, is there.
func checkFields(fields map[string]*structpb.Value, t orca.WindowType) error {
	var missing []string
	for _, f := range t.Fields {
		if _, there := fields[f.Name]; !there {
			missing = append(missing, f.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return refuse("metadata", "lacks %s, which %v declares: send every declared field, null where there is no value",
		list(missing), t.ID)
}

// list quotes the names in order, and counts those that no longer fit maxListed.
func list(names []string) string {
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if b.Len() > maxListed {
			fmt.Fprintf(&b, " and %d more", len(names)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(name))
	}
	return b.String()
}

// metadata returns the one encoding of these fields, nil when there are none.
func (s *scratch) metadata(fields map[string]*structpb.Value) ([]byte, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	var err error
	s.buf, err = appendFields(s.buf[:0], fields, stored, 1)
	return bytes.Clone(s.buf), err
}

// storedFields returns the fields without those that the type does not store.
func storedFields(fields map[string]*structpb.Value, t orca.WindowType) map[string]*structpb.Value {
	rest := maps.Clone(fields)
	for _, f := range t.Fields {
		if f.NoStore {
			delete(rest, f.Name)
		}
	}
	return rest
}

// filters returns what lookbacks compare, sorted by field.
func (s *scratch) filters(fields map[string]*structpb.Value, t orca.WindowType, secret []byte) []orca.FilterValue {
	var all []orca.FilterValue
	for _, f := range t.Fields {
		if f.Filter {
			sum := s.keyed(fields[f.Name], secret)
			all = append(all, orca.FilterValue{Field: f.Name, Hash: [16]byte(sum[:16])})
		}
	}
	slices.SortFunc(all, func(a, b orca.FilterValue) int { return cmp.Compare(a.Field, b.Field) })
	return all
}
