package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// dutiful is a processor without mistakes, whose algorithm gives 1.
type dutiful struct {
	pb.UnimplementedOrcaProcessorServer
}

func (dutiful) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_STATUS_SERVING}, nil
}

func (dutiful) ExecuteDagPart(r *pb.ExecutionRequest, stream grpc.ServerStreamingServer[pb.ExecutionResult]) error {
	for _, x := range r.GetAlgorithmExecutions() {
		if x.GetAlgorithm().GetName() != "Mean" {
			return status.Error(codes.Unimplemented, "unknown")
		}
		result := &pb.Result{
			Status: pb.ResultStatus_RESULT_STATUS_SUCEEDED, Timestamp: time.Now().Unix(), ResultData: &pb.Result_SingleValue{SingleValue: 1},
		}
		err := stream.Send(&pb.ExecutionResult{ExecId: r.GetExecId(), AlgorithmResult: &pb.AlgorithmResult{Algorithm: x.GetAlgorithm(), Result: result}})
		if err != nil {
			return err
		}
	}
	return nil
}

// serveDutiful serves it with TLS and returns its address.
func serveDutiful(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}})))
	pb.RegisterOrcaProcessorServer(server, dutiful{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return "grpcs://" + listener.Addr().String()
}

// keyFile writes the key of a certificate.
func keyFile(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// announce registers the processor with what waits at an address, over TLS.
func announce(t *testing.T, core, authority, processor string) {
	t.Helper()
	trust, err := trusting("--tls-ca", authority)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+core, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = pb.NewOrcaCoreClient(conn).RegisterProcessor(t.Context(), &pb.ProcessorRegistration{
		Name: "dutiful", Runtime: "none", ConnectionStr: processor, SupportedAlgorithms: []*pb.Algorithm{{
			Name: "Mean", Version: "1.0.0", ResultType: pb.ResultType_VALUE, WindowType: &pb.WindowType{Name: "Reading", Version: "1.0.0"},
		}},
	})
	if err != nil {
		t.Error(err)
	}
}

// A processor that registers over TLS, and is reached over TLS, is checked like any other.
func TestConformOverTLS(t *testing.T) {
	t.Parallel()
	certificate, authority := testCertificate(t)
	processor := serveDutiful(t, certificate)
	errs, said := io.Pipe()
	var out bytes.Buffer
	s := &shell{in: strings.NewReader(""), out: &out, errs: said, getenv: func(string) string { return "" }}
	ended := make(chan int)
	go func() {
		ended <- s.run(t.Context(), []string{
			"conform", "--listen", "127.0.0.1:0", "--tls-cert", authority, "--tls-key", keyFile(t, certificate), "--processor-tls-ca", authority,
		})
		_ = said.Close()
	}()
	lines := bufio.NewReader(errs)
	line, err := lines.ReadString('\n')
	_, core, ok := strings.Cut(strings.TrimSpace(line), "ORCA_CORE=grpcs://")
	if !ok {
		t.Fatalf("it says %q (%v), and not where it waits", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	announce(t, core, authority, processor)
	if code := <-ended; code != 0 || strings.Count(out.String(), " passed ") != 10 {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
}

// What can be wrong with certificates is said, and what to do.
func TestConformRefusesTLS(t *testing.T) {
	t.Parallel()
	certificate, authority := testCertificate(t)
	processor := serveDutiful(t, certificate)
	got := map[string]said{}
	for name, args := range map[string][]string{
		"half":      {"--tls-cert", authority},
		"no key":    {"--tls-cert", authority, "--tls-key", authority},
		"no file":   {"--processor", processor, "--processor-tls-ca", "nowhere"},
		"untrusted": {"--processor", processor},
	} {
		got[name] = orca(t, "127.0.0.1:1", append([]string{"conform"}, args...)...)
	}
	if r := got["untrusted"]; r.Code != 1 || !strings.Contains(r.Out, "certificate signed by unknown authority\"; trust it with --processor-tls-ca") {
		t.Errorf("an untrusted certificate: exit code %d:\n%s", r.Code, r.Out)
	}
	delete(got, "untrusted")
	unknown := "the algorithms are not known: no core answers at 127.0.0.1:1; start one with \"orca start\" or say where it is with --core\n"
	want := map[string]said{
		"half":    {2, "", "orca: --tls-cert and --tls-key go together: give both (see \"orca conform --help\")\n"},
		"no key":  {1, "", "orca: --tls-cert, --tls-key: tls: found a certificate rather than a key in the PEM for the private key\n"},
		"no file": {1, "", unknown + "orca: --processor-tls-ca: open nowhere: no such file or directory\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
