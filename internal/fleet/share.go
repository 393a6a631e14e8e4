package fleet

// Share says how many cores give work to the same instances. Each of them takes an equal share of MaxInFlight, rounded up.
// It does not block; requests under way go on.
func (f *Fleet) Share(cores int) {
	f.cores.Store(int64(cores))
	for _, p := range f.sorted() {
		token(p.wake)
	}
}

// ownShare is how many requests this core has under way at one instance at most.
func (f *Fleet) ownShare() int {
	cores := max(1, int(f.cores.Load()))
	return (f.cfg.MaxInFlight + cores - 1) / cores
}
