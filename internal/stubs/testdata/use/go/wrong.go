package user

import (
	orca "github.com/orca-telemetry/orca/sdk/go"

	"example.com/user/stubs/racing"
)

func wrong(run *orca.Run) {
	var wheels []float32 = racing.SpeedV1_0_0.From(run) // WRONG
	var speed float32 = racing.SpeedV2_10_0.From(run)   // WRONG
	_ = racing.Report.From(run) + 1                     // WRONG
	_ = racing.Speed                                    // WRONG: which of them?
	_, _ = wheels, speed
}
