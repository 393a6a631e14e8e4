package registry

import (
	"context"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ForgetProcessor removes all instances of a processor and retires its algorithms, as if it had withdrawn them all. Its
// name stays with its project, and it may register again. It returns how many instances were removed and algorithms
// retired, or orca.NotFound when no processor of that name ever registered.
func (r *Registry) ForgetProcessor(ctx context.Context, name string) (instances, algorithms int, err error) {
	st, err := r.change(ctx, func(s *Snapshot) (step, error) { return depart(s, name, r.cfg.Now()) })
	if err != nil {
		return 0, 0, err
	}
	if !st.unchanged {
		r.cfg.Log.Info("processor forgotten", "processor", name, "instances", st.change.Forgotten, "retired", fullNames(st.retired))
	}
	return len(st.change.Forgotten), len(st.retired), nil
}

// depart works out the registry without a processor's announcements.
func depart(s *Snapshot, name string, now orca.Time) (step, error) {
	p, known := s.processors[name]
	if !known {
		return step{}, orca.Errorf(orca.NotFound, "no processor %q has ever registered: ListProcessors (orca processors) has all of them", orca.Shown(name))
	}
	d := s.draft()
	for _, i := range s.Instances() {
		if i.Processor == name {
			d.forget(i.Address)
		}
	}
	if len(p.Newest) > 0 {
		p.Newest = nil
		d.setProcessor(p)
	}
	retired := d.retire(name, now)
	if d.unchanged() && len(d.change.Forgotten) == 0 {
		return step{next: s, unchanged: true}, nil
	}
	d.next.derive(s)
	return step{next: d.next, change: d.change, retired: retired}, nil
}

// Retired returns the retired algorithms, and since when each of them is.
func (s *Snapshot) Retired() map[orca.AlgorithmID]orca.Time {
	retired := map[orca.AlgorithmID]orca.Time{}
	for id, a := range s.algorithms {
		if a.Retired {
			retired[id] = a.RetiredAt
		}
	}
	return retired
}
