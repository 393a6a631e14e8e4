package orca_test

import (
	"strings"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

// What is short is shown as it is; what is long is cut between two characters.
func TestShown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{strings.Repeat("x", 256), strings.Repeat("x", 255) + "… (256 bytes)"},
		{strings.Repeat("é", 200), strings.Repeat("é", 127) + "… (400 bytes)"},
		{strings.Repeat("\x80", 300), "\uFFFD… (300 bytes)"},
	} {
		if got := orca.Shown(tt.text); got != tt.want {
			t.Errorf("%d bytes are shown as %q, want %q", len(tt.text), got, tt.want)
		}
	}
}
