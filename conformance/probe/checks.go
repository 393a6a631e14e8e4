package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// registration checks what every core will hold the processor to.
func (p *prober) registration(context.Context) (string, error) {
	r := p.cfg.Announced
	if r.GetName() == "" || r.GetRuntime() == "" || r.GetConnectionStr() == "" {
		return "", fmt.Errorf("name %q, runtime %q, connection_str %q: none may be empty", r.GetName(), r.GetRuntime(), r.GetConnectionStr())
	}
	seen := map[string]bool{}
	for _, a := range r.GetSupportedAlgorithms() {
		name := a.GetName() + " " + a.GetVersion()
		switch {
		case a.GetName() == "" || a.GetVersion() == "":
			return "", fmt.Errorf("algorithm %q: give it a name and a version", name)
		case seen[name]:
			return "", fmt.Errorf("algorithm %s is announced twice", name)
		case a.GetResultType() == pb.ResultType_NOT_SPECIFIED:
			return "", fmt.Errorf("algorithm %s: result_type is not set", name)
		case a.GetWindowType().GetName() == "" || a.GetWindowType().GetVersion() == "":
			return "", fmt.Errorf("algorithm %s: its window type needs a name and a version", name)
		}
		seen[name] = true
	}
	return fmt.Sprintf("%s with %d algorithms", r.GetName(), len(seen)), nil
}

// health asks as a heartbeat does.
func (p *prober) health(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	begun := time.Now()
	h, err := p.processor.HealthCheck(ctx, &pb.HealthCheckRequest{Timestamp: begun.UnixMilli()})
	m := h.GetMetrics()
	switch {
	case err != nil && strings.Contains(err.Error(), "unknown authority"):
		return "", fmt.Errorf("HealthCheck: %w; trust it with --processor-tls-ca", err)
	case err != nil:
		return "", fmt.Errorf("HealthCheck: %w", err)
	case h.GetStatus() != pb.HealthCheckResponse_STATUS_SERVING:
		return "", fmt.Errorf("the status is %v; a core sends work to processors that are STATUS_SERVING", h.GetStatus())
	case m == nil:
		return fmt.Sprintf("SERVING after %v, without metrics", time.Since(begun).Round(time.Millisecond)), nil
	case m.GetActiveTasks() < 0 || m.GetMemoryBytes() < 0 || m.GetUptimeSeconds() < 0 || m.GetCpuPercent() < 0 || m.GetCpuPercent() > 100:
		return "", fmt.Errorf("the metrics are %v; none is negative, and cpu_percent is at most 100", m)
	}
	return fmt.Sprintf("SERVING after %v, with metrics", time.Since(begun).Round(time.Millisecond)), nil
}

// unknown asks for an algorithm that the processor does not have, as a core does when another one moved to its address.
func (p *prober) unknown(ctx context.Context) (string, error) {
	a := &pb.Algorithm{
		Name: "OrcaConformUnknown", Version: "0.0.0", ResultType: pb.ResultType_VALUE,
		WindowType: &pb.WindowType{Name: "OrcaConform", Version: "0.0.0"},
	}
	results, err := p.execute(ctx, p.maker.request(a))
	switch code := status.Code(err); {
	case code == codes.Unimplemented:
		return "UNIMPLEMENTED", nil
	case code == codes.DeadlineExceeded || code == codes.Unavailable:
		return "", fmt.Errorf("the call ended with %w; end it with UNIMPLEMENTED, so that a core sends the work elsewhere", err)
	case code != codes.OK:
		return fmt.Sprintf("%v; UNIMPLEMENTED lets a core send the work elsewhere", code), nil
	case len(results) == 0:
		return "", errors.New("the stream ended without a word; end it with UNIMPLEMENTED")
	case results[0].GetAlgorithmResult().GetResult().GetStatus() == pb.ResultStatus_RESULT_STATUS_SUCEEDED:
		return "", errors.New("it gave a result of an algorithm that nobody has; end the call with UNIMPLEMENTED")
	}
	return "a failed result; UNIMPLEMENTED lets a core send the work elsewhere", nil
}

// empty asks for nothing, which may be refused and must not be answered with results.
func (p *prober) empty(ctx context.Context) (string, error) {
	w := window(&pb.WindowType{Name: "OrcaConform", Version: "0.0.0"})
	results, err := p.execute(ctx, &pb.ExecutionRequest{ExecId: "orca-conform-empty", Window: w})
	switch code := status.Code(err); {
	case len(results) > 0:
		return "", fmt.Errorf("it was asked for nothing and gave %d results", len(results))
	case code == codes.DeadlineExceeded || code == codes.Unavailable:
		return "", fmt.Errorf("the call ended with %w; end it, with OK or INVALID_ARGUMENT", err)
	default:
		return code.String(), nil
	}
}

func (p *prober) each(ctx context.Context) (string, error) {
	succeeded := 0
	for _, a := range p.maker.algorithms {
		n, err := p.answered(ctx, p.maker.request(a))
		if err != nil {
			return "", err
		}
		succeeded += n
	}
	return fmt.Sprintf("%d of %d succeeded on made-up inputs; a failure that says why is fine", succeeded, len(p.maker.algorithms)), nil
}

func (p *prober) all(ctx context.Context) (string, error) {
	for _, group := range p.maker.byWindowType() {
		if _, err := p.answered(ctx, p.maker.request(group...)); err != nil {
			return "", err
		}
	}
	return "a result for each algorithm", nil
}

func (p *prober) concurrent(ctx context.Context) (string, error) {
	const calls = 8
	group, ctx := errgroup.WithContext(ctx)
	for i := range calls {
		a := p.maker.algorithms[i%len(p.maker.algorithms)]
		group.Go(func() error {
			_, err := p.answered(ctx, p.maker.request(a))
			return err
		})
	}
	return fmt.Sprintf("%d calls", calls), group.Wait()
}

// large sends more than gRPC takes by default, 4 MiB.
func (p *prober) large(ctx context.Context) (string, error) {
	const size = 16 << 20
	r := p.maker.request(p.maker.algorithms[0])
	r.Window.Metadata.Fields["orca-conform"] = structpb.NewStringValue(strings.Repeat("x", size))
	_, err := p.answered(ctx, r)
	if status.Code(err) == codes.ResourceExhausted {
		err = fmt.Errorf("a request of 16 MiB is refused; let the server receive messages of up to 64 MiB (%v)", status.Convert(err).Message())
	}
	return "16 MiB", err
}

// cancelled gives a call up at once. Nothing of it may hold the processor back afterwards.
func (p *prober) cancelled(ctx context.Context) (string, error) {
	given, cancel := context.WithCancel(ctx)
	stream, err := p.processor.ExecuteDagPart(given, p.maker.request(p.maker.algorithms[0]))
	cancel()
	for err == nil {
		_, err = stream.Recv()
	}
	if _, err := p.answered(ctx, p.maker.request(p.maker.algorithms[0])); err != nil {
		return "", fmt.Errorf("after a cancelled call: %w", err)
	}
	return "the next call is answered", nil
}
