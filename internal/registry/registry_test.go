package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/registry"
)

// peer returns another core on the same store.
func (w *world) peer() *world {
	p := &world{t: w.t, store: w.store, clock: w.clock}
	p.Registry = registry.New(registry.Config{Store: w.store, Now: w.clock.Now})
	return p
}

func TestLoadGivesBackWhatWasRegistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"))))
	var seen []int64
	again := registry.New(registry.Config{Store: w.store, OnChange: func(s *registry.Snapshot) { seen = append(seen, s.Version) }})
	if err := again.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	expectSame(t, w.Snapshot(), again.Snapshot())
	expect(t, "versions seen", []int64{1}, seen)
}

func TestLoadRefusesAContradictoryRegistry(t *testing.T) {
	t.Parallel()
	for want, stored := range map[string]orca.Registry{
		"the stored registry contradicts itself: dependencies form a cycle: A 1.0.0 → A 1.0.0": {
			WindowTypes: []orca.WindowType{lap},
			Algorithms:  []orca.KnownAlgorithm{{Algorithm: algorithm(id("p", "A"), id("p", "A"))}},
		},
		`the stored registry contradicts itself: it lacks window type Lap 1.0.0 of A 1.0.0 of processor "p"`: {
			Algorithms: []orca.KnownAlgorithm{{Algorithm: algorithm(id("p", "A"))}},
		},
	} {
		r := registry.New(registry.Config{Store: &memory{registry: stored}})
		if err := r.Load(context.Background()); err == nil || err.Error() != want {
			t.Errorf("error %v\n want %s", err, want)
		}
	}
}

func TestEachChangeIsAnnouncedInOrder(t *testing.T) {
	t.Parallel()
	var seen []int64 // guarded by the registry's lock
	store := &memory{}
	r := registry.New(registry.Config{Store: store, OnChange: func(s *registry.Snapshot) { seen = append(seen, s.Version) }})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			name := fmt.Sprintf("p%d", i)
			if _, err := r.Register(context.Background(), registration(name, "localhost:"+name, algorithm(id(name, "Mean")))); err != nil {
				t.Error(err)
			}
			if r.Snapshot().Plan(lap.ID) == nil {
				t.Error("no plan")
			}
		})
	}
	all.Wait()
	if len(seen) != 20 {
		t.Fatalf("%d changes seen", len(seen))
	}
	for i, v := range seen {
		if v != int64(i+1) {
			t.Fatalf("versions %v", seen)
		}
	}
	if n := len(r.Snapshot().Plan(lap.ID).Nodes); n != 20 {
		t.Errorf("%d nodes", n)
	}
}

// Two that are right alone and form a cycle together: whichever comes second is refused.
func TestTwoRegistrationsAtOnceAreAppliedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	a := registration("pa", "localhost:1", algorithm(id("pa", "A"), id("pb", "B")))
	b := registration("pb", "localhost:2", algorithm(id("pb", "B"), id("pa", "A")))
	for i := range 100 {
		one := newWorld(t)
		other := one
		if i%2 == 1 {
			other = one.peer()
		}
		errs := make(chan error, 2)
		go func() { _, err := one.Register(context.Background(), a); errs <- err }()
		go func() { _, err := other.Register(context.Background(), b); errs <- err }()
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) {
			t.Fatalf("errors %v and %v", first, second)
		}
		if err := errors.Join(first, second); !errors.Is(err, orca.Precondition) || !strings.Contains(err.Error(), "A 1.0.0 → B 1.0.0 → A 1.0.0") {
			t.Fatal(err)
		}
	}
}

func TestCoresShareTheRegistry(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	peer := w.peer()
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"))))

	if got, err := peer.WindowType(ctx, lap.ID); err != nil {
		t.Errorf("the peer does not look before it answers: %v", err)
	} else {
		expect(t, "window type", lap, got)
	}
	w.register(registration("stats", "localhost:1"))
	if err := peer.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	expectSame(t, w.Snapshot(), peer.Snapshot())

	// A plan without nodes is looked at again as well.
	w.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"))))
	if p, err := peer.Plan(ctx, lap.ID); err != nil || len(p.Nodes) != 1 {
		t.Errorf("plan %v, error %v", p, err)
	}

	// The peer's own change is worked out from the newest, also when nothing changes by it or it is refused.
	w.register(registration("web", "localhost:2", algorithm(id("web", "Report"))))
	peer.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"), id("web", "Report"))))
	w.register(registration("stats", "localhost:1"))
	peer.register(registration("stats", "localhost:1", algorithm(id("stats", "Mean"), id("web", "Report"))))
	if _, err := w.Register(ctx, registration("web", "localhost:2", algorithm(id("web", "Report"), id("stats", "Mean")))); !errors.Is(err, orca.Precondition) {
		t.Errorf("error %v", err)
	}
	expectSame(t, w.Snapshot(), peer.Snapshot())
}

// racing is a store that another core changes between each look and the write that follows, a number of times.
type racing struct {
	*memory
	times int // left
}

func (s *racing) ChangeRegistry(ctx context.Context, c orca.RegistryChange) error {
	if s.times > 0 {
		s.times--
		s.mu.Lock()
		s.registry.Version++
		s.mu.Unlock()
	}
	return s.memory.ChangeRegistry(ctx, c)
}

func TestAChangeOnAStaleRegistryIsMadeAgain(t *testing.T) {
	t.Parallel()
	store := &racing{memory: &memory{}, times: 3}
	r := registry.New(registry.Config{Store: store})
	if _, err := r.Register(context.Background(), registration("stats", "localhost:1", algorithm(id("stats", "Mean")))); err != nil {
		t.Fatal(err)
	}
	if v := r.Snapshot().Version; v != 4 {
		t.Errorf("version %d", v)
	}
	store.times = 1 << 30
	_, err := r.Register(context.Background(), registration("stats", "localhost:1"))
	expectRefusal(t, err, orca.Unavailable, "other cores changed the registry 10 times in a row: try again")
}

func TestARegistrationWhoseOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	lost := orca.Errorf(orca.OutcomeUnknown, "the commit's end was not seen")
	r := registration("new", "localhost:1", algorithm(id("new", "Mean")))
	for name, test := range map[string]struct {
		change func(tries *int, write func() error) error
		want   int // times that it was tried
	}{
		"it was written": {func(_ *int, write func() error) error {
			if err := write(); err != nil {
				return err
			}
			return lost
		}, 1},
		"it was not": {func(tries *int, write func() error) error {
			if *tries == 1 {
				return lost
			}
			return write()
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.register(registration("old", "localhost:1", algorithm(id("old", "Mean"))))
			tries := 0
			w.store.change = func(write func() error) error { tries++; return test.change(&tries, write) }
			expectMessage(t, w.register(r), `address localhost:1 was taken from processor "old"`)
			expect(t, "tries", test.want, tries)
			if v := w.Snapshot().Version; v != 2 || w.store.version() != 2 {
				t.Errorf("version %d of %d", v, w.store.version())
			}
		})
	}
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.store.change = func(func() error) error { return lost }
		_, err := w.Register(context.Background(), r)
		expectRefusal(t, err, orca.OutcomeUnknown, "write the registry: the commit's end was not seen")
	})
}

func TestAStoreThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.Snapshot()
	w.store.change = func(func() error) error { return orca.Errorf(orca.Unavailable, "the disk is full") }
	_, err := w.Register(context.Background(), registration("stats", "localhost:1", algorithm(id("stats", "Mean"))))
	expectRefusal(t, err, orca.Unavailable, "write the registry: the disk is full")
	if w.Snapshot() != before {
		t.Error("it was published although it is not durable")
	}
}

func TestWaitingForTheRegistryEndsWithTheContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.store.change = func(write func() error) error { close(entered); <-leave; return write() }
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.register(registration("slow", "localhost:1"))
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.Register(ctx, registration("stats", "localhost:2")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := w.Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(leave)
	<-done
}

// counted is a store that knows its version alone.
type counted struct{ *memory }

func (s counted) RegistryVersion(context.Context) (int64, error) { return s.version(), nil }

func TestLookingAtAnUnchangedRegistryLoadsNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	r := registry.New(registry.Config{Store: counted{w.store}})
	if err := r.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.WindowType(ctx, lap.ID); !errors.Is(err, orca.NotFound) {
		t.Errorf("error %v", err)
	}
	if _, err := r.Register(ctx, registration("stats", "localhost:1", algorithm(id("stats", "Mean")))); err != nil {
		t.Fatal(err)
	}
	expect(t, "loads", 1, w.store.loads)
	w.register(registration("stats", "localhost:1"))
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	expectSame(t, w.Snapshot(), r.Snapshot())
}

// gated is a store whose looks wait for the test.
type gated struct {
	*memory
	looks chan error // what a look ends with
	begun int        // looks, one after another
}

func (s *gated) RegistryVersion(ctx context.Context) (int64, error) {
	s.begun++
	select {
	case err := <-s.looks:
		return s.version(), err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func TestLooksAtTheStoreAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &gated{memory: &memory{}, looks: make(chan error)}
		r := registry.New(registry.Config{Store: store})
		ends := make(chan error, 100)
		refresh := func(ctx context.Context) {
			go func() { ends <- r.Refresh(ctx) }()
			synctest.Wait() // in this order
		}
		refresh(t.Context())
		for range 99 {
			refresh(t.Context())
		}
		store.looks <- nil
		synctest.Wait()
		expect(t, "looks when the first is over", 2, store.begun)
		failed := errors.New("the disk is gone")
		store.looks <- failed
		synctest.Wait()
		expect(t, "looks", 2, store.begun)
		expect(t, "first answer", nil, <-ends)
		for range 99 {
			if err := <-ends; !errors.Is(err, failed) {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestALookThatSomebodyGaveUpSaysNothingToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &gated{memory: &memory{}, looks: make(chan error)}
		r := registry.New(registry.Config{Store: store})
		impatient, giveUp := context.WithCancel(t.Context())
		ends := make(chan error, 3)
		for _, ctx := range []context.Context{t.Context(), impatient, t.Context()} {
			go func() { ends <- r.Refresh(ctx) }()
			synctest.Wait()
		}
		store.looks <- nil
		expect(t, "first answer", nil, <-ends)
		synctest.Wait()
		giveUp()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		store.looks <- nil
		expect(t, "last answer", nil, <-ends)
		expect(t, "looks", 3, store.begun)
	})
}

func TestNotRegisteredSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	ask := func(name, version, want string) {
		t.Helper()
		id := orca.WindowTypeID{Name: name, Version: version}
		_, err := w.WindowType(ctx, id)
		expectRefusal(t, err, orca.NotFound, want)
		_, err = w.Plan(ctx, id)
		expectRefusal(t, err, orca.NotFound, want)
	}
	ask("Lap", "1.0.0", "window type Lap 1.0.0 is not registered; no window type is: start a processor whose algorithms are triggered by it")
	other := lap
	other.ID.Version = "1.1.0"
	w.register(registration("p", "localhost:1", algorithm(id("p", "A")), on(other, algorithm(id("p", "B"))), on(season, algorithm(id("p", "C")))))
	ask("Lap", "1.0.1", "window type Lap 1.0.1 is not registered; known versions of Lap: 1.0.0, 1.1.0")
	ask("lap", "1.0.0", "window type lap 1.0.0 is not registered; did you mean Lap 1.0.0, 1.1.0?")
	ask("Seasno", "1.0.0", "window type Seasno 1.0.0 is not registered; did you mean Season 1.0.0?")
	ask("Seasson", "1.0.0", "window type Seasson 1.0.0 is not registered; did you mean Season 1.0.0?")
	ask("Session", "1.0.0", "window type Session 1.0.0 is not registered; did you mean Season 1.0.0?")
	ask("Telemetry", "1.0.0", "window type Telemetry 1.0.0 is not registered; known are Lap 1.0.0, 1.1.0; Season 1.0.0")
	for i := range 20 {
		t := orca.WindowType{ID: orca.WindowTypeID{Name: fmt.Sprintf("Xyzzy%02d", i), Version: "1.0.0"}}
		w.register(registration(fmt.Sprint(i), fmt.Sprint(i), on(t, algorithm(id(fmt.Sprint(i), "A")))))
	}
	_, err := w.WindowType(ctx, orca.WindowTypeID{Name: "Telemetry", Version: "1.0.0"})
	if err == nil || !strings.HasSuffix(err.Error(), "; Xyzzy07 1.0.0; and 12 more") {
		t.Errorf("error %v", err)
	}
}

func TestChangesAreLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	r := registry.New(registry.Config{Store: &memory{}, Log: log})
	w := &world{t: t, Registry: r}
	w.register(registration("old", "localhost:1", algorithm(id("old", "Mean"))))
	w.register(registration("old", "localhost:1", algorithm(id("old", "Mean"))))
	w.register(registration("new", "localhost:1"))
	w.forget("localhost:1")
	expect(t, "log", strings.Join([]string{
		`level=INFO msg="processor registered" processor=old address=localhost:1 runtime=go1.26 algorithms=1 version=1 notes=[]`,
		`level=WARN msg="address taken from another processor" processor=new address=localhost:1 from=old`,
		`level=INFO msg="processor registered" processor=new address=localhost:1 runtime=go1.26 algorithms=0 version=2 notes="[address localhost:1 was taken from processor \"old\"]"`,
		`level=INFO msg="instance forgotten" address=localhost:1 retired=[]`,
		"",
	}, "\n"), out.String())
}
