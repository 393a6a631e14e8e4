package cli

import (
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// emission is one use of orca emit: what is emitted, and how its outcome is told.
type emission struct {
	waiting
	core   target
	window *pb.Window
	key    string
}

func (s *shell) emit() *cobra.Command {
	var at coreFlag
	var asJSON jsonFlag
	var span rangeFlags
	var meta metaFlag
	var windowType string
	e := &emission{waiting: waiting{shell: s}, window: &pb.Window{}}
	c := &cobra.Command{
		Use:   "emit",
		Short: "Emit a window, and wait for what becomes of it if asked",
		Long: "Emits one window. It is on disk when this returns. A core that is away or busy is asked again until --timeout;\n" +
			"the idempotency key makes that safe. With --wait it prints each algorithm's outcome as it is there, and exits 1\n" +
			"when the run did not succeed. --json prints one document when all is over.",
		Example: "  orca emit --type CpuWindow@1.0.0 --from -1m --to now --origin me --meta host=web-1\n" +
			"  orca emit --type CpuWindow@1.0.0 --from 2026-01-31T12:00:00Z --to 2026-01-31T12:01:00Z --origin me \\\n" +
			"    --meta host=web-1 --meta load:=0.5 --wait",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := e.complete(c, windowType, &span, &meta, &at); err != nil {
				return err
			}
			e.json = asJSON.json
			return e.run(c)
		},
	}
	c.Flags().StringVar(&windowType, "type", "", "the window's type, `NAME@VERSION` (required)")
	span.add(c, "where the window begins (required)", "where the window ends, not before it begins (required)")
	c.Flags().StringVar(&e.window.Origin, "origin", "", "who emits it, in your own words (required)")
	meta.add(c, "a field of its metadata")
	c.Flags().StringVar(&e.key, "idempotency-key", "", "emit once only, however often this is repeated with the same `KEY`; default a fresh one")
	e.add(c)
	at.add(c)
	asJSON.add(c)
	return c
}

// complete reads the flags into e.
func (e *emission) complete(c *cobra.Command, windowType string, span *rangeFlags, meta *metaFlag, at *coreFlag) error {
	if err := required(c, "type", "from", "to", "origin"); err != nil {
		return err
	}
	of, err := parseRef(windowType, false)
	if err != nil {
		return wrong(c, "--type %q: %v", windowType, err)
	}
	e.window.WindowTypeName, e.window.WindowTypeVersion = of.Name, of.Version
	if e.window.TimeFrom, e.window.TimeTo, err = span.parse(c, e.shell.now()); err != nil {
		return err
	}
	if e.window.Metadata, err = meta.parse(c); err != nil {
		return err
	}
	if err := e.check(c); err != nil {
		return err
	}
	if e.key == "" {
		e.key = rand.Text()
	}
	e.core, err = e.shell.resolve(c, at)
	return err
}

func (e *emission) run(c *cobra.Command) error {
	ctx, cancel := e.limit(c.Context())
	defer cancel()
	core, answer, err := e.accept(ctx)
	if err != nil {
		return err
	}
	defer core.close()

	v := startedView{ID: answer.id, Status: word(answer.status, "")}
	var waited error
	if e.wait && answer.status == pb.WindowEmitStatus_PROCESSING_TRIGGERED {
		waited = e.await(ctx, core, 1, &v)
	} else if !e.json {
		e.say("window %s: %s", answer.id, e.meaning(answer))
	}
	if e.json {
		if err := printJSON(e.shell.out, v); err != nil {
			return err
		}
	}
	if answer.status == pb.WindowEmitStatus_TRIGGERING_FAILED {
		return fmt.Errorf("window %s is kept, but none of its algorithms can run; %q says why", answer.id, "orca window "+answer.id)
	}
	return waited
}

// meaning is an answer in words.
func (e *emission) meaning(a answer) string {
	switch a.status {
	case pb.WindowEmitStatus_PROCESSING_TRIGGERED:
		return "accepted, processing is triggered"
	case pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS:
		return fmt.Sprintf("accepted, and no algorithm is triggered by %s@%s", e.window.WindowTypeName, e.window.WindowTypeVersion)
	case pb.WindowEmitStatus_TRIGGERING_FAILED:
		return "accepted, and none of its algorithms can run"
	}
	return fmt.Sprintf("accepted, with the unknown status %s", a.status)
}
