package orca

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	t.Parallel()
	p := pauses{shortest: 100 * time.Millisecond, longest: time.Second}
	var shortest, longest []time.Duration
	for _, n := range []int{1, 2, 3, 4, 5, 100, 1 << 40} {
		shortest = append(shortest, p.pause(n, 0))
		longest = append(longest, p.pause(n, 0.999999999))
	}
	ms := time.Millisecond
	if diff := cmp.Diff([]time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 500 * ms, 500 * ms, 500 * ms}, shortest); diff != "" {
		t.Error(diff)
	}
	for i, want := range []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms, 1000 * ms} {
		if d := want - longest[i]; d < 0 || d > time.Microsecond {
			t.Errorf("failure %d: longest pause %v, want just under %v", i, longest[i], want)
		}
	}
}

func TestPauseHonoursRetryInfo(t *testing.T) {
	t.Parallel()
	s, err := status.New(codes.ResourceExhausted, "full").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	p := pauses{shortest: 100 * time.Millisecond, longest: time.Second}
	if got := p.after(1, s.Err()); got < 7*time.Second || got > 7*time.Second+100*time.Millisecond {
		t.Errorf("got %v, want 7s and a little jitter", got)
	}
	if got := p.after(1, status.Error(codes.ResourceExhausted, "full")); got > 100*time.Millisecond {
		t.Errorf("without RetryInfo: got %v, want at most 100ms", got)
	}
}

func TestCPUPercentIsAShareOfAllCPUs(t *testing.T) {
	t.Parallel()
	got := []float32{
		cpuPercent(1, 2*time.Second, 2), cpuPercent(0, time.Second, 2), cpuPercent(9, time.Second, 2), cpuPercent(-1, time.Second, 2),
	}
	if diff := cmp.Diff([]float32{25, 0, 100, 0}, got); diff != "" {
		t.Error(diff)
	}
}
