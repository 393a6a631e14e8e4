// Package sqlite keeps registry and ledger in one SQLite file. It knows SQL and the nouns of package orca; it decides
// nothing about what runs when.
//
// # Writing
//
// Serve is the one goroutine that writes the ledger. Accept and Settle put their row into a queue and return; Serve
// takes everything that waits, up to the bounds of Config, and commits it in one transaction (group commit), so that a
// hundred callers share one sync. While that is under way the next transaction fills, and is committed when it has ended
// (sync.go). Positions are given inside the transaction, in the order of the queue: the order of positions is the order of
// commits. Callers are told by their callbacks once the commit is on disk, in the same order.
//
// A row that the database refuses fails alone: the transaction is rolled back and done again with a savepoint around
// each row. Everything else that goes wrong fails the batch: before COMMIT nothing was written; a COMMIT that failed
// may or may not have reached the disk, and says so (orca.OutcomeUnknown). After any failure the connection is
// closed and opened again, since after a failed sync neither SQLite's cache nor the kernel's can be trusted.
//
// The writing connection is the driver's own, without database/sql, which doubled the cost of a row. Whoever holds the
// token of Store.turn owns it: Serve for a batch or a checkpoint, ChangeRegistry for its transaction.
//
// # Reading
//
// A small pool of read-only connections sees committed state, and answers when that is on disk. It never waits for the
// writer otherwise. A read is cut off after
// Config.ReadTimeout, because a snapshot that stays open keeps the write-ahead log from being reused; with that bound
// the checkpoint of checkpoint.go always gets through.
//
// # One process
//
// The file belongs to one core at a time, held by an OS lock on a file beside it (lock.go) that vanishes with the process.
package sqlite
