package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Bounds of the pause between attempts.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = time.Minute
)

// backoff returns the pause after the given number of attempts: 0.2 to 0.4 s after the first one, doubled with each
// further one up to 30 to 60 s, and none after none. Where in that range, random in [0, 1) says, so that what failed
// together does not come back together.
func backoff(attempts int, random float64) time.Duration {
	if attempts < 1 {
		return 0
	}
	longest := min(firstBackoff<<min(attempts, 16), lastBackoff)
	return longest/2 + time.Duration(random*float64(longest/2))
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
	if res.Failure == "" {
		return none + " without details"
	}
	return shorten(res.Failure)
}

// maxReason bounds a reason in bytes: it is kept for each run that is loaded and listed, and the result has the details
// in full.
const maxReason = 1024

func shorten(text string) string {
	if len(text) <= maxReason {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:maxReason-len(more)], "") + more
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
	// counts: the request was an attempt.
	counts bool
	// pause: the next request waits as after so many attempts.
	pause int
	// alone: from now on the node goes out in a request of its own.
	alone bool
	// unbuilt requests in a row, with this one.
	unbuilt int
	reason  string
}

// afterEnd applies the table of failures to a node as it was when a request ended without its result.
func afterEnd(end orca.CallEnd, n node, maxAttempts int) step {
	s := step{action: tryAgain, counts: countsAsAttempt(end, n.sent), reason: shorten(end.Reason)}
	attempts := n.attempts
	if s.counts {
		attempts++
	}
	exhausted := s.counts && attempts >= maxAttempts
	switch end.Kind {
	case orca.EndStopped:
		s.action = leaveToNextStart
	case orca.EndUnbuilt:
		s.unbuilt = n.unbuilt + 1
		s.pause = s.unbuilt
	case orca.EndTooLarge, orca.EndRefused, orca.EndFailed:
		s.alone = true
		switch {
		case !end.Alone: // it may concern another one of them
		case end.Kind == orca.EndFailed && !exhausted:
			s.pause = attempts
		default:
			s.action = giveUp
			if end.Kind == orca.EndTooLarge {
				s.reason = shorten("inputs too large: " + end.Reason)
			}
		}
	case orca.EndLost:
		s.alone = true
		if exhausted {
			s.action = giveUp
		} // else no pause: the fleet holds it back until an instance serves
	case orca.EndBroken, orca.EndTimeout, orca.EndComplete:
		s.alone = end.Kind != orca.EndComplete
		s.pause = attempts
		if exhausted {
			s.action = giveUp
		}
	default:
		s.action, s.reason = giveUp, shorten(fmt.Sprintf("%v: %s", end.Kind, end.Reason))
	}
	return s
}

// countsAsAttempt reports whether a request that ended without a result is an attempt of a node whose attempt before
// went out at the given time. A lost connection counts only if the instance had served since then: otherwise it is the
// same breakdown seen twice.
func countsAsAttempt(end orca.CallEnd, before orca.Time) bool {
	switch end.Kind {
	case orca.EndLost:
		return end.Served > before
	case orca.EndRefused, orca.EndFailed, orca.EndTooLarge:
		return end.Alone
	case orca.EndUnbuilt, orca.EndStopped:
		return false
	case orca.EndBroken, orca.EndTimeout, orca.EndComplete:
		return true
	}
	return true
}

// lastChance reports whether a node must run with nothing beside it: an instance broke down with it before, and with
// one more breakdown it fails for good. If it is not the culprit, it succeeds now.
func lastChance(n node, maxAttempts int) bool { return n.lost && n.attempts == maxAttempts-1 }
