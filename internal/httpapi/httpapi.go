// Package httpapi is what a core says over HTTP: whether it lives, whether it takes windows, its metrics and, if wanted,
// its profiles.
//
// It knows the core through the functions and the gatherer of its Config, and nothing of stores, runs or processors.
// Opening the listener and deciding when to stop are the business of the part that starts it.
package httpapi

import (
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is what the handler needs to know. The zero value works: always ready, no metrics.
type Config struct {
	// Ready says why the core takes no windows; nil when it does. It is called with every request of /readyz, by
	// several goroutines at once, and returns soon. Default: always ready.
	Ready func() error
	// Metrics are shown at /metrics. Default: none.
	Metrics prometheus.Gatherer
	// Authorize says, for clients, why a request with this authorization header may not pass; nil when it may. It is not
	// asked for /healthz and /readyz, as those who watch over a process have no token. Default: all may pass.
	Authorize func(authorization string) error
	// Profiles shows profiles of the process below /debug/pprof/. Default false.
	Profiles bool
}

// New returns the handler of all paths.
func New(c Config) http.Handler {
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", readOnly(http.HandlerFunc(healthz)))
	mux.Handle("/readyz", readOnly(readyz(c.Ready)))
	mux.Handle("/metrics", c.authorized(readOnly(promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))))
	if c.Profiles {
		mux.Handle("/debug/pprof/", c.authorized(readOnly(http.HandlerFunc(pprof.Index))))
		mux.Handle("/debug/pprof/profile", c.authorized(readOnly(http.HandlerFunc(pprof.Profile))))
		mux.Handle("/debug/pprof/trace", c.authorized(readOnly(http.HandlerFunc(pprof.Trace))))
	}
	mux.HandleFunc("/", notFound)
	return mux
}

// authorized lets through who may pass.
func (c Config) authorized(h http.Handler) http.Handler {
	if c.Authorize == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.Authorize(r.Header.Get("Authorization")); err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			say(w, http.StatusUnauthorized, err.Error())
			return
		}
		h.ServeHTTP(w, r)
	})
}

// healthz answers as long as the process does.
func healthz(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") }

func readyz(ready func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		say(w, http.StatusOK, "ready")
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	say(w, http.StatusNotFound, fmt.Sprintf("there is no %q here; there are /healthz, /readyz and /metrics", r.URL.Path))
}

// readOnly refuses the methods that would change something.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			say(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s only answers GET and HEAD, not %q", r.URL.Path, r.Method))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// say answers with one line of text that no cache keeps.
func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}
