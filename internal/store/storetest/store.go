// Package storetest is the suite that every store has to pass: each rule of the registry and of the ledger as a test
// that names it, and a model that random operations are compared with. It knows the nouns and the interface below, and
// nothing of any database.
package storetest

import (
	"context"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Store is all that a store does for the core. Its users declare the smaller interfaces that they call.
type Store interface {
	// LoadRegistry returns the registry, each list in the order of its identities.
	LoadRegistry(context.Context) (orca.Registry, error)
	// RegistryVersion returns the version of what LoadRegistry would return.
	RegistryVersion(context.Context) (int64, error)
	// ChangeRegistry writes a change in one transaction. It is refused with orca.Precondition, and nothing is written,
	// when Base is not the stored version.
	ChangeRegistry(context.Context, orca.RegistryChange) error

	// Accept queues an emission and never waits for I/O. done is called once, after the commit that made it durable, in
	// the order of positions; it must not block.
	Accept(e orca.Emission, done func(orca.Accepted, error))
	// Revise queues the next run of a window. done is called as for Accept. It is refused with orca.Precondition when Base
	// is not the newest run or not finished, and with orca.NotFound when there is no such window, or something is to be
	// kept that did not succeed in Base.
	Revise(r orca.Revision, done func(orca.Accepted, error))
	// Settle queues outcomes, and the end of their run when they are the last. done is called as for Accept. Of two
	// outcomes of one node the first stays, and a finished run keeps its end: neither is an error.
	Settle(s orca.Settlement, done func(error))

	// Park moves an unfinished run into a lot, from another one too, and tells whether it did, which it does
	// not when it expects an outcome that is there; done is called as for Accept.
	Park(p orca.Parking, done func(parked bool, err error))
	// Wake puts parked runs that expect the given outcomes into orca.Woken, and tells which; more asks to be called again.
	Wake(settled []orca.OutcomeKey, done func(woken []orca.WokenRun, more bool, err error))
	// NextRuns returns the unfinished runs of the lowest positions of all sources, as OpenRuns does.
	NextRuns(ctx context.Context, sources []orca.OpenSource, limit int) ([]orca.OpenRun, error)

	// OpenRuns returns unfinished runs above the position after, ascending, with their outcomes, which are sorted by
	// algorithm and lack the results.
	OpenRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error)
	// Outcomes returns the outcomes of one run, sorted by algorithm, without their results.
	Outcomes(context.Context, orca.Position) ([]orca.Outcome, error)
	Plan(context.Context, orca.PlanHash) ([]byte, error)
	// Results returns the results of succeeded outcomes of one run in the order asked, or orca.NotFound naming the
	// first that is missing.
	Results(context.Context, orca.Position, []orca.AlgorithmID) ([]orca.Result, error)
	Backlog(context.Context) (orca.Backlog, error)
	// Past calls yield with the runs that the query selects, by (To, From, Position) descending, until it returns false.
	// yield does not block. When the query asks for rows, a store may add those that cost it nothing to look for; the
	// others are got by PastRows.
	Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error
	// PastRows returns the results of an algorithm in the given runs with their windows, in the order asked, or
	// orca.NotFound naming the first run in which it did not succeed.
	PastRows(context.Context, orca.AlgorithmID, []orca.Position) ([]orca.PastRow, error)

	Window(context.Context, orca.WindowID) (orca.WindowRecord, error)
	Windows(context.Context, orca.WindowQuery) ([]orca.WindowRecord, error)
	// CountWindows counts what Windows would return without a limit.
	CountWindows(context.Context, orca.WindowQuery) (int64, error)
	// WindowsByTime returns the windows of a type that the query selects and that come after the key, the oldest first.
	// The type has to be given; the query's limit holds.
	WindowsByTime(ctx context.Context, q orca.WindowQuery, after orca.WindowKey) ([]orca.WindowRecord, error)
	// Run returns a revision of a window, the newest for 0, with its outcomes sorted by algorithm.
	Run(ctx context.Context, id orca.WindowID, revision int) (orca.RunRecord, error)
	History(context.Context, orca.ResultQuery) ([]orca.ResultRecord, error)

	// Tag is the short random name of this ledger, and Secret the 32 random bytes that key the hashes of noStore
	// fields. Both are made when the ledger is created.
	Tag() string
	Secret() []byte
}
