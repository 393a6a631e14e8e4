package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/project"
)

// target is where a core is and what it takes to get in.
type target struct {
	address string      // host:port
	tls     *tls.Config // nil where TLS is not spoken
	token   config.Token
}

// coreFlag is the flags that say where the core is and what it takes to get in.
type coreFlag struct{ address, authority, tokenFile string }

func (f *coreFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&f.address, "core", defaultCore, "address of the core, `host:port`, or grpcs://host:port for TLS; also in ORCA_CORE, or in orca.json")
	c.Flags().StringVar(&f.authority, "tls-ca", "", "speak TLS and trust the certificates in this PEM `FILE` instead of the system's; also in ORCA_TLS_CA")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "read the core's token from this `FILE`; also in ORCA_TOKEN_FILE, or the token itself in ORCA_TOKEN")
}

// resolve returns what to dial: what the flags say, else the variables, else the project file, else the default.
func (s *shell) resolve(c *cobra.Command, f *coreFlag) (t target, err error) {
	text, from, err := s.whereCore(c, f)
	if err != nil {
		return t, err
	}
	scheme, address, ok := strings.Cut(text, "://")
	if !ok {
		scheme, address = "", text
	}
	_, port, err := net.SplitHostPort(address)
	if _, notPort := strconv.ParseUint(port, 10, 16); err != nil || notPort != nil || ok && scheme != "grpc" && scheme != "grpcs" {
		return t, wrong(c, "%s %q: want host:port, grpc://host:port or grpcs://host:port, such as %s", from, text, defaultCore)
	}
	t.address = address
	if t.tls, err = f.trust(c, scheme, s.getenv); err != nil {
		return t, err
	}
	t.token, err = f.token(c, s.getenv)
	return t, err
}

// whereCore returns the address of the core as it was written, and where it was written.
func (s *shell) whereCore(c *cobra.Command, f *coreFlag) (text, from string, err error) {
	if c.Flags().Changed("core") {
		return f.address, "--core", nil
	}
	if env := s.getenv("ORCA_CORE"); env != "" {
		return env, "ORCA_CORE", nil
	}
	p, err := project.Read(s.workdir())
	if err != nil {
		return "", "", fmt.Errorf("%w, or say where the core is with --core", err)
	}
	if p.Core != "" {
		return p.Core, "orcaConnectionString in " + project.File, nil
	}
	return f.address, "--core", nil
}

// trust returns how TLS is spoken; nil when it is not.
func (f *coreFlag) trust(c *cobra.Command, scheme string, getenv func(string) string) (*tls.Config, error) {
	file := f.authority
	if file == "" {
		file = getenv("ORCA_TLS_CA")
	}
	if file == "" && scheme != "grpcs" {
		return nil, nil
	}
	if scheme == "grpc" {
		return nil, wrong(c, "grpc:// is without TLS, and --tls-ca (or ORCA_TLS_CA) %s asks for it: write grpcs://", file)
	}
	return trusting("--tls-ca", file)
}

// trusting returns TLS that trusts the certificates in the PEM file that a flag names, and the system's where it names none.
func trusting(flag, file string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return t, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s %s: there is no certificate in it: want a PEM file", flag, file)
	}
	return t, nil
}

// token returns the token to show: that of the flag's file, else of ORCA_TOKEN, else of ORCA_TOKEN_FILE, else none.
func (f *coreFlag) token(c *cobra.Command, getenv func(string) string) (config.Token, error) {
	file := f.tokenFile
	if t := config.Token(getenv("ORCA_TOKEN")); file == "" && t != "" {
		if !t.Valid() {
			return "", wrong(c, "ORCA_TOKEN holds no token: it has a space, or a character that is not visible ASCII")
		}
		return t, nil
	}
	if file == "" {
		file = getenv("ORCA_TOKEN_FILE")
	}
	if file == "" {
		return "", nil
	}
	return config.ReadToken(file)
}

// bearer shows a token with every call.
type bearer config.Token

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false for cores on loopback, which may have a token and no TLS.
func (bearer) RequireTransportSecurity() bool { return false }

// transport returns how the connection is secured. It keeps how the handshake went: gRPC's own account of it is prose.
func (c *core) transport() credentials.TransportCredentials {
	if c.tls == nil {
		return insecure.NewCredentials()
	}
	return &handshakes{credentials.NewTLS(c.tls), c}
}

type handshakes struct {
	credentials.TransportCredentials
	core *core
}

func (h *handshakes) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := h.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err != nil {
		h.core.dialed.Store(&dialResult{&handshakeError{err}})
	}
	return secured, info, err
}

func (h *handshakes) Clone() credentials.TransportCredentials {
	return &handshakes{h.TransportCredentials.Clone(), h.core}
}

// handshakeError is that TLS could not be agreed on.
type handshakeError struct{ cause error }

func (h *handshakeError) Error() string { return h.cause.Error() }
func (h *handshakeError) Unwrap() error { return h.cause }

// noTLS says why there is no TLS with the core, and what to do. A core that is only starting or stopping is unreachable;
// what trying again does not mend is not.
func (c *core) noTLS(err error) error {
	advice := ""
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		advice = "give the certificate of its authority with --tls-ca"
	case errors.As(err, new(x509.HostnameError)):
		advice = "call it by a name that its certificate has"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		advice = "the core needs another certificate"
	case errors.As(err, new(tls.RecordHeaderError)):
		advice = "if it speaks none, write grpc://" + c.address
	default:
		return &unreachable{fmt.Sprintf("no TLS with the core at %s: %v", c.address, err)}
	}
	return fmt.Errorf("no TLS with the core at %s: %w; %s", c.address, err, advice)
}
