// Package torture runs a core and its processors as real processes, kills, stops and pauses them under load as a plan
// made from a seed says, and checks from outside what came of it.
//
// A session writes three journals: what emitters sent and were answered, what processors executed (each process writes
// its own file, line by line, so that a kill loses nothing), and what the core said of its ledger, during the session
// and after it. Check is a pure function over them. It knows nothing of the core but what is promised: nothing
// answered is lost, no algorithm has two outcomes in a run, nothing settled runs again, nothing is kept that is not to be
// stored, and every algorithm is given what internal/lookbackmodel makes of the order in which runs were accepted.
//
// "Nothing settled runs again" is checked without a tolerance where it matters most. An outcome is known to be durable
// at the moment when somebody was told of it, or when a dependent of it began. A request that came over a connection
// which the processor accepted after that moment was sent after it, whatever was delayed in between, and a core that was
// started anew has only such connections.
//
// Processors are programs made with the SDKs: the one in Go in the folder processor, and those in the other languages in
// its folders, which are told the work as JSON.
package torture

import "time"

// Instant is a moment of this machine's clock, in nanoseconds since the epoch. Processes of one session compare them.
type Instant int64

// Now is the present moment.
func Now() Instant { return Instant(time.Now().UnixNano()) }

// String is for people.
func (i Instant) String() string { return time.Unix(0, int64(i)).UTC().Format("15:04:05.000000") }
