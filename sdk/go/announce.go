package orca

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	// heartbeatSilence is how long a core may be silent before it is asked whether it still knows the processor:
	// three heartbeats of the usual five seconds.
	heartbeatSilence = 15 * time.Second
	// announceTimeout bounds one call to the core.
	announceTimeout = 20 * time.Second
)

var announcePauses = pauses{shortest: 100 * time.Millisecond, longest: 5 * time.Second}

// announcer keeps the processor registered.
//
// A registration is the newest word on its processor, so repeating it for no reason could undo what a newer instance
// announced during a rolling upgrade. The announcer therefore registers once, and again only when the core says that
// it does not know the processor. It asks that when heartbeats stay out, and when the connection to the core was lost
// and is back. A core whose connection is up and whose heartbeats arrive is never asked.
type announcer struct {
	registration *pb.ProcessorRegistration
	core         pb.OrcaCoreClient
	console      pb.OrcaConsoleClient
	conn         *grpc.ClientConn
	target       string
	heard        <-chan struct{} // heartbeats
	silence      time.Duration
	starting     func() // called before the first registration is sent
	accepted     func() // called after each
	log          *slog.Logger
}

// run returns nil when the context ends, and an error when the core refuses the processor.
func (a *announcer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	back := make(chan struct{}, 1)
	var watching sync.WaitGroup
	watching.Go(func() { watchConnection(ctx, a.conn, back) })
	defer watching.Wait()
	defer cancel()
	for ctx.Err() == nil {
		if err := a.register(ctx); err != nil {
			return err
		}
		a.awaitLoss(ctx, back)
	}
	return nil
}

// register tries until the core has accepted the processor, has refused it, or the context ends.
func (a *announcer) register(ctx context.Context) error {
	a.starting()
	for failures := 1; ctx.Err() == nil; failures++ {
		answer, err := a.send(ctx)
		switch {
		case err == nil:
			a.welcome(answer)
			return nil
		case ctx.Err() != nil:
			continue
		case refused(err):
			return newCallError("register processor "+a.registration.GetName(), a.target, failures, err, nil)
		case failures == 1 || failures%20 == 0:
			a.log.Warn("cannot register, trying on; is a core running there?", "attempts", failures, "error", wordsOf(err))
		}
		if sleep(ctx, announcePauses.after(failures, err)) != nil {
			break
		}
	}
	return nil //nolint:nilerr // the context has ended, which is how a processor is stopped
}

func (a *announcer) send(ctx context.Context) (*pb.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	answer, err := a.core.RegisterProcessor(ctx, a.registration)
	if err == nil && !answer.GetReceived() {
		return nil, status.Error(codes.FailedPrecondition, answer.GetMessage())
	}
	return answer, err
}

// welcome logs what the core has to say: what is awaited, what was replaced, warnings.
func (a *announcer) welcome(answer *pb.Status) {
	a.log.Info("registered", "algorithms", len(a.registration.GetSupportedAlgorithms()))
	if answer.GetMessage() != "" {
		a.log.Warn("the core says", "message", answer.GetMessage())
	}
	a.accepted()
}

// refused says whether trying again is of no use before somebody changes something.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated, codes.Unimplemented, codes.OutOfRange:
		return true
	}
	return false
}

// awaitLoss returns when the core no longer knows the processor, or the context ends.
func (a *announcer) awaitLoss(ctx context.Context, back <-chan struct{}) {
	timer := time.NewTimer(a.silence)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-a.heard:
			timer.Reset(a.silence)
			continue
		case <-back:
		case <-timer.C:
		}
		known, err := a.known(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			failures++
			timer.Reset(announcePauses.pause(failures, rand.Float64()))
		case err == nil && !known:
			a.log.Warn("the core does not know this processor any more; registering again")
			return
		default:
			failures = 0
			timer.Reset(a.silence)
		}
	}
}

// known asks the core whether the processor is registered at this address with as many algorithms.
func (a *announcer) known(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	request := &pb.ListProcessorsRequest{PageSize: 1000}
	for {
		page, err := a.console.ListProcessors(ctx, request)
		if status.Code(err) == codes.Unimplemented {
			return a.exposed(ctx)
		}
		if err != nil {
			return false, err
		}
		for _, processor := range page.GetProcessors() {
			if processor.GetName() == a.registration.GetName() {
				return a.listed(processor), nil
			}
		}
		if request.PageToken = page.GetPageToken(); request.PageToken == "" {
			return false, nil
		}
	}
}

func (a *announcer) listed(processor *pb.ProcessorInfo) bool {
	for _, instance := range processor.GetInstances() {
		if withoutScheme(instance.GetConnectionStr()) != withoutScheme(a.registration.GetConnectionStr()) {
			continue
		}
		if instance.GetState() == pb.InstanceState_INSTANCE_STATE_UNREACHABLE {
			a.log.Warn("the core cannot reach this processor at the address that it announced; set PROCESSOR_ADDRESS",
				"reason", instance.GetReason())
		}
		return int(instance.GetAlgorithms()) == len(a.registration.GetSupportedAlgorithms())
	}
	return false
}

// exposed asks a core that has no console. It tells one address for each processor and runtime, so another instance
// can hide this one, which then registers again; that is harmless.
func (a *announcer) exposed(ctx context.Context) (bool, error) {
	state, err := a.core.Expose(ctx, &pb.ExposeSettings{})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(state.GetProcessors(), func(processor *pb.ProcessorRegistration) bool {
		return processor.GetName() == a.registration.GetName() &&
			withoutScheme(processor.GetConnectionStr()) == withoutScheme(a.registration.GetConnectionStr())
	}), nil
}

func withoutScheme(address string) string {
	return strings.TrimPrefix(strings.TrimPrefix(address, "grpcs://"), "grpc://")
}

// watchConnection keeps the connection up, and tells when it is ready again after it was lost.
func watchConnection(ctx context.Context, conn *grpc.ClientConn, back chan<- struct{}) {
	wasReady := false
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Idle:
			conn.Connect()
		case connectivity.Ready:
			if wasReady { // and left that state in between
				select {
				case back <- struct{}{}:
				default:
				}
			}
			wasReady = true
		case connectivity.Shutdown:
			return
		}
		if !conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}
