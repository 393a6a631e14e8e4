package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Trouble is something that goes wrong around the processes of a session, now and then and for a while.
type Trouble struct {
	// Name is the target of its faults in the record.
	Name string
	// Every is the mean time between two faults, and Lasts the longest time that one takes.
	Every, Lasts time.Duration
	// Begin makes it go wrong, in a way drawn from random, and returns what makes all well again. A fault of the
	// record has what it says.
	Begin func(ctx context.Context, s *Scene, random *rand.Rand) (what Action, end func() error, err error)
}

// Scene is what a trouble knows of its session.
type Scene struct {
	core *unit
}

// CorePID is the process of the core, or 0 while there is none.
func (s *Scene) CorePID() int { return int(s.core.pid.Load()) }

// Mended is the action that ends every trouble.
const Mended Action = "mended"

// make lets it go wrong until the time is over, and leaves all well. It returns what it did.
func (t *Trouble) make(ctx context.Context, s *Scene, random *rand.Rand, over <-chan struct{}) (faults []Fault, err error) {
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-over:
		case <-ctx.Done():
		}
		return false
	}
	for wait(t.Every/10 + time.Duration(random.ExpFloat64()*float64(t.Every)*0.9)) {
		begun := Now()
		what, end, err := t.Begin(ctx, s, random)
		if err != nil {
			return faults, fmt.Errorf("%s: %w", t.Name, err)
		}
		faults = append(faults, Fault{At: begun, Done: Now(), Target: t.Name, Action: what})
		wait(time.Duration(random.Int64N(int64(t.Lasts))))
		begun = Now()
		if err := end(); err != nil {
			return faults, fmt.Errorf("%s, %s: %w", t.Name, what, err)
		}
		faults = append(faults, Fault{At: begun, Done: Now(), Target: t.Name, Action: Mended})
	}
	return faults, nil
}
