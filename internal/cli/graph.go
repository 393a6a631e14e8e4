package cli

import (
	"cmp"
	"iter"
	"slices"

	"github.com/spf13/cobra"
)

// graph is the DAG of every window type, ready to be drawn.
type graph struct {
	types []typeGraph
	// foreign are the algorithms that others depend on and that are not drawn themselves: of window types that were
	// left out, or announced no more.
	foreign []refView
}

// typeGraph is the DAG of one window type.
type typeGraph struct {
	WindowType typeView    `json:"window_type"`
	Algorithms []graphNode `json:"algorithms"`
}

// graphNode is an algorithm with its place in the DAG.
type graphNode struct {
	algorithmView
	// Depth is 0 without dependencies of the same window type, else one more than the deepest of these.
	Depth int `json:"depth"`
}

func (s *shell) graph() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var windowType, format string
	c := &cobra.Command{
		Use:   "graph",
		Short: "Show the DAG of every window type",
		Long: "Shows which algorithms the windows of each type set in motion, and what each takes from which others. In the\n" +
			"text, every algorithm stands below and right of those whose results it takes.",
		Example: "  orca graph\n  orca graph --type CpuWindow --format mermaid\n  orca graph --format dot | dot -Tsvg > dag.svg",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			of, err := parseTypeFilter(c, windowType)
			if err != nil {
				return err
			}
			draw, known := drawings[format]
			if !known {
				return wrong(c, "--format %q: want text, dot or mermaid", format)
			}
			if asJSON.json && c.Flags().Changed("format") {
				return wrong(c, "--json and --format exclude each other")
			}
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			g, err := newGraph(core.algorithms(c.Context(), of, true))
			switch {
			case err != nil:
				return err
			case asJSON.json:
				return printJSON(s.out, map[string]any{"window_types": g.types})
			}
			s.sayNone(len(g.types), nil, "no algorithm is registered")
			return draw(s.out, g)
		},
	}
	addTypeFilter(c, &windowType, "only the DAG of this type")
	c.Flags().StringVar(&format, "format", "text", "draw it as `FORMAT`: text, dot or mermaid")
	at.add(c)
	asJSON.add(c)
	return c
}

// newGraph sorts algorithms into the DAGs of their window types.
func newGraph(algorithms iter.Seq2[algorithmView, error]) (*graph, error) {
	byType := map[typeView][]algorithmView{}
	drawn := map[refView]bool{}
	for a, err := range algorithms {
		if err != nil {
			return nil, err
		}
		byType[a.WindowType] = append(byType[a.WindowType], a)
		drawn[a.refView] = true
	}
	g := &graph{types: []typeGraph{}}
	for of, members := range byType {
		g.types = append(g.types, typeGraph{of, layer(members)})
		for _, a := range members {
			for _, d := range a.Dependencies {
				if !drawn[d.refView] && !slices.Contains(g.foreign, d.refView) {
					g.foreign = append(g.foreign, d.refView)
				}
			}
		}
	}
	slices.SortFunc(g.types, func(a, b typeGraph) int {
		return cmp.Or(cmp.Compare(a.WindowType.Name, b.WindowType.Name), cmp.Compare(a.WindowType.Version, b.WindowType.Version))
	})
	slices.SortFunc(g.foreign, compareRefs)
	return g, nil
}

// layer orders the algorithms of one window type by depth, then by identity.
func layer(algorithms []algorithmView) []graphNode {
	byRef := map[refView]algorithmView{}
	for _, a := range algorithms {
		byRef[a.refView] = a
	}
	depths := map[refView]int{}
	var depth func(refView) int
	depth = func(of refView) int {
		if d, known := depths[of]; known {
			return d
		}
		depths[of] = 0 // were there a cycle, which a core refuses, it would end here
		deepest := 0
		for _, d := range byRef[of].Dependencies {
			if _, inside := byRef[d.refView]; inside {
				deepest = max(deepest, depth(d.refView)+1)
			}
		}
		depths[of] = deepest
		return deepest
	}
	var nodes []graphNode
	for _, a := range algorithms {
		nodes = append(nodes, graphNode{a, depth(a.refView)})
	}
	slices.SortFunc(nodes, func(a, b graphNode) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), compareRefs(a.refView, b.refView))
	})
	return nodes
}

func compareRefs(a, b refView) int {
	return cmp.Or(cmp.Compare(a.Processor, b.Processor), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}
