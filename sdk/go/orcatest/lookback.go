package orcatest

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"sort"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// The rules of lookbacks, as plainly as they can be written.

// span is a window's type and interval, in nanoseconds since the epoch.
type span struct {
	on       windowType
	from, to int64
}

func spanOf(w *pb.Window) span {
	return span{
		on:   windowType{w.GetWindowTypeName(), w.GetWindowTypeVersion()},
		from: w.GetTimeFrom().AsTime().UnixNano(), to: w.GetTimeTo().AsTime().UnixNano(),
	}
}

// past is a result of a run that was accepted earlier.
type past struct {
	*run
	*pb.AlgorithmDependencyResultRow
}

// history is the succeeded results of one algorithm, by (to, from, position) ascending.
type history []*past

// add keeps the order, also for late windows. The newest position belongs behind those with the same interval.
func (h *history) add(p *past) {
	at := sort.Search(len(*h), func(i int) bool { return compare((*h)[i].span, p.span) > 0 })
	*h = slices.Insert(*h, at, p)
}

func (h history) newestFirst() iter.Seq2[int, *past] { return slices.Backward(h) }

func compare(a, b span) int { return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from)) }

// before returns what is past for a window: of its own type what lies before it by (to, from), so that windows of one
// interval are not each other's past; of another type what has ended when it ends.
func (h history) before(w span, own bool) history {
	return h[:sort.Search(len(h), func(i int) bool {
		if own {
			return compare(h[i].span, w) >= 0
		}
		return h[i].to > w.to
	})]
}

// lookback says how far back. Zero means none, in all four.
type lookback struct {
	count, gapCount uint32
	time, gapTime   int64 // nanoseconds
}

func lookbackOf(d *pb.AlgorithmDependency) lookback {
	return lookback{
		count: d.GetLookbackNum(), gapCount: d.GetLookbackGapNum(),
		time: saturated(d.GetLookbackTimeDelta()), gapTime: saturated(d.GetLookbackGapTimeDelta()),
	}
}

func selfLookbackOf(a *pb.Algorithm) lookback {
	return lookback{
		count: a.GetLookbackNum(), gapCount: a.GetLookbackGapNum(),
		time: saturated(a.GetLookbackTimeDelta()), gapTime: saturated(a.GetLookbackGapTimeDelta()),
	}
}

func saturated(nanoseconds uint64) int64 { return int64(min(nanoseconds, math.MaxInt64)) }

// past returns the past rows of a dependency for a run, newest first.
func (d dependency) past(r *run) []*past {
	back := d.back
	if back.count == 0 && back.time == 0 {
		if d.own {
			return nil
		}
		back.count = 1 // of another type, the newest past one after the gap
	}
	latest := r.to // no row ends later than this; see before
	if d.own {
		latest = r.from
	}
	latest = minus(latest, back.gapTime)
	earliest := minus(latest, back.time) // for a time lookback no row begins earlier than this
	var rows []*past
	skip := back.gapCount
	for _, p := range d.of.results.before(r.span, d.own).newestFirst() {
		timed := back.time > 0 || back.gapTime > 0
		switch {
		case back.count > 0 && len(rows) == int(back.count), back.time > 0 && p.to < earliest:
			return rows
		case timed && p.to > latest, back.time > 0 && p.from < earliest, !d.matching(r, p):
		case skip > 0:
			skip--
		default:
			rows = append(rows, p)
		}
	}
	return rows
}

// minus subtracts a duration that is not negative from a time, and saturates.
func minus(t, d int64) int64 {
	if t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}

func (d dependency) matching(r *run, p *past) bool {
	for _, field := range d.same {
		if !equal(r.input.GetMetadata().GetFields()[field], p.input.GetMetadata().GetFields()[field]) {
			return false
		}
	}
	return true
}

// equal compares metadata: the same kind and the same value, −0 equal to 0, NaN to NaN, lists and structs deeply.
func equal(a, b *structpb.Value) bool {
	switch a := a.GetKind().(type) {
	case *structpb.Value_NullValue:
		_, ok := b.GetKind().(*structpb.Value_NullValue)
		return ok
	case *structpb.Value_NumberValue:
		b, ok := b.GetKind().(*structpb.Value_NumberValue)
		return ok && (a.NumberValue == b.NumberValue || math.IsNaN(a.NumberValue) && math.IsNaN(b.NumberValue))
	case *structpb.Value_StringValue:
		b, ok := b.GetKind().(*structpb.Value_StringValue)
		return ok && a.StringValue == b.StringValue
	case *structpb.Value_BoolValue:
		b, ok := b.GetKind().(*structpb.Value_BoolValue)
		return ok && a.BoolValue == b.BoolValue
	case *structpb.Value_ListValue:
		b, ok := b.GetKind().(*structpb.Value_ListValue)
		return ok && slices.EqualFunc(a.ListValue.GetValues(), b.ListValue.GetValues(), equal)
	case *structpb.Value_StructValue:
		b, ok := b.GetKind().(*structpb.Value_StructValue)
		return ok && equalFields(a.StructValue.GetFields(), b.StructValue.GetFields())
	}
	return false
}

func equalFields(a, b map[string]*structpb.Value) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		if other, ok := b[name]; !ok || !equal(value, other) {
			return false
		}
	}
	return true
}
