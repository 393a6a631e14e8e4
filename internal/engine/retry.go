package engine

import (
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Bounds of the exponential backoff between attempts.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = time.Minute
)

// backoff returns the pause after the given number of attempts: 0.2 s, doubled each time, at most 60 s.
func backoff(attempts int) time.Duration {
	if attempts < 1 {
		return firstBackoff
	}
	return min(firstBackoff<<min(attempts-1, 16), lastBackoff)
}

// verdict is what a received result means for its node.
type verdict struct {
	retry  bool
	kind   orca.OutcomeKind
	reason string
}

// judge applies the rules for results: a success of the declared type stands, one of another type is an unhandled
// failure without retry, handled failures stand unless retryHandled, unhandled ones are retried up to maxAttempts.
func judge(declared orca.ResultType, res *orca.Result, attempts, maxAttempts int, retryHandled bool) verdict {
	switch res.Status {
	case orca.StatusSucceeded:
		if res.Type != declared {
			return verdict{kind: orca.UnhandledFailed, reason: fmt.Sprintf("the result is of type %v, and %v was declared", res.Type, declared)}
		}
		return verdict{kind: orca.Succeeded}
	case orca.StatusHandledFailed:
		return verdict{
			retry: retryHandled && attempts < maxAttempts,
			kind:  orca.HandledFailed, reason: failureText(res, "the algorithm reported a failure"),
		}
	case orca.StatusUnhandledFailed:
		return verdict{
			retry: attempts < maxAttempts,
			kind:  orca.UnhandledFailed, reason: failureText(res, "the algorithm broke"),
		}
	}
	return verdict{kind: orca.UnhandledFailed, reason: fmt.Sprintf("the result has the unknown status %d", res.Status)}
}

func failureText(res *orca.Result, none string) string {
	if res.Error == "" {
		return none + " without details"
	}
	return res.Error
}

type action uint8

const (
	tryAgain action = iota + 1
	giveUp
	leaveToNextStart
)

// step is what to do with a node that a request left without a result.
type step struct {
	action action
	delay  time.Duration
	alone  bool
	reason string
}

// countsAsAttempt reports whether a request that ended without a result is an attempt of a node whose attempt before
// went out at the given time. A lost connection counts only if the instance had served since then: otherwise it is the
// same breakdown seen twice.
func countsAsAttempt(end orca.CallEnd, before orca.Time) bool {
	switch end.Kind {
	case orca.EndLost:
		return end.Served > before
	case orca.EndRefused, orca.EndFailed:
		return end.Alone
	case orca.EndBroken, orca.EndTimeout, orca.EndComplete, orca.EndTooLarge:
		return true
	case orca.EndUnbuilt, orca.EndStopped:
		return false
	}
	return true
}

// lastChance reports whether a node must run with nothing beside it: an instance broke down with it before, and with
// one more breakdown it fails for good. If it is not the culprit, it succeeds now.
func lastChance(n node, maxAttempts int) bool { return n.lost && n.attempts == maxAttempts-1 }

// afterEnd applies the table of failures to a node whose request ended without its result, after the given number of
// counted attempts.
func afterEnd(end orca.CallEnd, exhausted bool, attempts int) step {
	switch end.Kind {
	case orca.EndStopped:
		return step{action: leaveToNextStart}
	case orca.EndUnbuilt:
		return step{action: tryAgain, delay: firstBackoff}
	case orca.EndTooLarge:
		return step{action: giveUp, reason: "inputs too large: " + end.Reason}
	case orca.EndRefused, orca.EndFailed:
		if !end.Alone {
			return step{action: tryAgain, alone: true}
		}
		if end.Kind == orca.EndRefused || exhausted {
			return step{action: giveUp, reason: end.Reason}
		}
		return step{action: tryAgain, delay: backoff(attempts), alone: true}
	case orca.EndLost:
		if exhausted {
			return step{action: giveUp, reason: end.Reason}
		}
		return step{action: tryAgain, alone: true} // the fleet holds it back until an instance serves
	case orca.EndBroken, orca.EndTimeout, orca.EndComplete:
		if exhausted {
			return step{action: giveUp, reason: end.Reason}
		}
		return step{action: tryAgain, delay: backoff(attempts), alone: end.Kind != orca.EndComplete}
	}
	return step{action: giveUp, reason: fmt.Sprintf("%v: %s", end.Kind, end.Reason)}
}
