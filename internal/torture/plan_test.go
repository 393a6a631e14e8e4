package torture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever the seed, a plan is the same each time, its steps are in order and end in time, each is possible after the
// one before, and in the end the process is up.
func TestPlan(t *testing.T) {
	t.Parallel()
	may := map[Action][]Action{ // what may follow; the first is that nothing happened yet
		"": {Kill, Stop, Pause}, Start: {Kill, Stop, Pause}, Move: {Kill, Stop, Pause}, Resume: {Kill, Stop, Pause},
		Kill: {Start, Move}, Stop: {Start, Move}, Pause: {Resume},
	}
	rapid.Check(t, func(t *rapid.T) {
		seed, stream := rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "stream")
		lasts := time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "lasts"))
		steps := Plan(seed, stream, lasts, processorRhythm)
		if diff := cmp.Diff(steps, Plan(seed, stream, lasts, processorRhythm)); diff != "" {
			t.Errorf("the plan differs: %s", diff)
		}
		before := Step{}
		for _, s := range steps {
			possible := false
			for _, a := range may[before.Action] {
				possible = possible || a == s.Action
			}
			if !possible || s.At < before.At || s.At >= lasts {
				t.Errorf("step %v follows %v within %v", s, before, lasts)
			}
			before = s
		}
		if before.Action == Kill || before.Action == Stop || before.Action == Pause {
			t.Errorf("the last step is %v", before)
		}
	})
}

// Within some minutes everything happens that can happen to a process.
func TestPlanHasEverything(t *testing.T) {
	t.Parallel()
	happened := map[Action]bool{}
	for stream := range uint64(8) {
		for _, s := range Plan(1, stream, time.Minute, processorRhythm) {
			happened[s.Action] = true
		}
	}
	want := map[Action]bool{Kill: true, Stop: true, Pause: true, Resume: true, Start: true, Move: true}
	if diff := cmp.Diff(want, happened); diff != "" {
		t.Errorf("actions: %s", diff)
	}
}
