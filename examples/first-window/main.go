// The first window: it is emitted, processed by the first processor, and its results are printed.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := orca.NewClient()
	if err != nil {
		return err
	}
	defer client.Close()

	start := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	emission, err := client.Emit(ctx, orca.Window{
		Type:   orca.WindowType{Name: "Lap", Version: "1.0.0"},
		From:   start,
		To:     start.Add(88 * time.Second),
		Origin: "first-window",
	})
	if err != nil {
		return err
	}
	outcome, err := client.Wait(ctx, emission.WindowID)
	if err != nil {
		return err
	}
	for _, node := range outcome.Nodes {
		fmt.Println(node.Algorithm, node.State, node.Value, node.Reason)
	}
	return outcome.Err()
}
