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
	mu          sync.Mutex
	listeners   map[string]*bufconn.Listener
	connections map[string]int // open ones, by address
}

func newNetwork() *network {
	return &network{listeners: map[string]*bufconn.Listener{}, connections: map[string]int{}}
}

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
		if n.listeners[address] == l {
			delete(n.listeners, address)
		}
	}}
}

// dialOptions make connections go through the network.
func (n *network) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithContextDialer(n.dial)}
}

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	conn, err := l.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	n.count(address, 1)
	return &connection{Conn: conn, closed: sync.OnceFunc(func() { n.count(address, -1) })}, nil
}

func (n *network) count(address string, d int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.connections[address] += d
}

// open returns how many connections to an address are open.
func (n *network) open(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.connections[address]
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

// connection tells when it is closed.
type connection struct {
	net.Conn
	closed func()
}

func (c *connection) Close() error {
	c.closed()
	return c.Conn.Close()
}

// dial connects unless the line is cut.
func (l *line) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := l.network.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = conn.Close()
		return nil, fmt.Errorf("dial %s: no route to host", address)
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}
