//go:build race

package fleet_test

// raceDetector: the tests are built with the race detector, which looks at every byte that is copied.
const raceDetector = true
