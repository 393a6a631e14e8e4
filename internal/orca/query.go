package orca

// WindowRecord is a window as the ledger has it, with its newest run.
type WindowRecord struct {
	ID         WindowID
	Window     Window
	AcceptedAt Time
	Newest     Run
	// Nodes is how many nodes the newest run has.
	Nodes int
	// Settled is how many nodes of the newest run have an outcome.
	Settled int
}

// RunRecord is a run with its outcomes and the plan it follows.
type RunRecord struct {
	Run      Run
	Plan     []byte
	Outcomes []Outcome
}

// WindowQuery selects windows, the newest accepted first.
type WindowQuery struct {
	// Type restricts to one type; the zero value means any.
	Type WindowTypeID
	// From and To select windows that end after From and begin before To; zero means unbounded.
	From, To Time
	// State restricts to windows whose newest run is in this state, when HasState is set.
	State    RunState
	HasState bool
	// Before is the page key: only windows with a smaller id; zero means from the newest.
	Before WindowID
	Limit  int
}

// Key returns the window's place in the order by time.
func (r WindowRecord) Key() WindowKey {
	return WindowKey{To: r.Window.To, From: r.Window.From, ID: r.ID}
}

// ResultKey is a place in the order of results: (To, From, Position) descending.
type ResultKey struct {
	To, From Time
	Position Position
}

// ResultQuery selects outcomes of one algorithm, the newest window first.
type ResultQuery struct {
	Algorithm AlgorithmID
	// From and To select windows that end after From and begin before To; zero means unbounded.
	From, To Time
	// Failed includes outcomes that are not a success.
	Failed bool
	// Before is the page key: only results after it in the order; nil means from the newest.
	Before *ResultKey
	Limit  int
}

// ResultRecord is one outcome with its window and run.
type ResultRecord struct {
	Window  WindowRecord
	Run     Run
	Outcome Outcome
}

// Key returns the record's place in the order of results.
func (r ResultRecord) Key() ResultKey {
	return ResultKey{To: r.Window.Window.To, From: r.Window.Window.From, Position: r.Run.Position}
}

// Backlog counts the unfinished runs in the ledger.
type Backlog struct {
	Open int64
	// Newest is the highest position ever given; zero in an empty ledger.
	Newest Position
	// Lots are those in which some of the open runs are parked, in no order.
	Lots []LotSize
	// Newest window of each type, by (to, from); a type without windows is not there.
	Windows map[WindowTypeID]Interval
	// Settled are outcomes that parked runs wait for although they are there, in no order.
	Settled []OutcomeKey
}

// RunStats is how the runs of a core stand.
type RunStats struct {
	// Accepted windows since the start of this core.
	Accepted int64
	// Open runs in all, of which Active are in memory and Parked wait, as rows, for processors that take no work.
	Open, Active, Parked int64
	// HeldBytes is the size of the results kept in memory for dependents.
	HeldBytes int64
	// Outcomes since the start of this core, by kind.
	Outcomes map[OutcomeKind]int64
}
