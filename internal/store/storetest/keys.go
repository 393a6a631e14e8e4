package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

var keyTests = map[string]func(*testing.T, Opener){
	"KeyRepeatedGivesTheFirstAnswer":      testKeyReplay,
	"KeyRepeatedInOneBatch":               testKeyBatch,
	"KeyWithAnotherWindowIsAConflict":     testKeyConflict,
	"KeysAreOfAProject":                   testKeyProject,
	"KeyOfARefusedEmissionIsFree":         testKeyRefused,
	"KeyExpires":                          testKeyExpiry,
	"KeyIsNotProlongedByARepeat":          testKeyNotProlonged,
	"KeysThatExpireTogetherDoNotPileUp":   testKeysManyExpire,
	"EmissionsWithoutAKeyAreNeverTheSame": testNoKey,
}

// ttl is how long keys live in every store of the suite.
const ttl = orca.Time(24 * time.Hour)

// keyed returns minute i with an idempotency key.
func keyed(i int, key string) orca.Emission {
	e := emission(i)
	e.Key = orca.IdempotencyKey{Project: "plant", Key: key, Digest: [32]byte{byte(i), 31: 1}}
	return e
}

// replayed is the answer to a repeat of the emission at a position.
func replayed(position orca.Position, status orca.EmitStatus) answer {
	return answer{Accepted: orca.Accepted{Window: position, Position: position, Status: status, Replayed: true}}
}

func testKeyReplay(t *testing.T, open Opener) {
	l := served(t, open)
	e := keyed(1, "k")
	first := l.emitted(e)
	again := e
	again.AcceptedAt += 5e9
	again.Status, again.End = orca.NoTriggeredAlgorithms, orca.RunSucceeded // the registry has changed since
	check(t, "repeat", l.emit(again)[0], replayed(first, e.Status))
	l.settled(orca.Settlement{Position: first, End: orca.RunSucceeded, At: at(2)})
	l.reopen()
	check(t, "repeat after reopening", l.emit(again)[0], replayed(first, e.Status))
	check(t, "windows", len(l.allWindows()), 1)
}

func testKeyBatch(t *testing.T, open Opener) {
	l := opened(t, open)
	l.register()
	e, other := keyed(1, "k"), keyed(2, "k")
	wait := l.queue(e, e, other, keyed(3, "fresh"))
	l.serve()
	answers := wait()
	check(t, "first", answers[0], answer{Accepted: orca.Accepted{Window: 1, Position: 1, Status: e.Status}})
	check(t, "repeat", answers[1], replayed(1, e.Status))
	if !errors.Is(answers[2].Err, orca.Conflict) {
		t.Errorf("the same key with another window gives %v, want a conflict", answers[2].Err)
	}
	check(t, "fresh", answers[3], answer{Accepted: orca.Accepted{Window: 2, Position: 2, Status: e.Status}})
	check(t, "windows", len(l.allWindows()), 2)
}

func testKeyConflict(t *testing.T, open Opener) {
	l := served(t, open)
	l.emitted(keyed(1, "order-7"))
	err := l.emit(keyed(2, "order-7"))[0].Err
	if !errors.Is(err, orca.Conflict) || !strings.Contains(err.Error(), `"order-7"`) || !strings.Contains(err.Error(), "fresh key") {
		t.Errorf("another window under the key gives %v; want a conflict that names the key and says to use a fresh one", err)
	}
	check(t, "windows", len(l.allWindows()), 1)
}

func testKeyProject(t *testing.T, open Opener) {
	l := served(t, open)
	a, b := keyed(1, "k"), keyed(2, "k")
	b.Key.Project = ""
	for i, e := range []orca.Emission{a, b} {
		check(t, "answer", l.emit(e)[0], answer{Accepted: orca.Accepted{
			Window: orca.Position(i + 1), Position: orca.Position(i + 1), Status: e.Status}})
	}
}

func testKeyRefused(t *testing.T, open Opener) {
	l := served(t, open)
	unknown, broken := keyed(1, "unknown"), keyed(1, "broken")
	unknown.Window.Type.Name = "Nobody"
	broken.Outcomes = []orca.Outcome{{Algorithm: cpu.Algorithm.ID}}
	for _, bad := range []orca.Emission{unknown, broken} {
		if err := l.emit(bad)[0].Err; err == nil {
			t.Fatal("it is accepted")
		}
		good := keyed(2, bad.Key.Key)
		if a := l.emit(good)[0]; a.Err != nil || a.Replayed {
			t.Errorf("the key of a refused emission is taken: %+v", a)
		}
	}
}

func testKeyExpiry(t *testing.T, open Opener) {
	l := served(t, open)
	e := keyed(1, "k")
	l.emitted(e)
	late, later := e, keyed(2, "k")
	late.AcceptedAt = e.AcceptedAt + ttl - 1
	later.AcceptedAt = e.AcceptedAt + ttl
	check(t, "just before it expires", l.emit(late)[0], replayed(1, e.Status))
	check(t, "as it expires", l.emit(later)[0], answer{Accepted: orca.Accepted{Window: 2, Position: 2, Status: e.Status}})
	check(t, "the key's second life", l.emit(later)[0], replayed(2, e.Status))
}

func testKeyNotProlonged(t *testing.T, open Opener) {
	l := served(t, open)
	e := keyed(1, "k")
	l.emitted(e)
	repeat := e
	repeat.AcceptedAt += ttl / 2
	check(t, "repeat", l.emit(repeat)[0], replayed(1, e.Status))
	repeat.AcceptedAt = e.AcceptedAt + ttl
	if a := l.emit(repeat)[0]; a.Replayed || a.Err != nil {
		t.Errorf("a day after its first use the key still holds: %+v", a)
	}
}

func testKeysManyExpire(t *testing.T, open Opener) {
	l := served(t, open)
	const many = 200
	for day := range 3 {
		var batch []orca.Emission
		for i := range many {
			e := keyed(i, number("k", i))
			e.AcceptedAt += orca.Time(day) * ttl * 2
			batch = append(batch, e)
		}
		for i, a := range l.emit(batch...) {
			if a.Err != nil || a.Replayed {
				t.Fatalf("day %d, key %d: %+v", day, i, a)
			}
		}
	}
}

func testNoKey(t *testing.T, open Opener) {
	l := served(t, open)
	e := emission(1)
	e.Key = orca.IdempotencyKey{Project: "plant", Digest: [32]byte{1}}
	for _, a := range l.emit(e, e) {
		if a.Err != nil || a.Replayed {
			t.Errorf("an emission without a key is a repeat: %+v", a)
		}
	}
}
