package orca

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	idempotencyHeader = "idempotency-key"
	windowIDHeader    = "orca-window-id"
)

// EmitStatus says what an emitted window has set in motion. With each of them the window is kept.
type EmitStatus int

const (
	// ProcessingTriggered: the window's run has begun.
	ProcessingTriggered EmitStatus = iota + 1
	// NoTriggeredAlgorithms: no active algorithm has this window type.
	NoTriggeredAlgorithms
	// TriggeringFailed: algorithms have this window type, but none of them can run.
	TriggeringFailed
)

// String is for people: "processing triggered".
func (s EmitStatus) String() string {
	switch s {
	case ProcessingTriggered:
		return "processing triggered"
	case NoTriggeredAlgorithms:
		return "no triggered algorithms"
	case TriggeringFailed:
		return "triggering failed"
	}
	return fmt.Sprintf("EmitStatus(%d)", int(s))
}

// Emission is the core's word that it has a window on disk.
type Emission struct {
	// WindowID is what [Client.Wait] takes. It is empty when the core gives none.
	WindowID string
	Status   EmitStatus
}

// EmitOption says more about one emit.
type EmitOption func(*emitConfig)

type emitConfig struct{ key string }

// IdempotencyKey makes repeated emits of one window one: with the same key and window, the core gives the answer of
// the first again, for a day by default. The same key with another window is an [ErrConflict]. Without this option
// each Emit has a fresh key, which protects its own retries and nothing else.
func IdempotencyKey(key string) EmitOption {
	return func(c *emitConfig) { c.key = key }
}

// Emit hands a window to the core. When it returns without an error, the window is durable and will be processed.
//
// While the core is unreachable or takes no more, Emit tries on with growing pauses until the context's deadline, or
// for the client's timeout; see [WithTimeout]. It never emits the window twice. When it gives up ([ErrUnavailable],
// or a deadline), the window may have been accepted; emit it again with an [IdempotencyKey] of your own to be sure.
// Windows that break a rule are [ErrInvalid], and an unknown window type is [ErrNotFound].
func (c *Client) Emit(ctx context.Context, window Window, opts ...EmitOption) (Emission, error) {
	config := emitConfig{key: freshKey(time.Now())}
	for _, opt := range opts {
		opt(&config)
	}
	if err := window.validate(); err != nil {
		return Emission{}, fmt.Errorf("emit window %v: %w", window.Type, err)
	}
	message, err := window.proto()
	if err == nil && proto.Size(message) > maxMessageBytes {
		err = invalid("window: %d bytes long, at most %d are allowed", proto.Size(message), maxMessageBytes)
	}
	if err != nil {
		return Emission{}, fmt.Errorf("emit window %v: %w", window.Type, err)
	}
	var emission Emission
	err = c.try(ctx, fmt.Sprintf("emit window %v", window.Type), func(ctx context.Context) (err error) {
		emission, err = c.emitOnce(ctx, message, config.key)
		return err
	})
	return emission, err
}

func (c *Client) emitOnce(ctx context.Context, window *pb.Window, key string) (Emission, error) {
	var header metadata.MD
	ctx = metadata.AppendToOutgoingContext(ctx, idempotencyHeader, key)
	answer, err := c.core.EmitWindow(ctx, window, grpc.Header(&header))
	if err != nil {
		return Emission{}, err
	}
	status, err := emitStatusOf(answer.GetStatus())
	if err != nil {
		return Emission{}, err
	}
	emission := Emission{Status: status}
	if ids := header.Get(windowIDHeader); len(ids) > 0 {
		emission.WindowID = ids[0]
	}
	return emission, nil
}

func emitStatusOf(s pb.WindowEmitStatus_StatusEnum) (EmitStatus, error) {
	switch s {
	case pb.WindowEmitStatus_PROCESSING_TRIGGERED:
		return ProcessingTriggered, nil
	case pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS:
		return NoTriggeredAlgorithms, nil
	case pb.WindowEmitStatus_TRIGGERING_FAILED:
		return TriggeringFailed, nil
	}
	return 0, fmt.Errorf("the core answered with the unknown status %d", s)
}

// freshKey returns a key that no other emit has. It begins with the time, because the core's ledger adds keys that come
// in order at less cost than keys that come at random.
func freshKey(now time.Time) string { return fmt.Sprintf("%012x-%s", now.UnixMilli(), rand.Text()) }
