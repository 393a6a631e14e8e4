// Package lookback works out which past results of an algorithm D a node is handed: by a count of results or by a span
// of time, after a gap of either kind. It is pure: no context, no clock, no storage.
//
// A Range is what a lookback means for one window. It bounds the windows that a store has to look at, and its Walk
// decides about them one by one, from the newest on:
//
//   - What a span or a gap of time leaves out is passed, settled or not.
//   - What is not settled is waited for, even where a gap of a count may skip it: only its outcome tells.
//   - A success is skipped while the gap's count lasts, and then taken, until there are as many as asked for.
//   - Any other outcome gives no row and is not counted.
//
// Which runs are the past at all (smaller positions, of each window the newest that is not cancelled, equal values in
// the Fields that both window types mark filter) is the store's to say. So is their order: by (to, from, position),
// descending.
package lookback
