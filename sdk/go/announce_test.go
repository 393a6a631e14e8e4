package orca_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/fakecore"
)

// logged collects what is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func logInto(l *logged) orca.Option {
	return orca.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

func TestRunWaitsForTheCore(t *testing.T) {
	t.Parallel()
	core := fakecore.Start(t, fakecore.Script{})
	core.Stop()
	var log logged
	p := newProcessor(core.Addr, orca.WithProject("f1"), logInto(&log))
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	start(t, p)
	for !strings.Contains(log.String(), "cannot register, trying on; is a core running there?") {
		time.Sleep(time.Millisecond) // the log has no signal to wait on
	}
	select {
	case <-p.Registered():
		t.Fatal("registered without a core")
	default:
	}
	core.Restart()
	got := await(t, core.Registered)
	await(t, p.Registered())
	if diff := cmp.Diff(p.Registration(got.GetConnectionStr(), "f1"), got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestTransientRefusalsAreTriedAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	core := fakecore.Start(t, fakecore.Script{Register: func(*pb.ProcessorRegistration) (*pb.Status, error) {
		switch calls.Add(1) {
		case 1:
			return nil, status.Error(codes.ResourceExhausted, "full")
		case 2:
			return nil, status.Error(codes.Internal, "oops")
		}
		return &pb.Status{Received: true, Message: "Speed 1.0.0 awaits Grip 1.0.0 of chassis"}, nil
	}})
	var log logged
	p := newProcessor(core.Addr, logInto(&log))
	start(t, p)
	await(t, p.Registered())
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "awaits Grip 1.0.0 of chassis") {
		t.Errorf("the core's message is not logged: %s", log.String())
	}
}

func TestARefusedRegistrationEndsRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer *pb.Status
		err    error
		kind   error
		text   string
	}{
		"invalid":      {nil, status.Error(codes.InvalidArgument, "name: too long"), orca.ErrInvalid, "name: too long"},
		"changed":      {nil, status.Error(codes.FailedPrecondition, "bump the version"), orca.ErrConflict, "bump the version"},
		"claimed":      {nil, status.Error(codes.AlreadyExists, "belongs to f2"), orca.ErrConflict, "belongs to f2"},
		"not received": {&pb.Status{Message: "go away"}, nil, orca.ErrConflict, "go away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := fakecore.Start(t, fakecore.Script{Register: func(*pb.ProcessorRegistration) (*pb.Status, error) {
				return tc.answer, tc.err
			}})
			p := newProcessor(core.Addr)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := p.Run(ctx)
			var call *orca.CallError
			if ctx.Err() != nil {
				t.Errorf("Run ended with its context only")
			}
			if !errors.Is(err, tc.kind) || !errors.As(err, &call) || call.Op != "register processor racing" ||
				call.Core != core.Addr || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want a %v that says %q", err, tc.kind, tc.text)
			}
		})
	}
}

// memory is what a fake core remembers of registrations.
type memory struct {
	mu    sync.Mutex
	known *pb.ProcessorRegistration
	state pb.InstanceState
	asked chan struct{} // gets a token when the core is asked what it knows
}

func (m *memory) register(r *pb.ProcessorRegistration) (*pb.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = r
	return &pb.Status{Received: true}, nil
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = nil
}

func (m *memory) list(r *pb.ListProcessorsRequest) (*pb.ListProcessorsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.GetPageToken() == "" { // the processor is on the second page
		return &pb.ListProcessorsResponse{Processors: []*pb.ProcessorInfo{{Name: "other"}}, PageToken: "2"}, nil
	}
	select {
	case m.asked <- struct{}{}:
	default:
	}
	if m.known == nil {
		return &pb.ListProcessorsResponse{}, nil
	}
	return &pb.ListProcessorsResponse{Processors: []*pb.ProcessorInfo{{
		Name: m.known.GetName(),
		Instances: []*pb.InstanceInfo{{ConnectionStr: "grpc://elsewhere:1"}, {
			ConnectionStr: "grpc://" + m.known.GetConnectionStr(),
			Algorithms:    int32(len(m.known.GetSupportedAlgorithms())),
			State:         m.state,
			Reason:        "connection refused",
		}},
	}}}, nil
}

func (m *memory) expose() (*pb.InternalState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.asked <- struct{}{}:
	default:
	}
	if m.known == nil {
		return &pb.InternalState{Processors: []*pb.ProcessorRegistration{{Name: "racing", ConnectionStr: "elsewhere:1"}}}, nil
	}
	return &pb.InternalState{Processors: []*pb.ProcessorRegistration{m.known}}, nil
}

func TestACoreThatComesBackWithoutTheProcessorGetsItAgain(t *testing.T) {
	t.Parallel()
	for name, console := range map[string]bool{"with console": true, "contract alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{asked: make(chan struct{}, 1)}
			script := fakecore.Script{Register: m.register, Expose: m.expose}
			if console {
				script.Processors = m.list
			}
			core := fakecore.Start(t, script)
			p := newProcessor(core.Addr) // the silence of 15 s is longer than this test waits
			orca.Value(p, "Speed", "1.0.0", lap, constant(1))
			serve(t, core, p)

			core.Stop()
			core.Restart()
			await(t, m.asked)

			core.Stop()
			m.forget()
			core.Restart()
			await(t, m.asked)
			await(t, core.Registered)
			if len(core.Registered) > 0 {
				t.Error("it registered more often than it was forgotten")
			}
		})
	}
}

func TestASilentCoreIsAskedAndTold(t *testing.T) {
	t.Parallel()
	m := &memory{asked: make(chan struct{}, 1), state: pb.InstanceState_INSTANCE_STATE_UNREACHABLE}
	core := fakecore.Start(t, fakecore.Script{Register: m.register, Processors: m.list})
	var log logged
	p := newProcessor(core.Addr, orca.WithSilence(5*time.Millisecond), logInto(&log))
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	serve(t, core, p)
	for range 3 { // it is known, so being asked is all that happens
		await(t, m.asked)
	}
	if len(core.Registered) > 0 {
		t.Error("it registered again though the core knows it")
	}
	if !strings.Contains(log.String(), "cannot reach this processor") || !strings.Contains(log.String(), "connection refused") {
		t.Errorf("that the core cannot reach the processor is not logged: %s", log.String())
	}
	m.forget()
	await(t, core.Registered)
}

func TestAnAddressThatOnlyThisMachineReachesIsWarnedOf(t *testing.T) {
	t.Parallel()
	var log logged
	p := newProcessor("192.0.2.1:33670", logInto(&log), orca.WithDialOptions(grpc.WithContextDialer(
		func(context.Context, string) (net.Conn, error) { return nil, errors.New("no network in tests") })))
	s := start(t, p)
	for !strings.Contains(log.String(), "cannot register") {
		time.Sleep(time.Millisecond) // the log has no signal to wait on
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "set PROCESSOR_ADDRESS") {
		t.Errorf("not warned: %s", log.String())
	}
}

func TestTLSOnBothSides(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	server := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	core := fakecore.Start(t, fakecore.Script{}, grpc.Creds(credentials.NewTLS(server)))
	p := newProcessor(core.Addr, orca.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}), orca.WithServerTLS(server))
	orca.Value(p, "Speed", "1.0.0", lap, constant(1))
	start(t, p)
	address := await(t, core.Registered).GetConnectionStr()
	host, ok := strings.CutPrefix(address, "grpcs://")
	if !ok {
		t.Fatalf("announced %s, want grpcs://", address)
	}
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := execute(t, pb.NewOrcaProcessorClient(conn), request("Speed")); err != nil {
		t.Error(err)
	}

	client, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore("grpcs://"+core.Addr), orca.WithTLS(&tls.Config{RootCAs: roots}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Emit(t.Context(), window(lap, noon, time.Minute)); err != nil {
		t.Error(err)
	}
}

// selfSigned makes a certificate for the loopback and a pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
