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

// Back reports whether an algorithm looks back at all, given the definitions of its dependencies in their order.
func Back(a *orca.Algorithm, dependencies []*orca.Algorithm) bool {
	if !a.Self.Range.IsZero() {
		return true
	}
	for i, d := range dependencies {
		if d.WindowType.ID != a.WindowType.ID || !a.Dependencies[i].Lookback.Range.IsZero() {
			return true
		}
	}
	return false
}

// Looks returns where the node of an algorithm looks back at for window w, given the definitions of its dependencies in
// their order. What holds nothing is left out.
func Looks(a *orca.Algorithm, dependencies []*orca.Algorithm, w orca.Window) []Look {
	var looks []Look
	add := func(dependency int, of *orca.Algorithm, l orca.Lookback) {
		look := Look{Dependency: dependency, Of: of.ID, Range: Own(l, w)}
		if of.WindowType.ID != a.WindowType.ID {
			look.Range = Other(l, w)
		}
		if !look.Empty() {
			look.Fields = Fields(a.WindowType, of.WindowType)
			looks = append(looks, look)
		}
	}
	for i, d := range dependencies {
		add(i, d, a.Dependencies[i].Lookback)
	}
	add(Self, a, a.Self)
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
