package fleet_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// network is a network in memory: processors listen at names, and an address where nobody listens refuses.
type network struct {
	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
}

func newNetwork() *network { return &network{listeners: map[string]*bufconn.Listener{}} }

func (n *network) listen(t *testing.T, address string) net.Listener {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		t.Fatalf("somebody listens at %s already", address)
	}
	l := bufconn.Listen(64 << 10)
	n.listeners[address] = l
	return listener{l, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.listeners, address)
	}}
}

// dialOption makes connections go through the network.
func (n *network) dialOption() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		n.mu.Lock()
		l := n.listeners[address]
		n.mu.Unlock()
		if l == nil {
			return nil, fmt.Errorf("dial %s: connection refused", address)
		}
		return l.DialContext(ctx)
	})
}

// listener frees its address when it is closed.
type listener struct {
	net.Listener
	free func()
}

func (l listener) Close() error {
	l.free()
	return l.Listener.Close()
}
