package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// teller tells the cores that listen, and only while there are any, what this one has done. It does so after the commit and in
// a transaction of its own: a NOTIFY in a transaction that writes would have all such commits wait for each other. So what a
// core has done and not told when it dies is told by nobody, and who listens looks for it at times all the same.
type teller struct {
	listened atomic.Bool

	mu      sync.Mutex
	pending message
	wake    signal
}

// message is what is told, as JSON.
type message struct {
	Core    int32   `json:"core"`
	Settled []int64 `json:"settled,omitempty"`
	All     bool    `json:"all,omitempty"`
	Around  bool    `json:"around,omitempty"`
}

const (
	// tellEvery is the time from one message to the next at least; what happens meanwhile goes into one.
	tellEvery = 10 * time.Millisecond
	// tellAgain is the time after a message that could not be sent.
	tellAgain = time.Second
	// maxToldRuns fit into a message, whatever their positions: it may have 8,000 bytes.
	maxToldRuns = 370
)

func (m *message) empty() bool { return len(m.Settled) == 0 && !m.All && !m.Around }

func (m *message) merge(n message) {
	m.All, m.Around = m.All || n.All, m.Around || n.Around
	if m.Settled = append(m.Settled, n.Settled...); m.All || len(m.Settled) > maxToldRuns {
		m.All, m.Settled = true, nil
	}
}

// tell has the others told, if anybody listens.
func (t *teller) tell(m message) {
	if !t.listened.Load() || m.empty() {
		return
	}
	t.mu.Lock()
	t.pending.merge(m)
	t.mu.Unlock()
	t.wake.tell()
}

func (t *teller) take() message {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.pending
	t.pending = message{}
	return m
}

// channel is where the cores of a ledger tell each other. Its name is bounded, as that of the schema need not be.
func (n *names) channel() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(n.schema)) // a hash takes all
	return fmt.Sprintf("orca_%016x", h.Sum64())
}

// tellOthers sends what is to be told, until ctx ends.
func (s *Store) tellOthers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.teller.wake:
		}
		m, wait := s.teller.take(), tellEvery
		if err := s.notify(ctx, m); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("other cores could not be told what this one did; trying again", "error", err)
			s.teller.tell(m)
			wait = tellAgain
		}
		pause(ctx, wait)
	}
}

// notify sends a message. That it is lost in a crash does not matter, so nobody waits for a disk or a standby.
func (s *Store) notify(ctx context.Context, m message) error {
	m.Core = s.self()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.asMember(ctx, "tell the other cores", func(ctx context.Context) error {
		_, err := s.members.Exec(ctx, `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`, s.names.channel(), string(text))
		return err
	})
}

// tellSettled tells which runs have outcomes of a transaction that is durable.
func (w *write) tellSettled() {
	if len(w.settlements) == 0 || !w.teller.listened.Load() {
		return
	}
	m := message{Settled: make([]int64, len(w.settlements))}
	for i, r := range w.settlements {
		m.Settled[i] = int64(r.settlement.Position)
	}
	w.teller.tell(m)
}

// hears takes note of which other cores listen. One that has just begun to is told that anything may have happened.
func (s *Store) hears(cores []orca.Core) {
	listeners, more := map[int32]bool{}, false
	for _, c := range cores {
		if c.ID != s.self() && c.Listens {
			listeners[c.ID] = true
			more = more || !s.listeners[c.ID]
		}
	}
	s.listeners = listeners
	s.teller.listened.Store(len(listeners) > 0)
	s.teller.tell(message{All: more, Around: more})
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
