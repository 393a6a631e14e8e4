// Package engine accepts windows and runs their DAGs: it makes each window and each outcome durable through the
// ledger, works out from the plan what is ready, and hands that to the fleet.
//
// All state of active runs belongs to one goroutine, the loop in Run. Everybody else (emitters, the ledger's writer,
// the requests of the fleet, timers) posts a function to its inbox and never waits for it. The loop itself never waits
// either: ledger and fleet take what it gives them at once and answer through the inbox.
//
// Five state machines make it up, each on a page of its own:
//
//   - admission.go: a run is a row in the ledger, then active. Always those of the lowest positions are active.
//   - parking.go: a run that waits for absent processors alone is a row again when there is no room for others.
//   - look.go: a node whose algorithm looks back is submitted once its rows are settled.
//   - run.go: a node of an active run waits, is with the fleet, is settling, is settled.
//   - settle.go: outcomes of a run go to the ledger one settlement after the other, the last of them with the end of
//     the run.
//
// What a result or its absence means for a node is decided by pure functions in retry.go.
//
// The package knows neither protobuf nor SQL nor gRPC. What it must not do: let a dependent start before the outcome
// that it needs is durable, end a run before all of its outcomes are, or keep anything of a run in memory that the
// ledger could not give back.
package engine
