package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// reprocessing is one use of orca reprocess: of one window, or of those that its range chooses.
type reprocessing struct {
	rerun
	windowType string
	span       rangeFlags
	dryRun     bool
}

func (s *shell) reprocess() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	r := &reprocessing{rerun: rerun{waiting: waiting{shell: s}}}
	c := &cobra.Command{
		Use:   "reprocess [ID]",
		Short: "Run windows anew, with the algorithms of today",
		Long: "Makes the next run of a window, or of all windows of a type and time range, under the algorithms that are\n" +
			"registered now and from nothing. The run before it must be finished, and stays readable.\n\n" +
			"Of one window: --wait prints each algorithm's outcome as it is there, and exits 1 when the run did not succeed.\n" +
			"Of a range: asks nothing, so see with --dry-run how many windows it is. The new runs are made from the oldest\n" +
			"window to the newest. Windows that cannot be reprocessed are named, and make it exit 1; the others are. --json\n" +
			"prints how many there are, then one line for each.",
		Example: "  orca reprocess 01JQ8Z6W2M --wait\n" +
			"  orca reprocess --type CpuWindow@1.0.0 --from -7d --to now --dry-run\n" +
			"  orca reprocess --type CpuWindow@1.0.0 --from -7d --to now",
		Args: atMostOne("the ID of one window"),
		RunE: func(c *cobra.Command, args []string) error {
			r.json = asJSON.json
			if len(args) == 1 {
				return r.one(c, &at, args[0])
			}
			return r.many(c, &at)
		},
	}
	r.add(c)
	c.Flags().StringVar(&r.windowType, "type", "", "the windows of this type, `NAME@VERSION`")
	r.span.add(c, "those that end after this", "those that begin before this")
	c.Flags().BoolVar(&r.dryRun, "dry-run", false, "say how many windows of the range there are, and do no more")
	at.add(c)
	asJSON.add(c)
	return c
}

// ofOne and ofMany are the flags that are for one window, and for a range.
var ofOne, ofMany = []string{"meta", "wait", "timeout"}, []string{"type", "from", "to", "dry-run"}

func (r *reprocessing) one(c *cobra.Command, at *coreFlag, id string) error {
	if name := given(c, ofMany); name != "" {
		return wrong(c, "--%s is for a range of windows, and %q is one", name, id)
	}
	return r.run(c, at, id, reprocessOrder(id))
}

func reprocessOrder(id string) order {
	return func(ctx context.Context, core *core, metadata *structpb.Struct) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error) {
		a, err := ask(ctx, core, core.console.ReprocessWindow, &pb.ReprocessWindowRequest{Id: id, Metadata: metadata})
		return a.GetRun(), a.GetStatus(), err
	}
}

func (r *reprocessing) many(c *cobra.Command, at *coreFlag) error {
	if given(c, ofMany) == "" {
		return wrong(c, "%q needs the ID of one window, or --type, --from and --to of many", c.CommandPath())
	}
	if name := given(c, ofOne); name != "" {
		return wrong(c, "--%s is for one window, not for a range", name)
	}
	request, err := r.request(c)
	if err != nil {
		return err
	}
	core, err := r.shell.open(c, at)
	if err != nil {
		return err
	}
	defer core.close()
	return newSweep(r.shell, request, r.json).run(c.Context(), core)
}

func (r *reprocessing) request(c *cobra.Command) (*pb.ReprocessWindowsRequest, error) {
	if err := required(c, "type", "from", "to"); err != nil {
		return nil, err
	}
	of, err := parseRef(r.windowType, false)
	if err != nil {
		return nil, wrong(c, "--type %q: %v", r.windowType, err)
	}
	from, to, err := r.span.parse(c, r.shell.now())
	if err != nil {
		return nil, err
	}
	if to.AsTime().Before(from.AsTime()) {
		return nil, wrong(c, "--to %s is before --from %s", stamp(to), stamp(from))
	}
	return &pb.ReprocessWindowsRequest{
		WindowTypeName: of.Name, WindowTypeVersion: of.Version, TimeFrom: from, TimeTo: to, DryRun: r.dryRun,
	}, nil
}

// given returns the first of some flags that was given.
func given(c *cobra.Command, names []string) string {
	for _, n := range names {
		if c.Flags().Changed(n) {
			return n
		}
	}
	return ""
}

// atMostOne returns the check that a verb is given one argument or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return wrong(c, "%q takes %s, and was given %q too", c.CommandPath(), what, args[1])
		}
		return nil
	}
}

// matchedView and reprocessedView are the lines of a range as JSON.
type matchedView struct {
	Matched int64 `json:"matched"`
}

type reprocessedView struct {
	ID      string   `json:"id"`
	Run     *runView `json:"run,omitempty"`
	Refusal string   `json:"refusal,omitempty"`
}

func viewReprocessed(w *pb.ReprocessedWindow) reprocessedView {
	v := reprocessedView{ID: w.GetId(), Run: viewRun(w.GetRun()), Refusal: w.GetRefusal()}
	if v.Run == nil && v.Refusal == "" {
		v.Refusal = "the core gave no reason"
	}
	return v
}

func (v reprocessedView) String() string {
	return fmt.Sprintf("%s: %s", v.ID, shorten(oneLine(v.Refusal), shownReason))
}
