package orcatest_test

import (
	"context"
	"fmt"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/orcatest"
)

// Windows are emitted in the order in which they arrive. One comes late: what follows sees it, what came before stays.
func Example() {
	hour := orca.WindowType{Name: "Hour", Version: "1.0.0"}
	proc := orca.NewProcessor("meters")
	energy := orca.Value(proc, "Energy", "1.0.0", hour, func(_ context.Context, run *orca.Run) (float32, error) {
		return float32(run.Window.Metadata["kWh"].(float64)), nil
	})
	day := energy.Over(orca.Last(23))
	orca.Value(proc, "Daily", "1.0.0", hour, func(_ context.Context, run *orca.Run) (sum float32, _ error) {
		for row := range day.Rows(run).OldestFirst() {
			sum += row.Value
		}
		return sum, nil
	}, orca.Needs(day))

	core, err := orcatest.New(proc)
	if err != nil {
		fmt.Println(err)
		return
	}
	midnight := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, i := range []int{0, 1, 3, 2, 4} {
		from := midnight.Add(time.Duration(i) * time.Hour)
		outcome, err := core.Emit(context.Background(), orca.Window{
			Type: hour, From: from, To: from.Add(time.Hour), Origin: "example", Metadata: map[string]any{"kWh": 1},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(from.Format(time.Kitchen), outcome.Nodes[1].Value)
	}
	// Output:
	// 12:00AM 1
	// 1:00AM 2
	// 3:00AM 3
	// 2:00AM 3
	// 4:00AM 5
}
