package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// statusView is what orca status prints as JSON.
type statusView struct {
	Core      string        `json:"core"`
	Version   string        `json:"version"`
	StartedAt string        `json:"started_at,omitempty"`
	Store     string        `json:"store"`
	Pending   int64         `json:"pending"`
	Active    int64         `json:"active"`
	Parked    int64         `json:"parked"`
	Ready     bool          `json:"ready"`
	NotReady  string        `json:"not_ready,omitempty"`
	Waiting   []waitingView `json:"waiting,omitempty"`
	// Cores share the ledger, the oldest first.
	Cores []coreView `json:"cores,omitempty"`
	// Background is the core that orca start starts, which need not be the one that was asked.
	Background *backgroundView `json:"background,omitempty"`
}

type backgroundView struct {
	// State is running, stopped, lost (it ended without being stopped) or none.
	State string `json:"state"`
	PID   int    `json:"pid,omitempty"`
	GRPC  string `json:"grpc,omitempty"`
	Data  string `json:"data,omitempty"`
	Log   string `json:"log,omitempty"`
}

type coreView struct {
	Address   string `json:"address"`
	Version   string `json:"version"`
	StartedAt string `json:"started_at"`
	// Lease is how many seconds it lasts.
	Lease  float64 `json:"lease"`
	Active int64   `json:"active"`
	Calls  int64   `json:"calls"`
}

type waitingView struct {
	Processor string `json:"processor"`
	Runs      int64  `json:"runs"`
	Oldest    int64  `json:"oldest"`
}

func (s *shell) status() *cobra.Command {
	var at coreFlag
	var folder folderFlag
	var asJSON jsonFlag
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the core is doing and what it waits for",
		Long: "Shows how the core is doing, and whether one runs in the background: its process, its data and its log. With\n" +
			"--dir, and where nothing says where the core is, the core of that folder is asked.",
		Example: "  orca status\n  orca status --core 10.0.0.7:33670 --json",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return s.runStatus(c, &at, &folder, asJSON.json) },
	}
	folder.add(c)
	at.add(c)
	asJSON.add(c)
	return c
}

func (s *shell) runStatus(c *cobra.Command, at *coreFlag, folder *folderFlag, asJSON bool) error {
	behind, err := s.viewBackground(folder)
	if err != nil {
		return err
	}
	if folder.dir != "" && behind.GRPC != "" && !c.Flags().Changed("core") {
		if err := c.Flags().Set("core", behind.GRPC); err != nil {
			return err
		}
	}
	core, err := s.open(c, at)
	if err != nil {
		if behind != nil && behind.State != "none" && !asJSON && errors.As(err, new(*unreachable)) {
			return errors.Join(printTable(s.out, nil, behind.lines()), err)
		}
		return err
	}
	defer core.close()
	answer, err := ask(c.Context(), core, core.console.GetStatus, &pb.GetStatusRequest{})
	if err != nil {
		return err
	}
	v := viewStatus(core.address, answer)
	v.Background = behind
	if asJSON {
		return printJSON(s.out, v)
	}
	return s.printStatus(v, s.now().Sub(answer.GetStartedAt().AsTime()))
}

// viewBackground returns how the background core stands; nil where there is no place for one.
func (s *shell) viewBackground(f *folderFlag) (*backgroundView, error) {
	folder, err := s.folder(f)
	if err != nil && f.dir == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now, err := folder.Look()
	if err != nil || !now.Known {
		return &backgroundView{State: "none"}, err
	}
	v := &backgroundView{State: "stopped", Data: now.Store, Log: folder.Log()}
	switch {
	case now.Running:
		v.State, v.PID, v.GRPC = "running", now.PID, now.GRPC
	case now.Lost():
		v.State, v.PID = "lost", now.PID
	}
	return v, nil
}

func (v *backgroundView) lines() [][]string {
	switch v.State {
	case "none":
		return [][]string{{"background", "none"}}
	case "running":
		return [][]string{{"background", fmt.Sprintf("process %d, at %s", v.PID, v.GRPC)}, {"data", v.Data}, {"log", v.Log}}
	}
	text := `stopped; "orca start" starts it again`
	if v.State == "lost" {
		text = fmt.Sprintf(`ended without being stopped (process %d); "orca start" goes on where it was`, v.PID)
	}
	return [][]string{{"background", text}, {"data", v.Data}, {"log", v.Log}}
}

func viewStatus(address string, a *pb.GetStatusResponse) statusView {
	v := statusView{
		Core: address, Version: a.GetVersion(), StartedAt: stamp(a.GetStartedAt()), Store: a.GetStore(),
		Pending: a.GetPending(), Active: a.GetActive(), Parked: a.GetParked(),
		Ready: a.GetNotReady() == "", NotReady: a.GetNotReady(),
	}
	for _, w := range a.GetWaiting() {
		v.Waiting = append(v.Waiting, waitingView{w.GetProcessor(), w.GetRuns(), w.GetOldest()})
	}
	for _, c := range a.GetCores() {
		v.Cores = append(v.Cores, coreView{c.GetAddress(), c.GetVersion(), stamp(c.GetStartedAt()), c.GetLease().AsDuration().Seconds(), c.GetActive(), c.GetCalls()})
	}
	return v
}

// line says how a core among several is doing.
func (c *coreView) line() string {
	lease := fmt.Sprintf("lease of %.1f s", c.Lease)
	if c.Lease < 0 {
		lease = fmt.Sprintf("lease over since %.1f s", -c.Lease)
	}
	return fmt.Sprintf("%s, version %s, %s, %s active, %s", c.Address, c.Version, lease, plural(c.Active, "run"), plural(c.Calls, "call"))
}

func (s *shell) printStatus(v statusView, up time.Duration) error {
	lines := [][]string{
		{"core", fmt.Sprintf("%s, version %s", v.Core, v.Version)},
		{"store", v.Store},
		{"runs", fmt.Sprintf("%d pending, %d active, %d parked", v.Pending, v.Active, v.Parked)},
		{"ready", "yes"},
	}
	if v.StartedAt != "" {
		lines = append(lines, []string{"up", fmt.Sprintf("%s, since %s", up.Round(time.Second), brief(v.StartedAt))})
	}
	if !v.Ready {
		lines[3][1] = "no: " + v.NotReady
	}
	for _, c := range v.Cores {
		lines = append(lines, []string{"shared by", c.line()})
	}
	for _, w := range v.Waiting {
		text := fmt.Sprintf("%s for processor %s, the oldest at position %d", plural(w.Runs, "run"), w.Processor, w.Oldest)
		lines = append(lines, []string{"waiting", text})
	}
	if v.Background != nil {
		lines = append(lines, v.Background.lines()...)
	}
	return printTable(s.out, nil, lines)
}

// plural counts things: 1 run, 2 runs.
func plural[N int | int32 | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
