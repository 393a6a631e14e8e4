package orca

// PastQuery asks for the past of an algorithm as a run sees it: of each window of the algorithm's type only the newest
// run below Before that has an outcome of the algorithm, or will have one, that is not Cancelled.
type PastQuery struct {
	Algorithm AlgorithmID
	// Window is the one that looks back, which need not be of the algorithm's window type.
	Window WindowID
	// Before is its run.
	Before Position
	// To and From bound the windows from above, inclusively: (to, from) of a window is at most (To, From),
	// lexicographically.
	To, From Time
	// EarliestTo bounds them from below, inclusively: a window ends at EarliestTo or later.
	EarliestTo Time
	// Fields are the metadata fields that both window types mark filter, sorted: windows have the values of Window in
	// all of them. None: every window matches.
	Fields []string
	// Rows asks for the rows of successes too, as far as the ledger has them at hand.
	Rows bool
}

// PastRun is a run in the past of an algorithm: its window's interval and what became of the algorithm in it.
type PastRun struct {
	Window   WindowID
	From, To Time
	Position Position
	// Kind of the algorithm's outcome; zero while it is not settled.
	Kind OutcomeKind
	// Row of a success that was at hand when rows were asked for, else nil.
	Row *PastRow
}

// Settled reports whether the algorithm has an outcome in the run.
func (r PastRun) Settled() bool { return r.Kind != 0 }

// Key returns the run's place in the order of results.
func (r PastRun) Key() ResultKey { return ResultKey{To: r.To, From: r.From, Position: r.Position} }

// Interval of the run's window.
func (r PastRun) Interval() Interval { return Interval{To: r.To, From: r.From} }

// OutcomeKey names an outcome.
type OutcomeKey struct {
	Position  Position
	Algorithm AlgorithmID
}

// PastRow is the result of an algorithm in a past run.
type PastRow struct {
	WindowID WindowID
	Position Position
	Revision int
	// ProducedAt is the run in which the algorithm ran: another one than that at Position when a retry kept the outcome.
	ProducedAt Position
	// Window as it is stored.
	Window Window
	// Result is the contract's encoded Result message.
	Result []byte
}
