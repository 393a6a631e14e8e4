// Package user is a program that uses the stubs.
package user

import (
	"context"

	orca "github.com/orca-telemetry/orca/sdk/go"

	"example.com/user/stubs/racing"
	"example.com/user/stubs/windows"
)

var recent = racing.SpeedV1_0_0.Over(orca.Last(5))

var strategy = orca.Value(orca.NewProcessor("strategy"), "Grip", "1.0.0", windows.LapV1_0_0,
	func(_ context.Context, run *orca.Run) (float32, error) {
		var speed float32 = recent.From(run)
		var wheels []float32 = racing.SpeedV2_10_0.From(run)
		var report map[string]any = racing.Report.From(run)
		_, ok := racing.Done.Current(run)
		_ = ok && report != nil
		return speed + wheels[0], nil
	}, orca.Needs(recent, racing.SpeedV2_10_0, racing.Report, racing.Done))
