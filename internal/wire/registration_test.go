package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

func TestRegistrationComesBackEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := registration.Draw(t, "registration")
		got, err := wire.Registration(overTheWire(t, wire.ProcessorRegistrationMessage(want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("another registration (-want +got):\n%s", diff)
		}
	})
}

// overTheWire returns the message as its receiver decodes it.
func overTheWire[M proto.Message](t interface{ Fatal(...any) }, msg M) M {
	b, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	received := msg.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, received); err != nil {
		t.Fatal(err)
	}
	return received.(M)
}

// workingRegistration is one that is accepted; tests break one thing of it.
func workingRegistration() *pb.ProcessorRegistration {
	return &pb.ProcessorRegistration{
		Name:          "host",
		Runtime:       "go1.26",
		ConnectionStr: "grpc://localhost:5377",
		SupportedAlgorithms: []*pb.Algorithm{
			{
				Name: "CPU", Version: "1.0.0", Description: "usage of all processors", ResultType: pb.ResultType_VALUE,
				WindowType: &pb.WindowType{
					Name: "Second", Version: "1.0.0", Description: "one second",
					MetadataFields: []*pb.MetadataField{{Name: "host", Description: "which", Filter: true}},
				},
			},
			{
				Name: "Trend", Version: "1.0.0", Description: "of the usage", ResultType: pb.ResultType_ARRAY,
				WindowType: &pb.WindowType{Name: "Minute", Version: "1.0.0", Description: "one minute"},
				Dependencies: []*pb.AlgorithmDependency{{
					Name: "CPU", Version: "1.0.0", ProcessorName: "host", ProcessorRuntime: "go1.26",
					Lookback: &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: 60e9},
				}},
			},
		},
	}
}

func TestZeroLookbackIsNone(t *testing.T) {
	t.Parallel()
	msg := workingRegistration()
	a := msg.SupportedAlgorithms[1]
	for _, zero := range []func(){
		func() {
			a.Lookback, a.LookbackGap = &pb.Algorithm_LookbackNum{}, &pb.Algorithm_LookbackGapNum{}
			d := a.Dependencies[0]
			d.Lookback, d.LookbackGap = &pb.AlgorithmDependency_LookbackNum{}, &pb.AlgorithmDependency_LookbackGapNum{}
		},
		func() {
			a.Lookback, a.LookbackGap = &pb.Algorithm_LookbackTimeDelta{}, &pb.Algorithm_LookbackGapTimeDelta{}
			d := a.Dependencies[0]
			d.Lookback, d.LookbackGap = &pb.AlgorithmDependency_LookbackTimeDelta{}, &pb.AlgorithmDependency_LookbackGapTimeDelta{}
		},
	} {
		zero()
		r, err := wire.Registration(overTheWire(t, msg))
		if err != nil {
			t.Fatal(err)
		}
		got := []orca.Lookback{r.Algorithms[1].Self, r.Algorithms[1].Dependencies[0].Lookback}
		if diff := cmp.Diff(make([]orca.Lookback, 2), got); diff != "" {
			t.Errorf("a zero asks for something (-want +got):\n%s", diff)
		}
	}
}

func TestRegistrationRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 128) // 256 bytes
	for _, tc := range []struct {
		what  string
		spoil func(*pb.ProcessorRegistration)
		want  string
	}{
		{"no processor name", func(r *pb.ProcessorRegistration) { r.Name = "" }, `name: "" is no name: give the processor a name`},
		{"long processor name", func(r *pb.ProcessorRegistration) { r.Name = long },
			`name: "` + strings.Repeat("é", 32) + `"… (256 bytes) is too long: shorten it to 255 bytes`},
		{"long project name", func(r *pb.ProcessorRegistration) { r.ProjectName = long },
			`project_name: "` + strings.Repeat("é", 32) + `"… (256 bytes) is too long: shorten it to 255 bytes`},
		{"runtime that is no text", func(r *pb.ProcessorRegistration) { r.Runtime = "\xff" },
			`runtime: "\xff" is not UTF-8: send text`},
		{"no address", func(r *pb.ProcessorRegistration) { r.ConnectionStr = "worker" },
			`connection_str: "worker" is not an address: write host:port, such as "10.0.0.7:5377" or "grpc://worker:5377", with "grpcs://" for TLS`},
		{"no algorithm name", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[1].Name = "" },
			`supported_algorithms[1].name: "" is no name: give the algorithm a name`},
		{"no algorithm version", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[1].Version = "" },
			`supported_algorithms[1].version: "" is no version: give the algorithm a version, such as "1.0.0"`},
		{"algorithm twice", func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms = append(r.SupportedAlgorithms, r.SupportedAlgorithms[0])
		}, `supported_algorithms[2]: the algorithm "CPU" "1.0.0" is announced twice, first in supported_algorithms[0]: announce it once`},
		{"no result type", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].ResultType = 0 },
			`supported_algorithms[0].result_type: NOT_SPECIFIED is no kind of result: say STRUCT, VALUE, ARRAY or NONE`},
		{"unknown result type", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].ResultType = 257 },
			`supported_algorithms[0].result_type: 257 is no kind of result: say STRUCT, VALUE, ARRAY or NONE`},
		{"long description", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].Description = strings.Repeat("é", 1001) },
			`supported_algorithms[0].description: "` + strings.Repeat("é", 32) + `"… (2002 bytes) has 1001 characters: shorten it to 1000`},
		{"no window type", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].WindowType = nil },
			`supported_algorithms[0].window_type: unset: say which type of window triggers the algorithm`},
		{"no window type name", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].WindowType.Name = "" },
			`supported_algorithms[0].window_type.name: "" is no name: give the window type a name`},
		{"no metadata field name", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].WindowType.MetadataFields[0].Name = "" },
			`supported_algorithms[0].window_type.metadataFields[0].name: "" is no name: give the metadata field a name`},
		{"metadata field twice", func(r *pb.ProcessorRegistration) {
			w := r.SupportedAlgorithms[0].WindowType
			w.MetadataFields = append(w.MetadataFields, &pb.MetadataField{Name: "host"})
		}, `supported_algorithms[0].window_type.metadataFields[1]: the metadata field "host" is declared twice, first in metadataFields[0]: declare it once`},
		{"dependency without processor", func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[1].Dependencies[0].ProcessorName = "" },
			`supported_algorithms[1].dependencies[0].processor_name: "" is no name: give the processor that has it a name`},
		{"dependency twice", func(r *pb.ProcessorRegistration) {
			a := r.SupportedAlgorithms[1]
			twin := proto.Clone(a.Dependencies[0]).(*pb.AlgorithmDependency)
			twin.ProcessorRuntime = "another"
			a.Dependencies = append(a.Dependencies, twin)
		}, `supported_algorithms[1].dependencies[1]: "CPU" "1.0.0" is needed twice with the same lookback, first in dependencies[0]: list it once, or with another lookback`},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			msg := workingRegistration()
			tc.spoil(msg)
			_, err := wire.Registration(msg)
			if !errors.Is(err, orca.Invalid) {
				t.Fatalf("error %v, want one of kind invalid", err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("the message (-want +got):\n%s", diff)
			}
		})
	}
}

// What the other tests break must be in order before.
func TestRegistrationAccepted(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*pb.ProcessorRegistration){
		"as it is":            func(*pb.ProcessorRegistration) {},
		"no algorithms":       func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms = nil },
		"no descriptions":     func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].Description = "" },
		"longest description": func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].Description = strings.Repeat("é", 1000) },
		"longest name":        func(r *pb.ProcessorRegistration) { r.SupportedAlgorithms[0].Name = strings.Repeat("é", 127) + "e" },
		"same name, new version": func(r *pb.ProcessorRegistration) {
			r.SupportedAlgorithms[1].Name, r.SupportedAlgorithms[1].Version = "CPU", "2.0.0"
		},
		"same dependency, other lookback": func(r *pb.ProcessorRegistration) {
			a := r.SupportedAlgorithms[1]
			twin := proto.Clone(a.Dependencies[0]).(*pb.AlgorithmDependency)
			twin.Lookback = nil
			a.Dependencies = append(a.Dependencies, twin)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			msg := workingRegistration()
			change(msg)
			if _, err := wire.Registration(msg); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	type address struct {
		Address string
		TLS     bool
	}
	for connection, want := range map[string]address{
		"localhost:5377":           {"localhost:5377", false},
		"grpc://localhost:5377":    {"localhost:5377", false},
		"GRPC://Worker.Local:1":    {"Worker.Local:1", false},
		"grpcs://10.0.0.7:443":     {"10.0.0.7:443", true},
		"grpc://[::1]:5377":        {"[::1]:5377", false},
		"[fe80::1%eth0]:65535":     {"[fe80::1%eth0]:65535", false},
		"host.docker.internal:080": {"host.docker.internal:080", false},
	} {
		var got address
		var err error
		if got.Address, got.TLS, err = wire.Address(connection); err != nil || got != want {
			t.Errorf("Address(%q) = %v, %v, want %v", connection, got, err, want)
		}
	}
	for _, connection := range []string{
		"", ":", "worker", "worker:", ":5377", "worker:0", "worker:65536", "worker:-1", "worker:+1", "worker:grpc", "::1:5377",
		"http://worker:5377", "dns:///worker:5377", "grpc://worker:5377/", "grpc://user@worker:5377", "grpc://grpc://worker:5377",
		" worker:5377", "worker:5377\n", "wor\x00ker:5377", "grpc://", strings.Repeat("h", 256) + ":5377", "a\xffb:5377",
	} {
		address, _, err := wire.Address(connection)
		if !errors.Is(err, orca.Invalid) || !strings.Contains(err.Error(), `write host:port, such as "10.0.0.7:5377"`) {
			t.Errorf("Address(%q) = %q, %v, want a refusal that shows a good one", connection, address, err)
		}
	}
}
