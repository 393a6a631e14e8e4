// Package probe checks anyone's running processor from outside: it makes the requests that a core would make and looks at
// the answers. It knows the contract, and nothing of cores, SDKs or what the processor's algorithms are about.
package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Config says what to check.
type Config struct {
	// Address is where the processor listens: host:port, with grpc:// or grpcs:// before it or not.
	Address string
	// TLS is spoken to the processor; none when nil.
	TLS *tls.Config
	// Announced is what it registered with; nil where that is not known, and then what needs it is skipped.
	Announced *pb.ProcessorRegistration
	// Timeout bounds each call; 30 s when zero.
	Timeout time.Duration
}

// Verdict is what a check came to.
type Verdict string

// The verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	Skipped Verdict = "skipped"
)

// Finding is one check with its verdict.
type Finding struct {
	Check   string
	Verdict Verdict
	// Detail says what was seen, and what to do where it failed.
	Detail string
}

// prober holds what the checks need.
type prober struct {
	cfg       Config
	processor pb.OrcaProcessorClient
	maker     maker
}

// check is one of them. It returns what was seen, or an error that says what is wrong and what to do.
type check struct {
	name string
	// announced says that it needs algorithms.
	announced bool
	run       func(p *prober, ctx context.Context) (string, error)
}

var checks = []check{
	{"registration", true, (*prober).registration},
	{"health", false, (*prober).health},
	{"unknown algorithm", false, (*prober).unknown},
	{"request without algorithms", false, (*prober).empty},
	{"each algorithm alone", true, (*prober).each},
	{"all algorithms at once", true, (*prober).all},
	{"calls at the same time", true, (*prober).concurrent},
	{"a large request", true, (*prober).large},
	{"a cancelled call", true, (*prober).cancelled},
	{"health afterwards", false, (*prober).health},
}

// Run makes all checks, one after the other, and hands each finding to report as it is there. The error is that of ctx.
func Run(ctx context.Context, cfg Config, report func(Finding)) error {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	const most = 64 << 20
	_, address, ok := strings.Cut(cfg.Address, "://")
	if !ok {
		address = cfg.Address
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport(cfg.TLS)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)))
	if err != nil {
		return fmt.Errorf("processor at %s: %w", cfg.Address, err)
	}
	defer conn.Close()
	p := &prober{cfg: cfg, processor: pb.NewOrcaProcessorClient(conn), maker: newMaker(cfg.Announced)}
	for _, c := range checks {
		finding := Finding{Check: c.name, Verdict: Passed}
		if c.announced && len(cfg.Announced.GetSupportedAlgorithms()) == 0 {
			finding.Verdict, finding.Detail = Skipped, "it is not known which algorithms the processor has"
			report(finding)
			continue
		}
		detail, err := c.run(p, ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if finding.Detail = detail; err != nil {
			finding.Verdict, finding.Detail = Failed, err.Error()
		}
		report(finding)
	}
	return nil
}

func transport(with *tls.Config) credentials.TransportCredentials {
	if with == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(with)
}
