package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/conformance/probe"
	pb "github.com/orca-telemetry/orca/contract/go"
)

// findingView is a row of what orca conform prints.
type findingView struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
}

// conformFlags are what orca conform is told.
type conformFlags struct {
	coreFlag
	jsonFlag
	processor, listen string
	wait, timeout     time.Duration
}

func (s *shell) conform() *cobra.Command {
	f := &conformFlags{}
	c := &cobra.Command{
		Use:   "conform",
		Short: "Check a processor from outside",
		Long: "Makes the requests that a core would make of a processor, with made-up inputs, and checks what it answers: health,\n" +
			"unknown algorithms, one result of the announced type for each algorithm, calls at the same time, large requests,\n" +
			"cancelled calls. Without --processor it plays the core at --listen, where cores are by default, and checks the first\n" +
			"processor that registers there. With --processor it checks the one that runs there; what it announced is asked of\n" +
			"the core, and where that does not know it, what needs to know is skipped. Exit code 1 when a check failed.",
		Example: "  orca conform\n  orca conform --processor 127.0.0.1:5377",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return s.runConform(c, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.processor, "processor", "", "check the processor at `HOST:PORT`")
	flags.StringVar(&f.listen, "listen", defaultCore, "without --processor, wait for one at `HOST:PORT`")
	flags.DurationVar(&f.wait, "wait", time.Minute, "wait so long for a processor")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "take a call for failed after this time")
	f.coreFlag.add(c)
	f.jsonFlag.add(c)
	return c
}

func (s *shell) runConform(c *cobra.Command, f *conformFlags) error {
	cfg := probe.Config{Address: f.processor, Timeout: f.timeout}
	var err error
	if f.processor == "" {
		cfg.Announced, err = s.awaitProcessor(c.Context(), f)
		cfg.Address = cfg.Announced.GetConnectionStr()
	} else {
		cfg.Announced, err = s.announced(c, f)
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(cfg.Address, "grpcs://") {
		return fmt.Errorf("the processor at %s speaks TLS, which orca conform does not; start it without", cfg.Address)
	}
	var rows []findingView
	failed := 0
	err = probe.Run(c.Context(), cfg, func(found probe.Finding) {
		rows = append(rows, findingView{found.Check, string(found.Verdict), found.Detail})
		if found.Verdict == probe.Failed {
			failed++
		}
	})
	if err != nil {
		return err
	}
	if err := s.printFindings(f.json, rows); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%s of the processor at %s failed", plural(failed, "check"), cfg.Address)
	}
	return nil
}

func (s *shell) printFindings(asJSON bool, rows []findingView) error {
	var lines [][]string
	for _, r := range rows {
		if !asJSON {
			lines = append(lines, []string{r.Check, r.Verdict, r.Detail})
		} else if err := printJSON(s.out, r); err != nil {
			return err
		}
	}
	if asJSON {
		return nil
	}
	return printTable(s.out, []string{"CHECK", "VERDICT", "SEEN"}, lines)
}

// awaitProcessor plays the core until a processor has registered.
func (s *shell) awaitProcessor(ctx context.Context, f *conformFlags) (*pb.ProcessorRegistration, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --listen, or name a processor of the core there with --processor", err)
	}
	fmt.Fprintf(s.errs, "waiting for a processor; start it with ORCA_CORE=%s\n", listener.Addr())
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	r, err := probe.Await(ctx, listener)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no processor registered at %s within %v (--wait)", listener.Addr(), f.wait)
	}
	return r, err
}

// announced asks the core what the processor at the address announced; nil where it does not know, or is not there.
func (s *shell) announced(c *cobra.Command, f *conformFlags) (*pb.ProcessorRegistration, error) {
	core, err := s.open(c, &f.coreFlag)
	if away := (*unreachable)(nil); errors.As(err, &away) {
		fmt.Fprintf(s.errs, "the algorithms are not known: %s\n", oneLine(away.Error()))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer core.close()
	state, err := ask(c.Context(), core, core.windows.Expose, &pb.ExposeSettings{})
	if err != nil {
		return nil, err
	}
	for _, r := range state.GetProcessors() {
		if strings.TrimPrefix(r.GetConnectionStr(), "grpc://") == strings.TrimPrefix(f.processor, "grpc://") {
			return r, nil
		}
	}
	fmt.Fprintf(s.errs, "the algorithms are not known: the core at %s has no processor at %s\n", core.address, f.processor)
	return nil, nil
}
