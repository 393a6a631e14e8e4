// Package orca is the Go SDK: it turns functions into algorithms that an Orca core runs whenever a window of their
// type is emitted, and it emits windows and reads results.
//
// A [Processor] holds algorithms and serves them. An algorithm is a function with a typed result, made by [Value],
// [Array], [Struct] or [None]; what these return is also how other algorithms name it as a dependency and how they
// and readers get at its results:
//
//	lap := orca.WindowType{Name: "Lap", Version: "1.0.0", Description: "One lap of one car"}
//	proc := orca.NewProcessor("racing")
//	speed := orca.Value(proc, "Speed", "1.0.0", lap, measure)
//	trend := speed.Over(orca.Last(10))
//	orca.Value(proc, "Trend", "1.0.0", lap, func(ctx context.Context, run *orca.Run) (float32, error) {
//		return speed.From(run) - mean(orca.Values(trend.Past(run))), nil
//	}, orca.Needs(trend))
//	err := proc.Run(ctx)
//
// A [Client] emits windows and waits for what becomes of them.
//
// The package is a guest in its program: it installs no signal handlers, sets up no logging (it writes to
// slog.Default() unless [WithLogger] says otherwise), never exits, and reads the environment only when a processor is
// run or a client is made. All of its types may be used by several goroutines at once, once they are set up.
package orca
