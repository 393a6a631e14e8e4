package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

// schedule returns the windows of a replay in the order of event time, those of all assets interleaved. A day comes
// after its last hour: an algorithm is given nothing that was emitted after its own window.
func schedule(recordings []*recording, replay string) []orca.Window {
	var windows []orca.Window
	for _, r := range recordings {
		for _, kind := range []struct {
			windowType orca.WindowType
			length     time.Duration
		}{{machineHour, time.Hour}, {machineDay, 24 * time.Hour}} {
			for _, begin := range r.intervals(kind.length) {
				windows = append(windows, orca.Window{
					Type: kind.windowType, From: begin, To: begin.Add(kind.length), Origin: "machine-health",
					Metadata: map[string]any{"asset": r.asset, "replay": replay, "recording": r.digest},
				})
			}
		}
	}
	slices.SortStableFunc(windows, func(a, b orca.Window) int {
		return cmp.Or(a.To.Compare(b.To), cmp.Compare(a.Duration(), b.Duration()), cmp.Compare(assetOf(a), assetOf(b)))
	})
	return windows
}

func assetOf(w orca.Window) string { return w.Metadata["asset"].(string) }

// keyOf names a window of a replay, so that it is one window however often it is emitted.
func keyOf(w orca.Window) string {
	return fmt.Sprintf("machine-health %v %s %s %s", w.Metadata["replay"], assetOf(w), w.Type.Name, w.From.Format(time.RFC3339))
}

// emitAll emits the windows one after the other and returns their ids. It does not wait for results: Orca has
// algorithms wait for the results that they look back at, and runs everything else at the same time.
func emitAll(ctx context.Context, client *orca.Client, windows []orca.Window, progress io.Writer) ([]string, error) {
	ids := make([]string, len(windows))
	for i, w := range windows {
		emission, err := client.Emit(ctx, w, orca.IdempotencyKey(keyOf(w)))
		if err != nil {
			return nil, err
		}
		if emission.Status != orca.ProcessingTriggered {
			return nil, fmt.Errorf("emit window %v of %v: %v, though this processor is registered; is another program registered as %s?",
				w.Type, w.From, emission.Status, processorName)
		}
		ids[i] = emission.WindowID
		if tenth := len(windows) / 10; tenth > 0 && (i+1)%tenth == 0 {
			fmt.Fprintf(progress, "emitted %d of %d windows, up to %s\n", i+1, len(windows), w.To.Format(minuteLayout))
		}
	}
	return ids, nil
}

// hourResult is what came of an hour. Score and alarm are nil while there is too little to compare with.
type hourResult struct {
	from, to time.Time
	statistics
	score *float32
	alarm *alarm
}

// dayResult is what came of a day.
type dayResult struct {
	from time.Time
	day
}

// results are those of one asset, in the order of time.
type results struct {
	hours []hourResult
	days  []dayResult
}

// collect waits for the outcome of each window.
func collect(ctx context.Context, client *orca.Client, a algorithms, windows []orca.Window, ids []string) (map[string]*results, error) {
	all := map[string]*results{}
	for i, w := range windows {
		outcome, err := client.Wait(ctx, ids[i])
		if err != nil {
			return nil, err
		}
		if err := a.take(all, w, outcome); err != nil {
			return nil, fmt.Errorf("%s, %v from %s: %w", assetOf(w), w.Type, w.From.Format(minuteLayout), err)
		}
	}
	return all, nil
}

// take adds the results of a window.
func (a algorithms) take(all map[string]*results, w orca.Window, outcome *orca.Outcome) error {
	of := all[assetOf(w)]
	if of == nil {
		of = &results{}
		all[assetOf(w)] = of
	}
	if w.Type.Name == machineDay.Name {
		report, err := a.day.In(outcome)
		of.days = append(of.days, dayResult{w.From, report})
		return err
	}
	hour, err := a.hour.In(outcome)
	if err != nil {
		return err
	}
	score, err := optional(a.score, outcome)
	if err != nil {
		return err
	}
	alarm, err := optional(a.alarm, outcome)
	of.hours = append(of.hours, hourResult{w.From, w.To, hour, score, alarm})
	return err
}

// optional returns a result, or nil where the algorithm said that it can give none, or one that it needs did.
func optional[T any](a *orca.Algorithm[T], outcome *orca.Outcome) (*T, error) {
	for _, node := range outcome.Nodes {
		if node.Algorithm == a.ID() && (node.State == orca.NodeHandledFailed || node.State == orca.NodeSkipped) {
			return nil, nil
		}
	}
	value, err := a.In(outcome)
	if err != nil {
		return nil, err
	}
	return &value, nil
}

// serve runs the processor while something is done with it, which begins when a core has accepted it.
func serve(ctx context.Context, proc *orca.Processor, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- proc.Run(ctx)
	}()
	var err error
	select {
	case <-proc.Registered():
		err = do(ctx)
	case <-ctx.Done():
		err = ctx.Err()
	}
	cancel()
	if stopped := <-ended; stopped != nil {
		return stopped // which is why the rest could not go on
	}
	return err
}
