package postgres

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// report is what a core tells the others with each renewal of its lease. It is small: it is written once a second, and read by
// all. Cores of other versions may leave fields out, or have more.
type report struct {
	Checks  []reportedCheck `json:"c,omitempty"`
	Listens bool            `json:"l,omitempty"`
}

// reportedCheck is a health check of a core. Age is in milliseconds before the renewal, rounded down. CPU has the bits of the
// number, since not all have JSON.
type reportedCheck struct {
	Address string           `json:"a"`
	Serving bool             `json:"s,omitempty"`
	Age     int64            `json:"t"`
	Metrics *reportedMetrics `json:"m,omitempty"`
}

type reportedMetrics struct {
	Tasks  int32  `json:"t,omitempty"`
	Memory int64  `json:"m,omitempty"`
	CPU    uint32 `json:"c,omitempty"`
	Uptime int64  `json:"u,omitempty"`
}

// encodeReport returns a report as it is stored; empty when there is nothing to tell.
func encodeReport(checks []orca.HealthCheck, listens bool) (string, error) {
	if len(checks) == 0 && !listens {
		return "", nil
	}
	r := report{Checks: make([]reportedCheck, len(checks)), Listens: listens}
	for i, c := range checks {
		r.Checks[i] = reportedCheck{Address: c.Address, Serving: c.Serving, Age: c.Age.Milliseconds()}
		if m := c.Metrics; m != nil {
			r.Checks[i].Metrics = &reportedMetrics{Tasks: m.ActiveTasks, Memory: m.MemoryBytes, CPU: math.Float32bits(m.CPUPercent), Uptime: m.UptimeSeconds}
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("write the core's report: %w", err)
	}
	return string(text), nil
}

// heardReport is a report as others hear it.
type heardReport struct {
	checks  []orca.HealthCheck
	listens bool
}

// decodeReport reads what a core told so long ago.
func decodeReport(text string, ago time.Duration) (heard heardReport, err error) {
	if text == "" {
		return heard, nil
	}
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return heard, fmt.Errorf("read a core's report: %w", err)
	}
	heard.listens = r.Listens
	for _, c := range r.Checks {
		check := orca.HealthCheck{Address: c.Address, Serving: c.Serving, Age: max(0, ago) + time.Duration(c.Age)*time.Millisecond} // the database's clock may step
		if m := c.Metrics; m != nil {
			check.Metrics = &orca.ProcessorMetrics{ActiveTasks: m.Tasks, MemoryBytes: m.Memory, CPUPercent: math.Float32frombits(m.CPU), UptimeSeconds: m.Uptime}
		}
		heard.checks = append(heard.checks, check)
	}
	return heard, nil
}
