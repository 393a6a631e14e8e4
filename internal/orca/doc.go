// Package orca holds Orca's nouns and the rules that belong to a noun alone: window types, algorithms, windows, runs,
// outcomes, registrations. It knows no database, no network and no protobuf, does no I/O and imports no other package
// of the project; every other package speaks in these terms.
//
// Identities are comparable structs and serve as map keys as they are. Encoded messages (a window's metadata, a
// result) are carried as the opaque bytes that came over the wire; package wire alone reads and writes them.
package orca
