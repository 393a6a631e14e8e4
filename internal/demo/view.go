package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// view shows the windows as they finish: a table that is drawn again in place on a terminal, else one line each.
type view struct {
	out        io.Writer
	terminal   bool
	width      int // of the terminal, in columns
	addresses  string
	algorithms algorithms
	lines      int            // of the table on the screen
	last       finishedWindow // of one second
	minute     finishedWindow // the last of a minute
	health     []float32      // of the last windows
}

// healthShown is how many values the line of health scores has.
const healthShown = 60

func newView(cfg Config, p *parts) *view {
	return &view{
		out: cfg.Out, terminal: cfg.Terminal, width: cfg.Width, algorithms: p.algorithms,
		addresses: fmt.Sprintf("core at %s, metrics at http://%s/metrics", p.addresses.GRPC, p.addresses.HTTP),
	}
}

func (v *view) begin() {
	fmt.Fprintf(v.out, "Orca on this machine's live telemetry; %s\n", v.addresses)
	fmt.Fprintln(v.out, "Each second triggers 10 algorithms on two processors. One fails on purpose, two look back.")
	fmt.Fprintf(v.out, "Every %d seconds one more reports on the last minute. Ctrl-C ends the demo.\n", minuteEvery)
	fmt.Fprintln(v.out)
}

func (v *view) emitted(s *summary) {
	if v.terminal {
		v.draw(s)
	}
}

// show takes in a finished window.
func (v *view) show(s *summary, f finishedWindow) {
	if f.err != nil {
		if !v.terminal {
			fmt.Fprintf(v.out, "%s  %v\n", f.window.To.Format(time.TimeOnly), f.err)
		}
		return
	}
	if f.window.Type.Name == hostMinute.Name {
		v.minute = f
	} else {
		v.last = f
	}
	if h, err := v.algorithms.health.In(f.outcome); err == nil {
		v.health = append(v.health, h)
		v.health = v.health[max(0, len(v.health)-healthShown):]
	}
	if v.terminal {
		v.draw(s)
		return
	}
	fmt.Fprintln(v.out, v.line(f))
}

// line shows a window where there is no terminal.
func (v *view) line(f finishedWindow) string {
	words := []string{f.window.To.Format(time.TimeOnly)}
	var bad []string
	for _, n := range f.outcome.Nodes {
		if n.State != orca.NodeSucceeded {
			bad = append(bad, fmt.Sprintf("%s %v: %s", n.Algorithm.Name, n.State, n.Reason))
		}
	}
	for _, id := range v.order() {
		if n, ok := find(f.outcome, id); ok && n.State == orca.NodeSucceeded {
			words = append(words, id.Name+" "+v.value(n, f.outcome))
		}
	}
	words = append(words, millis(f.total))
	return strings.Join(append(words, bad...), " | ")
}

// order is that of the rows.
func (v *view) order() []orca.AlgorithmID {
	a := v.algorithms
	return []orca.AlgorithmID{
		a.cpu.ID(), a.memory.ID(), a.load.ID(), a.disk.ID(), a.network.ID(), a.check.ID(), a.health.ID(), a.report.ID(),
		a.trend.ID(), a.smooth.ID(), a.minute.ID(),
	}
}

func find(o *orca.Outcome, id orca.AlgorithmID) (orca.Node, bool) {
	i := slices.IndexFunc(o.Nodes, func(n orca.Node) bool { return n.Algorithm == id })
	if i < 0 {
		return orca.Node{}, false
	}
	return o.Nodes[i], true
}

// value formats a result with its unit.
func (v *view) value(n orca.Node, o *orca.Outcome) string {
	a := v.algorithms
	switch n.Algorithm {
	case a.cpu.ID(), a.memory.ID(), a.smooth.ID():
		return fmt.Sprintf("%.1f %%", n.Value)
	case a.disk.ID():
		if d, err := a.disk.In(o); err == nil && len(d) == 2 {
			return fmt.Sprintf("%s read, %s written", bytesPerSecond(float64(d[0])), bytesPerSecond(float64(d[1])))
		}
	case a.network.ID():
		if r, err := a.network.In(o); err == nil {
			return fmt.Sprintf("%s in, %s out", bytesPerSecond(r.Received), bytesPerSecond(r.Sent))
		}
	case a.report.ID():
		if q, err := a.report.In(o); err == nil {
			return fmt.Sprintf("%.0f samples, health %.0f", q.Samples, q.Health)
		}
	case a.trend.ID():
		if t, err := a.trend.In(o); err == nil {
			return fmt.Sprintf("%+.1f %% over %s", t.Rise, plural(t.Windows, "window"))
		}
	case a.minute.ID():
		if r, err := a.minute.In(o); err == nil {
			return fmt.Sprintf("CPU mean %.1f %%, max %.1f %%, health min %.0f, over %d s", r.MeanCPU, r.MaxCPU, r.MinHealth, r.Seconds)
		}
	case a.check.ID():
		return fmt.Sprintf("%.0f samples", n.Value)
	}
	return fmt.Sprintf("%.2f", n.Value)
}

func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}

func bytesPerSecond(b float64) string {
	units := []string{"B/s", "kB/s", "MB/s", "GB/s"}
	for b >= 999.5 && len(units) > 1 {
		b, units = b/1000, units[1:]
	}
	if b < 9.95 {
		return fmt.Sprintf("%.1f %s", b, units[0])
	}
	return fmt.Sprintf("%.0f %s", b, units[0])
}

// draw writes the table over the one before.
func (v *view) draw(s *summary) {
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", v.lines) // up, and clear what is below
	}
	rows := v.table(s)
	for _, row := range rows {
		b.WriteString(row + "\n")
	}
	v.lines = len(rows)
	_, _ = io.WriteString(v.out, b.String())
}

func (v *view) table(s *summary) []string {
	head := fmt.Sprintf("emitted %d, finished %d, under way %d", s.emitted, s.finished, s.lost())
	if len(s.totals) > 0 {
		head += ", end to end p50 / p99 " + percentiles(s.totals)
	}
	rows := []string{v.cut(head, 0), ""}
	if v.last.outcome == nil {
		return append(rows, "waiting for the first window")
	}
	rows = append(rows, fmt.Sprintf("window %s to %s", v.last.window.From.Format("15:04:05.0"), v.last.window.To.Format("15:04:05.0")), "")
	processor := ""
	for _, id := range v.order() {
		n, ok := find(v.last.outcome, id)
		if !ok {
			continue
		}
		shown := ""
		if id.Processor != processor {
			processor, shown = id.Processor, id.Processor
		}
		text, color := v.value(n, v.last.outcome), "\x1b[32m"
		if n.State != orca.NodeSucceeded {
			text, color = n.Reason, "\x1b[33m"
		}
		rows = append(rows, fmt.Sprintf("  %-14s%-16s%s%-16v\x1b[0m%s", shown, id.Name, color, n.State, v.cut(text, 2+14+16+16)))
	}
	return append(rows, "", "  health  "+v.cut(sparkline(v.health), 10), "  minute  "+v.cut(v.report(), 10))
}

// report is what the last report on a minute says, and when that minute was over.
func (v *view) report() string {
	if v.minute.outcome == nil {
		return "not yet reported on"
	}
	text := "to " + v.minute.window.To.Format(time.TimeOnly)
	for _, n := range v.minute.outcome.Nodes {
		if n.State == orca.NodeSucceeded {
			text += ": " + v.value(n, v.minute.outcome)
		} else {
			text += ": " + n.Reason
		}
	}
	return text
}

// cut shortens a text that begins in the given column to what fits the line: a line that wraps would be left behind
// when the table is drawn again.
func (v *view) cut(text string, column int) string {
	runes, room := []rune(text), max(0, v.width-column-1)
	if v.width == 0 || len(runes) <= room {
		return text
	}
	return string(runes[:max(0, room-1)]) + "…"
}

// sparkline draws values between 0 and 100.
func sparkline(values []float32) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, x := range values {
		b.WriteRune(blocks[min(len(blocks)-1, max(0, int(x/100*float32(len(blocks)))))])
	}
	return b.String()
}
