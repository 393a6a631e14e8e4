package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

// Headers of EmitWindow.
const (
	headerIdempotencyKey = "idempotency-key"
	headerProject        = "orca-project"
	headerWindowID       = "orca-window-id"
)

// maxKeyLength bounds an idempotency key, in bytes.
const maxKeyLength = 255

// coreService is OrcaCore.
type coreService struct {
	pb.UnimplementedOrcaCoreServer
	cfg       Config
	validator *wire.Validator
}

func (s *coreService) RegisterProcessor(ctx context.Context, msg *pb.ProcessorRegistration) (*pb.Status, error) {
	if err := s.check(ctx, msg); err != nil {
		return nil, err
	}
	r, err := wire.Registration(msg)
	if err != nil {
		return nil, err
	}
	message, err := s.cfg.Registry.Register(ctx, r)
	if err != nil {
		return nil, err
	}
	return &pb.Status{Received: true, Message: message}, nil
}

func (s *coreService) EmitWindow(ctx context.Context, msg *pb.Window) (*pb.WindowEmitStatus, error) {
	if err := s.check(ctx, msg); err != nil {
		return nil, err
	}
	key, err := idempotencyKey(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.cfg.Registry.WindowType(ctx, wire.WindowTypeID(msg))
	if err != nil {
		return nil, err
	}
	emission, err := wire.Window(msg, t, s.cfg.Ledger.Secret())
	if err != nil {
		return nil, err
	}
	if key.Key != "" {
		key.Digest = wire.Digest(msg, t, s.cfg.Ledger.Secret())
		emission.Key = key
	}
	accepted, err := s.cfg.Engine.Emit(ctx, emission)
	if err != nil {
		return nil, err
	}
	id := ids{tag: s.cfg.Ledger.Tag()}.text(accepted.Window)
	if err := grpc.SetHeader(ctx, metadata.Pairs(headerWindowID, id)); err != nil {
		return nil, err
	}
	return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_StatusEnum(accepted.Status)}, nil
}

func (s *coreService) Expose(_ context.Context, msg *pb.ExposeSettings) (*pb.InternalState, error) {
	state := &pb.InternalState{}
	for _, r := range s.cfg.Registry.Snapshot().Expose(msg.GetExcludeProject()) {
		state.Processors = append(state.Processors, wire.ProcessorRegistrationMessage(r))
	}
	return state, nil
}

// check applies the contract's rules, and says at debug level which of them it overlooks.
func (s *coreService) check(ctx context.Context, msg proto.Message) error {
	tolerated, err := s.validator.Check(msg)
	if len(tolerated) > 0 {
		s.cfg.Log.DebugContext(ctx, "a message breaks rules that working peers break", "message", msg.ProtoReflect().Descriptor().Name(), "rules", tolerated)
	}
	return err
}

// idempotencyKey reads the emitter's key and project from the request's headers.
func idempotencyKey(ctx context.Context) (orca.IdempotencyKey, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	key := first(headers.Get(headerIdempotencyKey))
	if len(key) > maxKeyLength {
		return orca.IdempotencyKey{}, orca.Errorf(orca.Invalid, "%s: %d bytes are more than the %d allowed: use a UUID", headerIdempotencyKey, len(key), maxKeyLength)
	}
	project := first(headers.Get(headerProject))
	if len(project) > maxKeyLength {
		return orca.IdempotencyKey{}, orca.Errorf(orca.Invalid, "%s: %d bytes are more than the %d allowed: shorten it", headerProject, len(project), maxKeyLength)
	}
	return orca.IdempotencyKey{Project: project, Key: key}, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
