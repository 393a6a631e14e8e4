package orca

import (
	"context"
	"fmt"
)

// Call asks a processor to run some ready nodes of one run. The engine makes it, the fleet carries it out, possibly in
// several requests when no instance has all of the algorithms.
//
// Each algorithm is reported exactly once, either by Result or in the Missing of an End.
type Call struct {
	// Position orders calls to one processor: the lowest goes first.
	Position  Position
	Processor string
	// Algorithms are those to run, with the definitions that the plan has.
	Algorithms []CalledAlgorithm
	// Solo: nothing else is to be in flight at the instance, so that what breaks it is found.
	Solo bool
	// Build gathers the inputs of the given algorithms. It is called when an instance has a place for them, in the
	// request's own goroutine, so that queued calls hold no rows in memory.
	Build func(ctx context.Context, algorithms []CalledAlgorithm) (*Execution, error)
	// Result takes the first result of an algorithm in a request. It may block, which slows the stream down.
	Result func(ctx context.Context, id AlgorithmID, r Result)
	// End is told of algorithms that got no result. It does not block.
	End func(CallEnd)
}

// CalledAlgorithm is one algorithm of a call.
type CalledAlgorithm struct {
	ID AlgorithmID
	// Definition lets the fleet prefer an instance that announced exactly this.
	Definition DefinitionHash
	// Runtime is preferred among instances when it is not empty.
	Runtime string
}

// CallEnd says why algorithms got no result.
type CallEnd struct {
	Kind    CallEndKind
	Missing []AlgorithmID
	// Reason in words, with what the processor said.
	Reason string
	// Sent is when the request went out, and Served when the instance had last answered SERVING before that; zero when
	// nothing was sent.
	Sent, Served Time
	// Alone: the request asked for one algorithm only.
	Alone bool
}

// CallEndKind sorts the ways in which a request ends without a result.
type CallEndKind uint8

// The ways.
const (
	// EndComplete: the stream ended in order.
	EndComplete CallEndKind = iota + 1
	// EndLost: the connection was lost, or UNAVAILABLE was answered, before anything came.
	EndLost
	// EndBroken: the stream broke after results.
	EndBroken
	// EndTimeout: no result for the execution timeout.
	EndTimeout
	// EndRefused: INVALID_ARGUMENT or NOT_FOUND.
	EndRefused
	// EndFailed: any other code.
	EndFailed
	// EndTooLarge: the instance says RESOURCE_EXHAUSTED with nothing else in flight.
	EndTooLarge
	// EndUnbuilt: the inputs could not be read; nothing was sent.
	EndUnbuilt
	// EndStopped: the core is stopping.
	EndStopped
)

func (k CallEndKind) String() string {
	names := [...]string{"", "complete", "lost", "broken", "timeout", "refused", "failed", "too large", "unbuilt", "stopped"}
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("call end %d", uint8(k))
}
