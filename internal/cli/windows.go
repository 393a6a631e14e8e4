package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// runStates are the states that a window's newest run can be asked for.
var runStates = []pb.RunState{
	pb.RunState_RUN_STATE_OPEN, pb.RunState_RUN_STATE_SUCCEEDED, pb.RunState_RUN_STATE_FAILED,
	pb.RunState_RUN_STATE_INCOMPLETE, pb.RunState_RUN_STATE_CANCELLED,
}

func (s *shell) windows() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var limit limitFlag
	var span rangeFlags
	var windowType, state string
	c := &cobra.Command{
		Use:   "windows",
		Short: "List windows and where their runs stand, the newest accepted first",
		Example: "  orca windows\n  orca windows --type CpuWindow --from -1h --state failed\n" +
			"  orca windows --limit 0 --json",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			request, err := s.windowsRequest(c, windowType, state, &span)
			if err != nil {
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
			return s.printWindows(c, core, request, limit.limit, asJSON.json)
		},
	}
	addTypeFilter(c, &windowType, "only windows of this type")
	span.add(c, "only windows that end after this", "only windows that begin before this")
	c.Flags().StringVar(&state, "state", "", "only windows whose newest run is in this `STATE`: "+stateNames())
	limit.add(c)
	at.add(c)
	asJSON.add(c)
	return c
}

func stateNames() string {
	var names []string
	for _, s := range runStates {
		names = append(names, word(s, "RUN_STATE_"))
	}
	return strings.Join(names, ", ")
}

// windowsRequest is the question for the first page.
func (s *shell) windowsRequest(c *cobra.Command, windowType, state string, span *rangeFlags) (*pb.ListWindowsRequest, error) {
	of, err := parseTypeFilter(c, windowType)
	if err != nil {
		return nil, err
	}
	from, to, err := span.parse(c, s.now())
	if err != nil {
		return nil, err
	}
	r := &pb.ListWindowsRequest{WindowTypeName: of.Name, WindowTypeVersion: of.Version, TimeFrom: from, TimeTo: to}
	for _, known := range runStates {
		if word(known, "RUN_STATE_") == state {
			r.State = known
		}
	}
	if state != "" && r.State == pb.RunState_RUN_STATE_UNSPECIFIED {
		return nil, wrong(c, "--state %q: want one of %s", state, stateNames())
	}
	return r, nil
}

func (s *shell) printWindows(c *cobra.Command, core *core, request *pb.ListWindowsRequest, limit int, asJSON bool) error {
	l := list[*pb.ListWindowsRequest, *pb.ListWindowsResponse, *pb.WindowInfo]{
		method: core.console.ListWindows,
		page: func(size int32, token string) *pb.ListWindowsRequest {
			request.PageSize, request.PageToken = size, token
			return request
		},
		rows: (*pb.ListWindowsResponse).GetWindows,
	}
	n, err := printList(s.out, asJSON, windowTable, views(l.walk(c.Context(), core, limit), viewWindowInfo))
	s.sayNone(n, err, "no such windows")
	s.sayMore(l.more && err == nil, limit)
	return err
}

var windowTable = table[windowView]{
	head: []string{"WINDOW", "TYPE", "FROM", "TO", "ORIGIN", "METADATA", "STATE", "SETTLED", "REVISION", "ACCEPTED"},
	lines: func(w windowView) [][]string {
		line := []string{w.ID, w.WindowType.String(), w.TimeFrom, w.TimeTo, shorten(w.Origin, shownText), metadataText(w.Metadata)}
		if w.Run == nil {
			return [][]string{append(line, "", "", "", brief(w.AcceptedAt))}
		}
		settled := fmt.Sprintf("%d/%d", w.Run.Settled, w.Run.Nodes)
		return [][]string{append(line, w.Run.State, settled, fmt.Sprint(w.Run.Revision), brief(w.AcceptedAt))}
	},
}

// metadataText is metadata in the cell of a table.
func metadataText(m []byte) string {
	if string(m) == "{}" {
		return ""
	}
	return shorten(string(m), shownText)
}
