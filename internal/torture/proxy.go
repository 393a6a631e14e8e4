package torture

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// The ways in which a network fails.
const (
	Cut    Action = "cut"    // every connection ends at once, as do new ones
	Silent Action = "silent" // connections are accepted and carry nothing, in either direction
	Late   Action = "late"   // whatever is carried takes its time
)

const (
	// lateness is the longest time that a piece of data is held back.
	lateness = 150 * time.Millisecond
	// pieceSize is how much is held back at once, in bytes.
	pieceSize = 16 << 10
)

// proxy is the network between the core and a processor: it listens where the processor says that it does, and carries
// on to where that is. Several goroutines may use it.
type proxy struct {
	listener net.Listener

	mu      sync.Mutex // guards what follows
	target  string
	conns   map[net.Conn]bool
	fault   Action        // or empty
	changed chan struct{} // closed when the fault is another one
}

func newProxy(host string) (*proxy, error) {
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return nil, err
	}
	return &proxy{listener: l, conns: map[net.Conn]bool{}, changed: make(chan struct{})}, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// run carries until ctx ends, and waits for all that it carries.
func (p *proxy) run(ctx context.Context) {
	var carriers sync.WaitGroup
	defer carriers.Wait()
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() }) // which ends Accept
	defer stop()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			p.set(Cut)
			return
		}
		carriers.Go(func() { p.carry(ctx, client) })
	}
}

// carry connects a client to the target. Nothing is said to the client before the target has accepted a connection.
func (p *proxy) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	if !p.keep(client) || !p.pass(ctx) {
		return
	}
	defer p.drop(client)
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(server) {
		return
	}
	defer p.drop(server)
	var both sync.WaitGroup
	both.Go(func() { p.copy(ctx, server, client) })
	both.Go(func() { p.copy(ctx, client, server) })
	both.Wait()
}

// copy carries data one way until either side ends, and then ends both.
func (p *proxy) copy(ctx context.Context, to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, pieceSize)
	for {
		n, err := from.Read(piece)
		if n > 0 && p.pass(ctx) {
			_, writeErr := to.Write(piece[:n])
			if writeErr != nil {
				return
			}
		}
		if err != nil { // io.EOF among them
			return
		}
	}
}

// pass returns when data may go on, or false when the connection has ended.
func (p *proxy) pass(ctx context.Context) bool {
	for {
		p.mu.Lock()
		fault, changed := p.fault, p.changed
		p.mu.Unlock()
		var wait <-chan time.Time
		switch {
		case fault == "":
			return true
		case fault == Cut:
			return false
		case fault == Late:
			timer := time.NewTimer(rand.N(lateness))
			defer timer.Stop()
			wait = timer.C
		}
		select {
		case <-changed:
		case <-wait:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// keep notes a connection, unless connections are cut.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return p.fault != Cut
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// lead says where to carry to from now on.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// set makes the network fail, or not any more.
func (p *proxy) set(fault Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
	close(p.changed)
	p.changed = make(chan struct{})
	if fault == Cut {
		for c := range p.conns {
			_ = c.Close() // whoever reads from it is told
		}
	}
}

// trouble makes the network of one processor fail now and then.
func (p *proxy) trouble(unit string) *Trouble {
	return &Trouble{Name: networkOf(unit), Every: 3 * time.Second, Lasts: 5 * time.Second,
		Begin: func(_ context.Context, _ *Scene, random *rand.Rand) (Action, func() error, error) {
			fault := []Action{Cut, Cut, Silent, Late}[random.IntN(4)]
			p.set(fault)
			return fault, func() error { p.set(""); return nil }, nil
		}}
}

// networkOf is the name of a unit's network among the targets of faults.
func networkOf(unit string) string { return "network of " + unit }
