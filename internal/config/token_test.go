package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// However a token is shown, alone or in the settings, nobody learns it.
func TestATokenIsNotShown(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	cfg := Default()
	cfg.Token = secret
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+verb+verb+"\n", cfg, &cfg, cfg.Token)
	}
	if err := json.NewEncoder(&shown).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(h).Info("settings", "config", cfg, "token", cfg.Token)
	}
	for _, s := range Settings() {
		fmt.Fprintln(&shown, s.Value(cfg))
	}
	cfg.Token = "not valid " + secret
	fmt.Fprintln(&shown, cfg.Validate())
	if text := shown.String(); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) || !strings.Contains(text, "***") {
		t.Errorf("the token, or no sign of it, is in\n%s", text)
	}
}

// A token that is not allowed is not in what the flag library says, nor in what is said of the variable.
func TestAWrongTokenIsNotShown(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]func() (Config, error){
		"flag":     func() (Config, error) { return read([]string{"--token", "s3cret word"}, nil) },
		"variable": func() (Config, error) { return read(nil, map[string]string{"ORCA_TOKEN": "s3cret word"}) },
	} {
		cfg, err := from()
		if err == nil {
			err = cfg.Validate()
		}
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v; want an error without the token", name, err)
		}
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	const advice = `send the header "authorization: Bearer TOKEN"; the command orca takes it from ORCA_TOKEN or --token-file`
	const missing, wrong = "this core wants a token: " + advice, "the token is not this core's: " + advice
	for header, want := range map[string]string{
		"Bearer s3cret":         "<nil>",
		"bearer s3cret":         "<nil>",
		"":                      missing,
		"Bearer":                missing,
		"Bearer ":               missing,
		"s3cret":                missing,
		"Basic s3cret":          missing,
		"Bearer s3cre":          wrong,
		"Bearer s3cret2":        wrong,
		"Bearer S3cret":         wrong,
		"Bearer  s3cret":        wrong,
		"Bearer s3cret, s3cret": wrong,
	} {
		if got := fmt.Sprint(Token("s3cret").Authorize(header)); got != want {
			t.Errorf("%q:\n got %s\nwant %s", header, got, want)
		}
	}
}

func TestReadToken(t *testing.T) {
	t.Parallel()
	type answer struct {
		Token string
		Err   string
	}
	file := filepath.Join(t.TempDir(), "token")
	bad := answer{"", "--token-file " + file + " holds no token: want visible ASCII characters without a space, at most 4096"}
	for _, test := range []struct {
		content string
		want    answer
	}{
		{"s3cret", answer{"s3cret", "<nil>"}},
		{" s3cret\r\n", answer{"s3cret", "<nil>"}},
		{strings.Repeat("x", 4096) + "\n", answer{strings.Repeat("x", 4096), "<nil>"}},
		{strings.Repeat("x", 4097), bad},
		{"", bad},
		{"\n", bad},
		{"two words", bad},
		{"two\nlines", bad},
		{"schlüssel", bad},
	} {
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := ReadToken(file)
		if diff := cmp.Diff(test.want, answer{string(token), fmt.Sprint(err)}); diff != "" {
			t.Errorf("%.20q (-want +got):\n%s", test.content, diff)
		}
	}
	if _, err := ReadToken(file + "x"); err == nil || err.Error() != "--token-file: open "+file+"x: no such file or directory" {
		t.Errorf("no file: %v", err)
	}
}
