package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

var lifeTests = map[string]func(*testing.T, Opener){
	"TagAndSecretStay":               testIdentity,
	"StoppingWritesWhatIsQueued":     testStopWrites,
	"AStoppedStoreRefuses":           testStopped,
	"ClosingAnswersWhatWasNotServed": testCloseAnswers,
	"ManyAtOnce":                     testManyAtOnce,
}

func testIdentity(t *testing.T, open Opener) {
	l := served(t, open)
	tag, secret := l.Tag(), string(l.Secret())
	if len(tag) < 4 || len(tag) > 12 || len(secret) != 32 || secret == string(make([]byte, 32)) {
		t.Errorf("tag %q, secret of %d bytes", tag, len(secret))
	}
	l.reopen()
	check(t, "tag and secret after reopening", []string{l.Tag(), string(l.Secret())}, []string{tag, secret})
}

func testStopWrites(t *testing.T, open Opener) {
	l := opened(t, open)
	l.register()
	var batch []orca.Emission
	for i := range 100 {
		batch = append(batch, emission(i))
	}
	wait := l.queue(batch...)
	l.serve()
	l.stop()
	for _, a := range wait() { // all of it is told by now
		if a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	check(t, "windows", len(l.allWindows()), len(batch))
}

func testStopped(t *testing.T, open Opener) {
	l := served(t, open)
	l.stop()
	if err := l.emit(emission(1))[0].Err; !errors.Is(err, orca.Unavailable) {
		t.Errorf("an emission after the end gives %v, want unavailable", err)
	}
	if err := l.settle(orca.Settlement{Position: 1}); !errors.Is(err, orca.Unavailable) {
		t.Errorf("a settlement after the end gives %v, want unavailable", err)
	}
	l.reopen()
	check(t, "windows", len(l.allWindows()), 0)
}

func testCloseAnswers(t *testing.T, open Opener) {
	l := opened(t, open)
	l.register()
	wait := l.queue(emission(1))
	l.close()
	if err := wait()[0].Err; !errors.Is(err, orca.Unavailable) {
		t.Errorf("an emission that was never served gives %v, want unavailable", err)
	}
	l.reopen()
	check(t, "windows", len(l.allWindows()), 0)
}

// testManyAtOnce does everything at the same time; the race detector and the final state say whether that is safe.
func testManyAtOnce(t *testing.T, open Opener) {
	l := served(t, open)
	const workers, each = 6, 15
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				a := l.emit(keyed(i, number("k", w*each+i)))[0]
				if a.Err != nil {
					t.Error(a.Err)
					return
				}
				outcomes := []orca.Outcome{value(cpu, 1, at(9)), value(mem, 2, at(9))}
				if err := l.settle(orca.Settlement{Position: a.Position, Outcomes: outcomes, End: orca.RunSucceeded, At: at(9)}); err != nil {
					t.Error(err)
				}
				if _, err := l.Results(t.Context(), a.Position, []orca.AlgorithmID{mem.Algorithm.ID}); err != nil {
					t.Errorf("an acknowledged result is not there: %v", err)
				}
			}
		})
	}
	all.Go(func() {
		for i := range each {
			if err := l.ChangeRegistry(t.Context(), fixture(int64(i+1))); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for range each {
			if _, err := l.OpenRuns(t.Context(), 0, 1000); err != nil {
				t.Error(err)
			}
			if _, err := l.History(t.Context(), orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Limit: 1000}); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	check(t, "open runs", positions(l.openRuns()), nil)
	check(t, "results", len(l.history(orca.ResultQuery{Algorithm: cpu.Algorithm.ID, Limit: 1 << 20})), workers*each)
}
