package bench

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	loadavg "github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
)

// Report is what a run gave, and on what.
type Report struct {
	Begun   time.Time `json:"begun"`
	Took    string    `json:"took"`
	Commit  string    `json:"commit"`
	Machine Machine   `json:"machine"`
	// How the run was set up.
	Turns     int        `json:"turns"`
	TurnsLast string     `json:"turns_last"`
	Assets    int        `json:"assets"`
	Rows      []Row      `json:"rows,omitempty"`
	Waiting   *Waiting   `json:"waiting,omitempty"`
	Overloads []Overload `json:"overloads,omitempty"`
	Stored    *Stored    `json:"stored,omitempty"`
	Many      *Many      `json:"many,omitempty"`
	Postgres  *Postgres  `json:"postgres,omitempty"`
	Drain     *Drain     `json:"drain,omitempty"`
}

// Machine is what a run was measured on. Nothing is pinned, and every process has GOMAXPROCS as it comes.
type Machine struct {
	CPU        string  `json:"cpu"`
	CPUs       int     `json:"cpus"`
	MemoryGiB  float64 `json:"memory_gib"`
	Platform   string  `json:"platform"`
	FileSystem string  `json:"file_system"`
	Go         string  `json:"go"`
	// Load is how many processes wanted a CPU in the minute before the run: what else the machine had to do.
	Load float64 `json:"load"`
}

// Row is one combination: medians over its turns, the faults of all of them and the highest peak of memory.
type Row struct {
	Shape       string `json:"shape"`
	Loop        Loop   `json:"loop"`
	Concurrency int    `json:"concurrency"`
	// Rate is that of an open loop, in windows per second.
	Rate float64 `json:"rate,omitempty"`
	// CommitMillis is how long one durable commit took on that disk, between the turns.
	CommitMillis float64 `json:"commit_ms"`
	Core         Turn    `json:"core"`
	Ceiling      *Turn   `json:"ceiling,omitempty"`
	// Ratio is that of windows per second, core to ceiling. An open loop is the same for both, so it has none.
	Ratio        float64   `json:"ratio,omitempty"`
	CoreTurns    []float64 `json:"core_windows_per_second"`
	CeilingTurns []float64 `json:"ceiling_windows_per_second,omitempty"`
}

func newRow(c combination, core, ceiling []Turn, commit time.Duration) Row {
	r := Row{
		Shape: c.shape.Name, Loop: c.loop, Concurrency: c.concurrency, Rate: c.rate, CommitMillis: millis(commit),
		Core: medians(core), CoreTurns: rates(core), CeilingTurns: rates(ceiling),
	}
	if len(ceiling) == 0 {
		return r
	}
	m := medians(ceiling)
	r.Ceiling = &m
	if c.loop == Closed {
		r.Ratio = ratio(r.Core.WindowsPerSecond, m.WindowsPerSecond)
	}
	return r
}

// ratio is 0 where there is none.
func ratio(of, to float64) float64 {
	if to == 0 {
		return 0
	}
	return of / to
}

func rates(turns []Turn) (all []float64) {
	for _, t := range turns {
		all = append(all, t.WindowsPerSecond)
	}
	return all
}

// medians returns the turns' medians, the sums of their counts, and the highest of their peaks.
func medians(turns []Turn) (m Turn) {
	for _, field := range []func(*Turn) *float64{
		func(t *Turn) *float64 { return &t.WindowsPerSecond },
		func(t *Turn) *float64 { return &t.EmitP50 },
		func(t *Turn) *float64 { return &t.EmitP99 },
		func(t *Turn) *float64 { return &t.EndP50 },
		func(t *Turn) *float64 { return &t.EndP99 },
		func(t *Turn) *float64 { return &t.CPUPerWindow },
		func(t *Turn) *float64 { return &t.AllocationsPerWindow },
		func(t *Turn) *float64 { return &t.KiBPerWindow },
		func(t *Turn) *float64 { return &t.CommitsPerWindow },
		func(t *Turn) *float64 { return &t.ServerCPUPerWindow },
		func(t *Turn) *float64 { return &t.TransactionsPerWindow },
	} {
		var values []float64
		for i := range turns {
			values = append(values, *field(&turns[i]))
		}
		*field(&m) = median(values)
	}
	for _, t := range turns {
		m.PeakMiB = max(m.PeakMiB, t.PeakMiB)
		m.Windows += t.Windows
		m.Refused += t.Refused
		m.Lost += t.Lost
		m.Duplicated += t.Duplicated
	}
	return m
}

// median is the middle value, the lower of two; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// String is the row in one line, for those who wait.
func (r Row) String() string {
	text := fmt.Sprintf("%-17s %-6s %3d: %8.0f windows/s", r.Shape, r.Loop, r.Concurrency, r.Core.WindowsPerSecond)
	if r.Ratio > 0 {
		text += fmt.Sprintf(", %.2f of the ceiling's %.0f", r.Ratio, r.Ceiling.WindowsPerSecond)
	}
	return text + fmt.Sprintf("; end to end %.2f ms, a commit %.2f ms; lost %d, duplicated %d", r.Core.EndP50, r.CommitMillis, r.Core.Lost, r.Core.Duplicated)
}

// report is what is known before anything is measured.
func (b *bench) report() (*Report, error) {
	r := &Report{Begun: time.Now().UTC().Truncate(time.Second), Turns: b.Turns, TurnsLast: b.For.String(), Assets: b.Assets, Commit: b.Commit}
	if info, ok := debug.ReadBuildInfo(); ok && r.Commit == "" {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				r.Commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				r.Commit += "-dirty"
			}
		}
	}
	r.Machine = Machine{CPUs: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if infos, err := cpu.Info(); err == nil && len(infos) > 0 {
		r.Machine.CPU = infos[0].ModelName
	}
	if m, err := mem.VirtualMemory(); err == nil {
		r.Machine.MemoryGiB = float64(m.Total>>20) / 1024
	}
	if l, err := loadavg.Avg(); err == nil {
		r.Machine.Load = l.Load1
	}
	usage, err := disk.Usage(b.Dir)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", b.Dir, err)
	}
	r.Machine.FileSystem = usage.Fstype
	if memory := usage.Fstype == "tmpfs" || usage.Fstype == "ramfs"; memory && !b.anyDisk {
		return nil, fmt.Errorf("%s is memory (%s), on which nothing is durable; choose a folder on a disk with --dir", b.Dir, usage.Fstype)
	}
	return r, nil
}

// Print writes the report for people.
func (r *Report) Print(out io.Writer) error {
	m := r.Machine
	fmt.Fprintf(out, "\n%s, %d CPUs, %.0f GiB, %s, %s, %s, commit %s, load %.1f before\n", m.CPU, m.CPUs, m.MemoryGiB, m.FileSystem, m.Platform, m.Go, r.Commit, m.Load)
	if len(r.Rows) > 0 {
		fmt.Fprintf(out, "medians of %d turns of %s; times in ms; those of a ceiling in brackets\n\n", r.Turns, r.TurnsLast)
		if err := r.printRows(out); err != nil {
			return err
		}
	}
	if r.Waiting != nil {
		r.Waiting.print(out)
	}
	for _, o := range r.Overloads {
		o.print(out)
	}
	if r.Stored != nil {
		r.Stored.print(out)
	}
	if r.Many != nil {
		r.Many.print(out)
	}
	if r.Drain != nil {
		r.Drain.print(out)
	}
	if r.Postgres != nil {
		return r.Postgres.print(out)
	}
	return nil
}

func (r *Report) printRows(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shape\tloop\tat once\twindows/s\tratio\temit p50\tp99\tend p50\tp99\tcommit\tCPU µs\tallocs\tKiB\tcommits\tpeak MiB\tlost\tdupl.\t")
	for _, row := range r.Rows {
		c := row.Core
		ratio, limit := "", Turn{}
		if row.Ceiling != nil {
			limit = *row.Ceiling
		}
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		beside := func(own, other float64, form string) string {
			if row.Ceiling == nil {
				return fmt.Sprintf(form, own)
			}
			return fmt.Sprintf(form+" ("+form+")", own, other)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t%.0f\t%.1f\t%.2f\t%.0f\t%d\t%d\t\n",
			row.Shape, row.Loop, row.Concurrency, beside(c.WindowsPerSecond, limit.WindowsPerSecond, "%.0f"), ratio,
			beside(c.EmitP50, limit.EmitP50, "%.2f"), beside(c.EmitP99, limit.EmitP99, "%.2f"),
			beside(c.EndP50, limit.EndP50, "%.2f"), beside(c.EndP99, limit.EndP99, "%.2f"), row.CommitMillis,
			beside(c.CPUPerWindow, limit.CPUPerWindow, "%.0f"), c.AllocationsPerWindow, c.KiBPerWindow, c.CommitsPerWindow,
			c.PeakMiB, c.Lost, c.Duplicated)
	}
	return w.Flush()
}

// Faults returns what is wrong with the windows of a report: an error when one was lost or came twice.
func (r *Report) Faults() error {
	lost, duplicated := 0, 0
	for _, row := range r.Rows {
		lost, duplicated = lost+row.Core.Lost, duplicated+row.Core.Duplicated
	}
	if r.Waiting != nil {
		lost, duplicated = lost+r.Waiting.Lost, duplicated+r.Waiting.Duplicated
	}
	if r.Drain != nil {
		lost, duplicated = lost+r.Drain.Lost, duplicated+r.Drain.Duplicated
	}
	for _, o := range r.Overloads {
		lost, duplicated = lost+o.Lost, duplicated+o.Duplicated
	}
	var turns []Turn
	if r.Postgres != nil {
		for _, row := range r.Postgres.Rows {
			turns = append(turns, row.Core)
		}
	}
	if r.Stored != nil {
		turns = append(turns, r.Stored.Empty, r.Stored.Full)
	}
	if r.Many != nil {
		turns = append(turns, r.Many.Small, r.Many.Large)
	}
	for _, t := range turns {
		lost, duplicated = lost+t.Lost, duplicated+t.Duplicated
	}
	if lost+duplicated > 0 {
		return fmt.Errorf("%d windows were lost and %d came twice", lost, duplicated)
	}
	return nil
}
