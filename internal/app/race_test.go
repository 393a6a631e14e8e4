//go:build race

package app_test

// fewer is how many times smaller the largest tests are under the race detector, which makes them ten times slower.
const fewer = 5
