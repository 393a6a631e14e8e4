package orca

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// pauses is a series of growing pauses.
type pauses struct {
	shortest, longest time.Duration
}

// pause returns the pause after the n-th failure in a row, n from 1: it doubles each time up to the longest, and
// jitter from [0, 1) places it between half and all of that.
func (b pauses) pause(n int, jitter float64) time.Duration {
	full := b.longest
	if shift := n - 1; shift < 30 && b.shortest<<shift < b.longest {
		full = b.shortest << shift
	}
	return full/2 + time.Duration(jitter*float64(full/2))
}

// after returns the pause after the n-th failure: what the server asks for in a RetryInfo, or the next of the series.
func (b pauses) after(n int, err error) time.Duration {
	pause := b.pause(n, rand.Float64())
	if asked, ok := askedDelay(err); ok {
		pause = asked + time.Duration(rand.Float64()*float64(pause))
	}
	return pause
}

// askedDelay reads the retry delay that a server attached to its error.
func askedDelay(err error) (time.Duration, bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay() != nil {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
