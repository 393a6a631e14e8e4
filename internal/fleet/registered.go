package fleet

import "time"

// Registered tells the fleet that the instance at an address has registered, with news or without: it lives, and what
// it denied or had too much of before does not count any more. News come with Sync.
func (f *Fleet) Registered(address string) {
	for _, p := range f.sorted() {
		p.registered(address)
	}
}

func (p *pool) registered(address string) {
	p.mu.Lock()
	if in := p.instances[address]; in != nil {
		in.seen()
		in.forgive()
	}
	p.mu.Unlock()
	token(p.wake)
}

// seen notes a sign of life. The pool's lock is held.
func (in *instance) seen() {
	in.lastSeen, in.alive = in.pool.fleet.cfg.Now(), time.Now()
}
