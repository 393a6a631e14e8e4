package surprises

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/orca-telemetry/orca/internal/orcatest"
	orca "github.com/orca-telemetry/orca/sdk/go"
	memory "github.com/orca-telemetry/orca/sdk/go/orcatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a core with processors, in memory or real.
type bench struct {
	*testing.T
	options    []orca.ProcessorOption
	processors []*orca.Processor
	inMemory   *memory.Core
	client     *orca.Client // of a real core, else nil
}

// onBoth runs a test on a core in memory and on a real one.
func onBoth(t *testing.T, test func(*bench)) {
	t.Helper()
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		test(&bench{T: t, options: []orca.ProcessorOption{orca.WithoutEnvironment()}})
	})
	t.Run("real core", func(t *testing.T) {
		t.Parallel()
		test(onRealCore(t))
	})
}

func onRealCore(t *testing.T) *bench {
	t.Helper()
	address := orcatest.Start(t).Addresses.GRPC
	client, err := orca.NewClient(orca.WithCore(address), orca.WithoutEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{T: t, client: client, options: []orca.ProcessorOption{
		orca.WithCore(address), orca.WithListen("127.0.0.1:0"), orca.WithoutEnvironment(),
	}}
}

func (b *bench) processor(name string) *orca.Processor {
	p := orca.NewProcessor(name, b.options...)
	b.processors = append(b.processors, p)
	return p
}

// start makes the core know the processors, whose algorithms are complete.
func (b *bench) start() {
	b.Helper()
	if b.client == nil {
		var err error
		if b.inMemory, err = memory.New(b.processors...); err != nil {
			b.Fatal(err)
		}
		return
	}
	for _, p := range b.processors {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		b.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				b.Errorf("processor %s: %v", p.Name(), err)
			}
		})
		select {
		case <-p.Registered():
		case err := <-done:
			done <- err
			b.Fatalf("processor %s: %v", p.Name(), err)
		case <-time.After(orcatest.Patience):
			b.Fatalf("processor %s does not register", p.Name())
		}
	}
}

// emit emits a window, and returns what became of it.
func (b *bench) emit(w orca.Window) *orca.Outcome {
	b.Helper()
	if b.client == nil {
		outcome, err := b.inMemory.Emit(b.Context(), w)
		if err != nil {
			b.Fatal(err)
		}
		return outcome
	}
	return b.wait(b.send(w))
}

// send emits a window to a real core without waiting for what becomes of it.
func (b *bench) send(w orca.Window, opts ...orca.EmitOption) string {
	b.Helper()
	emission, err := b.client.Emit(b.Context(), w, opts...)
	if err != nil {
		b.Fatal(err)
	}
	return emission.WindowID
}

func (b *bench) wait(windowID string) *orca.Outcome {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), orcatest.Patience)
	defer cancel()
	outcome, err := b.client.Wait(ctx, windowID)
	if err != nil {
		b.Fatal(err)
	}
	return outcome
}

// want compares what algorithms gave with what the guide says.
func (b *bench) want(want, got any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("want (-), got (+):\n%s", diff)
	}
}

// result returns an algorithm's result, or the state and reason of its node where it has none.
func result[T any](a *orca.Algorithm[T], o *orca.Outcome) any {
	value, err := a.In(o)
	if err == nil {
		return value
	}
	for _, node := range o.Nodes {
		if node.Algorithm == a.ID() {
			return node.State.String() + ": " + node.Reason
		}
	}
	return err.Error()
}
