package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
)

// sample is the state of this machine's counters at one moment.
type sample struct {
	at                    time.Time
	cpuBusy, cpuTotal     float64 // seconds of CPU time since boot
	memUsed               float64 // percent
	diskRead, diskWritten uint64  // bytes since boot
	received, sent        uint64  // bytes since boot, over all interfaces
	load1                 float64
}

// kept is how many samples are remembered; older ones are overwritten.
const kept = 600

// sampler plays the part of a telemetry store: it records this machine, and algorithms read what lies in their window.
type sampler struct {
	mu      sync.Mutex
	samples [kept]sample // a ring
	next    int          // where the next one goes
	filled  int
}

// newSampler takes a first sample, which shows whether this machine gives any.
func newSampler(ctx context.Context) (*sampler, error) {
	s := &sampler{}
	if err := s.take(ctx, time.Now()); err != nil {
		return nil, fmt.Errorf("read this machine's telemetry: %w", err)
	}
	return s, nil
}

// run takes samples until ctx is cancelled. One that fails is left out, which the windows show.
func (s *sampler) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			_ = s.take(ctx, now)
		}
	}
}

func (s *sampler) take(ctx context.Context, now time.Time) error {
	x, err := read(ctx, now)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples[s.next] = x
	s.next = (s.next + 1) % kept
	s.filled = min(s.filled+1, kept)
	return nil
}

func read(ctx context.Context, now time.Time) (sample, error) {
	x := sample{at: now}
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(times) == 0 {
		return x, fmt.Errorf("CPU times: %w", err)
	}
	t := times[0]
	x.cpuBusy = t.User + t.Nice + t.System + t.Irq + t.Softirq + t.Steal
	x.cpuTotal = x.cpuBusy + t.Idle + t.Iowait
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return x, fmt.Errorf("memory: %w", err)
	}
	x.memUsed = memory.UsedPercent
	// What follows is missing on some machines and in some containers; it then stays zero.
	if disks, err := disk.IOCountersWithContext(ctx); err == nil {
		for _, d := range disks {
			x.diskRead += d.ReadBytes
			x.diskWritten += d.WriteBytes
		}
	}
	if all, err := net.IOCountersWithContext(ctx, false); err == nil && len(all) > 0 {
		x.received, x.sent = all[0].BytesRecv, all[0].BytesSent
	}
	if l, err := load.AvgWithContext(ctx); err == nil {
		x.load1 = l.Load1
	}
	return x, nil
}

// between returns the newest samples at or before the two ends of an interval, and how many lie between them, the
// last included.
func (s *sampler) between(from, to time.Time) (first, last sample, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.filled; i > 0; i-- { // from the newest to the oldest
		x := s.samples[(s.next-1-(s.filled-i)+2*kept)%kept]
		if x.at.After(to) {
			continue
		}
		if n == 0 {
			last = x
		}
		first = x
		if !x.at.After(from) {
			break
		}
		n++
	}
	if n == 0 || !first.at.Before(last.at) {
		return first, last, n, fmt.Errorf("no samples between %s and %s", from.Format(time.TimeOnly), to.Format(time.TimeOnly))
	}
	return first, last, n, nil
}
