package config

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Token is the secret that clients show to a core. However it is printed, logged or encoded, it reads ***; whoever
// sends it converts it to a string.
type Token string

const tokenForm = "visible ASCII characters without a space, at most 4096"

// maxToken bounds a token, in bytes.
const maxToken = 4096

// Valid reports whether the token can travel in a header. The empty token, which is none, is valid.
func (t Token) Valid() bool {
	return len(t) <= maxToken && strings.IndexFunc(string(t), func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// Authorize returns why a request whose authorization header is this may not pass; nil when it may. The text is for
// the client, and how long it takes tells nothing of the token.
func (t Token) Authorize(authorization string) error {
	const advice = `send the header "authorization: Bearer TOKEN"; the command orca takes it from ORCA_TOKEN or --token-file`
	scheme, given, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || given == "" {
		return errors.New("this core wants a token: " + advice)
	}
	// Hashes are of one length, whatever was given.
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return errors.New("the token is not this core's: " + advice)
	}
	return nil
}

// String and its kin keep the token to itself.
func (t Token) String() string {
	if t == "" {
		return ""
	}
	return "***"
}

// Format is for all verbs of package fmt.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText is for encoders and loggers.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// ReadToken reads the token in a file, without the white space around it.
func ReadToken(path string) (Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 2*maxToken))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	t := Token(bytes.TrimSpace(text))
	if t == "" || !t.Valid() {
		return "", fmt.Errorf("--token-file %s holds no token: want %s", path, tokenForm)
	}
	return t, nil
}
