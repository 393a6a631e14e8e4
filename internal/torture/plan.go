package torture

import (
	"math/rand/v2"
	"time"
)

// Action is something that is done to a process.
type Action string

// The actions.
const (
	Kill   Action = "kill"   // as a power cut would
	Stop   Action = "stop"   // SIGTERM, and wait
	Pause  Action = "pause"  // SIGSTOP
	Resume Action = "resume" // SIGCONT
	Start  Action = "start"  // where it was before
	Move   Action = "move"   // start at another address
)

// Step is an action and when it is due, from the begin of the session.
type Step struct {
	At     time.Duration
	Action Action
}

// Rhythm says how often something happens to a process.
type Rhythm struct {
	// Every is the mean time between two faults.
	Every time.Duration
	// Down is the longest time that it is away, and Paused the longest that it is stopped in its tracks.
	Down, Paused time.Duration
	// Moves says that it may come back at another address.
	Moves bool
}

// Plan says what happens to one process in a session. It depends on nothing but its arguments, and after the last step,
// which is due before the end, the process is up. The stream tells processes with the same rhythm apart.
func Plan(seed, stream uint64, lasts time.Duration, r Rhythm) []Step {
	random := rand.New(rand.NewPCG(seed, stream))
	var steps []Step
	for at := time.Duration(0); ; {
		at += r.Every/10 + time.Duration(random.ExpFloat64()*float64(r.Every)*0.9)
		action, away, back := r.fault(random)
		if at+away >= lasts {
			return steps
		}
		steps = append(steps, Step{at, action}, Step{at + away, back})
		at += away
	}
}

// fault draws what happens next, for how long, and how it ends.
func (r Rhythm) fault(random *rand.Rand) (action Action, away time.Duration, back Action) {
	dice, long := random.IntN(20), random.Float64()
	back = Start
	if r.Moves && random.IntN(3) == 0 {
		back = Move
	}
	switch {
	case dice < 14:
		return Kill, time.Duration(long * float64(r.Down)), back
	case dice < 17:
		return Stop, time.Duration(long * float64(r.Down)), back
	}
	return Pause, time.Duration(long * float64(r.Paused)), Resume
}
