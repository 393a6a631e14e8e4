package cluster

import (
	"context"
	"errors"
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
	alive   atomic.Int64
	until   atomic.Pointer[time.Time] // nobody takes over, as the member has told
	// away: it does not answer. taken: another core has taken over.
	away, taken atomic.Bool
	fenced      chan struct{}
}

func (l *ledger) Join(context.Context, orca.Core, time.Duration) error { return nil }
func (l *ledger) Leave(context.Context) error                          { return nil }
func (l *ledger) Freed() <-chan struct{}                               { return nil }
func (l *ledger) Fenced() <-chan struct{}                              { return l.fenced }
func (l *ledger) TakeOver(context.Context) (int64, []int32, error)     { return 0, nil, nil }

func (l *ledger) Renew(_ context.Context, _ orca.CoreLoad, lasts time.Duration) (around orca.Surroundings, err error) {
	switch {
	case l.taken.Load():
		return around, orca.Errorf(orca.Fenced, "taken over")
	case l.away.Load():
		return around, orca.Errorf(orca.Unavailable, "away")
	}
	l.renewed, l.lasts = append(l.renewed, time.Now()), lasts
	return orca.Surroundings{Cores: make([]orca.Core, l.alive.Load())}, nil
}

// runMember runs a member with a lease of 10 s, and returns what it runs on, the numbers of peers that it was told, and how
// it ends.
func runMember(t *testing.T) (l *ledger, peers chan int, ended chan error) {
	l, peers, ended = &ledger{fenced: make(chan struct{})}, make(chan int, 10), make(chan error, 1)
	l.alive.Store(1)
	m := New(Config{Ledger: l, Lease: 10 * time.Second, Load: func() orca.CoreLoad { return orca.CoreLoad{} },
		OnLeftover: func(orca.Leftover) {}, OnFreed: func() {}, OnRenewed: func(until time.Time) { l.until.Store(&until) }, OnPeers: func(n int) { peers <- n }, Refresh: func(context.Context) error { return nil }})
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

func TestPeersAreToldWhenTheirNumberChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, peers, _ := runMember(t)
		if n := <-peers; n != 1 {
			t.Errorf("%d cores are alive, want 1", n)
		}
		l.alive.Store(3)
		if n := <-peers; n != 3 {
			t.Errorf("%d cores are alive, want 3", n)
		}
		time.Sleep(time.Minute)
		if len(peers) > 0 {
			t.Errorf("told again: %d", <-peers)
		}
	})
}
