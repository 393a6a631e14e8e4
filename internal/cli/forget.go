package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// forgottenView is what orca forget prints as JSON.
type forgottenView struct {
	Processor  string `json:"processor"`
	Instances  int32  `json:"instances"`
	Algorithms int32  `json:"algorithms"`
	Runs       int64  `json:"runs"`
}

func (s *shell) forget() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	c := &cobra.Command{
		Use:   "forget PROCESSOR",
		Short: "Forget a processor that will not come back",
		Long: "Removes the instances of a processor, retires its algorithms, and skips its part in the runs that wait for it.\n" +
			"Results that are there stay. It may register again later; what was skipped can then be retried.",
		Example: "  orca forget racing",
		Args:    oneArgument("the name of one processor", "orca processors"),
		RunE: func(c *cobra.Command, args []string) error {
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			a, err := ask(c.Context(), core, core.console.ForgetProcessor, &pb.ForgetProcessorRequest{Name: args[0]})
			if err != nil {
				return err
			}
			if asJSON.json {
				return printJSON(s.out, forgottenView{args[0], a.GetInstances(), a.GetAlgorithms(), a.GetRuns()})
			}
			fmt.Fprintf(s.out, "processor %s: %s removed, %s retired, its part in %s skipped\n", oneLine(args[0]),
				plural(a.GetInstances(), "instance"), plural(a.GetAlgorithms(), "algorithm"), plural(a.GetRuns(), "open run"))
			return nil
		},
	}
	at.add(c)
	asJSON.add(c)
	return c
}
