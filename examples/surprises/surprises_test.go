package surprises

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

var midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// windows returns a window type. Its machine is no filter, which matters in one of the tests alone.
func windows(name string) orca.WindowType {
	return orca.WindowType{
		Name: name, Version: "1.0.0",
		Fields: []orca.Field{{Name: "machine"}, {Name: "value", Description: "What was measured, or null"}},
	}
}

// window lasts from one time after midnight to another.
func window(on orca.WindowType, from, to time.Duration, value any) orca.Window {
	return orca.Window{
		Type: on, From: midnight.Add(from), To: midnight.Add(to), Origin: "test",
		Metadata: map[string]any{"machine": "m-1", "value": value},
	}
}

// reading adds an algorithm that gives the value of its window.
func reading(proc *orca.Processor, on orca.WindowType) *orca.Algorithm[float32] {
	return orca.Value(proc, "Reading", "1.0.0", on, func(_ context.Context, run *orca.Run) (float32, error) {
		value, ok := run.Window.Metadata["value"].(float64)
		if !ok {
			return 0, orca.Failf("the sensor gave no number")
		}
		return float32(value), nil
	})
}

// past adds an algorithm that gives the values of the past rows that it is handed.
func past(proc *orca.Processor, name string, on orca.WindowType, over orca.Dependency[float32]) *orca.Algorithm[[]float32] {
	return orca.Array(proc, name, "1.0.0", on, func(_ context.Context, run *orca.Run) ([]float32, error) {
		return orca.Values(over.Past(run)), nil
	}, orca.Needs(over))
}

func TestACountTakesWindowsThatOverlapAndATimeDoesNot(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, sliding := b.processor("machines"), windows("Sliding")
		r := reading(proc, sliding)
		count := past(proc, "Count", sliding, r.Over(orca.Last(2)))
		span := past(proc, "Time", sliding, r.Over(orca.Past(20*time.Second)))
		gap := past(proc, "Gap", sliding, r.Over(orca.Past(20*time.Second).SkipTime(1)))
		b.start()

		var last *orca.Outcome
		for from := 0; from <= 20; from += 5 { // 0 s to 10 s, 5 to 15, 10 to 20, 15 to 25, 20 to 30
			begin := time.Duration(from) * time.Second
			last = b.emit(window(sliding, begin, begin+10*time.Second, from))
		}
		b.want([]float32{15, 10}, result(count, last))  // 15 to 25 overlaps 20 to 30
		b.want([]float32{10, 5, 0}, result(span, last)) // it does not count here
		b.want([]float32{5, 0}, result(gap, last))      // and neither does 10 to 20, for a nanosecond
	})
}

func TestANanosecondDropsWhatEndsWithTheWindow(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, second, report := b.processor("machines"), windows("Second"), windows("Report")
		r := reading(proc, second)
		all := past(proc, "All", report, r.Over(orca.Last(3)))
		gap := past(proc, "Gap", report, r.Over(orca.Last(3).SkipTime(1)))
		b.start()

		for i := range 3 {
			b.emit(ofMachine(second, i, "m-1", float64(i)))
		}
		whole := b.emit(window(report, 0, 3*time.Second, nil))
		b.want([]float32{2, 1, 0}, result(all, whole))
		b.want([]float32{1, 0}, result(gap, whole))
	})
}

func TestATimeTakesWholeWindows(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, tenMinutes := b.processor("machines"), windows("TenMinutes")
		r := reading(proc, tenMinutes)
		fifteen := past(proc, "Fifteen", tenMinutes, r.Over(orca.Past(15*time.Minute)))
		twenty := past(proc, "Twenty", tenMinutes, r.Over(orca.Past(20*time.Minute)))
		b.start()

		var last *orca.Outcome
		for i := range 4 {
			begin := time.Duration(i) * 10 * time.Minute
			last = b.emit(window(tenMinutes, begin, begin+10*time.Minute, i))
		}
		b.want([]float32{2}, result(fifteen, last))
		b.want([]float32{2, 1}, result(twenty, last))
	})
}

func TestTheNewestResultCanBeOld(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, calibration, lap := b.processor("machines"), windows("Calibration"), windows("Lap")
		r := reading(proc, calibration)
		newest := orca.Value(proc, "Newest", "1.0.0", lap, func(_ context.Context, run *orca.Run) (float32, error) {
			calibrated, ok := r.Latest(run)
			if !ok {
				return 0, orca.Failf("never calibrated")
			}
			return float32(calibrated.Age(run).Hours() / 24), nil // in days
		}, orca.Needs(r))
		day := past(proc, "Day", lap, r.Over(orca.Past(24*time.Hour)))
		b.start()

		b.emit(window(calibration, 0, time.Minute, 1))
		const years = 3 * 365 * 24 * time.Hour
		last := b.emit(window(lap, years, years+time.Minute, 2))
		b.want(float32(3*365), result(newest, last))
		b.want([]float32{}, result(day, last))
	})
}

// smooth adds an algorithm that takes its own newest result.
func smooth(proc *orca.Processor, on orca.WindowType, measure func(orca.Window) float32) *orca.Algorithm[float32] {
	return orca.Value(proc, "Smooth", "1.0.0", on, func(_ context.Context, run *orca.Run) (float32, error) {
		now := measure(run.Window)
		before, ok := orca.Self[float32](run).Latest()
		if !ok {
			return now, nil
		}
		return (now + before.Value) / 2, nil
	}, orca.NeedsSelf(orca.Last(1)))
}

func valueOf(w orca.Window) float32 { return float32(w.Metadata["value"].(float64)) }

// ofMachine returns the i-th second of a machine.
func ofMachine(on orca.WindowType, i int, machine string, value float64) orca.Window {
	w := window(on, time.Duration(i)*time.Second, time.Duration(i+1)*time.Second, value)
	w.Metadata["machine"] = machine
	return w
}

var (
	together = windows("Second")
	apart    = orca.WindowType{
		Name: "MachineSecond", Version: "1.0.0",
		Fields: []orca.Field{{Name: "machine", Filter: true}, {Name: "value"}},
	}
)

func TestWithoutAFilterAllMachinesAreOneHistory(t *testing.T) {
	onBoth(t, func(b *bench) {
		one := smooth(b.processor("one-history"), together, valueOf)
		each := smooth(b.processor("each-its-own"), apart, valueOf)
		b.start()

		b.emit(ofMachine(together, 0, "slow", 100))
		b.want(float32(60), result(one, b.emit(ofMachine(together, 1, "quick", 20)))) // (100 + 20) / 2

		b.emit(ofMachine(apart, 0, "slow", 100))
		b.want(float32(20), result(each, b.emit(ofMachine(apart, 1, "quick", 20))))
	})
}

// What waits for what takes a core that runs windows at the same time, so this is shown on a real one.
func TestOneSlowMachineHoldsAllWithoutAFilter(t *testing.T) {
	t.Parallel()
	b := onRealCore(t)
	slow := make(chan struct{}) // until it is closed, the slow machine is not done
	release := sync.OnceFunc(func() { close(slow) })
	defer release()
	var early atomic.Bool // another one was begun before
	measure := func(w orca.Window) float32 {
		if w.Metadata["machine"] == "slow" {
			<-slow
		} else if w.Type.Name == together.Name {
			select {
			case <-slow:
			default:
				early.Store(true)
			}
		}
		return valueOf(w)
	}
	one := smooth(b.processor("one-history"), together, measure)
	each := smooth(b.processor("each-its-own"), apart, measure)
	other := reading(b.processor("others"), together)
	b.start()

	b.send(ofMachine(together, 0, "slow", 100))
	b.send(ofMachine(apart, 0, "slow", 100))
	held := b.send(ofMachine(together, 1, "quick", 20))
	quick := b.wait(b.send(ofMachine(apart, 1, "quick", 20))) // has a filter, and does not wait
	release()
	b.want(float32(20), result(each, quick))
	outcome := b.wait(held)
	b.want([]any{float32(60), float32(20), false}, []any{result(one, outcome), result(other, outcome), early.Load()})
}

func TestAnHourThatIsEmittedEarlyMissesAMinute(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, minute, hour := b.processor("machines"), windows("Minute"), windows("Hour")
		r := reading(proc, minute)
		minutes := past(proc, "Minutes", hour, r.Over(orca.Past(time.Hour)))
		b.start()

		emitMinute := func(i int) {
			begin := time.Duration(i) * time.Minute
			b.emit(window(minute, begin, begin+time.Minute, i))
		}
		for i := range 59 {
			emitMinute(i)
		}
		early := b.emit(window(hour, 0, time.Hour, nil))
		emitMinute(59)
		after := b.emit(window(hour, 0, time.Hour, nil))
		b.want(59, len(result(minutes, early).([]float32)))
		b.want(60, len(result(minutes, after).([]float32)))
	})
}

func TestAWindowThatIsSentAgainCountsTwice(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, lap := b.processor("machines"), windows("Lap")
		r := reading(proc, lap)
		before := past(proc, "Before", lap, r.Over(orca.Last(10)))
		b.start()

		b.emit(window(lap, 0, time.Minute, 71))
		b.emit(window(lap, 0, time.Minute, 17)) // corrected: it was mistyped
		last := b.emit(window(lap, time.Minute, 2*time.Minute, 18))
		b.want([]float32{17, 71}, result(before, last))
	})
}

// Keys and reprocessing are a real core's.
func TestKeysAndReprocessingKeepWindowsSingle(t *testing.T) {
	t.Parallel()
	b := onRealCore(t)
	proc, lap := b.processor("machines"), windows("Lap")
	var recorded atomic.Int64 // what the telemetry store has of the first lap
	measured := orca.Value(proc, "Measured", "1.0.0", lap, func(context.Context, *orca.Run) (float32, error) {
		return float32(recorded.Load()), nil
	})
	before := past(proc, "Before", lap, measured.Over(orca.Last(10)))
	b.start()

	recorded.Store(71)
	first := window(lap, 0, time.Minute, nil)
	id := b.send(first, orca.IdempotencyKey("lap 1"))
	b.want(id, b.send(first, orca.IdempotencyKey("lap 1"))) // sent again, it is the same window
	changed := window(lap, 0, time.Minute, 17)
	if _, err := b.client.Emit(t.Context(), changed, orca.IdempotencyKey("lap 1")); !errors.Is(err, orca.ErrConflict) {
		t.Errorf("the key of another window gives %v, want a conflict", err)
	}
	b.wait(id)

	recorded.Store(17) // corrected where the algorithm reads it
	if _, err := b.client.Reprocess(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.wait(id)
	last := b.emit(window(lap, time.Minute, 2*time.Minute, nil))
	b.want([]float32{17}, result(before, last))
}

func TestAFailureSkipsInTheRunAndNotAcrossTypes(t *testing.T) {
	onBoth(t, func(b *bench) {
		proc, second, minute := b.processor("machines"), windows("Second"), windows("Minute")
		r := reading(proc, second)
		doubled := orca.Value(proc, "Doubled", "1.0.0", second, func(_ context.Context, run *orca.Run) (float32, error) {
			return 2 * r.From(run), nil
		}, orca.Needs(r))
		newest := past(proc, "Newest", minute, r.Over(orca.Lookback{}))
		b.start()

		b.emit(window(second, 58*time.Second, 59*time.Second, 20))
		failed := b.emit(window(second, 59*time.Second, time.Minute, nil)) // the sensor was off
		whole := b.emit(window(minute, 0, time.Minute, nil))
		b.want("handled failure: the sensor gave no number", result(r, failed))
		b.want(orca.NodeSkipped, stateOf(doubled, failed))
		b.want([]float32{20}, result(newest, whole)) // that of the second before
	})
}

func stateOf[T any](a *orca.Algorithm[T], o *orca.Outcome) orca.NodeState {
	i := slices.IndexFunc(o.Nodes, func(n orca.Node) bool { return n.Algorithm == a.ID() })
	return o.Nodes[i].State
}

func TestTwoProcessorsMayHaveAnAlgorithmOfOneName(t *testing.T) {
	onBoth(t, func(b *bench) {
		tank := windows("TankMinute")
		level := func(processor string, metres float32) *orca.Algorithm[float32] {
			return orca.Value(b.processor(processor), "Level", "1.0.0", tank, func(context.Context, *orca.Run) (float32, error) {
				return metres, nil
			})
		}
		north, south := level("north", 7), level("south", 3)
		difference := orca.Value(b.processor("plant"), "Difference", "1.0.0", tank, func(_ context.Context, run *orca.Run) (float32, error) {
			return north.From(run) - south.From(run), nil
		}, orca.Needs(south, north))
		b.start()

		b.want(float32(4), result(difference, b.emit(window(tank, 0, time.Minute, nil))))
	})
}

// The guide shows code of this folder as it is, indentation aside.
func TestTheGuideShowsThisCode(t *testing.T) {
	t.Parallel()
	source := flat(t, "surprises_test.go")
	blocks := strings.Split(flat(t, "../../docs/guide/surprises.md"), "\n```go\n")[1:]
	if len(blocks) < 8 {
		t.Errorf("%d blocks of Go in the guide, want one for each point", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(source, code+"\n") {
			t.Errorf("examples/surprises does not have this code of the guide:\n%s", code)
		}
	}
}

// flat returns a text without indentation, which differs where code is cut out of a function.
func flat(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}
