// Package conformance plays scenarios with a real core and a test processor of each SDK, both as processes, and compares
// what the ledger and the algorithms say with what has to be: see README.md. It knows the contract, and neither core nor
// SDKs.
package conformance
