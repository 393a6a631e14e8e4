// The test processor of the Go SDK: it is what its script says. README.md of conformance has the rules.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/orca-telemetry/orca/conformance/script"
	orca "github.com/orca-telemetry/orca/sdk/go"
)

func main() {
	err := run()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "processor:", err)
	if errors.Is(err, errUnsupported) {
		os.Exit(script.Unsupported)
	}
	os.Exit(1)
}

var errUnsupported = errors.New("unsupported")

func run() error {
	s, err := script.Load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := orca.NewProcessor(s.Processor)
	folder := s.Folder()
	for _, a := range s.Algorithms {
		if err := define(p, folder, a); err != nil {
			return fmt.Errorf("algorithm %s: %w", a.Name, err)
		}
	}
	go func() {
		select {
		case <-p.Registered():
			fmt.Println("registered")
		case <-ctx.Done():
		}
	}()
	return p.Run(ctx)
}

// define adds an algorithm to the processor.
func define(p *orca.Processor, folder *script.Folder, a script.Algorithm) error {
	if err := check(a); err != nil {
		return err
	}
	needs := make([]orca.Dependency[any], len(a.Needs))
	opts := []orca.AlgorithmOption{orca.Describe(a.Description)}
	for i, n := range a.Needs {
		id := orca.AlgorithmID{Processor: n.Processor, Name: n.Name, Version: n.Version}
		needs[i] = orca.Remote[any](id).Over(lookback(n.Lookback))
		opts = append(opts, orca.Needs(needs[i]))
	}
	if a.Self != (script.Lookback{}) {
		opts = append(opts, orca.NeedsSelf(lookback(a.Self)))
	}
	on := windowType(a.WindowType)
	switch a.Result {
	case "value":
		orca.Value(p, a.Name, a.Version, on, player[float32]{folder, a, needs}.play, opts...)
	case "array":
		orca.Array(p, a.Name, a.Version, on, player[[]float32]{folder, a, needs}.play, opts...)
	case "struct":
		orca.Struct(p, a.Name, a.Version, on, player[map[string]any]{folder, a, needs}.play, opts...)
	case "none":
		none := player[orca.Nothing]{folder, a, needs}
		orca.None(p, a.Name, a.Version, on, func(ctx context.Context, run *orca.Run) error {
			_, err := none.play(ctx, run)
			return err
		}, opts...)
	default:
		return fmt.Errorf("%w: the result %q", errUnsupported, a.Result)
	}
	return nil
}

// check refuses what a program made with this SDK cannot do.
func check(a script.Algorithm) error {
	all := [][]script.Step{a.Do}
	for _, steps := range a.Plays {
		all = append(all, steps)
	}
	for _, steps := range all {
		for _, step := range steps {
			if step.Silent {
				return fmt.Errorf("%w: an algorithm without a result", errUnsupported)
			}
			if step.Give != nil && step.Give.Kind() != a.Result {
				return fmt.Errorf("%w: a %s of an algorithm whose result is a %s does not compile", errUnsupported, step.Give.Kind(), a.Result)
			}
		}
	}
	return nil
}

func windowType(t script.WindowType) orca.WindowType {
	on := orca.WindowType{Name: t.Name, Version: t.Version, Description: t.Description}
	for _, f := range t.Fields {
		on.Fields = append(on.Fields, orca.Field{Name: f.Name, Description: f.Description, Filter: f.Filter, NoStore: f.NoStore})
	}
	return on
}

func lookback(l script.Lookback) orca.Lookback {
	back := orca.Last(int(l.Count))
	if l.Span > 0 {
		back = orca.Past(time.Duration(l.Span))
	}
	return back.Skip(int(l.GapCount)).SkipTime(time.Duration(l.GapSpan))
}

// player does what the script says of an algorithm whose results are of type T.
type player[T any] struct {
	folder *script.Folder
	script script.Algorithm
	needs  []orca.Dependency[any]
}

func (p player[T]) play(ctx context.Context, run *orca.Run) (result T, err error) {
	play, _ := run.Window.Metadata["play"].(string)
	for _, step := range p.script.Steps(play) {
		switch {
		case step.Mark != "":
			err = p.folder.Mark(step.Mark)
		case step.Await != "":
			if err = p.folder.Await(ctx, step.Await); ctx.Err() != nil {
				err = p.folder.Cancelled(err)
			}
		case step.Tell:
			err = p.folder.Tell(p.told(run))
		case step.Emit != nil:
			_, err = run.Emit(ctx, emitted(*step.Emit))
		default:
			return end[T](run, step)
		}
		if err != nil {
			return result, err
		}
	}
	return result, nil
}

// end is the last step.
func end[T any](run *orca.Run, step script.Step) (result T, err error) {
	switch {
	case step.Give != nil:
		result, _ = step.Give.Any().(T) // none of it for T Nothing
	case step.GiveField != "":
		number, _ := run.Window.Metadata[step.GiveField].(float64)
		result, _ = any(float32(number)).(T)
	case step.Fail != nil:
		err = orca.Fail(step.Fail.Reason, step.Fail.Details)
	case step.Break != "":
		err = errors.New(step.Break)
	case step.Panic != "":
		panic(step.Panic)
	default:
		err = fmt.Errorf("the step %+v says nothing that is known", step)
	}
	return result, err
}

func emitted(w script.Window) orca.Window {
	return orca.Window{
		Type: orca.WindowType{Name: w.Type, Version: w.Version}, Origin: w.Origin, Metadata: w.Metadata,
		From: time.Unix(0, w.From), To: time.Unix(0, w.To),
	}
}

// told is what the algorithm was given.
func (p player[T]) told(run *orca.Run) script.Told {
	told := script.Told{Algorithm: p.script.Name, Window: window(run.Window), Self: rows(orca.Self[T](run))}
	for _, need := range p.needs {
		told.Needs = append(told.Needs, rows(need.Rows(run)))
	}
	return told
}

func rows[T any](given orca.Rows[T]) []script.Row {
	var out []script.Row
	for _, row := range given {
		out = append(out, script.Row{Window: window(row.Window), Data: script.NewData(row.Value)})
	}
	return out
}

func window(w orca.Window) script.Window {
	return script.Window{
		Type: w.Type.Name, Version: w.Type.Version, From: w.From.UnixNano(), To: w.To.UnixNano(),
		Origin: w.Origin, Metadata: w.Metadata,
	}
}
