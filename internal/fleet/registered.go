package fleet

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
		in.lastSeen = p.fleet.cfg.Now()
		in.forgive()
	}
	p.mu.Unlock()
	token(p.wake)
}
