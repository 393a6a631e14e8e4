package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"google.golang.org/grpc/codes"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// An instance that is withdrawn gets no new work and finishes what it has; then its connection is closed.
func TestWithdrawnInstance(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A", "B"))
		c := w.submit(1, "A", "B")
		a := w.next(p)
		w.sync()
		w.submit(2, "A")
		time.Sleep(time.Minute)
		w.idle(p)
		a.answer(t, "A", 1)
		time.Sleep(time.Minute)
		if got := w.network.open("alpha:1"); got != 1 {
			t.Errorf("%d connections while a call runs, want 1", got)
		}
		a.answer(t, "B", 2)
		a.end(nil)
		synctest.Wait()
		wantOutcome(t, c, outcome{Results: map[string]float64{"A": 1, "B": 2}})
		if got := w.network.open("alpha:1"); got != 0 {
			t.Errorf("%d connections to a withdrawn instance, want none", got)
		}
		w.sync(w.instance("alpha:1", "A"))
		w.next(p).succeed(t)
	})
}

// The end of a withdrawn instance's last request says nothing about the instance that has its address now.
func TestWithdrawnInstanceBreaksDown(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		c := w.submit(1, "A")
		a := w.next(p)
		w.sync()
		w.sync(w.instance("alpha:1", "A"))
		a.end(status.Error(codes.Unavailable, "gone"))
		c.wait()
		wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndLost, Missing: []string{"A"}, Alone: true}}})
		w.wantState("alpha:1", orca.Serving)
		if log := w.logged.String(); strings.Contains(log, "takes no work") {
			t.Errorf("the log says that the instance broke down:\n%s", log)
		}
	})
}

// What an instance no longer announces it is no longer asked for, and a definition that it takes back it no longer has.
func TestAnnouncementIsReplaced(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		w.submit(1, "A")
		w.next(p).succeed(t)
		w.sync(w.instance("alpha:1", "B"))
		w.submit(2, "A")
		w.submit(3, "B")
		if got := w.next(p).names()[0]; got != "B" {
			t.Errorf("%s was asked for, want B", got)
		}
		w.idle(p)
		w.sync(w.instance("alpha:1"))
		w.submit(4, "B")
		w.idle(p)
		w.sync(w.instance("alpha:1", "A", "B"))
		w.next(p)
		w.next(p)
		w.idle(p)
	})
}

// An address that another processor takes over works for that one only.
func TestAddressMovesToAnotherProcessor(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		w.sync(w.instance("alpha:1", "A"))
		running := w.submit(1, "A")
		a := w.next(p)
		moved := w.instance("alpha:1")
		moved.Processor = "q"
		moved.Algorithms = map[orca.AlgorithmID]orca.DefinitionHash{id("q", "B"): {1}}
		w.sync(moved)
		left := w.submit(2, "A")
		w.submitCall(newCall(3, "q", "B"))
		b := w.next(p)
		if got := b.names()[0]; got != "B" {
			t.Errorf("%s was asked for, want B", got)
		}
		b.succeed(t)
		a.succeed(t)
		running.wait()
		if !left.open() {
			t.Error("a call for the processor that lost its address was reported")
		}
		if got := w.network.open("alpha:1"); got != 1 {
			t.Errorf("%d connections to the address, want that of the new processor alone", got)
		}
	})
}

// A connection string with another scheme is another connection: grpcs asks for TLS.
func TestSchemeChanges(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		in := w.instance("alpha:1", "A")
		in.Connection = "grpc://alpha:1"
		w.sync(in)
		c := w.submit(1, "A")
		a := w.next(p)
		in.Connection = "grpcs://alpha:1"
		w.sync(in)
		w.submit(2, "A")
		time.Sleep(5 * time.Second)
		w.wantState("alpha:1", orca.Unreachable) // it does not speak TLS
		if reason := w.fleet.Status()[0].Instances[0].Reason; !strings.Contains(reason, "tls") {
			t.Errorf("the reason is %q, which does not speak of TLS", reason)
		}
		a.succeed(t)
		c.wait()
		in.Connection = "alpha:1"
		w.sync(in)
		w.next(p).succeed(t)
	})
}

// An address that nobody can dial harms nobody else.
func TestImpossibleAddress(t *testing.T) {
	inWorld(t, fleet.Config{}, func(t *testing.T, w *world) {
		p := w.serve("alpha:1")
		bad := w.instance("nowhere", "A")
		w.sync(bad, w.instance("alpha:1", "A"))
		w.wantState("nowhere", orca.Unreachable)
		w.submit(1, "A")
		w.next(p).succeed(t)
		bad.RegisteredAt++
		w.sync(bad)
		w.wantState("nowhere", orca.Unreachable)
		w.sync()
	})
}

// Instances of one processor share its work, and the death of one loses nothing.
func TestTwinsShareWork(t *testing.T) {
	inWorld(t, fleet.Config{MaxInFlight: 5}, func(t *testing.T, w *world) {
		alpha, beta := w.serve("alpha:1"), w.serve("beta:1")
		w.sync(w.instance("alpha:1", "A"), w.instance("beta:1", "A"))
		for position := orca.Position(1); position <= 20; position++ {
			w.submit(position, "A")
		}
		lost := drainAsked(alpha)
		if len(lost) != 5 {
			t.Fatalf("%d requests are under way at alpha, want its share of 5", len(lost))
		}
		alpha.kill()
		synctest.Wait()
		for _, c := range w.calls[:20] { // the engine queues again what was lost
			if c.open() || c.soFar().Ends == nil {
				continue
			}
			wantOutcome(t, c, outcome{Ends: []ending{{Kind: orca.EndLost, Missing: []string{"A"}, Alone: true}}})
			w.submit(c.Position, "A")
		}
		served := 0
		for a := w.next(beta); ; a = <-beta.asked {
			a.succeed(t)
			if served++; served == 20 {
				break
			}
		}
		synctest.Wait()
		succeeded := map[orca.Position]int{}
		for _, c := range w.calls {
			if c.soFar().Results != nil {
				succeeded[c.Position]++
			}
		}
		for position := orca.Position(1); position <= 20; position++ {
			if succeeded[position] != 1 {
				t.Errorf("position %d has %d results, want one", position, succeeded[position])
			}
		}
	})
}

// Nothing of a fleet runs before Run: what is announced and submitted until then waits for it.
func TestSyncBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		p := serve(t, n.listen(t, "beta:1"), "beta:1")
		f := fleet.New(fleet.Config{DialOptions: n.dialOptions()})
		in := orca.Instance{
			Address: "beta:1", Connection: "beta:1", Processor: "p", RegisteredAt: 1,
			Algorithms: map[orca.AlgorithmID]orca.DefinitionHash{id("p", "A"): {1}},
		}
		for range 3 { // comes and goes
			f.Sync([]orca.Instance{in})
			f.Sync(nil)
		}
		f.Sync([]orca.Instance{in})
		c := newCall(1, "p", "A")
		f.Submit(&c.Call)
		time.Sleep(time.Hour)
		if got := n.open("beta:1"); got != 0 || p.checks.Load() != 0 {
			t.Errorf("%d connections and %d health checks before Run", got, p.checks.Load())
		}
		run(t, f)
		(<-p.asked).succeed(t)
		c.wait()
		if got := n.open("beta:1"); got != 1 {
			t.Errorf("%d connections, want 1", got)
		}
	})
}
