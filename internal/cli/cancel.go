package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func (s *shell) cancel() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	c := &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a window's run that is not finished",
		Long: "Settles what is open in the newest run of a window as cancelled. What has an outcome keeps it; a result that comes\n" +
			"later is dropped. The window can be retried or reprocessed afterwards.",
		Example: "  orca cancel 01JQ8Z6W2M",
		Args:    oneArgument("the ID of one window", "orca windows --state open"),
		RunE: func(c *cobra.Command, args []string) error {
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			answer, err := ask(c.Context(), core, core.console.CancelWindow, &pb.CancelWindowRequest{Id: args[0]})
			if err != nil {
				return err
			}
			if asJSON.json {
				return printJSON(s.out, startedView{ID: args[0], Run: viewRun(answer.GetRun())})
			}
			fmt.Fprintf(s.out, "window %s: %s\n", oneLine(args[0]), runText(answer.GetRun()))
			return nil
		},
	}
	at.add(c)
	asJSON.add(c)
	return c
}
