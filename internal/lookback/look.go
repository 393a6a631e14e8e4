package lookback

import (
	"context"
	"math"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Self is the Look.Dependency of a look at the algorithm's own past.
const Self = -1

// Look is one place that a node of a certain window looks back at.
type Look struct {
	// Dependency is the place in the algorithm's dependencies, or Self.
	Dependency int
	// Of is the algorithm whose results are looked for.
	Of orca.AlgorithmID
	Range
	// Fields are what windows must agree in.
	Fields []string
}

// Direction is where an algorithm looks back at, whatever the window.
type Direction struct {
	dependency int
	of         *orca.Algorithm
	own        bool // of the algorithm's own window type
	lookback   orca.Lookback
	fields     []string
}

// Directions returns where an algorithm looks back at, given the definitions of its dependencies in their order.
func Directions(a *orca.Algorithm, dependencies []*orca.Algorithm) []Direction {
	var directions []Direction
	add := func(dependency int, of *orca.Algorithm, l orca.Lookback) {
		own := of.WindowType.ID == a.WindowType.ID
		if !own || !l.Range.IsZero() {
			directions = append(directions, Direction{dependency, of, own, l, Fields(a.WindowType, of.WindowType)})
		}
	}
	for i, d := range dependencies {
		add(i, d, a.Dependencies[i].Lookback)
	}
	add(Self, a, a.Self)
	return directions
}

// Of returns the algorithm whose results are looked for.
func (d *Direction) Of() *orca.Algorithm { return d.of }

// Most returns how many successes are looked at at most, and whether that is bounded.
func (d *Direction) Most() (n uint64, bounded bool) {
	l := d.At(orca.Window{From: orca.MaxTime, To: orca.MaxTime})
	return l.Range.Most()
}

// At returns the look of window w, which may hold nothing.
func (d *Direction) At(w orca.Window) Look {
	l := Look{Dependency: d.dependency, Of: d.of.ID, Fields: d.fields}
	if d.own {
		l.Range = Own(d.lookback, w)
	} else {
		l.Range = Other(d.lookback, w)
	}
	return l
}

// Looks returns where a node of window w looks back at. What holds nothing is left out.
func Looks(directions []Direction, w orca.Window) []Look {
	looks := make([]Look, 0, len(directions))
	for i := range directions {
		if l := directions[i].At(w); !l.Empty() {
			looks = append(looks, l)
		}
	}
	return looks
}

// Ledger has the past.
type Ledger interface {
	// Past calls yield with the runs that q selects, from the newest window on, until yield returns false.
	Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error
}

// Read returns the runs that give the rows of a look, newest first, as a run of the window sees them that is at the
// given position. When it meets a run that is not settled it returns that one, and no rows; with available it passes
// over those.
func (l *Look) Read(ctx context.Context, from Ledger, window orca.WindowID, at orca.Position, available bool) (rows []orca.PastRun, open *orca.PastRun, err error) {
	part, err := l.Part(ctx, from, View{Window: window, At: at, Available: available}, Place{}, math.MaxInt)
	if err != nil || part.Open != nil {
		return nil, part.Open, err
	}
	return part.Rows, nil, nil
}
