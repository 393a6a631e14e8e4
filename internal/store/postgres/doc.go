// Package postgres keeps registry and ledger in a schema of a PostgreSQL database. It knows SQL and the nouns of package
// orca; it decides nothing about what runs when.
//
// # Writing
//
// Serve is the one goroutine that writes the ledger. Accept, Settle and their like put a row into a queue and return;
// Serve takes everything that waits, up to the bounds of Config, and sorts it into rounds (round.go): rows that are
// independent of each other, nearly always all of them. A round is one transaction of a handful of statements whatever its
// size (write.go), since each takes its rows as arrays, sent as one pipeline: one round trip and one flush of the
// write-ahead log. Callers are told by their callbacks afterwards.
//
//	queue ─▶ batch ─▶ rounds ─▶ check: what memory can refuse is refused
//	                              prepare: keys of new plans and lots, the base of revisions (only when there are any)
//	                              write: outcomes, ends, parking │ counter, windows, runs, open rows, keys ─▶ commit
//
// Positions come from one counter row, which the round locks with its last statements and until its commit: their order is
// the order of commits, and there are no gaps.
//
// A row that the database refuses fails alone: the round is done again in halves until it is found. A conflict with another
// transaction repeats the round. When the connection breaks the commit may have happened or not, and callers are told so
// (orca.OutcomeUnknown). While there is no connection every write is refused at once with orca.Unavailable, and link.go
// dials until there is one again; the engine keeps what it has to settle and asks again.
//
// # Reading
//
// A pool of connections. What has to be of one moment is one statement, or a read-only transaction.
//
// # Other cores
//
// A row of table core for each of them: the lease, and what it tells with each renewal (report.go). Where Config.Direct gives a
// session of its own, a core listens there (listen.go) to what the others tell after their commits (tell.go).
//
// # Sessions
//
// Nothing is left behind in a session: no prepared statement has a name, no setting is made and no lock outlives a
// transaction, so that a pooler may give every transaction another session. Where there is none the writer prepares its
// statements (session.go).
//
// # Owners
//
//	queue      its lock; bounded by its producers, and in bytes
//	teller     its lock: what is to be told, one message at most
//	listener   its lock: what was heard, bounded; its session belongs to a goroutine that Serve waits for
//	link       Serve's goroutine; its dialing goroutine is waited for by Serve
//	memory     Serve's goroutine: keys of plans and lots, the lowest times of plans
//	keys       an immutable snapshot behind an atomic pointer: the registry's integer keys
//	seen       atomic: a position up to which all runs are known to exist
package postgres
