package demo

import (
	"context"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// host is a filter: lookbacks take only windows of the same machine.
var host = orca.Field{Name: "host", Description: "The machine's name", Filter: true}

var (
	hostSecond = orca.WindowType{
		Name: "HostSecond", Version: "1.0.0", Description: "One second of one machine", Fields: []orca.Field{host},
	}
	hostMinute = orca.WindowType{
		Name: "HostMinute", Version: "1.0.0", Description: "One minute of one machine", Fields: []orca.Field{host},
	}
)

// failEvery is how often SamplerCheck fails on purpose: in each window whose second is divisible by it.
const failEvery = 5

// networkRate is in bytes per second, over all interfaces, loopback included.
type networkRate struct {
	Received float64 `json:"received"`
	Sent     float64 `json:"sent"`
}

// quality is what QualityReport gives.
type quality struct {
	Samples float64 `json:"samples"`
	Health  float64 `json:"health"`
}

// algorithms are those of the demo, for reading their results.
type algorithms struct {
	cpu, memory, load, health, check, smooth *orca.Algorithm[float32]
	disk                                     *orca.Algorithm[[]float32]
	network                                  *orca.Algorithm[networkRate]
	report                                   *orca.Algorithm[quality]
	trend                                    *orca.Algorithm[trend]
	minute                                   *orca.Algorithm[minuteReport]
}

// define adds the algorithms to two processors: one measures, the other concludes. A second lasts an interval.
func define(metrics, health *orca.Processor, s *sampler, interval time.Duration) (a algorithms) {
	a.defineMeasured(metrics, s)
	a.defineHealth(health)
	a.defineHistory(health, interval)
	return a
}

// defineMeasured adds the algorithms that read what the sampler has of their window.
func (a *algorithms) defineMeasured(metrics *orca.Processor, s *sampler) {
	measured := func(f func(first, last sample, n int) float32) orca.Func[float32] {
		return func(_ context.Context, run *orca.Run) (float32, error) {
			first, last, n, err := s.between(run.Window.From, run.Window.To)
			if err != nil {
				return 0, orca.Failf("%v", err)
			}
			return f(first, last, n), nil
		}
	}
	a.cpu = orca.Value(metrics, "CPUUsage", "1.0.0", hostSecond,
		measured(cpuUsage), orca.Describe("CPU time in use, in percent of all cores"))
	a.memory = orca.Value(metrics, "MemoryPressure", "1.0.0", hostSecond,
		measured(func(_, last sample, _ int) float32 { return float32(last.memUsed) }), orca.Describe("Memory in use, in percent"))
	a.load = orca.Value(metrics, "LoadAverage", "1.0.0", hostSecond,
		measured(func(_, last sample, _ int) float32 { return float32(last.load1) }), orca.Describe("Load average of one minute"))
	a.disk = orca.Array(metrics, "DiskRate", "1.0.0", hostSecond, func(_ context.Context, run *orca.Run) ([]float32, error) {
		first, last, _, err := s.between(run.Window.From, run.Window.To)
		if err != nil {
			return nil, orca.Failf("%v", err)
		}
		return []float32{rate(first.diskRead, last.diskRead, first, last), rate(first.diskWritten, last.diskWritten, first, last)}, nil
	}, orca.Describe("Bytes per second read and written, over all disks"))
	a.network = orca.Struct(metrics, "NetworkRate", "1.0.0", hostSecond, func(_ context.Context, run *orca.Run) (networkRate, error) {
		first, last, _, err := s.between(run.Window.From, run.Window.To)
		if err != nil {
			return networkRate{}, orca.Failf("%v", err)
		}
		return networkRate{
			Received: float64(rate(first.received, last.received, first, last)), Sent: float64(rate(first.sent, last.sent, first, last)),
		}, nil
	}, orca.Describe("Bytes per second received and sent, over all interfaces, loopback included"))
	a.check = orca.Value(metrics, "SamplerCheck", "1.0.0", hostSecond, func(ctx context.Context, run *orca.Run) (float32, error) {
		if fails(run.Window) {
			return 0, orca.Failf("the demo fails here on purpose, every %d seconds", failEvery)
		}
		return measured(func(_, _ sample, n int) float32 { return float32(n) })(ctx, run)
	}, orca.Describe("Samples in the window; fails on purpose now and then"))
}

// defineHealth adds the algorithms on the results of the others in the window.
func (a *algorithms) defineHealth(health *orca.Processor) {
	a.health = orca.Value(health, "HealthScore", "1.0.0", hostSecond, func(_ context.Context, run *orca.Run) (float32, error) {
		return healthScore(a.cpu.From(run), a.memory.From(run), a.network.From(run)), nil
	}, orca.Needs(a.cpu, a.memory, a.network), orca.Describe("0 (in trouble) to 100 (idle)"))
	a.report = orca.Struct(health, "QualityReport", "1.0.0", hostSecond, func(_ context.Context, run *orca.Run) (quality, error) {
		return quality{Samples: float64(a.check.From(run)), Health: float64(a.health.From(run))}, nil
	}, orca.Needs(a.check, a.health), orca.Describe("How good the window's data is; skipped where SamplerCheck fails"))
}

// fails reports whether SamplerCheck fails for a window on purpose.
func fails(w orca.Window) bool { return w.To.Unix()%failEvery == 0 }

// planned reports whether a run ended as it should: SamplerCheck fails where it is meant to, which skips QualityReport,
// and everything else succeeds.
func (a algorithms) planned(w orca.Window, o *orca.Outcome) bool {
	for _, n := range o.Nodes {
		want := orca.NodeSucceeded
		switch {
		case fails(w) && n.Algorithm == a.check.ID():
			want = orca.NodeHandledFailed
		case fails(w) && n.Algorithm == a.report.ID():
			want = orca.NodeSkipped
		}
		if n.State != want {
			return false
		}
	}
	return true
}

func cpuUsage(first, last sample, _ int) float32 {
	total := last.cpuTotal - first.cpuTotal
	if total <= 0 {
		return 0
	}
	return float32(100 * (last.cpuBusy - first.cpuBusy) / total)
}

// rate returns the growth of a counter per second; a counter that was set back counts as still.
func rate(before, after uint64, first, last sample) float32 {
	if after < before {
		return 0
	}
	return float32(float64(after-before) / last.at.Sub(first.at).Seconds())
}

// fullLink is the traffic in bytes per second that counts as a busy network: 1 Gbit/s.
const fullLink = 125e6

// healthScore takes half of the CPU's load, 40 % of the memory's and 10 % of the network's from 100.
func healthScore(cpu, memory float32, n networkRate) float32 {
	network := min(100, 100*(n.Received+n.Sent)/fullLink)
	return max(0, 100-0.5*cpu-0.4*memory-0.1*float32(network))
}
