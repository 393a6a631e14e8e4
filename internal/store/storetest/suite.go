package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Service is a Store as the suite runs it.
type Service interface {
	Store
	// Serve writes what is queued until ctx is done, then the rest of the queue, and returns.
	Serve(ctx context.Context) error
	Close() error
}

// Opener opens one database, each time the same. Its idempotency keys live 24 hours.
type Opener func(context.Context) (Service, error)

// Run runs the whole suite. fresh makes an empty database of its own for a test, and cleans up after it.
func Run(t *testing.T, fresh func(testing.TB) Opener) {
	for _, group := range []map[string]func(*testing.T, Opener){
		registryTests, acceptTests, keyTests, settleTests, reviseTests, readTests, pagingTests, pastTests, parkingTests, lifeTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, fresh(t))
			})
		}
	}
	for name, test := range map[string]func(*testing.T, func(testing.TB) Opener){
		"BehavesAsTheModel": testModel, "PastIsThatOfTheModel": testPastModel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh)
		})
	}
}

// tb is what the helpers need of a test, be it of package testing or of a property.
type tb interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// equal compares values as the store has to keep them: no metadata and empty metadata are the same, and so are no list
// and an empty one. Bytes are compared as a whole, since cmp would look at each by reflection.
var equal = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateNaNs(),
	cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 0 }, cmp.Comparer(bytes.Equal)),
}

func check[T any](t tb, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// must returns v, or ends the test.
func must[T any](t tb) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// ledger is a served store of one test.
type ledger struct {
	Service
	t    tb
	open Opener

	cancel context.CancelFunc
	served chan error
}

// opened returns a store that is open and not served: what is queued now goes into one transaction later.
func opened(t tb, open Opener) *ledger {
	t.Helper()
	l := &ledger{t: t, open: open}
	l.Service = must[Service](t)(open(t.Context()))
	t.Cleanup(l.close)
	return l
}

// served returns a store that is served and knows the algorithms of the fixture.
func served(t tb, open Opener) *ledger {
	t.Helper()
	l := opened(t, open)
	l.register()
	l.serve()
	return l
}

func (l *ledger) serve() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.t.Context()))
	l.cancel, l.served = cancel, make(chan error, 1)
	go func(s Service) { l.served <- s.Serve(ctx) }(l.Service)
}

// stop ends Serve and waits for it.
func (l *ledger) stop() {
	l.t.Helper()
	if l.cancel == nil {
		return
	}
	l.cancel()
	if err := <-l.served; err != nil {
		l.t.Errorf("Serve: %v", err)
	}
	l.cancel = nil
}

func (l *ledger) close() {
	l.t.Helper()
	if l.Service == nil {
		return
	}
	l.stop()
	if err := l.Close(); err != nil {
		l.t.Errorf("Close: %v", err)
	}
	l.Service = nil
}

// reopen closes the store and opens it again, served.
func (l *ledger) reopen() {
	l.t.Helper()
	l.close()
	l.Service = must[Service](l.t)(l.open(context.WithoutCancel(l.t.Context())))
	l.serve()
}

// register puts the algorithms of the fixture into an empty registry.
func (l *ledger) register() {
	l.t.Helper()
	if err := l.ChangeRegistry(l.t.Context(), fixture(0)); err != nil {
		l.t.Fatal(err)
	}
}

// answer is what became of an emission.
type answer struct {
	orca.Accepted
	Err error
}

// emit accepts emissions and returns their answers in the order in which they were given.
func (l *ledger) emit(emissions ...orca.Emission) []answer {
	l.t.Helper()
	return l.queue(emissions...)()
}

// queue hands over emissions and returns a function that waits for the answers.
func (l *ledger) queue(emissions ...orca.Emission) (wait func() []answer) {
	var all sync.WaitGroup
	answers := make([]answer, len(emissions))
	for i, e := range emissions {
		all.Add(1)
		l.Accept(e, func(a orca.Accepted, err error) {
			answers[i] = answer{a, err}
			all.Done()
		})
	}
	return func() []answer {
		all.Wait()
		return answers
	}
}

// emitted accepts an emission that has to be accepted.
func (l *ledger) emitted(e orca.Emission) orca.Position {
	l.t.Helper()
	a := l.emit(e)[0]
	if a.Err != nil {
		l.t.Fatal(a.Err)
	}
	return a.Position
}

// settle writes a settlement and returns its answer.
func (l *ledger) settle(s orca.Settlement) error {
	done := make(chan error, 1)
	l.Settle(s, func(err error) { done <- err })
	return <-done
}

// settled writes a settlement that has to succeed.
func (l *ledger) settled(s orca.Settlement) {
	l.t.Helper()
	if err := l.settle(s); err != nil {
		l.t.Fatal(err)
	}
}

// openRuns returns all unfinished runs.
func (l *ledger) openRuns() []orca.OpenRun {
	l.t.Helper()
	return must[[]orca.OpenRun](l.t)(l.OpenRuns(l.t.Context(), 0, 1<<20))
}

// positions of open runs.
func positions(runs []orca.OpenRun) []orca.Position {
	var list []orca.Position
	for _, r := range runs {
		list = append(list, r.Position)
	}
	return list
}

// allWindows returns every window that the ledger has.
func (l *ledger) allWindows() []orca.WindowRecord {
	l.t.Helper()
	return must[[]orca.WindowRecord](l.t)(l.Windows(l.t.Context(), orca.WindowQuery{Limit: 1 << 20}))
}

// number names test data.
func number(what string, i int) string { return fmt.Sprintf("%s %d", what, i) }
