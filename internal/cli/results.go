package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func (s *shell) results() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var limit limitFlag
	var span rangeFlags
	var meta metaFlag
	request := &pb.ListResultsRequest{}
	c := &cobra.Command{
		Use:   "results ALGORITHM@VERSION",
		Short: "List the results of an algorithm, the newest window first",
		Long: "Lists the results of an algorithm by the time of their windows, the newest first. --processor is needed where\n" +
			"several processors have an algorithm of that name and version.",
		Example: "  orca results CpuUsage@1.0.0 --from -1h --to now\n" +
			"  orca results CpuUsage@1.0.0 --meta host=web-1 --failed --limit 0 --json",
		Args: oneArgument("one algorithm, such as CpuUsage@1.0.0", "orca algorithms"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.resultsRequest(c, args[0], &span, &meta, request); err != nil {
				return err
			}
			if err := limit.check(c); err != nil {
				return err
			}
			core, err := s.open(c, &at)
			if err != nil {
				return err
			}
			defer core.close()
			return s.printResults(c, core, request, limit.limit, asJSON.json)
		},
	}
	span.add(c, "only windows that end after this", "only windows that begin before this")
	c.Flags().StringVar(&request.Processor, "processor", "", "only those of this processor")
	meta.add(c, "only windows whose metadata has this")
	c.Flags().BoolVar(&request.IncludeFailed, "failed", false, "also the outcomes that are not a success")
	limit.add(c)
	at.add(c)
	asJSON.add(c)
	return c
}

// resultsRequest completes the question for the first page.
func (s *shell) resultsRequest(c *cobra.Command, algorithm string, span *rangeFlags, meta *metaFlag, r *pb.ListResultsRequest) error {
	of, err := parseRef(algorithm, false)
	if err != nil {
		return wrong(c, "algorithm %q: %v", algorithm, err)
	}
	r.Name, r.Version = of.Name, of.Version
	if r.TimeFrom, r.TimeTo, err = span.parse(c, s.now()); err != nil {
		return err
	}
	r.Metadata, err = meta.parse(c)
	return err
}

func (s *shell) printResults(c *cobra.Command, core *core, request *pb.ListResultsRequest, limit int, asJSON bool) error {
	l := list[*pb.ListResultsRequest, *pb.ListResultsResponse, *pb.ResultInfo]{
		method: core.console.ListResults,
		page: func(size int32, token string) *pb.ListResultsRequest {
			request.PageSize, request.PageToken = size, token
			return request
		},
		rows: (*pb.ListResultsResponse).GetResults,
	}
	n, err := printList(s.out, asJSON, resultTable, views(l.walk(c.Context(), core, limit), viewResult))
	s.sayNone(n, err, "no such results")
	s.sayMore(l.more && err == nil, limit)
	return err
}

var resultTable = table[resultView]{
	head: []string{"FROM", "TO", "METADATA", "OUTCOME", "RESULT", "WINDOW", "REVISION", "REASON"},
	lines: func(r resultView) [][]string {
		return [][]string{{
			r.Window.TimeFrom, r.Window.TimeTo, metadataText(r.Window.Metadata), r.Outcome, valueText(r.result),
			r.WindowID, strconv.Itoa(int(r.Revision)), shorten(oneLine(r.Reason), shownReason),
		}}
	},
}
