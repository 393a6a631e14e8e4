package rpc

import (
	"net"
	"sync"
)

// connections are those of a listener that are open. gRPC waits for the greeting of a new one for as long as that takes,
// and does not end before: whoever connects and says nothing must not hold up the end of a core.
type connections struct {
	net.Listener

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.open[conn] = true
	return connection{conn, c}, nil
}

// cut closes all of them, and every one that comes.
func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close()
	}
}

// connection is no longer open once it is closed.
type connection struct {
	net.Conn
	of *connections
}

func (c connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
