package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// windowNodesView is what orca window prints as JSON: the window, the run that was asked for, and its nodes.
type windowNodesView struct {
	windowView
	NewestRevision int32      `json:"newest_revision"`
	Nodes          []nodeView `json:"nodes"`
	// Inputs are there when they were asked for.
	Inputs []inputView `json:"inputs,omitempty"`
}

func (s *shell) window() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var limit limitFlag
	var revision int32
	var inputs bool
	c := &cobra.Command{
		Use:   "window ID",
		Short: "Show one window, its run and what became of each algorithm",
		Long: "Shows one window with a run and its nodes: outcome, attempts, result and reason of each algorithm, dependencies\n" +
			"before their dependents. An outcome is stale when its algorithm would be given other past results now, because\n" +
			"windows came late or ran again; \"orca reprocess\" makes it anew. Tables shorten long results; --json has them whole.\n\n" +
			"--inputs also shows which rows each algorithm was given: of each of its dependencies, and of its own past. AGE is\n" +
			"the time from the end of the row's window to the end of this one.",
		Example: "  orca window 01JQ8Z6W2M\n  orca window 01JQ8Z6W2M --inputs\n  orca window 01JQ8Z6W2M --revision 1 --json",
		Args:    oneArgument("the ID of one window", "orca windows"),
		RunE: func(c *cobra.Command, args []string) error {
			if revision < 0 {
				return wrong(c, "--revision %d: want 1 or more, or 0 for the newest", revision)
			}
			if err := limit.check(c); err != nil {
				return err
			}
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			return s.showWindow(c.Context(), core, &pb.GetWindowRequest{Id: args[0], Revision: revision}, inputs, limit.limit, asJSON.json)
		},
	}
	c.Flags().Int32Var(&revision, "revision", 0, "the run to show; 0 is the newest")
	c.Flags().BoolVar(&inputs, "inputs", false, "also the rows that each algorithm was given")
	c.Flags().IntVar(&limit.limit, "limit", defaultLimit, "with --inputs, at most this many past rows of each dependency; 0 shows all")
	at.add(c)
	asJSON.add(c)
	return c
}

func (s *shell) showWindow(ctx context.Context, core *core, q *pb.GetWindowRequest, inputs bool, limit int, asJSON bool) error {
	answer, err := ask(ctx, core, core.console.GetWindow, q)
	if err != nil {
		return err
	}
	v := viewWindowNodes(answer)
	if inputs {
		if v.Inputs, err = core.inputs(ctx, answer, limit); err != nil {
			return err
		}
	}
	if asJSON {
		return printJSON(s.out, v)
	}
	if err := s.printWindow(v, answer.GetRun()); err != nil || !inputs {
		return err
	}
	return s.printInputs(v.Inputs, limit)
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

func (s *shell) printWindow(v windowNodesView, run *pb.RunInfo) error {
	lines := [][]string{
		{"window", v.ID},
		{"type", v.WindowType.String()},
		{"time", v.TimeFrom + " to " + v.TimeTo},
		{"origin", v.Origin},
		{"metadata", string(v.Metadata)},
		{"accepted", brief(v.AcceptedAt)},
		{"run", runText(run)},
	}
	if v.NewestRevision > run.GetRevision() {
		lines = append(lines, []string{"newest", fmt.Sprintf("revision %d", v.NewestRevision)})
	}
	if err := printTable(s.out, nil, lines); err != nil || len(v.Nodes) == 0 {
		return err
	}
	var nodes [][]string
	for _, n := range v.Nodes {
		nodes = append(nodes, nodeCells(n, run.GetPosition()))
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

// outcomeText is a node's outcome in the run at position, where it comes from when a retry kept it, and whether it is
// stale. Position 0 is not known.
func outcomeText(n nodeView, position int64) string {
	var notes []string
	if n.ProducedAt != 0 && position != 0 && n.ProducedAt != position {
		notes = append(notes, fmt.Sprintf("kept from position %d", n.ProducedAt))
	}
	if stale := word(pb.Freshness_FRESHNESS_STALE, "FRESHNESS_"); n.Freshness == stale {
		notes = append(notes, stale)
	}
	if len(notes) == 0 {
		return n.Outcome
	}
	return fmt.Sprintf("%s (%s)", n.Outcome, strings.Join(notes, ", "))
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
