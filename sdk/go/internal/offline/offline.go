// Package offline is the door by which package orcatest gets at processors without a core. Package orca opens it when it
// is loaded. Its own types cannot be named here, so they pass as any; everything else has the form of the contract.
package offline

import (
	"context"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Processor is what a processor is without a network.
type Processor struct {
	Name string
	// Algorithms are what it announces.
	Algorithms []*pb.Algorithm
	// Execute runs the algorithm with this index once, in the caller's goroutine. There is always a result.
	Execute func(ctx context.Context, index int, window *pb.Window, asked *pb.ExecuteAlgorithm, emit Emit) *pb.Result
}

// Emit stands in for a core's EmitWindow.
type Emit func(ctx context.Context, window *pb.Window, idempotencyKey string) (id string, status pb.WindowEmitStatus_StatusEnum, err error)

// What package orca fills in.
var (
	// Open validates an *orca.Processor.
	Open func(processor any) (Processor, error)
	// Write validates an orca.Window and gives its wire form.
	Write func(window any) (*pb.Window, error)
	// Read gives an orca.Window.
	Read func(window *pb.Window, id string) any
	// Outcome gives an *orca.Outcome.
	Outcome func(windowID string, run *pb.RunInfo, nodes []*pb.NodeInfo) (any, error)
)
