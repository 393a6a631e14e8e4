package orca

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
)

// Lot is where runs are parked, as rows, that wait for the same algorithms while no instance takes these: each of them
// can go on as soon as any is served. Make it with NewLot; it never changes.
type Lot struct {
	Hash LotHash
	// Algorithms are distinct and ascending; there is at least one, but in Expecting and Woken.
	Algorithms []AlgorithmID
}

// The lots of runs that wait for no processor.
var (
	// Expecting is where they wait for outcomes of other runs, each for its own.
	Expecting = &Lot{Hash: sha256.Sum256([]byte(expecting))}
	// Woken is where they wait for a place: an outcome that they waited for is there.
	Woken = &Lot{Hash: sha256.Sum256([]byte(woken))}
)

const (
	expecting = `"expecting"`
	woken     = `"woken"`
)

// LotHash identifies a lot by its algorithms.
type LotHash [32]byte

// NewLot returns the lot of those who wait for the given algorithms, of which there is at least one.
func NewLot(algorithms []AlgorithmID) *Lot {
	sorted := slices.SortedFunc(slices.Values(algorithms), AlgorithmID.Compare)
	l := &Lot{Algorithms: slices.Compact(sorted)}
	l.Hash = sha256.Sum256([]byte(l.Content()))
	return l
}

// Content is the lot in its stored form: a JSON list of algorithm ids, or a name.
func (l *Lot) Content() string {
	switch l.Hash {
	case Expecting.Hash:
		return expecting
	case Woken.Hash:
		return woken
	}
	b, err := json.Marshal(l.Algorithms)
	if err != nil {
		panic(fmt.Sprintf("a list of algorithm ids has no JSON: %v", err)) // three strings each
	}
	return string(b)
}

// ParseLot reads what Content has written.
func ParseLot(content string) (*Lot, error) {
	switch content {
	case expecting:
		return Expecting, nil
	case woken:
		return Woken, nil
	}
	var algorithms []AlgorithmID
	if err := json.Unmarshal([]byte(content), &algorithms); err != nil {
		return nil, fmt.Errorf("read a lot: %w", err)
	}
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("read a lot: it waits for nothing")
	}
	return NewLot(algorithms), nil
}

// Parking makes a run that is in memory a row again.
type Parking struct {
	Position Position
	Lot      *Lot
	// Expects are the outcomes of other runs that it waits for as well: it can go on as soon as any of these is settled. Two of
	// its nodes may wait for the same one, which is here twice then.
	Expects []OutcomeKey
	// Tries are those of open nodes, which go on from there.
	Tries []Tries
}

// Tries is what is known of the requests that an open node was in.
type Tries struct {
	Algorithm AlgorithmID `json:"algorithm"`
	// Attempts that were counted, the newest of which without a result went out at Sent.
	Attempts int  `json:"attempts"`
	Sent     Time `json:"sent"`
	// Alone: it goes out in a request of its own. Lost: an instance broke down while it had this node.
	Alone bool `json:"alone"`
	Lost  bool `json:"lost"`
}

// WokenRun is a parked run that can go on, since an outcome that it waited for is settled.
type WokenRun struct {
	Position Position
	// From is the lot that it was in before it was put into Woken.
	From LotHash
}

// LotSize is how many runs are parked in a lot.
type LotSize struct {
	Lot  *Lot
	Runs int64
	// Oldest is the lowest of their positions.
	Oldest Position
}

// OpenSource is a part of the unfinished runs, from a position on.
type OpenSource struct {
	// Lot they are parked in; nil for those that are not parked.
	Lot *Lot
	// After is below all of them.
	After Position
}

// ParkedWork is what waits, as rows, for a processor that takes no work.
type ParkedWork struct {
	Runs   int64
	Oldest Position
}
