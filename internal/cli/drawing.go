package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// drawings are the formats that a graph is drawn in.
var drawings = map[string]func(io.Writer, *graph) error{"text": drawText, "dot": drawDot, "mermaid": drawMermaid}

// drawText draws a graph as lines: each algorithm as deep as it stands in its DAG, with what it takes.
func drawText(w io.Writer, g *graph) error {
	out := bufio.NewWriter(w)
	for i, t := range g.types {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, oneLine(t.WindowType.String()))
		for _, n := range t.Algorithms {
			fmt.Fprintln(out, strings.Repeat("  ", n.Depth+1)+oneLine(nodeText(n)))
		}
	}
	return out.Flush()
}

// nodeText is such as "Health@1.0.0 [score] ← Usage@1.0.0 [host], Trend@1.0.0 of HourWindow@1.0.0 (last 24)". A
// processor is named where it is another than the algorithm's, a window type likewise.
func nodeText(n graphNode) string {
	text := fmt.Sprintf("%s [%s]", n.refView, n.Processor)
	var takes []string
	for _, d := range n.Dependencies {
		take := d.refView.String()
		if d.Processor != n.Processor {
			take += fmt.Sprintf(" [%s]", d.Processor)
		}
		if d.WindowType != nil && *d.WindowType != n.WindowType {
			take += " of " + d.WindowType.String()
		}
		takes = append(takes, bracketed(take, d.lookbackText(n.WindowType)))
	}
	if n.SelfLookback != nil {
		takes = append(takes, bracketed("itself", n.SelfLookback.String()))
	}
	if len(takes) > 0 {
		text += " ← " + strings.Join(takes, ", ")
	}
	if n.State != "active" {
		text += ": " + n.stateText()
	}
	return text
}

// edge is one arrow of a drawing, from what gives results to what takes them.
type edge struct {
	from, to refView
	label    string
	// past is set when only past results travel along it.
	past bool
}

// edges returns the arrows into the algorithms of one window type.
func (t typeGraph) edges() []edge {
	inside := map[refView]bool{}
	for _, n := range t.Algorithms {
		inside[n.refView] = true
	}
	var edges []edge
	for _, n := range t.Algorithms {
		for _, d := range n.Dependencies {
			edges = append(edges, edge{d.refView, n.refView, d.lookbackText(n.WindowType), !inside[d.refView]})
		}
		if n.SelfLookback != nil {
			edges = append(edges, edge{n.refView, n.refView, n.SelfLookback.String(), true})
		}
	}
	return edges
}

// names gives every algorithm of a graph, foreign ones too, a short name that any language of drawings can stand.
func (g *graph) names() map[refView]string {
	names := map[refView]string{}
	for _, t := range g.types {
		for _, n := range t.Algorithms {
			names[n.refView] = fmt.Sprintf("n%d", len(names)+1)
		}
	}
	for _, r := range g.foreign {
		names[r] = fmt.Sprintf("n%d", len(names)+1)
	}
	return names
}

func drawDot(w io.Writer, g *graph) error {
	out := bufio.NewWriter(w)
	names := g.names()
	fmt.Fprint(out, "digraph orca {\n  rankdir=LR;\n  node [shape=box];\n")
	for i, t := range g.types {
		fmt.Fprintf(out, "  subgraph cluster_%d {\n    label=%s;\n", i+1, dotText(t.WindowType.String()))
		for _, n := range t.Algorithms {
			style := ""
			if n.State != "active" {
				style = " style=dashed"
			}
			fmt.Fprintf(out, "    %s [label=%s%s];\n", names[n.refView], dotText(n.refView.String(), n.Processor), style)
		}
		fmt.Fprintln(out, "  }")
	}
	for _, r := range g.foreign {
		fmt.Fprintf(out, "  %s [label=%s style=dotted];\n", names[r], dotText(r.String(), r.Processor))
	}
	for _, t := range g.types {
		for _, e := range t.edges() {
			fmt.Fprintf(out, "  %s -> %s%s;\n", names[e.from], names[e.to], dotStyle(e))
		}
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

func dotStyle(e edge) string {
	var parts []string
	if e.label != "" {
		parts = append(parts, "label="+dotText(e.label))
	}
	if e.past {
		parts = append(parts, "style=dashed")
	}
	if len(parts) == 0 {
		return ""
	}
	return " [" + strings.Join(parts, " ") + "]"
}

// dotText quotes lines of text for dot.
func dotText(lines ...string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for i, l := range lines {
		lines[i] = quote.Replace(oneLine(l))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

func drawMermaid(w io.Writer, g *graph) error {
	out := bufio.NewWriter(w)
	names := g.names()
	fmt.Fprintln(out, "flowchart LR")
	for i, t := range g.types {
		fmt.Fprintf(out, "  subgraph t%d[%s]\n", i+1, mermaidText(t.WindowType.String()))
		for _, n := range t.Algorithms {
			fmt.Fprintf(out, "    %s[%s]\n", names[n.refView], mermaidText(n.refView.String(), n.Processor))
		}
		fmt.Fprintln(out, "  end")
	}
	for _, r := range g.foreign {
		fmt.Fprintf(out, "  %s([%s])\n", names[r], mermaidText(r.String(), r.Processor))
	}
	for _, t := range g.types {
		for _, e := range t.edges() {
			arrow := "-->"
			if e.past {
				arrow = "-.->"
			}
			if e.label != "" {
				arrow += "|" + mermaidText(e.label) + "|"
			}
			fmt.Fprintf(out, "  %s %s %s\n", names[e.from], arrow, names[e.to])
		}
	}
	return out.Flush()
}

// mermaidText quotes lines of text for mermaid, which knows entities and no backslashes.
func mermaidText(lines ...string) string {
	quote := strings.NewReplacer(`#`, "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;")
	for i, l := range lines {
		lines[i] = quote.Replace(oneLine(l))
	}
	return `"` + strings.Join(lines, "<br>") + `"`
}
