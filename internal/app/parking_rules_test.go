package app_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// A processor that is away with more windows than there are places holds back nobody else, before and after a restart.
// When it is back its windows go on in their order.
func TestAbsentProcessorTakesNoPlaces(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t, func(c *config.Config) { c.MaxActiveRuns, c.MaxInFlight = 4, 1 })
	away := core.Processor("away", plain("Away", "Gone"))
	away.Kill()
	core.Processor("here", plain("Here", "A"))
	var waiting, others []string
	emit := func(typeName string, list *[]string) {
		id, _ := core.Emit(window(typeName, len(*list)))
		*list = append(*list, id)
	}
	for range 20 {
		emit("Away", &waiting)
		emit("Here", &others)
	}
	for _, id := range others {
		core.Wait(id)
	}
	core.Restart()
	for range 10 {
		emit("Away", &waiting)
		emit("Here", &others)
	}
	for _, id := range others[20:] {
		core.Wait(id)
	}
	eventually(t, "the status says that 30 runs are parked and for whom", func() bool {
		status, err := core.GetStatus(t.Context(), &pb.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		w := status.GetWaiting()
		return status.GetParked()+status.GetActive() == 30 && status.GetParked() > 25 &&
			len(w) == 1 && w[0].GetProcessor() == "away" && w[0].GetRuns() == 30 && w[0].GetOldest() == 1
	})
	back := serveProgram(t, away.Address, succeed)
	for _, id := range waiting {
		core.Wait(id)
	}
	var got, want []int64
	for i, r := range back.requests() {
		got, want = append(got, r.GetWindow().GetTimeFrom().AsTime().UnixNano()), append(want, window("Away", i).GetTimeFrom().AsTime().UnixNano())
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != len(waiting) {
		t.Errorf("the order of %d requests for %d windows (-want +got):\n%s", len(got), len(waiting), diff)
	}
}
