package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// Sizes of the plot, in pixels.
const (
	plotLeft, plotBar, plotRow, plotTop, plotRight = 190, 520, 22, 60, 150
)

// Plot draws the closed loops as an SVG: what the core does as a part of what the ceiling does.
func (r *Report) Plot(out io.Writer) error {
	var rows []Row
	for _, row := range r.Rows {
		if row.Ratio > 0 {
			rows = append(rows, row)
		}
	}
	width, height := plotLeft+plotBar+plotRight, plotTop+plotRow*len(rows)+30
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text := func(x, y int, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
	}
	text(10, 18, "start", fmt.Sprintf("Windows/s of the core as a part of the ceiling's, closed loop; medians of %d turns of %s", r.Turns, r.TurnsLast))
	text(10, 36, "start", fmt.Sprintf("%s, %d CPUs, %s, %s, commit %s, load %.1f before", r.Machine.CPU, r.Machine.CPUs, r.Machine.FileSystem, r.Machine.Go, r.Commit, r.Machine.Load))
	for i, row := range rows {
		y := plotTop + i*plotRow
		text(plotLeft-8, y+14, "end", fmt.Sprintf("%s, %d at once", row.Shape, row.Concurrency))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#d8dee4"/>`+"\n", plotLeft, y+2, plotBar, plotRow-4)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#2f6f9f"/>`+"\n", plotLeft, y+2, min(1, row.Ratio)*plotBar, plotRow-4)
		text(plotLeft+plotBar+8, y+14, "start", fmt.Sprintf("%.2f: %.0f of %.0f", row.Ratio, row.Core.WindowsPerSecond, row.Ceiling.WindowsPerSecond))
	}
	for tenths := 0; tenths <= 10; tenths += 2 {
		x := plotLeft + plotBar*tenths/10
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#8c959f" stroke-width="0.5"/>`+"\n", x, x, plotTop, height-25)
		text(x, height-10, "middle", fmt.Sprintf("%.1f", float64(tenths)/10))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}
