package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type answer struct {
	Code int
	Body string
}

func ask(h http.Handler, method, path string) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return answer{w.Code, w.Body.String()}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	ready := New(Config{})
	full := New(Config{Ready: func() error { return errors.New("free disk space is below the reserve") }})
	for _, test := range []struct {
		handler      http.Handler
		method, path string
		want         answer
	}{
		{ready, "GET", "/healthz", answer{200, "ok\n"}},
		{full, "GET", "/healthz", answer{200, "ok\n"}},
		{ready, "GET", "/readyz", answer{200, "ready\n"}},
		{full, "GET", "/readyz", answer{503, "free disk space is below the reserve\n"}},
		{ready, "GET", "/metrics", answer{200, ""}},
		{ready, "GET", "/", answer{404, "there is no \"/\" here; there are /healthz, /readyz and /metrics\n"}},
		{ready, "GET", "/healthz/x", answer{404, "there is no \"/healthz/x\" here; there are /healthz, /readyz and /metrics\n"}},
		{ready, "POST", "/readyz", answer{405, "/readyz only answers GET and HEAD, not \"POST\"\n"}},
		{ready, "DELETE", "/metrics", answer{405, "/metrics only answers GET and HEAD, not \"DELETE\"\n"}},
	} {
		if diff := cmp.Diff(test.want, ask(test.handler, test.method, test.path)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.path, diff)
		}
	}
}

// Profiles are there only where they are wanted, and for those who may read the metrics.
func TestProfiles(t *testing.T) {
	t.Parallel()
	const path = "/debug/pprof/cmdline"
	missing := answer{404, "there is no \"/debug/pprof/cmdline\" here; there are /healthz, /readyz and /metrics\n"}
	if diff := cmp.Diff(missing, ask(New(Config{}), "GET", path)); diff != "" {
		t.Errorf("without (-want +got):\n%s", diff)
	}
	closed := New(Config{Profiles: true, Authorize: func(string) error { return errors.New("send a token") }})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/pprof/trace"} {
		if diff := cmp.Diff(answer{401, "send a token\n"}, ask(closed, "GET", path)); diff != "" {
			t.Errorf("%s without a token (-want +got):\n%s", path, diff)
		}
	}
	open := New(Config{Profiles: true})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap"} {
		if got := ask(open, "GET", path); got.Code != 200 || got.Body == "" {
			t.Errorf("%s: got %v", path, got.Code)
		}
	}
}

// Who watches over the process needs no token; who reads the metrics does.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	h := New(Config{Authorize: func(authorization string) error {
		if authorization != "Bearer right" {
			return errors.New("send a token")
		}
		return nil
	}})
	for _, test := range []struct {
		path, authorization string
		want                answer
		challenge           string
	}{
		{"/healthz", "", answer{200, "ok\n"}, ""},
		{"/readyz", "", answer{200, "ready\n"}, ""},
		{"/metrics", "Bearer right", answer{200, ""}, ""},
		{"/metrics", "", answer{401, "send a token\n"}, "Bearer"},
		{"/metrics", "Bearer wrong", answer{401, "send a token\n"}, "Bearer"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", test.path, nil)
		r.Header.Set("Authorization", test.authorization)
		h.ServeHTTP(w, r)
		if diff := cmp.Diff(test.want, answer{w.Code, w.Body.String()}); diff != "" || w.Header().Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s %q: challenge %q (-want +got):\n%s", test.path, test.authorization, w.Header().Get("WWW-Authenticate"), diff)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(func() Stats {
		return Stats{
			PendingRuns: 1, ActiveRuns: 2, ParkedRuns: 3, ActiveBytes: 4, WindowsAccepted: 5,
			Outcomes:      OutcomeCounts{Succeeded: 6, HandledFailed: 7, UnhandledFailed: 8, Skipped: 9, Cancelled: 10},
			CallsInFlight: 11, CallsQueued: 12, StoreCommits: 13,
		}
	}))
	got := ask(New(Config{Metrics: registry}), "GET", "/metrics")
	want := answer{200, `# HELP orca_active_bytes Memory held by active runs, in bytes.
# TYPE orca_active_bytes gauge
orca_active_bytes 4
# HELP orca_calls_in_flight Calls to processors under way.
# TYPE orca_calls_in_flight gauge
orca_calls_in_flight 11
# HELP orca_calls_queued Calls that wait for a place at a processor instance.
# TYPE orca_calls_queued gauge
orca_calls_queued 12
# HELP orca_outcomes_total Nodes settled since the core started, by outcome.
# TYPE orca_outcomes_total counter
orca_outcomes_total{outcome="cancelled"} 10
orca_outcomes_total{outcome="handled-failed"} 7
orca_outcomes_total{outcome="skipped"} 9
orca_outcomes_total{outcome="succeeded"} 6
orca_outcomes_total{outcome="unhandled-failed"} 8
# HELP orca_runs Runs that are not finished, by state.
# TYPE orca_runs gauge
orca_runs{state="active"} 2
orca_runs{state="parked"} 3
orca_runs{state="pending"} 1
# HELP orca_store_commits_total Transactions committed since the core started.
# TYPE orca_store_commits_total counter
orca_store_commits_total 13
# HELP orca_windows_accepted_total Windows written and answered since the core started.
# TYPE orca_windows_accepted_total counter
orca_windows_accepted_total 5
`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// listen opens a port of its own on loopback.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := &closable{Listener: listen(t), closed: make(chan struct{})}
	entered := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done() // the request learns that the core stops
		<-l.closed           // and is not cut off when new ones are turned away
		_, _ = io.WriteString(w, "finished")
	})
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, slow, slog.New(slog.DiscardHandler)) }()

	body := make(chan string, 1)
	go func() { body <- get(l.Addr().String()) }()
	<-entered
	stop()
	if got := <-body; got != "finished" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := get(l.Addr().String()); !strings.Contains(got, "refused") {
		t.Errorf("after the stop got %q, want a refused connection", got)
	}
}

// closable is a listener that tells when it is closed.
type closable struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (l *closable) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.closed) })
	return err
}

// get returns the body at / of an address, or the error as text.
func get(address string) string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/")
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestServeReportsABrokenListener(t *testing.T) {
	t.Parallel()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := Serve(context.Background(), l, New(Config{}), slog.New(slog.DiscardHandler))
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want it to wrap %v", err, net.ErrClosed)
	}
}
