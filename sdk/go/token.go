package orca

import (
	"context"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
)

// maxTokenBytes is the longest token that a core takes.
const maxTokenBytes = 4096

// secret returns the token to show: the option's, else that of ORCA_TOKEN, else that in the file of ORCA_TOKEN_FILE,
// else none.
func (c coreConfig) secret(around surroundings) (string, error) {
	text, from := c.token, "WithToken"
	if text == "" {
		text, from = around.env("ORCA_TOKEN"), "ORCA_TOKEN"
	}
	if file := around.env("ORCA_TOKEN_FILE"); text == "" && file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("ORCA_TOKEN_FILE: %w", err)
		}
		text, from = strings.TrimSpace(string(content)), "ORCA_TOKEN_FILE "+file
		if text == "" {
			return "", invalid("token from %s: the file is empty", from)
		}
	}
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(text) > maxTokenBytes || strings.IndexFunc(text, unfit) >= 0 {
		return "", invalid("token from %s: must be visible ASCII characters without a space, at most %d", from, maxTokenBytes)
	}
	return text, nil
}

// showing returns the options that show the token with every call; none without a token.
func (s coreSettings) showing() []grpc.DialOption {
	if s.token == "" {
		return nil
	}
	return []grpc.DialOption{grpc.WithPerRPCCredentials(bearer{s.token, s.tls})}
}

// bearer shows a token with every call.
type bearer struct {
	token string
	tls   bool
}

// GetRequestMetadata returns the header that a core reads.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

// RequireTransportSecurity makes gRPC refuse a connection without TLS where the settings say that there is TLS, whatever
// dial options a program adds.
func (b bearer) RequireTransportSecurity() bool { return b.tls }
