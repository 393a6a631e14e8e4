package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

const secret = "s3cret-token"

// keyPair is a self-signed certificate for the loopback and its key, as PEM.
type keyPair struct{ cert, key []byte }

func newKeyPair(t *testing.T, serial int64) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

func (k keyPair) trusted() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(k.cert)
	return &tls.Config{RootCAs: roots}
}

// replace puts a file in the place of another, as those who renew certificates do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// guarded makes a core ask for TLS and a token.
func guarded(t *testing.T, k keyPair) (cert, key string, change func(*config.Config)) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	replace(t, cert, k.cert)
	replace(t, key, k.key)
	token := filepath.Join(dir, "token")
	replace(t, token, []byte(secret+"\n"))
	return cert, key, func(c *config.Config) {
		c.GRPC, c.HTTP = "127.0.0.1:0", "127.0.0.1:0" // which the certificate names
		c.TLSCert, c.TLSKey, c.TokenFile = cert, key, token
	}
}

func dialCore(t *testing.T, address string, transport credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Every gRPC service but health wants the token, unary or stream, known or not, and none of them tells it.
func TestTokenOverGRPC(t *testing.T) {
	t.Parallel()
	k := newKeyPair(t, 1)
	_, _, change := guarded(t, k)
	conn := dialCore(t, orcatest.Start(t, change).Addresses.GRPC, credentials.NewTLS(k.trusted()))
	stream := func(stream grpc.ClientStream, err error) error {
		if err == nil {
			err = stream.RecvMsg(new(pb.WatchWindowResponse))
		}
		return err
	}
	calls := map[string]func(context.Context) error{
		"health": func(ctx context.Context) error {
			_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		},
		"core": func(ctx context.Context) error {
			_, err := pb.NewOrcaCoreClient(conn).Expose(ctx, &pb.ExposeSettings{})
			return err
		},
		"console": func(ctx context.Context) error {
			_, err := pb.NewOrcaConsoleClient(conn).GetStatus(ctx, &pb.GetStatusRequest{})
			return err
		},
		"watch": func(ctx context.Context) error {
			return stream(pb.NewOrcaConsoleClient(conn).WatchWindow(ctx, &pb.WatchWindowRequest{Id: "x-1"}))
		},
		"reflection": func(ctx context.Context) error {
			s, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
			if err == nil {
				_ = s.CloseSend()
				_, err = s.Recv()
			}
			return err
		},
		"nothing": func(ctx context.Context) error {
			return conn.Invoke(ctx, "/Nothing/There", &pb.ExposeSettings{}, &pb.Status{})
		},
	}
	want := map[string]string{
		"health none": "OK", "health wrong": "OK", "health right": "OK",
		"core none": "Unauthenticated", "core wrong": "Unauthenticated", "core right": "OK",
		"console none": "Unauthenticated", "console wrong": "Unauthenticated", "console right": "OK",
		"watch none": "Unauthenticated", "watch wrong": "Unauthenticated", "watch right": "NotFound",
		"reflection none": "Unauthenticated", "reflection wrong": "Unauthenticated", "reflection right": "Unknown", // EOF
		"nothing none": "Unauthenticated", "nothing wrong": "Unauthenticated", "nothing right": "Unimplemented",
	}
	got := map[string]string{}
	for name, call := range calls {
		for with, token := range map[string]string{"none": "", "wrong": "s3cret", "right": secret} {
			ctx := t.Context()
			if token != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
			}
			err := call(ctx)
			got[name+" "+with] = status.Code(err).String()
			if text := fmt.Sprint(err); status.Code(err) == codes.Unauthenticated && !strings.Contains(text, "ORCA_TOKEN") || strings.Contains(text, secret) {
				t.Errorf("%s %s: %s", name, with, text)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without TLS nobody gets through to a core that speaks it.
func TestTLSOnly(t *testing.T) {
	t.Parallel()
	k := newKeyPair(t, 1)
	_, _, change := guarded(t, k)
	core := orcatest.Start(t, change)
	for name, transport := range map[string]credentials.TransportCredentials{
		"plain": insecure.NewCredentials(), "an authority of another": credentials.NewTLS(newKeyPair(t, 2).trusted()),
	} {
		_, err := healthpb.NewHealthClient(dialCore(t, core.Addresses.GRPC, transport)).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v, want UNAVAILABLE", name, err)
		}
	}
}

// HTTP speaks TLS too, and shows its metrics to those who have the token.
func TestTokenOverHTTPS(t *testing.T) {
	t.Parallel()
	k := newKeyPair(t, 1)
	_, _, change := guarded(t, k)
	address := orcatest.Start(t, change).Addresses.HTTP
	transport := &http.Transport{TLSClientConfig: k.trusted(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	get := func(path, token string) string {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || bytes.Contains(body, []byte(secret)) {
			t.Errorf("%s: %v, %s", path, err, body)
		}
		return fmt.Sprint(answer.Proto, " ", answer.StatusCode)
	}
	want := []string{"HTTP/2.0 200", "HTTP/2.0 200", "HTTP/2.0 401", "HTTP/2.0 401", "HTTP/2.0 200"}
	got := []string{get("/healthz", ""), get("/readyz", ""), get("/metrics", ""), get("/metrics", "wrong"), get("/metrics", secret)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A renewed certificate is served from the next handshake on; one that does not do leaves the one before.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	first, second := newKeyPair(t, 1), newKeyPair(t, 2)
	cert, key, change := guarded(t, first)
	core := orcatest.Start(t, change)
	served := func() (serials [2]int64) {
		for i, address := range []string{core.Addresses.GRPC, core.Addresses.HTTP} {
			conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			serials[i] = conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
			_ = conn.Close()
		}
		return serials
	}
	for _, step := range []struct {
		what string
		do   func()
		want int64
	}{
		{"at the start", func() {}, 1},
		{"the new certificate, with the old key", func() { replace(t, cert, second.cert) }, 1},
		{"the new key", func() { replace(t, key, second.key) }, 2},
		{"a certificate that is none", func() { replace(t, cert, []byte("nonsense")) }, 2},
		{"no certificate", func() { _ = os.Remove(cert) }, 2},
		{"the first again", func() { replace(t, key, first.key); replace(t, cert, first.cert) }, 1},
	} {
		step.do()
		if got, want := served(), [2]int64{step.want, step.want}; got != want {
			t.Errorf("%s: certificates %v are served, want %v", step.what, got, want)
		}
	}
}

// A core that cannot have the TLS or the token that it was told to have does not start, and makes no store.
func TestAccessThatCannotBe(t *testing.T) {
	t.Parallel()
	k := newKeyPair(t, 1)
	cert, key, _ := guarded(t, k)
	for name, test := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"no certificate": {func(c *config.Config) { c.TLSCert, c.TLSKey = cert+"x", key },
			"--tls-cert " + cert + "x, --tls-key " + key + ": stat " + cert + "x: no such file or directory"},
		"the key of another": {func(c *config.Config) {
			other := filepath.Join(t.TempDir(), "other.key")
			replace(t, other, newKeyPair(t, 2).key)
			c.TLSCert, c.TLSKey = cert, other
		}, "private key does not match public key"},
		"no token": {func(c *config.Config) { c.TokenFile = cert }, "--token-file " + cert + " holds no token"},
	} {
		cfg := config.Config{GRPC: "127.0.0.1:0", Store: "sqlite:" + filepath.Join(t.TempDir(), "orca.db")}
		test.change(&cfg)
		err := app.Run(t.Context(), cfg, slog.New(slog.DiscardHandler), func(app.Addresses) { t.Errorf("%s: it started", name) })
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
		if _, err := os.Stat(strings.TrimPrefix(cfg.Store, "sqlite:")); err == nil {
			t.Errorf("%s: there is a store", name)
		}
	}
}

// A token alone, on loopback, and the core's log at its most talkative: nothing says it.
func TestTokenIsNotLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	cfg := config.Default()
	cfg.GRPC, cfg.HTTP, cfg.Token, cfg.DiskReserve = "127.0.0.1:0", "", secret, 1
	cfg.Store = "sqlite:" + filepath.Join(t.TempDir(), "orca.db")
	err := app.Run(ctx, cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(a app.Addresses) {
		defer stop()
		client := pb.NewOrcaConsoleClient(dialCore(t, a.GRPC, insecure.NewCredentials()))
		for _, token := range []string{"wrong", secret} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
			answer, err := client.GetStatus(ctx, &pb.GetStatusRequest{})
			if (err == nil) != (token == secret) || strings.Contains(fmt.Sprint(answer, err), secret) {
				t.Errorf("%s: %v, %v", token, answer, err)
			}
		}
	})
	if err != nil || log.Len() == 0 || strings.Contains(log.String(), secret) {
		t.Errorf("%v; log:\n%s", err, &log)
	}
}
