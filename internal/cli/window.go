package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// windowNodesView is what orca window prints as JSON: the window, the run that was asked for, and its nodes.
type windowNodesView struct {
	windowView
	NewestRevision int32      `json:"newest_revision"`
	Nodes          []nodeView `json:"nodes"`
}

func (s *shell) window() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var revision int32
	c := &cobra.Command{
		Use:   "window ID",
		Short: "Show one window, its run and what became of each algorithm",
		Long: "Shows one window with a run and its nodes: outcome, attempts, result and reason of each algorithm, dependencies\n" +
			"before their dependents. Tables shorten long results; --json has them whole.",
		Example: "  orca window 01JQ8Z6W2M\n  orca window 01JQ8Z6W2M --revision 1 --json",
		Args:    oneArgument("the ID of one window", "orca windows"),
		RunE: func(c *cobra.Command, args []string) error {
			if revision < 0 {
				return wrong(c, "--revision %d: want 1 or more, or 0 for the newest", revision)
			}
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			answer, err := ask(c.Context(), core, core.console.GetWindow, &pb.GetWindowRequest{Id: args[0], Revision: revision})
			if err != nil {
				return err
			}
			if asJSON.json {
				return printJSON(s.out, viewWindowNodes(answer))
			}
			return s.printWindow(answer)
		},
	}
	c.Flags().Int32Var(&revision, "revision", 0, "the run to show; 0 is the newest")
	at.add(c)
	asJSON.add(c)
	return c
}

func viewWindowNodes(a *pb.GetWindowResponse) windowNodesView {
	v := windowNodesView{
		windowView: viewWindowInfo(a.GetWindow()), NewestRevision: a.GetWindow().GetRun().GetRevision(), Nodes: []nodeView{},
	}
	v.Run = viewRun(a.GetRun())
	for _, n := range a.GetNodes() {
		v.Nodes = append(v.Nodes, viewNode(n))
	}
	return v
}

func (s *shell) printWindow(a *pb.GetWindowResponse) error {
	v := viewWindowNodes(a)
	lines := [][]string{
		{"window", v.ID},
		{"type", v.WindowType.String()},
		{"time", v.TimeFrom + " to " + v.TimeTo},
		{"origin", v.Origin},
		{"metadata", string(v.Metadata)},
		{"accepted", brief(v.AcceptedAt)},
		{"run", runText(a.GetRun())},
	}
	if v.NewestRevision > a.GetRun().GetRevision() {
		lines = append(lines, []string{"newest", fmt.Sprintf("revision %d", v.NewestRevision)})
	}
	if err := printTable(s.out, nil, lines); err != nil || len(v.Nodes) == 0 {
		return err
	}
	var nodes [][]string
	for _, n := range v.Nodes {
		nodes = append(nodes, nodeCells(n, a.GetRun().GetPosition()))
	}
	fmt.Fprintln(s.out)
	return printTable(s.out, []string{"ALGORITHM", "PROCESSOR", "OUTCOME", "ATTEMPTS", "RESULT", "REASON"}, nodes)
}

// nodeCells are a node's cells in the table of a run at position.
func nodeCells(n nodeView, position int64) []string {
	return []string{
		n.Algorithm.String(), n.Algorithm.Processor, outcomeText(n, position), strconv.Itoa(int(n.Attempts)), valueText(n.result), shorten(oneLine(n.Reason), shownReason),
	}
}

// outcomeText is a node's outcome in the run at position, and where it comes from when a retry kept it. Position 0 is not known.
func outcomeText(n nodeView, position int64) string {
	if n.ProducedAt == 0 || position == 0 || n.ProducedAt == position {
		return n.Outcome
	}
	return fmt.Sprintf("%s (kept from position %d)", n.Outcome, n.ProducedAt)
}

// runText is such as "revision 1 (emit), position 17, succeeded in 1.2s, 5 of 5 nodes settled".
func runText(r *pb.RunInfo) string {
	v := viewRun(r)
	if v == nil {
		return "none"
	}
	state := v.State
	if took, ok := runTime(r); ok {
		state += " in " + took.String()
	}
	return fmt.Sprintf("revision %d (%s), position %d, %s, %d of %s settled",
		v.Revision, v.Kind, v.Position, state, v.Settled, plural(v.Nodes, "node"))
}

// runTime is how long a finished run took, to the millisecond.
func runTime(r *pb.RunInfo) (time.Duration, bool) {
	if r.GetAcceptedAt() == nil || r.GetFinishedAt() == nil {
		return 0, false
	}
	return r.GetFinishedAt().AsTime().Sub(r.GetAcceptedAt().AsTime()).Round(time.Millisecond), true
}
