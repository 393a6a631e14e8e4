package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Whatever the plans, the answers of processors, delays, faults, crashes and restarts: every accepted run finishes, each
// node with exactly the outcome that the plan and its processor's answer make of it. No dependent is asked for before
// what it needs is durable, each is handed exactly the durable results, nothing settled runs again, and the lowest
// positions are active. A seed brings back the scenario; who runs first at one instant of virtual time remains chance.
func TestEngineKeepsItsRules(t *testing.T) {
	t.Parallel()
	for name, drawn := range map[string]*rapid.Generator[scenario]{
		"Quiet":     scenarios(6, 0, 0),
		"Crashes":   scenarios(6, 4, 0),
		"Faults":    scenarios(6, 2, 12),
		"Admission": backlogs(),
		"Absences":  absences(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				s := drawn.Draw(rt, "scenario")
				var broken []string
				synctest.Test(t, func(t *testing.T) { broken = play(t, s) })
				if len(broken) > 0 {
					rt.Fatalf("broken rules:\n%s", strings.Join(broken, "\n"))
				}
			})
		})
	}
}

// scenario is everything about a play that is drawn before it begins.
type scenario struct {
	Plans [][]string // each as dag takes it
	// Emits are when each window comes, and its plan.
	Emits []windowComes
	// Ends are the pauses before each end of a core, and whether it is a crash.
	Ends   []coreEnds
	Faults int // of the ledger
	// Absences are when a processor takes no work, one after the other.
	Absences []absence
	// Fates of nodes, by position and place in the plan, both taken modulo the numbers drawn.
	Fates [][]fate

	MaxActiveRuns, MaxAttempts                 int
	RetryHandled                               bool
	MaxUnsettled, MaxHeld                      int64
	Commit, Tell, Read, Request, BetweenAnswer time.Duration // at most
	Seed                                       uint64
}

type windowComes struct {
	After time.Duration
	Plan  int
}

// absent is the processor that is away in the Absences.
const absent = "q"

type absence struct{ After, For time.Duration }

// longAbsence is enough for everything else to finish.
const longAbsence = 2 * time.Hour

type coreEnds struct {
	After time.Duration
	Crash bool
}

// fate is what a processor makes of a node in the end, after it broke down or failed with it so many times.
type fate struct {
	Final    finalAnswer
	Breakage int
}

type finalAnswer string

const (
	succeeds    finalAnswer = "succeeds"
	failsInHand finalAnswer = "fails handled"
	failsBadly  finalAnswer = "fails unhandled"
	wrongType   finalAnswer = "answers with the wrong type"
	refuses     finalAnswer = "refuses"
	isSilent    finalAnswer = "never answers"
)

// attempts returns how many may be counted of a node that settles so.
func (s *scenario) attempts(f fate) (least, most int) {
	if f.Final == failsBadly || f.Final == isSilent || f.Final == failsInHand && s.RetryHandled {
		return s.MaxAttempts, s.MaxAttempts
	}
	return 1, 1 + f.Breakage // a new core counts anew
}

func (f finalAnswer) kind() orca.OutcomeKind {
	switch f {
	case succeeds:
		return orca.Succeeded
	case failsInHand:
		return orca.HandledFailed
	case failsBadly, wrongType, refuses, isSilent:
		return orca.UnhandledFailed
	}
	panic(f)
}

// scenarios draws those with up to the given numbers of windows, ends of cores and faults of the ledger.
func scenarios(windows, ends, faults int) *rapid.Generator[scenario] {
	return rapid.Custom(func(t *rapid.T) scenario { return drawScenario(t, windows, ends, faults) })
}

func drawScenario(t *rapid.T, windows, ends, faults int) scenario {
	upTo := func(name string, d time.Duration) time.Duration {
		return time.Duration(rapid.IntRange(0, int(d/time.Millisecond)).Draw(t, name)) * time.Millisecond
	}
	s := scenario{
		Faults:        rapid.IntRange(0, faults).Draw(t, "faults"),
		MaxActiveRuns: rapid.IntRange(1, 4).Draw(t, "active"),
		MaxAttempts:   rapid.IntRange(1, 3).Draw(t, "attempts"),
		RetryHandled:  rapid.Bool().Draw(t, "retry handled"),
		MaxUnsettled:  rapid.SampledFrom([]int64{0, 1, 60}).Draw(t, "unsettled"),
		MaxHeld:       rapid.SampledFrom([]int64{0, 1, 60}).Draw(t, "held"),
		Commit:        upTo("commit", 50*time.Millisecond), Read: upTo("read", 50*time.Millisecond),
		Request: upTo("request", 200*time.Millisecond), BetweenAnswer: upTo("answer", 50*time.Millisecond),
		Seed: rapid.Uint64().Draw(t, "seed"),
	}
	for range rapid.IntRange(1, 3).Draw(t, "plans") {
		s.Plans = append(s.Plans, drawPlan(t))
	}
	for range rapid.IntRange(1, windows).Draw(t, "windows") {
		s.Emits = append(s.Emits, windowComes{upTo("emit", time.Second), rapid.IntRange(0, len(s.Plans)-1).Draw(t, "plan")})
	}
	for range rapid.IntRange(0, ends).Draw(t, "ends") {
		s.Ends = append(s.Ends, coreEnds{upTo("end", time.Second), rapid.Bool().Draw(t, "crash")})
	}
	answers := []finalAnswer{succeeds, succeeds, succeeds, succeeds, failsInHand, failsBadly, wrongType, refuses, isSilent}
	for range 3 {
		fates := make([]fate, 7)
		for i := range fates {
			fates[i] = fate{rapid.SampledFrom(answers).Draw(t, "answer"), rapid.IntRange(0, s.MaxAttempts-1).Draw(t, "breakage")}
		}
		s.Fates = append(s.Fates, fates)
	}
	return s
}

// backlogs draws scenarios about which runs are active: many of them, of one or two nodes, and slow reads.
func backlogs() *rapid.Generator[scenario] {
	return rapid.Custom(func(t *rapid.T) scenario {
		s := drawScenario(t, 30, 2, 3)
		s.Plans = [][]string{{"A"}, {}, {"A", "q/B < A"}, {"A < Gone"}}
		for i := range s.Emits {
			s.Emits[i].Plan = rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3}).Draw(t, "plan")
		}
		s.Fates = [][]fate{{{Final: succeeds}, {Final: succeeds}}}
		return s
	})
}

// absences draws backlogs of which some wait for a processor that is away for a while, at once or in the middle of
// their runs.
func absences() *rapid.Generator[scenario] {
	return rapid.Custom(func(t *rapid.T) scenario {
		s := drawScenario(t, 30, 3, 3)
		s.Plans = [][]string{{"A"}, {"q/A"}, {"A", "q/B < A"}, {"q/A", "B", "C < q/A B"}, {"q/A", "q/B", "r/C < q/A"}}
		for i := range s.Emits {
			s.Emits[i].Plan = rapid.IntRange(0, len(s.Plans)-1).Draw(t, "plan")
		}
		for range rapid.IntRange(1, 8).Draw(t, "absences") {
			s.Absences = append(s.Absences, absence{
				After: time.Duration(rapid.IntRange(0, 300).Draw(t, "away after")) * time.Millisecond,
				For:   rapid.SampledFrom([]time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, longAbsence}).Draw(t, "away for"),
			})
		}
		return s
	})
}

// drawPlan draws the lines of a plan of three processors.
func drawPlan(t *rapid.T) []string {
	var lines, names []string
	for i := range rapid.IntRange(0, 7).Draw(t, "nodes") {
		name := rapid.SampledFrom([]string{"p", "p", "q", "r"}).Draw(t, "processor") + "/" + string(rune('A'+i))
		line := name + " <"
		for _, other := range names {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				line += " " + other
			}
		}
		if rapid.IntRange(0, 15).Draw(t, "blocked") == 15 {
			line += " Gone"
		}
		lines, names = append(lines, line), append(names, name)
	}
	return lines
}
