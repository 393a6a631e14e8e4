package cli

import (
	"context"
	"crypto/tls"
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
	processor, listen    string
	authority, cert, key string // PEM files: what to trust of the processor, and what to show it as a core
	wait, timeout        time.Duration
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
			"the core, and where that does not know it, what needs to know is skipped. A processor that announces grpcs://, or that\n" +
			"is named so, is spoken to with TLS. Exit code 1 when a check failed.",
		Example: "  orca conform\n  orca conform --processor 127.0.0.1:5377\n" +
			"  orca conform --processor grpcs://plant-7:5377 --processor-tls-ca plant.pem --core grpcs://orca:33670 --tls-ca orca.pem",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return s.runConform(c, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.processor, "processor", "", "check the processor at `HOST:PORT`")
	flags.StringVar(&f.listen, "listen", defaultCore, "without --processor, wait for one at `HOST:PORT`")
	flags.StringVar(&f.authority, "processor-tls-ca", "", "trust the certificates in this PEM `FILE` instead of the system's, of a processor at grpcs://")
	flags.StringVar(&f.cert, "tls-cert", "", "without --processor, speak TLS with the certificate chain in this PEM `FILE`")
	flags.StringVar(&f.key, "tls-key", "", "the key of --tls-cert, in this PEM `FILE`")
	flags.DurationVar(&f.wait, "wait", time.Minute, "wait so long for a processor")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "take a call for failed after this time")
	f.coreFlag.add(c)
	f.jsonFlag.add(c)
	return c
}

func (s *shell) runConform(c *cobra.Command, f *conformFlags) error {
	cfg, err := s.toCheck(c, f)
	if err != nil {
		return err
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

// toCheck finds out where the processor is and what it announced.
func (s *shell) toCheck(c *cobra.Command, f *conformFlags) (cfg probe.Config, err error) {
	cfg = probe.Config{Address: f.processor, Timeout: f.timeout}
	if f.processor == "" {
		cfg.Announced, err = s.awaitProcessor(c, f)
		cfg.Address = cfg.Announced.GetConnectionStr()
	} else {
		cfg.Announced, err = s.announced(c, f)
	}
	if err == nil && strings.HasPrefix(cfg.Address, "grpcs://") {
		cfg.TLS, err = trusting("--processor-tls-ca", f.authority)
	}
	return cfg, err
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
func (s *shell) awaitProcessor(c *cobra.Command, f *conformFlags) (*pb.ProcessorRegistration, error) {
	shown, err := f.shown(c)
	if err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(c.Context(), "tcp", f.listen)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with --listen, or name a processor of the core there with --processor", err)
	}
	at := listener.Addr().String()
	if shown != nil {
		at = "grpcs://" + at
	}
	fmt.Fprintf(s.errs, "waiting for a processor; start it with ORCA_CORE=%s\n", at)
	ctx, cancel := context.WithTimeout(c.Context(), f.wait)
	defer cancel()
	r, err := probe.Await(ctx, listener, shown)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no processor registered at %s within %v (--wait)", at, f.wait)
	}
	return r, err
}

// shown returns the TLS that processors find; nil for none.
func (f *conformFlags) shown(c *cobra.Command) (*tls.Config, error) {
	if f.cert == "" && f.key == "" {
		return nil, nil
	}
	if f.cert == "" || f.key == "" {
		return nil, wrong(c, "--tls-cert and --tls-key go together: give both")
	}
	certificate, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}, nil
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
		if bare(r.GetConnectionStr()) == bare(f.processor) {
			return r, nil
		}
	}
	fmt.Fprintf(s.errs, "the algorithms are not known: the core at %s has no processor at %s\n", core.address, f.processor)
	return nil, nil
}

// bare is an address without its scheme, as a core compares addresses.
func bare(address string) string {
	return strings.TrimPrefix(strings.TrimPrefix(address, "grpcs://"), "grpc://")
}
