package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestWrongVerbsAndFlags(t *testing.T) {
	t.Parallel()
	transcript(t, "wrong", "127.0.0.1:1",
		"servee", "servee --grpc 127.0.0.1:0", "what", "windws --limit 1", "status --jsn", "status -j", "status --json=maybe", "status --core",
		"status --core localhost", "status --core http://localhost:33670", "--core 127.0.0.1:x status", "processors all", "version 1")
}

func TestTheBareCommandShowsHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--no-such-flag"}} {
		got := terminal{}.orca(t.Context(), args...)
		if got.Code != 2 || got.Out != "" || !strings.Contains(got.Err, "orca serve") && !strings.Contains(got.Err, "serve ") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q; want help on stderr and exit 2", args, got.Code, got.Out, got.Err)
		}
	}
	got := terminal{}.orca(t.Context(), "--help")
	if got.Code != 0 || got.Err != "" || !strings.Contains(got.Out, "serve ") {
		t.Errorf("--help: exit %d, stderr %q; want help on stdout and exit 0", got.Code, got.Err)
	}
}

func TestNoCore(t *testing.T) {
	t.Parallel()
	const advice = `; start one with "orca start" or say where it is with --core` + "\n"
	for _, args := range [][]string{
		{"status"}, {"processors"}, {"algorithms"}, {"graph"}, {"windows"}, {"window", "w1"}, {"results", "A@1.0.0"},
		{"retry", "w1"}, {"reprocess", "w1"}, {"reprocess", "--type", "A@1.0.0", "--from", "-1h", "--to", "now"}, {"cancel", "w1"}, {"forget", "p"},
	} {
		compare(t, fmt.Sprint(args), said{1, "", "orca: no core answers at 127.0.0.1:1" + advice}, orca(t, "127.0.0.1:1", args...))
	}
	const noName = "no..name:1" // which no resolver is asked for
	compare(t, "unknown host", said{1, "", "orca: no core answers at " + noName + " (no such host)" + advice}, orca(t, noName, "status"))

	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	address := page.Listener.Addr().String()
	compare(t, "an HTTP server", said{1, "", "orca: what listens at " + address + " does not answer as a core does on its gRPC port" +
		strings.TrimSpace(advice) + "; if it speaks TLS, write grpcs://" + address + "\n"},
		orca(t, address, "status"))
}

func TestWhereTheCoreIs(t *testing.T) {
	t.Parallel()
	f := &fakeCore{status: &pb.GetStatusResponse{Version: "v1", Store: "sqlite:a"}}
	core := f.start(t)
	const nowhere = "127.0.0.1:1"
	for _, test := range []struct {
		name string
		env  string
		args []string
		code int
	}{
		{"flag", "", []string{"--core", core}, 0},
		{"flag with scheme", "", []string{"--core", "grpc://" + core}, 0},
		{"variable", core, nil, 0},
		{"variable with scheme", "grpc://" + core, nil, 0},
		{"flag beats variable", nowhere, []string{"--core", core}, 0},
		{"flag beats a good variable", core, []string{"--core", nowhere}, 1},
	} {
		got := terminal{env: map[string]string{"ORCA_CORE": test.env}}.orca(t.Context(), append([]string{"status"}, test.args...)...)
		if got.Code != test.code {
			t.Errorf("%s: exit %d, stderr %q; want exit %d", test.name, got.Code, got.Err, test.code)
		}
	}
	compare(t, "wrong variable", said{2, "", "orca: ORCA_CORE \"here\": want host:port, grpc://host:port or grpcs://host:port, such as 127.0.0.1:33670 (see \"orca status --help\")\n"},
		orca(t, "here", "status"))
}

func TestWhatACoreRefuses(t *testing.T) {
	t.Parallel()
	f := &fakeCore{}
	core := f.start(t)
	compare(t, "unavailable", said{1, "", "orca: the core at " + core + " is not available: the store is being reopened\n"}, orca(t, core, "status"))

	cases := &refusing{}
	address := startConsole(t, cases)
	for _, test := range []struct {
		err  error
		want string
	}{
		{status.Error(codes.NotFound, "no \x1b[1msuch\nthing"), "no [1msuch; thing"},
		{status.Error(codes.Unimplemented, "unknown method"),
			"what answers at " + address + " does not know this question; it is no core, or one of another version: unknown method"},
		{status.Error(codes.Internal, ""), "the core at " + address + " answered Internal and said no more"},
		{status.Error(codes.ResourceExhausted, "too many questions"), "too many questions"},
	} {
		cases.err = test.err
		compare(t, test.err.Error(), said{1, "", "orca: " + test.want + "\n"}, orca(t, address, "windows"))
	}
}

// refusing is a core that refuses to list its windows.
type refusing struct {
	fakeCore
	err error
}

func (r *refusing) ListWindows(context.Context, *pb.ListWindowsRequest) (*pb.ListWindowsResponse, error) {
	return nil, r.err
}

// circling is a core whose list never ends.
type circling struct{ fakeCore }

func (*circling) ListWindows(context.Context, *pb.ListWindowsRequest) (*pb.ListWindowsResponse, error) {
	return &pb.ListWindowsResponse{Windows: []*pb.WindowInfo{{Id: "w1"}}, PageToken: "again"}, nil
}

func TestAListThatNeverEnds(t *testing.T) {
	t.Parallel()
	core := startConsole(t, &circling{})
	compare(t, "windows", said{1, "", "orca: the core at " + core + " gives the same page of the list again and again\n"},
		orca(t, core, "windows", "--limit", "0"))
}

// hanging is a core that never answers, and tells when it was asked.
type hanging struct {
	fakeCore
	asked chan struct{}
}

func (h *hanging) GetStatus(ctx context.Context, _ *pb.GetStatusRequest) (*pb.GetStatusResponse, error) {
	close(h.asked)
	<-ctx.Done()
	return nil, status.FromContextError(ctx.Err()).Err()
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	h := &hanging{asked: make(chan struct{})}
	core := startConsole(t, h)
	go func() {
		<-h.asked
		interrupt()
	}()
	compare(t, "status", said{1, "", "orca: interrupted\n"}, terminal{}.orca(ctx, "status", "--core", core))
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"--version"}} {
		got := terminal{}.orca(t.Context(), args...)
		if got.Code != 0 || got.Err != "" || !strings.Contains(got.Out, "devel") {
			t.Errorf("%v: %+v; want the version of a test, devel", args, got)
		}
	}
	b := build("v1.2.3", &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-01-31T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}})
	b.Go, b.Platform = "go1.26", "linux/amd64"
	const want = "orca v1.2.3 (commit 0123456789ab with changes of 2026-01-31T12:00:00Z) go1.26 linux/amd64"
	if got := b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
