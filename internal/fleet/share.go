package fleet

import "time"

// Share says how many cores give work to the same instances. Each of them takes an equal share of MaxInFlight, rounded up.
// It does not block; requests under way go on.
func (f *Fleet) Share(cores int) {
	f.cores.Store(int64(cores))
	for _, p := range f.sorted() {
		token(p.wake)
	}
}

// Lease says until when this core may give work to anybody, where it is one of several: others may have taken over its runs
// after that. It does not block; requests under way go on.
func (f *Fleet) Lease(until time.Time) {
	before := f.lease.Swap(&until)
	if before == nil || time.Now().Before(*before) {
		return
	}
	for _, p := range f.sorted() {
		token(p.wake)
	}
}

// leased reports whether work may be given to anybody.
func (f *Fleet) leased() bool {
	until := f.lease.Load()
	return until == nil || time.Now().Before(*until)
}

// ownShare is how many requests this core has under way at one instance at most.
func (f *Fleet) ownShare() int {
	cores := max(1, int(f.cores.Load()))
	return (f.cfg.MaxInFlight + cores - 1) / cores
}
