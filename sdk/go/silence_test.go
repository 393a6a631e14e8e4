package orca

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// console answers what a core knows, and writes down when it was asked.
type console struct {
	pb.OrcaConsoleClient
	began   time.Time
	asked   []time.Duration
	answers []func() (*pb.ListProcessorsResponse, error)
}

func (c *console) ListProcessors(
	context.Context, *pb.ListProcessorsRequest, ...grpc.CallOption,
) (*pb.ListProcessorsResponse, error) {
	answer := c.answers[min(len(c.asked), len(c.answers)-1)]
	c.asked = append(c.asked, time.Since(c.began))
	return answer()
}

func TestTheCoreIsAskedWhenHeartbeatsStayOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		known := func() (*pb.ListProcessorsResponse, error) {
			return &pb.ListProcessorsResponse{Processors: []*pb.ProcessorInfo{
				{Name: "racing", Instances: []*pb.InstanceInfo{{ConnectionStr: "here:1"}}},
			}}, nil
		}
		away := func() (*pb.ListProcessorsResponse, error) { return nil, status.Error(codes.Unavailable, "away") }
		unknown := func() (*pb.ListProcessorsResponse, error) { return &pb.ListProcessorsResponse{}, nil }
		core := &console{began: time.Now(), answers: []func() (*pb.ListProcessorsResponse, error){known, known, away, unknown}}
		heard, back := make(chan struct{}, 1), make(chan struct{}, 1)
		a := &announcer{
			registration: &pb.ProcessorRegistration{Name: "racing", ConnectionStr: "here:1"},
			console:      core, heard: heard, silence: heartbeatSilence, log: slog.New(slog.DiscardHandler),
		}
		lost := make(chan time.Duration)
		go func() {
			a.awaitLoss(t.Context(), back)
			lost <- time.Since(core.began)
		}()
		for range 12 { // a minute of heartbeats
			time.Sleep(5 * time.Second)
			heard <- struct{}{}
		}
		time.Sleep(time.Second)
		back <- struct{}{} // the connection was lost and is back
		ended := <-lost

		// Asked at once when the connection is back (61 s), 15 s later since no heartbeat came, and 15 s later again,
		// where the answer is an error: after a short pause the last question finds that the processor is unknown.
		want := []time.Duration{61 * time.Second, 76 * time.Second, 91 * time.Second, ended}
		if diff := cmp.Diff(want, core.asked); diff != "" {
			t.Error(diff)
		}
		if pause := ended - 91*time.Second; pause < announcePauses.shortest/2 || pause > announcePauses.shortest {
			t.Errorf("asked again after %v", pause)
		}
	})
}
