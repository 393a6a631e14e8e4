package bare

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestEmitter(t *testing.T) {
	t.Parallel()
	forEachLanguage(t, func(t *testing.T, l language) {
		core := startCore(t)
		p := start(t, l, "emitter", "--core", core.address, "--type", "Reading@1.2.3", "--origin", "kläranlage 7",
			"--from", "1700000000000000001", "--to", "1700000000999999999",
			"--metadata", `{"asset": "pump-1", "n": null, "deep": [1.5, {"ok": true}]}`)

		want := map[string]any{"status": "PROCESSING_TRIGGERED", "windowId": windowID}
		if diff := cmp.Diff(want, p.line(t)); diff != "" {
			t.Errorf("printed line (-want +got):\n%s", diff)
		}
		if err := p.wait(t); err != nil {
			t.Errorf("the emitter ended with %v", err)
		}
		wantWindow := &pb.Window{
			TimeFrom:          &timestamppb.Timestamp{Seconds: 1700000000, Nanos: 1},
			TimeTo:            &timestamppb.Timestamp{Seconds: 1700000000, Nanos: 999999999},
			WindowTypeName:    "Reading",
			WindowTypeVersion: "1.2.3",
			Origin:            "kläranlage 7",
			Metadata: structOf(t, map[string]any{
				"asset": "pump-1",
				"n":     nil,
				"deep":  []any{1.5, map[string]any{"ok": true}},
			}),
		}
		if diff := cmp.Diff(wantWindow, <-core.windows, protocmp.Transform()); diff != "" {
			t.Errorf("emitted window (-want +got):\n%s", diff)
		}
	})
}

func TestEmitterIsRefused(t *testing.T) {
	t.Parallel()
	forEachLanguage(t, func(t *testing.T, l language) {
		p := start(t, l, "emitter", "--core", startCore(t).address, "--type", "Unknown@1.0.0", "--from", "1", "--to", "2")
		want := map[string]any{"code": 5.0, "message": "window type Unknown 1.0.0 is not registered"}
		if diff := cmp.Diff(want, p.line(t)); diff != "" {
			t.Errorf("printed line (-want +got):\n%s", diff)
		}
		if err := p.wait(t); err == nil {
			t.Error("the emitter ended well although it was refused")
		}
	})
}

func structOf(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
