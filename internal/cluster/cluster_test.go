package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ledger is a shared one in memory, of which another core can take over.
type ledger struct {
	renewed []time.Time
	lasts   time.Duration
	told    [][]orca.HealthCheck // with each renewal
	alive   atomic.Int64
	until   atomic.Pointer[time.Time] // nobody takes over, as the member has told
	heard   atomic.Pointer[[]orca.HealthCheck]
	// away: it does not answer. taken: another core has taken over.
	away, taken atomic.Bool
	fenced      chan struct{}
	// registry is its version. refreshed is when the member looked at it; the next look fails when failing is set.
	registry  atomic.Int64
	refreshed []time.Time
	failing   atomic.Bool
	tells     chan struct{}
	news      orca.News
	passed    []orca.News
}

func (l *ledger) Join(context.Context, orca.Core, time.Duration) error { return nil }
func (l *ledger) Leave(context.Context) error                          { return nil }
func (l *ledger) Freed() <-chan struct{}                               { return nil }
func (l *ledger) Told() <-chan struct{}                                { return l.tells }
func (l *ledger) News() orca.News                                      { return l.news }
func (l *ledger) Fenced() <-chan struct{}                              { return l.fenced }
func (l *ledger) TakeOver(context.Context) (int64, []int32, error)     { return 0, nil, nil }

// refresh is what the member calls for a new registry. It fails when it is to, once.
func (l *ledger) refresh(context.Context) error {
	l.refreshed = append(l.refreshed, time.Now())
	if l.failing.Swap(false) {
		return orca.Errorf(orca.Unavailable, "away")
	}
	return nil
}

func (l *ledger) Renew(_ context.Context, _ orca.CoreLoad, checks []orca.HealthCheck, lasts time.Duration) (around orca.Surroundings, err error) {
	switch {
	case l.taken.Load():
		return around, orca.Errorf(orca.Fenced, "taken over")
	case l.away.Load():
		return around, orca.Errorf(orca.Unavailable, "away")
	}
	l.renewed, l.lasts, l.told = append(l.renewed, time.Now()), lasts, append(l.told, checks)
	around.Self, around.Registry = 1, l.registry.Load()
	for id := int32(1); id <= int32(l.alive.Load()); id++ {
		around.Cores = append(around.Cores, orca.Core{ID: id, Checks: []orca.HealthCheck{{Address: fmt.Sprint("found by ", id)}}})
	}
	return around, nil
}

// runMember runs a member with a lease of 10 s, and returns what it runs on, the peers that it was told, and how it ends.
func runMember(t *testing.T) (l *ledger, peers chan []int32, ended chan error) {
	l, peers, ended = &ledger{fenced: make(chan struct{}), tells: make(chan struct{})}, make(chan []int32, 10), make(chan error, 1)
	l.alive.Store(1)
	m := New(Config{Ledger: l, Lease: 10 * time.Second, Load: func() orca.CoreLoad { return orca.CoreLoad{} },
		OnLeftover: func(orca.Leftover) {}, OnFreed: func() {}, OnRenewed: func(until time.Time) { l.until.Store(&until) },
		Checks: func(within time.Duration) []orca.HealthCheck {
			return []orca.HealthCheck{{Address: "mine", Age: within}}
		},
		OnChecks: func(checks []orca.HealthCheck) { l.heard.Store(&checks) },
		OnNews:   func(n orca.News) { l.passed = append(l.passed, n) },
		OnPeers:  func(self int32, alive []int32) { peers <- append([]int32{self}, alive...) },
		Refresh:  l.refresh})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { ended <- m.Run(ctx) }()
	return l, peers, ended
}

func TestALeaseIsRenewedEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		l, _, _ := runMember(t)
		time.Sleep(3*time.Second + time.Millisecond)
		synctest.Wait()
		want := []time.Time{begun, begun.Add(time.Second), begun.Add(2 * time.Second), begun.Add(3 * time.Second)}
		if diff := cmp.Diff(want, l.renewed); diff != "" || l.lasts != 10*time.Second {
			t.Errorf("renewed for %v (-want +got):\n%s", l.lasts, diff)
		}
	})
}

// Others may take over when the lease has run out, counted from when its renewal was asked for. So long the member says that
// nobody does.
func TestALeaseEndsAsLateAsItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		l, _, _ := runMember(t)
		time.Sleep(1500 * time.Millisecond)
		l.away.Store(true)
		time.Sleep(time.Minute)
		if got, want := l.until.Load().Sub(begun), 11*time.Second; got != want {
			t.Errorf("the lease lasts %v from the begin, want %v", got, want)
		}
	})
}

// A ledger that is away ends nothing, however long: nobody else reaches it either, or takes over.
func TestOnlyATakeOverEndsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, ended := runMember(t)
		l.away.Store(true)
		time.Sleep(time.Hour)
		l.away.Store(false)
		time.Sleep(time.Minute)
		select {
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		default:
		}
		l.taken.Store(true)
		if err := <-ended; !errors.Is(err, orca.Fenced) {
			t.Errorf("ended with %v, want %v", err, orca.Fenced)
		}
	})
}

// What the ledger finds out as it writes ends a member at once.
func TestAFenceEndsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		l, _, ended := runMember(t)
		close(l.fenced)
		if err := <-ended; !errors.Is(err, orca.Fenced) || time.Since(begun) > 0 {
			t.Errorf("ended with %v after %v, want %v at once", err, time.Since(begun), orca.Fenced)
		}
	})
}

func TestPeersAreToldWhenTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, peers, _ := runMember(t)
		if diff := cmp.Diff([]int32{1, 1}, <-peers); diff != "" {
			t.Errorf("this core, and those alive (-want +got):\n%s", diff)
		}
		l.alive.Store(3)
		if diff := cmp.Diff([]int32{1, 1, 2, 3}, <-peers); diff != "" {
			t.Errorf("this core, and those alive (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		if len(peers) > 0 {
			t.Errorf("told again: %v", <-peers)
		}
	})
}

// What a core found is told while there is somebody to tell, and it hears of what the others found and not of its own.
func TestMembersTellEachOtherWhatTheyFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := runMember(t)
		time.Sleep(1500 * time.Millisecond)
		l.alive.Store(3)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		mine := []orca.HealthCheck{{Address: "mine", Age: 3 * time.Second}}
		if diff := cmp.Diff([][]orca.HealthCheck{nil, nil, nil, mine}, l.told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]orca.HealthCheck{{Address: "found by 2"}, {Address: "found by 3"}}, *l.heard.Load()); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
}

// News are passed on at once, and have the lease renewed at once when a renewal has something to tell.
func TestNewsArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		l, _, _ := runMember(t)
		time.Sleep(300 * time.Millisecond)
		settled, around := orca.News{Listening: true, Settled: []orca.Position{7}}, orca.News{Listening: true, Around: true}
		for _, l.news = range []orca.News{settled, around} {
			l.tells <- struct{}{}
			synctest.Wait()
		}
		if diff := cmp.Diff([]orca.News{settled, around}, l.passed); diff != "" {
			t.Errorf("passed on (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]time.Time{begun, begun.Add(300 * time.Millisecond)}, l.renewed); diff != "" {
			t.Errorf("renewed (-want +got):\n%s", diff)
		}
	})
}

// The registry is looked at within a second of each change, again when that failed, and not without one.
func TestAChangeOfTheRegistryIsSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := runMember(t)
		synctest.Wait()
		var changed []time.Time
		for i := range 20 {
			time.Sleep(5*time.Second + time.Duration(i)*53*time.Millisecond)
			l.failing.Store(i == 7)
			l.registry.Add(1)
			changed = append(changed, time.Now())
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		looks := l.refreshed[1:] // the first one is as it begins
		if len(looks) != len(changed)+1 {
			t.Fatalf("looked %d times for %d changes, one of them twice", len(looks), len(changed))
		}
		if again := looks[8].Sub(looks[7]); again != time.Second {
			t.Errorf("looked again %v after a look that failed", again)
		}
		for i, at := range append(looks[:8:8], looks[9:]...) {
			if late := at.Sub(changed[i]); late < 0 || late > time.Second {
				t.Errorf("change %d is seen after %v", i, late)
			}
		}
	})
}
