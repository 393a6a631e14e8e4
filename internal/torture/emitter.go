package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

// emitter emits windows one after the other. Only its own goroutine uses it.
type emitter struct {
	kind   Emitter
	name   string
	number int64 // of the emitter; its windows are numbered number, number+stride, …
	stride int64
	client *orca.Client
	bare   pb.OrcaCoreClient
	random *rand.Rand
	// slots bound the windows that are not finished.
	slots chan struct{}
	// answered is told of each window that has an id for the first time; whoever is told gives its slot back.
	answered func(id string, n int64)

	emits []Emit
}

const (
	// keyedPatience is how long an emitter with own keys waits for an answer; then it emits the window again.
	keyedPatience = 150 * time.Millisecond
	// repeatAfter is how many windows later at most an answered window is emitted once more.
	repeatAfter = 200
	// barePatience ends a call of the bare emitter that hangs.
	barePatience = 20 * time.Second
)

// run emits until the time is over.
func (e *emitter) run(ctx context.Context, over <-chan struct{}) error {
	repeats := map[int64]int64{} // after how many windows to emit which number again
	for i := int64(0); ; i++ {
		select {
		case <-over:
			return nil
		default:
		}
		select {
		case e.slots <- struct{}{}:
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		n := i*e.stride + e.number
		if err := e.emit(ctx, n, true); err != nil {
			return err
		}
		if e.kind == Keyed && e.random.IntN(3) == 0 {
			repeats[i+e.random.Int64N(repeatAfter)] = n
		}
		if again, ok := repeats[i]; ok {
			if err := e.emit(ctx, again, false); err != nil {
				return err
			}
		}
	}
}

// emit emits the window with number n, until it is answered where that is safe.
func (e *emitter) emit(ctx context.Context, n int64, first bool) error {
	for {
		x := Emit{Emitter: e.kind, Origin: fmt.Sprintf("%s-%d", e.name, n), N: n, Begun: Now()}
		err := e.attempt(ctx, &x)
		x.Ended = Now()
		if err != nil {
			x.Err = err.Error()
		}
		e.emits = append(e.emits, x)
		switch {
		case err == nil && x.WindowID == "":
			return fmt.Errorf("the emit of %s was answered without a window id", x.Origin)
		case err == nil && first:
			e.answered(x.WindowID, n)
			return nil
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !passing(err) && !errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("emit %s: %w", x.Origin, err)
		case e.kind != Keyed: // emitted again without its key, it could be there twice
			<-e.slots
			return nil
		}
	}
}

func (e *emitter) attempt(ctx context.Context, x *Emit) error {
	switch e.kind {
	case Fresh:
		return e.bySDK(ctx, x)
	case Keyed:
		ctx, cancel := context.WithTimeout(ctx, keyedPatience)
		defer cancel()
		return e.bySDK(ctx, x, orca.IdempotencyKey(x.Origin))
	case Bare:
		return e.byStub(ctx, x)
	}
	return fmt.Errorf("unknown emitter %q", e.kind)
}

func (e *emitter) bySDK(ctx context.Context, x *Emit, opts ...orca.EmitOption) error {
	from, to := Interval(x.N)
	emission, err := e.client.Emit(ctx, orca.Window{
		Type: orca.WindowType{Name: TypeOf(x.N), Version: Version}, From: from, To: to, Origin: x.Origin,
		Metadata: Fields(x.N),
	}, opts...)
	x.WindowID, x.Triggered = emission.WindowID, emission.Status == orca.ProcessingTriggered
	return err
}

func (e *emitter) byStub(ctx context.Context, x *Emit) error {
	ctx, cancel := context.WithTimeout(ctx, barePatience)
	defer cancel()
	from, to := Interval(x.N)
	fields, err := structpb.NewStruct(Fields(x.N))
	if err != nil {
		return err
	}
	var header metadata.MD
	answer, err := e.bare.EmitWindow(ctx, &pb.Window{
		TimeFrom: timestamppb.New(from), TimeTo: timestamppb.New(to), WindowTypeName: TypeOf(x.N), WindowTypeVersion: Version,
		Origin: x.Origin, Metadata: fields,
	}, grpc.Header(&header), grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if ids := header.Get("orca-window-id"); len(ids) == 1 {
		x.WindowID = ids[0]
	}
	x.Triggered = answer.GetStatus() == pb.WindowEmitStatus_PROCESSING_TRIGGERED
	return nil
}

// StoredFields reports whether metadata is that of the stored window with number n, with nothing that is not stored.
func StoredFields(n int64, metadata map[string]any) bool {
	return len(metadata) == 2 && metadata[FieldN] == float64(n) && metadata[FieldAsset] == assetOf(n)
}

// Interval is that of the window with number n.
func Interval(n int64) (from, to time.Time) {
	from = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	return from, from.Add(time.Second)
}
