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
