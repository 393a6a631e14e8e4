package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// listener hears what other cores tell, over a session of its own, which a pooler in transaction mode does not give: therefore
// there is one only where Config.Direct names a way around it. While the session is lost the core is told so, and looks for
// itself what others do.
//
//	connect ──▶ LISTEN ──▶ listening, anything may have happened ──▶ messages
//	   ▲                                                               │ lost
//	   └──── back-off ◀──── not listening ◀────────────────────────────┘
type listener struct {
	mu   sync.Mutex
	news orca.News // that nobody has taken yet; Settled has maxNews entries at most
	told signal
}

const (
	// maxNews bounds the runs that news name; beyond it any run may be meant.
	maxNews = 10_000
	// silence is how long a session may say nothing before it is asked whether it is there.
	silence = 15 * time.Second
	// listenAgain is the longest time between two attempts to listen.
	listenAgain = 5 * time.Second
)

// put adds news to those that nobody has taken.
func (l *listener) put(n orca.News) {
	l.mu.Lock()
	l.news.Listening = n.Listening
	l.news.All, l.news.Around = l.news.All || n.All, l.news.Around || n.Around
	if l.news.Settled = append(l.news.Settled, n.Settled...); l.news.All || len(l.news.Settled) > maxNews {
		l.news.All, l.news.Settled = true, nil
	}
	l.mu.Unlock()
	l.told.tell()
}

// listening reports whether others are heard.
func (l *listener) listening() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news.Listening
}

// Told gets a token when there are News.
func (s *Store) Told() <-chan struct{} { return s.listener.told }

// News returns what was heard since it was called last.
func (s *Store) News() orca.News {
	l := &s.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.news
	l.news = orca.News{Listening: n.Listening}
	return n
}

// listen hears others until ctx ends, as long as there is a way to.
func (s *Store) listen(ctx context.Context) {
	if s.direct == nil || s.member.Load() == nil {
		return
	}
	delay := time.Duration(0)
	for ctx.Err() == nil {
		heard, err := s.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			delay = 0
			s.listener.put(orca.News{})
		}
		if delay == 0 {
			s.cfg.Logger.Warn("other cores are not heard; looking for what they do meanwhile", "store", s.direct.String(), "error", oneLine(err))
		}
		delay = min(2*max(delay, 10*time.Millisecond), listenAgain)
		pause(ctx, delay)
	}
}

// hear listens with one session until it is lost. heard says that it has begun to.
func (s *Store) hear(ctx context.Context) (heard bool, err error) {
	conn, err := s.direct.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		_ = conn.Close(within) // it is broken, or not needed any more
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+s.names.channel()); err != nil {
		return false, err
	}
	s.cfg.Logger.Info("other cores are heard", "store", s.direct.String())
	s.listener.put(orca.News{Listening: true, All: true, Around: true})
	for {
		text, err := nextNotification(ctx, conn)
		if err != nil {
			return true, err
		}
		if n, other := s.newsOf(text); other {
			s.listener.put(n)
		}
	}
}

// nextNotification waits for one. It returns an error when the session does not answer any more.
func nextNotification(ctx context.Context, conn *pgx.Conn) (string, error) {
	for {
		within, cancel := context.WithTimeout(ctx, silence)
		n, err := conn.WaitForNotification(within)
		cancel()
		switch {
		case err == nil:
			return n.Payload, nil
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return "", err
		}
		within, cancel = context.WithTimeout(ctx, memberTimeout)
		err = conn.Ping(within)
		cancel()
		if err != nil {
			return "", fmt.Errorf("the session does not answer: %w", err)
		}
	}
}

// newsOf reads a message, unless this core sent it. What it cannot read, such as what a person sent, may mean anything.
func (s *Store) newsOf(text string) (n orca.News, other bool) {
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return orca.News{Listening: true, All: true, Around: true}, true
	}
	n = orca.News{Listening: true, All: m.All, Around: m.Around}
	for _, p := range m.Settled {
		n.Settled = append(n.Settled, orca.Position(p))
	}
	return n, m.Core != s.self()
}
