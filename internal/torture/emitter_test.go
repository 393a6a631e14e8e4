package torture

import (
	"log/slog"
	"net"
	"testing"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// A window that was emitted without a key of its emitter's is not emitted again when the answer stays out: it could be
// in the ledger twice, and that would be no defect. Its slot is given back.
func TestEmitterGivesUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err := orca.NewClient(orca.WithoutEnvironment(), orca.WithCore(l.Addr().String()),
		orca.WithTimeout(time.Millisecond), orca.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	e := &emitter{
		kind: Fresh, name: "fresh", client: client, slots: make(chan struct{}, 1),
		answered: func(id string, _ int64) { t.Errorf("window %s was answered by nobody", id) },
	}
	e.slots <- struct{}{}
	if err := e.emit(t.Context(), 7, true); err != nil {
		t.Error(err)
	}
	if len(e.emits) != 1 || e.emits[0].Origin != "fresh-7" || e.emits[0].Err == "" || e.emits[0].WindowID != "" || len(e.slots) != 0 {
		t.Errorf("emits %+v and %d slots taken, want one emit of fresh-7 that failed and none", e.emits, len(e.slots))
	}
}
