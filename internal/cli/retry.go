package cli

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func (s *shell) retry() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	r := &rerun{waiting: waiting{shell: s}}
	c := &cobra.Command{
		Use:   "retry ID",
		Short: "Run again what did not succeed in a window's newest run",
		Long: "Makes the next run of a window: the same algorithms, the results of those that succeeded kept, the others run\n" +
			"again. The run before it must be finished, and stays readable: orca window ID --revision 1.\n\n" +
			"With --wait it prints each algorithm's outcome as it is there, and exits 1 when the run did not succeed. --json\n" +
			"prints one document when all is over.",
		Example: "  orca retry 01JQ8Z6W2M --wait\n  orca retry 01JQ8Z6W2M --meta token=s3cret",
		Args:    oneArgument("the ID of one window", "orca windows --state failed"),
		RunE: func(c *cobra.Command, args []string) error {
			r.json = asJSON.json
			return r.run(c, &at, args[0], retryOrder(args[0]))
		},
	}
	r.add(c)
	at.add(c)
	asJSON.add(c)
	return c
}

func retryOrder(id string) order {
	return func(ctx context.Context, core *core, metadata *structpb.Struct) (*pb.RunInfo, pb.WindowEmitStatus_StatusEnum, error) {
		a, err := ask(ctx, core, core.console.RetryWindow, &pb.RetryWindowRequest{Id: id, Metadata: metadata})
		return a.GetRun(), pb.WindowEmitStatus_PROCESSING_TRIGGERED, err
	}
}
