package cli

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
)

// testCertificate returns a certificate for 127.0.0.1, and a file to trust it by.
func testCertificate(t *testing.T) (c tls.Certificate, authority string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	authority = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.TLS.Certificates[0], authority
}

// guardedCore serves a core that wants the token s3cret, over TLS if there is a certificate.
func guardedCore(t *testing.T, certificates ...tls.Certificate) string {
	t.Helper()
	authorize := func(ctx context.Context) error {
		headers, _ := metadata.FromIncomingContext(ctx)
		if err := config.Token("s3cret").Authorize(strings.Join(headers.Get("authorization"), ",")); err != nil {
			return status.Error(codes.Unauthenticated, err.Error())
		}
		return nil
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, q any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := authorize(ctx); err != nil {
				return nil, err
			}
			return next(ctx, q)
		}),
		grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := authorize(s.Context()); err != nil {
				return err
			}
			return next(srv, s)
		}),
	}
	if len(certificates) > 0 {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: certificates})))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := answering(triggered)
	f.status = &pb.GetStatusResponse{Version: "v1", Store: "sqlite:a"}
	f.watch = play(finishedEvent(pb.RunState_RUN_STATE_SUCCEEDED))
	serve(t, l, f, f, options...)
	return l.Addr().String()
}

// tokenFile returns a file with a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestGettingIntoAGuardedCore(t *testing.T) {
	t.Parallel()
	certificate, ca := testCertificate(t)
	core := guardedCore(t, certificate)
	right, bad := tokenFile(t, "s3cret"), tokenFile(t, "wr0ng")
	for name, test := range map[string]struct {
		env  map[string]string
		args []string
		code int
		err  string // what is said, or a part of it
	}{
		"scheme, flags":      {nil, []string{"--core", "grpcs://" + core, "--tls-ca", ca, "--token-file", right}, 0, ""},
		"no scheme":          {nil, []string{"--core", core, "--tls-ca", ca, "--token-file", right}, 0, ""},
		"variables":          {map[string]string{"ORCA_CORE": "grpcs://" + core, "ORCA_TLS_CA": ca, "ORCA_TOKEN": "s3cret"}, nil, 0, ""},
		"file in a variable": {map[string]string{"ORCA_CORE": core, "ORCA_TLS_CA": ca, "ORCA_TOKEN_FILE": right}, nil, 0, ""},
		"flag beats variable": {map[string]string{"ORCA_TOKEN": "wr0ng", "ORCA_TLS_CA": "nowhere"},
			[]string{"--core", core, "--tls-ca", ca, "--token-file", right}, 0, ""},
		"token beats file of variables": {map[string]string{"ORCA_CORE": core, "ORCA_TLS_CA": ca, "ORCA_TOKEN": "s3cret", "ORCA_TOKEN_FILE": bad}, nil, 0, ""},
		"no token": {nil, []string{"--core", core, "--tls-ca", ca}, 1, `this core wants a token: send the header "authorization: ` +
			`Bearer TOKEN"; the command orca takes it from ORCA_TOKEN or --token-file`},
		"wrong token":        {nil, []string{"--core", core, "--tls-ca", ca, "--token-file", bad}, 1, "the token is not this core's: "},
		"malformed token":    {map[string]string{"ORCA_CORE": core, "ORCA_TLS_CA": ca, "ORCA_TOKEN": "wr0ng s3cret"}, nil, 2, "ORCA_TOKEN holds no token: "},
		"no file of a token": {nil, []string{"--core", core, "--tls-ca", ca, "--token-file", "nowhere"}, 1, "--token-file: open nowhere: no such file or directory"},
		"the system's roots": {nil, []string{"--core", "grpcs://" + core, "--token-file", right}, 1,
			"no TLS with the core at " + core + ": tls: failed to verify certificate: x509: certificate signed by unknown authority; " +
				"give the certificate of its authority with --tls-ca"},
		"another name": {nil, []string{"--core", "localhost" + core[strings.LastIndex(core, ":"):], "--tls-ca", ca}, 1, "call it by a name that its certificate has"},
		"no TLS":       {nil, []string{"--core", core, "--token-file", right}, 1, "; if it speaks TLS, write grpcs://" + core},
		"TLS and none": {nil, []string{"--core", "grpc://" + core, "--tls-ca", ca}, 2,
			"grpc:// is without TLS, and --tls-ca (or ORCA_TLS_CA) " + ca + " asks for it: write grpcs://"},
		"no authority":        {nil, []string{"--core", core, "--tls-ca", right}, 1, "--tls-ca " + right + ": there is no certificate in it: want a PEM file"},
		"no file":             {nil, []string{"--core", core, "--tls-ca", "nowhere"}, 1, "--tls-ca: open nowhere: no such file or directory"},
		"a scheme of another": {nil, []string{"--core", "https://" + core}, 2, "want host:port, grpc://host:port or grpcs://host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := terminal{env: test.env}.orca(t.Context(), append([]string{"status"}, test.args...)...)
			if got.Code != test.code || !strings.Contains(got.Err, test.err) || test.code == 0 && got.Err != "" {
				t.Errorf("exit %d, stderr %q\nwant exit %d, %q", got.Code, got.Err, test.code, test.err)
			}
			if strings.Contains(got.Out+got.Err, "s3cret") || strings.Contains(got.Out+got.Err, "wr0ng") {
				t.Errorf("the token is said: %+v", got)
			}
		})
	}
}

// A core on loopback may have a token and no TLS; a stream shows it too.
func TestATokenWithoutTLS(t *testing.T) {
	t.Parallel()
	core := guardedCore(t)
	x := terminal{env: map[string]string{"ORCA_CORE": core, "ORCA_TOKEN": "s3cret"}}
	compare(t, "emit", said{0, "window w7: revision 1 (emit), position 9, succeeded in 125ms, 3 of 3 nodes settled\n", ""}, x.orca(t.Context(), emitArgs("--wait")...))

	// What trying again does not mend is not tried again.
	compare(t, "no token", said{1, "", "orca: this core wants a token: send the header \"authorization: Bearer TOKEN\"; " +
		"the command orca takes it from ORCA_TOKEN or --token-file\n"}, orca(t, core, emitArgs()...))
	compare(t, "TLS", said{1, "", "orca: no TLS with the core at " + core +
		": tls: first record does not look like a TLS handshake; if it speaks none, write grpc://" + core + "\n"}, orca(t, "grpcs://"+core, emitArgs()...))
}
