package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// inHeader is at least what a text takes as grpc-message, which escapes less than a URL does.
func inHeader(text string) int { return len(url.PathEscape(text)) }

// What is short stays as it is; what is long is cut so that it fits, between two characters, and says so.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"no such window", "no such window"},
		{strings.Repeat("x", 4096), strings.Repeat("x", 4096)},
		{strings.Repeat("x", 4097), strings.Repeat("x", 4087) + "…"},
		{strings.Repeat("é", 683), strings.Repeat("é", 681) + "…"}, // six bytes each
		{strings.Repeat("é", 682), strings.Repeat("é", 682)},
		{strings.Repeat("\n", 2000), strings.Repeat("\n", 1362) + "…"},
	} {
		if got := cut(test.text); got != test.want {
			t.Errorf("%d bytes become %d, want %d", len(test.text), len(got), len(test.want))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 2000).Draw(t, "times"))
		got := cut(text)
		start, was := strings.CutSuffix(got, "…")
		if got != text && (!was || !strings.HasPrefix(text, start) || !utf8.ValidString(start) || len(start) < 1000) {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}

// Each kind of error has its code, and says what the part that made it said; what is of no kind keeps its text to itself.
func TestCodesOfErrors(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	g := guard{log: slog.New(slog.NewTextHandler(&log, nil))}
	for kind, want := range map[orca.Kind]codes.Code{
		orca.Invalid: codes.InvalidArgument, orca.NotFound: codes.NotFound, orca.Conflict: codes.AlreadyExists,
		orca.Precondition: codes.FailedPrecondition, orca.Exhausted: codes.ResourceExhausted,
		orca.Unavailable: codes.Unavailable, orca.OutcomeUnknown: codes.Unavailable,
	} {
		s := status.Convert(g.status("/a/b", fmt.Errorf("here: %w", orca.Errorf(kind, "what and why"))))
		if s.Code() != want || s.Message() != "here: what and why" {
			t.Errorf("%v gives %v, want %v", kind, s, want)
		}
	}
	if log.Len() > 0 {
		t.Errorf("refusals are logged: %s", log.String())
	}
	s := status.Convert(g.status("/a/b", errors.New("open /secret: no such file")))
	if s.Code() != codes.Internal || strings.Contains(s.Message(), "secret") {
		t.Errorf("an error of no kind gives %v", s)
	}
	if !strings.Contains(log.String(), "open /secret") || !strings.Contains(log.String(), "/a/b") {
		t.Errorf("the log does not say what happened: %s", log.String())
	}
}

// The status of every kind of error fits into its header.
func TestStatusTextIsBounded(t *testing.T) {
	t.Parallel()
	g := guard{log: slog.New(slog.DiscardHandler)}
	long := strings.Repeat("x", 100_000)
	for want, err := range map[codes.Code]error{
		codes.NotFound:          orca.Errorf(orca.NotFound, "%s", long),
		codes.ResourceExhausted: orca.Errorf(orca.Exhausted, "%s", long),
		codes.Canceled:          fmt.Errorf("%s: %w", long, context.Canceled),
		codes.Internal:          errors.New(long),
		codes.DataLoss:          status.Error(codes.DataLoss, long),
	} {
		s := status.Convert(g.status("/a/b", err))
		if s.Code() != want || inHeader(s.Message()) > maxStatusText || s.Message() == "" {
			t.Errorf("%v with %d bytes, want %v with at most %d", s.Code(), inHeader(s.Message()), want, maxStatusText)
		}
	}
}
