// Package registry knows everything that processors have announced: window types, algorithms, processors and their
// instances. It checks announcements, works out which algorithms are active, waiting or retired, and keeps the plan of
// each window type.
//
// What a registration makes of the registry is decided by pure functions from one immutable Snapshot to the next; the
// Registry around them writes each step to the store and then publishes it. It knows neither protobuf nor SQL nor
// connections: whether an instance is alive is the fleet's to know.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// Store keeps the registry. ChangeRegistry writes a change whole or not at all; it is refused with orca.Precondition
// when the registry has another version than the change's base, and a change that is written makes the version one
// more.
type Store interface {
	LoadRegistry(ctx context.Context) (orca.Registry, error)
	ChangeRegistry(ctx context.Context, change orca.RegistryChange) error
}

// versioned is a store that knows the registry's version without loading all of it. Looking at the newest registry is
// then cheap while it has not changed.
type versioned interface {
	RegistryVersion(ctx context.Context) (int64, error)
}

// Config of a Registry. Store is required; of the rest the zero value means the default.
type Config struct {
	Store Store
	// Now is the clock of RegisteredAt and RetiredAt; default the system's.
	Now func() orca.Time
	// Log receives each change; default none.
	Log *slog.Logger
	// OnChange is called with each snapshot, in the order of versions, before anybody else can see a newer one. It is
	// called under the registry's lock: it must not block, nor call the registry. Default none.
	OnChange func(*Snapshot)
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = func() orca.Time { return orca.TimeOf(time.Now()) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnChange == nil {
		c.OnChange = func(*Snapshot) {}
	}
	return c
}

// Registry is the durable registry with its newest known snapshot. Make it with New; all methods are safe for
// concurrent use. Changes are made one after another; reading the snapshot waits for nothing.
type Registry struct {
	cfg      Config
	snapshot atomic.Pointer[Snapshot]
	// turn holds a token while somebody changes or reloads the snapshot.
	turn chan struct{}
	// looks counts the looks at the store that have begun; each takes place within one turn.
	looks atomic.Int64
	// lastLook is how the last of them ended. Owned by whoever has the turn.
	lastLook error
}

// New returns an empty registry. Load fills it.
func New(cfg Config) *Registry {
	r := &Registry{cfg: cfg.withDefaults(), turn: make(chan struct{}, 1)}
	r.snapshot.Store(emptySnapshot())
	return r
}

// Snapshot returns the newest known registry. It never waits.
func (r *Registry) Snapshot() *Snapshot { return r.snapshot.Load() }

// Load reads the registry from the store. OnChange is called with it even when it is empty.
func (r *Registry) Load(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	return r.load(ctx, func(orca.Registry) bool { return true })
}

// Refresh looks whether the store has a newer registry and takes it over, for several cores that share one store.
// Callers that wait at the same time share one look.
func (r *Registry) Refresh(ctx context.Context) error {
	begun := r.looks.Load()
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.release()
	if r.looks.Load() > begun && !cancelled(r.lastLook) {
		return r.lastLook // somebody looked since
	}
	return r.look(ctx)
}

// Register takes an announcement, whole or not at all. When it returns, the registration is durable. The message, for
// the announcer, says what is awaited, retired, taken over or dubious, and is empty when all is plain. Errors: Invalid,
// Conflict and Precondition say what to change; others come from the store.
//
// The registry keeps the slices of the registration, which must not be changed any more.
func (r *Registry) Register(ctx context.Context, announced orca.Registration) (message string, err error) {
	st, err := r.change(ctx, func(s *Snapshot) (step, error) { return announce(s, announced, r.cfg.Now()) })
	if err != nil {
		return "", err
	}
	notes := st.notes(announced)
	r.logRegistration(announced, st, notes)
	return sentences(notes), nil
}

// Forget removes an instance that was silent for too long, with or without scheme, and retires what nobody announces
// any more. One that is not known is no error.
func (r *Registry) Forget(ctx context.Context, address string) error {
	st, err := r.change(ctx, func(s *Snapshot) (step, error) { return forget(s, orca.AddressOf(address), r.cfg.Now()), nil })
	if err != nil {
		return err
	}
	if !st.unchanged {
		r.cfg.Log.Info("instance forgotten", "address", orca.AddressOf(address), "retired", fullNames(st.retired))
	}
	return nil
}

// WindowType returns the definition of a window type. Before it answers orca.NotFound it looks at the newest registry.
func (r *Registry) WindowType(ctx context.Context, id orca.WindowTypeID) (orca.WindowType, error) {
	if t, ok := r.Snapshot().WindowType(id); ok {
		return t, nil
	}
	if err := r.Refresh(ctx); err != nil {
		return orca.WindowType{}, err
	}
	s := r.Snapshot()
	if t, ok := s.WindowType(id); ok {
		return t, nil
	}
	return orca.WindowType{}, s.notRegistered(id)
}

// Plan returns the plan of a window type. Before it answers orca.NotFound or with a plan without nodes it looks at the
// newest registry.
func (r *Registry) Plan(ctx context.Context, id orca.WindowTypeID) (*plan.Plan, error) {
	p, err := r.Snapshot().planOf(id)
	if err != nil || p != nil && len(p.Nodes) > 0 {
		return p, err
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	s := r.Snapshot()
	p, err = s.planOf(id)
	if err == nil && p == nil {
		err = s.notRegistered(id)
	}
	return p, err
}

// maxTries bounds how often a change is worked out again because another core changed the registry meanwhile.
const maxTries = 10

// change works out a step on the newest registry, writes it and publishes the snapshot that it leads to. Work may be
// called several times.
func (r *Registry) change(ctx context.Context, work func(*Snapshot) (step, error)) (step, error) {
	if err := r.take(ctx); err != nil {
		return step{}, err
	}
	defer r.release()
	var unknown error // of the try before, when its outcome is
	var tried step
	for range maxTries {
		if err := r.look(ctx); err != nil {
			return step{}, errors.Join(unknown, err)
		}
		st, err := work(r.Snapshot())
		if err != nil {
			return step{}, err
		}
		if st.unchanged && unknown != nil {
			return tried, nil // it was written after all
		}
		if st.unchanged {
			return st, nil
		}
		unknown = nil
		switch err := r.cfg.Store.ChangeRegistry(ctx, st.change); {
		case err == nil:
			r.publish(st.next)
			return st, nil
		case errors.Is(err, orca.OutcomeUnknown):
			unknown, tried = err, st
		case errors.Is(err, orca.Precondition):
			// Another core was faster.
		default:
			return step{}, fmt.Errorf("write the registry: %w", err)
		}
	}
	if unknown != nil {
		return step{}, fmt.Errorf("write the registry: %w", unknown)
	}
	return step{}, orca.Errorf(orca.Unavailable, "other cores changed the registry %d times in a row: try again", maxTries)
}

// cancelled reports whether somebody gave up, which says nothing to others.
func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// look takes over the store's registry when it is newer. The caller has the turn.
func (r *Registry) look(ctx context.Context) error {
	r.looks.Add(1)
	r.lastLook = r.lookNow(ctx)
	return r.lastLook
}

func (r *Registry) lookNow(ctx context.Context) error {
	known := r.Snapshot().Version
	if s, ok := r.cfg.Store.(versioned); ok {
		version, err := s.RegistryVersion(ctx)
		if err != nil {
			return fmt.Errorf("look at the newest registry: %w", err)
		}
		if version <= known {
			return nil
		}
	}
	return r.load(ctx, func(stored orca.Registry) bool { return stored.Version > known })
}

// load publishes the store's registry if it is wanted. The caller has the turn.
func (r *Registry) load(ctx context.Context, wanted func(orca.Registry) bool) error {
	stored, err := r.cfg.Store.LoadRegistry(ctx)
	if err != nil {
		return fmt.Errorf("load the registry: %w", err)
	}
	if !wanted(stored) {
		return nil
	}
	s, err := snapshotOf(stored, r.Snapshot())
	if err != nil {
		return err
	}
	r.publish(s)
	return nil
}

func (r *Registry) publish(s *Snapshot) {
	r.snapshot.Store(s)
	r.cfg.OnChange(s)
}

func (r *Registry) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the registry: %w", context.Cause(ctx))
	}
}

func (r *Registry) release() { <-r.turn }

func (r *Registry) logRegistration(announced orca.Registration, st step, notes []string) {
	if st.unchanged {
		return
	}
	log := r.cfg.Log.With("processor", announced.Processor, "address", orca.AddressOf(announced.Connection))
	if st.takenFrom != "" {
		log.Warn("address taken from another processor", "from", st.takenFrom)
	}
	log.Info("processor registered", "runtime", announced.Runtime, "algorithms", len(announced.Algorithms),
		"version", st.next.Version, "notes", notes)
}
