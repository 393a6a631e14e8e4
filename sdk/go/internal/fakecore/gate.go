package fakecore

import (
	"net"
	"sync"
)

// gate holds a port for as long as a fake core lives, so that nobody else takes it while the core is stopped. It
// hands connections to the entrance that is open, and cuts them when none is.
type gate struct {
	listener net.Listener
	accepted sync.WaitGroup

	mu   sync.Mutex // guards what follows
	open *entrance
}

func openGate(listener net.Listener) *gate {
	g := &gate{listener: listener}
	g.accepted.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.pass(conn)
		}
	})
	return g
}

func (g *gate) pass(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		select {
		case g.open.conns <- conn:
			return
		case <-g.open.closed:
		}
	}
	_ = conn.Close()
}

func (g *gate) entrance() net.Listener {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = &entrance{conns: make(chan net.Conn), closed: make(chan struct{}), addr: g.listener.Addr()}
	return g.open
}

func (g *gate) close() {
	_ = g.listener.Close()
	g.accepted.Wait()
}

// entrance is the listener of one life of a core.
type entrance struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func (e *entrance) Accept() (net.Conn, error) {
	select {
	case conn := <-e.conns:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

func (e *entrance) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

func (e *entrance) Addr() net.Addr { return e.addr }
