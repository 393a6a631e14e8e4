// Package sqlite keeps registry and ledger in one SQLite file. It knows SQL and the nouns of package orca; it decides
// nothing about what runs when.
//
// # Writing
//
// Serve is the one goroutine that writes the ledger. Accept and Settle put their row into a queue and return; Serve
// takes everything that waits, up to the bounds of Config, and applies it (group commit), so that a hundred callers share
// one sync:
//
//	queue ─▶ batch ─▶ statements in a transaction of SQLite that stays open ─▶ COMMIT, now and then
//	                         └▶ one record of them in the redo log ─▶ fdatasync ─▶ answers
//
// While a record is on its way to disk the next batch fills (sync.go). SQLite commits when somebody reads, after 50 ms
// (flush.go), or when the redo log is full; what that has only in the redo log after a kill is applied again at the next start
// (redo.go). A batch that is too large for the redo log is committed by SQLite itself, which then syncs its write-ahead log.
// Positions are given in the order of the queue: the order of positions is the order of commits. Callers are told by
// their callbacks once their batch is on disk, in the same order.
//
// A row that the database refuses fails alone: the connection is opened again, which takes back what it has not committed
// and applies the redo log, and the batch is done again with a savepoint around each row. Everything else that goes wrong
// fails the batch: before its record is written nothing was; a record, or a COMMIT, that failed may or may not have
// reached the disk, and says so (orca.OutcomeUnknown). After any failure the connection is closed and opened again, since
// after a failed sync neither SQLite's cache nor the kernel's can be trusted.
//
// The writing connection is the driver's own, without database/sql, which doubled the cost of a row. Whoever holds the
// token of Store.turn owns it: Serve for a batch or a checkpoint, ChangeRegistry for its transaction.
//
// # Reading
//
// A small pool of read-only connections sees committed state, and answers when that is on disk. A read that comes after
// batches that SQLite has not committed has it commit them first. It never waits for the writer otherwise. A read is cut off after
// Config.ReadTimeout, because a snapshot that stays open keeps the write-ahead log from being reused; with that bound
// the checkpoint of checkpoint.go always gets through.
//
// # One process
//
// The file belongs to one core at a time, held by an OS lock on a file beside it (lock.go) that vanishes with the process.
package sqlite
