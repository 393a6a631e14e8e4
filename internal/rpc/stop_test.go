package rpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/orca-telemetry/orca/internal/rpc"
)

// noLedger has a name and nothing else.
type noLedger struct{ rpc.Ledger }

func (noLedger) Tag() string { return "none" }

// A server that is stopped before it has begun to serve ends without an error, and without its port: a core that is
// asked to stop in the moment of its start exits with 0.
func TestStopBeforeServe(t *testing.T) {
	t.Parallel()
	s, err := rpc.New(rpc.Config{Ledger: noLedger{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(t.Context())
	if err := s.Serve(l); err != nil {
		t.Errorf("Serve after Stop: %v, want nil", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing the listener again: %v, want that it is closed", err)
	}
}

// Whoever connects and says nothing does not hold up the end.
func TestStopDespiteSilentConnections(t *testing.T) {
	t.Parallel()
	s, err := rpc.New(rpc.Config{Ledger: noLedger{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// The server greets first, so it waits for the answer by now.
	if _, err := io.ReadFull(silent, make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	s.Stop(over)
	if err := <-served; err != nil {
		t.Errorf("serving ends with %v", err)
	}
}
