package torture

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Version is that of every algorithm and window type of a session.
const Version = "1.0.0"

// The window types.
const (
	Piece = "Piece"
	Crate = "Crate"
	Shift = "Shift"
)

// The processors.
const (
	Press = "press"
	Paint = "paint"
)

// ID names an algorithm of a session.
type ID struct{ Processor, Name string }

// String is for people: "press/Cut".
func (id ID) String() string { return id.Processor + "/" + id.Name }

// Need is another algorithm whose results one takes.
type Need struct {
	ID
	// Back says which past results it takes, beside the one of its own run where that has one.
	Back orca.Lookback
}

// Algorithm is what one algorithm of a session does. All of it is a function of the window's number and of what it is
// given, so that whoever knows the order of the runs knows every outcome.
type Algorithm struct {
	ID
	WindowType string
	Needs      []Need
	// Self says which of its own past results it takes.
	Self orca.Lookback
	// Takes is how long it works at least, and Varies how much longer it may.
	Takes, Varies time.Duration
	// Fails and Breaks say for which windows it fails: those whose number leaves Rest when it is divided. 0 is never.
	Fails, Breaks int64
}

// rest is the remainder that marks a window for failing.
const rest = 3

// Work is every algorithm: chains and diamonds across two processors, one that is slow, one that fails and one that
// breaks at times; and some that look back, by count and by time, at themselves, at others of their own window type and
// at those of other types. An algorithm comes after those that it needs.
var Work = []Algorithm{
	{ID: ID{Press, "Cut"}, WindowType: Piece, Takes: 2 * time.Millisecond},
	{ID: ID{Paint, "Prime"}, WindowType: Piece, Takes: 3 * time.Millisecond, Needs: inRun(ID{Press, "Cut"})},
	{ID: ID{Press, "Drill"}, WindowType: Piece, Varies: 10 * time.Millisecond, Needs: inRun(ID{Press, "Cut"})},
	{ID: ID{Paint, "Coat"}, WindowType: Piece, Needs: inRun(ID{Paint, "Prime"}, ID{Press, "Drill"})},
	{ID: ID{Paint, "Dry"}, WindowType: Piece, Takes: 50 * time.Millisecond, Varies: 400 * time.Millisecond, Needs: inRun(ID{Paint, "Coat"})},
	{ID: ID{Press, "Gauge"}, WindowType: Piece, Fails: 7, Needs: inRun(ID{Paint, "Prime"})},
	{ID: ID{Press, "Stress"}, WindowType: Piece, Takes: time.Millisecond, Breaks: 37, Needs: inRun(ID{Press, "Drill"})},
	{ID: ID{Paint, "Grade"}, WindowType: Piece, Needs: inRun(ID{Press, "Stress"}, ID{Press, "Gauge"})},
	{ID: ID{Press, "Pack"}, WindowType: Piece, Takes: time.Millisecond, Needs: inRun(ID{Paint, "Dry"}, ID{Paint, "Coat"}, ID{Press, "Cut"})},
	{ID: ID{Paint, "Bill"}, WindowType: Piece, Needs: inRun(ID{Press, "Pack"}, ID{Paint, "Grade"})},
	{ID: ID{Press, "Wear"}, WindowType: Piece, Needs: inRun(ID{Press, "Cut"}), Self: last(3)},
	{ID: ID{Paint, "Drift"}, WindowType: Piece, Self: past(time.Minute, 0), Needs: []Need{
		{ID{Paint, "Prime"}, past(40*time.Second, 5*time.Second)}, {ID{Press, "Gauge"}, last(2)},
	}},
	{ID: ID{Paint, "Weigh"}, WindowType: Crate, Takes: 4 * time.Millisecond},
	{ID: ID{Press, "Ship"}, WindowType: Crate, Varies: 20 * time.Millisecond, Needs: inRun(ID{Paint, "Weigh"})},
	{ID: ID{Press, "Tally"}, WindowType: Shift, Needs: []Need{
		{ID{Press, "Cut"}, last(5)}, {ID{Paint, "Coat"}, past(2*time.Minute, 0)}, {ID{Paint, "Weigh"}, orca.Lookback{}},
	}},
	{ID: ID{Paint, "Audit"}, WindowType: Shift, Self: last(2), Needs: []Need{
		{ID{Press, "Tally"}, orca.Lookback{}}, {ID{Press, "Gauge"}, orca.Lookback{Range: orca.Extent{Count: 4}, Gap: orca.Extent{Count: 1}}},
	}},
}

// inRun are needs without a look back.
func inRun(ids ...ID) (needs []Need) {
	for _, id := range ids {
		needs = append(needs, Need{ID: id})
	}
	return needs
}

func last(n uint32) orca.Lookback { return orca.Lookback{Range: orca.Extent{Count: n}} }

func past(span, gap time.Duration) orca.Lookback {
	return orca.Lookback{Range: orca.Extent{Span: uint64(span)}, Gap: orca.Extent{Span: uint64(gap)}}
}

// Given is what an algorithm is handed.
type Given struct {
	// Inputs are the results of its needs in its own run, in their order.
	Inputs []float32 `json:"inputs,omitempty"`
	// Past are the past rows of each need, then its own, each list as a text of RowTexts.
	Past []string `json:"past,omitempty"`
}

func (g Given) equal(o Given) bool {
	return slices.Equal(g.Inputs, o.Inputs) && slices.Equal(g.Past, o.Past)
}

// RowText writes down one past row: the window by its origin, and the value to the bit.
func RowText(origin string, value float32) string {
	return fmt.Sprintf("%s:%08x", origin, math.Float32bits(value))
}

// RowTexts joins the rows of one list.
func RowTexts(rows []string) string { return strings.Join(rows, " ") }

// The metadata fields of every window type. What is not stored is in none of a core's files once the run has ended.
const (
	FieldN      = "n"      // the window's number
	FieldAsset  = "asset"  // stored, and lookbacks keep to it
	FieldLine   = "line"   // not stored, and lookbacks keep to it
	FieldSecret = "secret" // not stored
)

// notStored is part of every value that is not stored.
const notStored = "never-on-disk"

// Fields are the metadata of the window with number n. Few windows share an asset, however many there are in all.
func Fields(n int64) map[string]any {
	return map[string]any{
		FieldN: float64(n), FieldAsset: assetOf(n),
		FieldLine: fmt.Sprintf("%s-line-%d", notStored, n/3%2), FieldSecret: fmt.Sprintf("%s-secret-%d", notStored, n),
	}
}

func assetOf(n int64) string { return fmt.Sprintf("machine-%d-%d", n/300, n%3) }

// unstored are the fields that have to be given again to run a window again.
func unstored(n int64) map[string]any {
	fields := Fields(n)
	delete(fields, FieldN)
	delete(fields, FieldAsset)
	return fields
}

// TypeOf is the type of the window with a number.
func TypeOf(n int64) string {
	switch n % 10 {
	case 4:
		return Crate
	case 9:
		return Shift
	}
	return Piece
}

// Outcome is what became of an algorithm in a run.
type Outcome string

// The outcomes.
const (
	Open            Outcome = "open"
	Succeeded       Outcome = "succeeded"
	HandledFailed   Outcome = "handled-failed"
	UnhandledFailed Outcome = "unhandled-failed"
	Skipped         Outcome = "skipped"
	Cancelled       Outcome = "cancelled"
)

// Result is an outcome with its value, which is 0 unless it succeeded.
type Result struct {
	Outcome Outcome
	Value   float32
}

// Do is what the algorithm makes of what it is given for the window with number n.
func (a Algorithm) Do(n int64, g Given) Result {
	switch {
	case a.Breaks > 0 && n%a.Breaks == rest:
		return Result{Outcome: UnhandledFailed}
	case a.Fails > 0 && n%a.Fails == rest:
		return Result{Outcome: HandledFailed}
	}
	return Result{Succeeded, float32(a.mix(n, g) >> 40)} // 24 bits, which a float32 holds exactly
}

// Lasts is how long the algorithm works on the window with number n.
func (a Algorithm) Lasts(n int64) time.Duration {
	if a.Varies == 0 {
		return a.Takes
	}
	return a.Takes + time.Duration(a.mix(n, Given{})%uint64(a.Varies))
}

func (a Algorithm) mix(n int64, g Given) uint64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64([]byte(a.String()), uint64(n))
	for _, v := range g.Inputs {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v))
	}
	for _, rows := range g.Past {
		b = append(append(b, rows...), '\n')
	}
	_, _ = h.Write(b) // never fails
	return h.Sum64()
}

// algorithm returns the one with an id.
func algorithm(id ID) (Algorithm, bool) {
	i := slices.IndexFunc(Work, func(a Algorithm) bool { return a.ID == id })
	if i < 0 {
		return Algorithm{}, false
	}
	return Work[i], true
}
