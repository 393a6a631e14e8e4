package fleet

import (
	"hash/fnv"
	"slices"
	"time"
)

// peers are the cores that give work to the same instances.
type peers struct {
	self  int32
	cores []int32
}

// Share says which cores give work to the same instances, and which of them this one is. Each of them takes an equal share of
// MaxInFlight, rounded up, and asks its share of the instances how they are. It does not block; requests under way go on.
func (f *Fleet) Share(self int32, cores []int32) {
	f.peers.Store(&peers{self, slices.Clone(cores)})
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
	cores := 1
	if p := f.peers.Load(); p != nil {
		cores = max(1, len(p.cores))
	}
	return (f.cfg.MaxInFlight + cores - 1) / cores
}

// asks reports whether it is this core that asks the instance at an address how it is.
func (f *Fleet) asks(address string) bool {
	p := f.peers.Load()
	return p == nil || len(p.cores) == 0 || asker(address, p.cores) == p.self
}

// asker chooses one of the cores for an address, the same one at each of them. When one comes or goes, only its own share
// moves (rendezvous hashing).
func asker(address string, cores []int32) (chosen int32) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(address)) // a hash takes all
	sum, most := h.Sum64(), uint64(0)
	for i, id := range cores {
		if weight := mix(sum ^ mix(uint64(uint32(id)))); i == 0 || weight > most {
			chosen, most = id, weight
		}
	}
	return chosen
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of x changes half of the result's.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
