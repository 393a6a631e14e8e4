package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// headerTimeout bounds how long a client may take over the head of its request. The rest has no limit of time: the
	// server would end the context of a stream with it.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 2 * time.Minute
	// stopTimeout is how long requests under way may take once the core stops.
	stopTimeout = 5 * time.Second
)

// Serve answers on l until ctx ends, then lets the requests under way finish for a few seconds and returns nil. It
// returns an error only when the listener fails. The contexts of requests end with ctx, so that streams stop too. Serve
// owns l and closes it. What goes wrong with single connections, such as a TLS handshake, is logged at debug level:
// anyone can make it happen.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	var failure error // readable once ended is closed
	ended := make(chan struct{})
	go func() {
		failure = server.Serve(l)
		close(ended)
	}()

	select {
	case <-ended:
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), failure)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		err = server.Close() // whoever is still there had their time
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("stop HTTP on %s: %w", l.Addr(), err)
		}
	}
	<-ended
	return nil
}
