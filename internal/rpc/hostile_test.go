package rpc_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// Text that would be SQL, if any of it reached the database as such, is a name or a value like any other: it comes back
// as it was sent, and is found by what it is.
func TestTextIsNeverSQL(t *testing.T) {
	t.Parallel()
	const text = `x'); DROP TABLE run; DELETE FROM window; -- " \ % _ ? ?1 $1 :a @a [b] ` + "`c`; \n"
	core := orcatest.Start(t)
	a := orcatest.Define(text, text)
	a.Version, a.Description, a.WindowType.Version, a.WindowType.Description = text, text, text, text
	a.WindowType.MetadataFields = []*pb.MetadataField{{Name: text, Description: text, Filter: true}}
	p := orcatest.NewProcessor(t, text, orcatest.Algorithm{Algorithm: a})
	r := p.Registration()
	r.Runtime, r.ProjectName = text, text
	if _, err := core.RegisterProcessor(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	window := orcatest.Window(text, text, 0, map[string]any{text: text})
	window.Origin = text
	header := strings.TrimSpace(text)
	keyed := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", header, "orca-project", header)
	if _, err := core.EmitWindow(keyed, window); err != nil {
		t.Fatal(err)
	}
	windows, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{WindowTypeName: text, WindowTypeVersion: text})
	if err != nil || len(windows.GetWindows()) != 1 {
		t.Fatalf("windows %v, %v; want one", windows, err)
	}
	core.Wait(windows.GetWindows()[0].GetId())
	results, err := core.ListResults(t.Context(), &pb.ListResultsRequest{Name: text, Version: text, Processor: text, Metadata: window.GetMetadata()})
	if err != nil || len(results.GetResults()) != 1 {
		t.Fatalf("results %v, %v; want one", results, err)
	}
	if diff := cmp.Diff(window, results.GetResults()[0].GetWindow(), protocmp.Transform()); diff != "" {
		t.Errorf("the window (-sent +got):\n%s", diff)
	}
	exposed, err := core.Expose(t.Context(), &pb.ExposeSettings{})
	if diff := cmp.Diff(&pb.InternalState{Processors: []*pb.ProcessorRegistration{r}}, exposed, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("%v; what is registered (-sent +got):\n%s", err, diff)
	}
}

// Clients that send bytes of no protocol, that begin and never go on, that send more than is allowed and that read
// nothing of what they asked for: meanwhile every window of another client is run.
func TestBrokenClientsStallNobody(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	core.Processor("p", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")}).Forget()
	ctx, cancel := context.WithCancel(t.Context())
	var broken sync.WaitGroup
	defer broken.Wait()
	defer cancel()
	for _, bytes := range []string{"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", strings.Repeat("\x00\xff", 1<<16)} {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", core.Addresses.GRPC)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(bytes)) // it may be hung up on
	}
	client := pb.NewOrcaCoreClient(dial(t, core))
	tooLarge := orcatest.Window(strings.Repeat("x", 64<<20), "1.0.0", 0, nil)
	begun := make(chan struct{})
	broken.Go(func() {
		for i := range 5 {
			_, err := client.EmitWindow(ctx, tooLarge)
			if c := status.Code(err); c != codes.ResourceExhausted && c != codes.Canceled {
				t.Errorf("a message that is too large is answered with %.200v", err)
			}
			if i == 0 {
				close(begun)
			}
		}
	})
	<-begun
	unread := pb.NewOrcaConsoleClient(dial(t, core))
	for i := range 20 {
		id, _ := core.Emit(orcatest.Window("W", "1.0.0", i, map[string]any{"text": strings.Repeat("x", 1<<16)}))
		if _, err := unread.WatchWindow(ctx, &pb.WatchWindowRequest{Id: id}); err != nil {
			t.Fatal(err)
		}
		if _, err := unread.ReprocessWindows(ctx, &pb.ReprocessWindowsRequest{WindowTypeName: "W", WindowTypeVersion: "1.0.0", DryRun: true}); err != nil {
			t.Fatal(err)
		}
		if state := core.Wait(id).GetRun().GetState(); state != pb.RunState_RUN_STATE_SUCCEEDED {
			t.Errorf("window %d ends as %v", i, state)
		}
	}
}
