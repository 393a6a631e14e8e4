// Package surprises holds what surprises people about lookbacks and failures, each point as a test. All of them run on
// orcatest's core in memory and on a real one, where both can do what is shown.
package surprises
