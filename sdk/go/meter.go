package orca

import (
	"math"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// meterInterval is the shortest time over which CPU use is measured, so that several cores that ask get sound figures.
const meterInterval = time.Second

// meter measures this process.
type meter struct {
	started  time.Time
	interval time.Duration // meterInterval

	mu      sync.Mutex       // guards what follows
	process *process.Process // nil where the platform tells nothing
	at      time.Time        // of the last measurement
	used    float64          // CPU seconds until then
	percent float32
}

func newMeter() *meter {
	m := &meter{started: time.Now(), interval: meterInterval}
	if p, err := process.NewProcess(int32(os.Getpid())); err == nil {
		m.process = p
	}
	m.at = m.started
	m.used, _ = m.cpuSeconds()
	return m
}

// read returns the figures of now, the CPU since the read before.
func (m *meter) read() *pb.ProcessorMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if used, ok := m.cpuSeconds(); ok && now.Sub(m.at) >= m.interval {
		m.percent = cpuPercent(used-m.used, now.Sub(m.at), runtime.GOMAXPROCS(0))
		m.at, m.used = now, used
	}
	return &pb.ProcessorMetrics{
		MemoryBytes:   m.memory(),
		CpuPercent:    m.percent,
		UptimeSeconds: int64(now.Sub(m.started).Seconds()),
	}
}

// cpuPercent is the share of the given CPUs that was used over a time, from 0 to 100.
func cpuPercent(seconds float64, over time.Duration, cpus int) float32 {
	share := 100 * seconds / (over.Seconds() * float64(cpus))
	return float32(math.Max(0, math.Min(100, share)))
}

func (m *meter) cpuSeconds() (float64, bool) {
	if m.process == nil {
		return 0, false
	}
	times, err := m.process.Times()
	if err != nil {
		return 0, false
	}
	return times.User + times.System, true
}

// memory is the resident set, or what the Go runtime holds where the platform does not tell.
func (m *meter) memory() int64 {
	if m.process != nil {
		if info, err := m.process.MemoryInfo(); err == nil {
			return int64(info.RSS)
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys)
}
