package orca_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

// A processor and a client that show the token get into a core that wants it: the window is emitted, processed and
// waited for.
func TestTheTokenOpensACore(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(c *config.Config) { c.Token = "s3cret" })
	p := newProcessor(core.Addresses.GRPC, orca.WithToken("s3cret"))
	speed := orca.Value(p, "Speed", "1.0.0", lap, constant(5))
	start(t, p)
	await(t, p.Registered())
	client, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore(core.Addresses.GRPC), orca.WithToken("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	emission, err := client.Emit(ctx, window(lap, noon, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := client.Wait(ctx, emission.WindowID)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := speed.In(outcome); got != 5 || err != nil {
		t.Errorf("got %v, %v, want 5", got, err)
	}
}

// Without the token, or with another one, everything ends at once and says what to set.
func TestWithoutTheTokenACoreStaysShut(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(c *config.Config) { c.Token = "s3cret" })
	for name, tc := range map[string]struct{ token, words string }{
		"none":    {"", "this core wants a token"},
		"another": {"s3cret2", "the token is not this core's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			client, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore(core.Addresses.GRPC), orca.WithToken(tc.token))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_, emit := client.Emit(ctx, window(lap, noon, time.Minute))
			_, wait := client.Wait(ctx, "x-1")
			p := newProcessor(core.Addresses.GRPC, orca.WithToken(tc.token))
			orca.Value(p, "Speed", "1.0.0", lap, constant(5))
			for call, err := range map[string]error{"emit": emit, "wait": wait, "run": p.Run(ctx)} {
				if !errors.Is(err, orca.ErrUnauthorized) || !strings.Contains(err.Error(), tc.words) ||
					!strings.Contains(err.Error(), "with WithToken or ORCA_TOKEN") || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: got %v, want an ErrUnauthorized that says %q and what to set", call, err, tc.words)
				}
			}
			if ctx.Err() != nil {
				t.Error("the calls ended with their time only")
			}
		})
	}
}

// Settings promise TLS, dial options take it away: gRPC refuses, instead of showing the token.
func TestDialOptionsDoNotUncoverTheToken(t *testing.T) {
	t.Parallel()
	_, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore("grpcs://core.example:1"), orca.WithToken("s3cret"),
		orca.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err == nil || !strings.Contains(err.Error(), "transport level security") {
		t.Errorf("got %v, want an error about transport level security", err)
	}
}
