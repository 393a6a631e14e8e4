package conformance

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// check says what is wrong with a scenario that can be read.
func (s scenario) check() error {
	var errs []error
	if s.About == "" {
		errs = append(errs, errors.New("about: say what the scenario shows"))
	}
	for _, p := range s.Processors {
		for _, a := range p.Algorithms {
			if err := s.checkAlgorithm(a); err != nil {
				errs = append(errs, fmt.Errorf("algorithm %s: %w", a.Name, err))
			}
		}
		if _, err := s.script(p, ""); err != nil {
			errs = append(errs, err)
		}
	}
	windows := map[string]bool{}
	for i, step := range s.Steps {
		if err := s.checkStep(step, windows); err != nil {
			errs = append(errs, fmt.Errorf("step %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

func (s scenario) checkAlgorithm(a algorithm) error {
	errs := []error{}
	if !slices.Contains([]string{"value", "array", "struct", "none"}, a.Result) {
		errs = append(errs, fmt.Errorf("result is %q; want value, array, struct or none", a.Result))
	}
	if len(a.Do) == 0 && len(a.Plays) == 0 {
		errs = append(errs, errors.New("do: it does nothing; give it a step"))
	}
	for play, acts := range a.Plays {
		errs = append(errs, checkActs("plays "+play, acts))
	}
	return errors.Join(append(errs, checkActs("do", a.Do))...)
}

func checkActs(where string, acts []act) error {
	for i, a := range acts {
		if err := one(a); err != nil {
			return fmt.Errorf("%s: step %d: %w", where, i+1, err)
		}
		if a.Give != nil {
			if err := one(*a.Give); err != nil {
				return fmt.Errorf("%s: step %d: give: %w", where, i+1, err)
			}
		}
	}
	return nil
}

// checkStep checks one step. windows are those that the steps before it have named.
func (s scenario) checkStep(step step, windows map[string]bool) error {
	if err := one(step); err != nil {
		return err
	}
	for _, w := range []*window{step.Emit, step.Find} {
		if w == nil {
			continue
		}
		if windows[w.Window] || w.Window == "" {
			return fmt.Errorf("window %q: give each window a name of its own", w.Window)
		}
		windows[w.Window] = true
		_, err := s.window(*w)
		return err
	}
	if name := step.Cancel; name != "" && !windows[name] {
		return fmt.Errorf("window %q is not emitted before", name)
	}
	if step.Finish != nil {
		return s.checkFinish(*step.Finish, windows)
	}
	if step.StartEmpty != "" && step.StartEmpty != "core" {
		return fmt.Errorf("start_empty is %q; only the core can lose its store", step.StartEmpty)
	}
	for _, unit := range []string{step.Start, step.Stop, step.Kill, step.Registered, folderOf(step.Release), folderOf(step.Marked)} {
		if unit != "" && unit != "core" && s.processor(unit) == nil {
			return fmt.Errorf("%q is neither core nor one of the processors", unit)
		}
	}
	return nil
}

func (s scenario) checkFinish(f finish, windows map[string]bool) error {
	if !windows[f.Window] {
		return fmt.Errorf("window %q is not emitted before", f.Window)
	}
	for name, n := range f.Nodes {
		if _, _, err := s.ownerOf(name); err != nil {
			return err
		}
		if n.Told == nil {
			continue
		}
		for _, r := range slices.Concat(append(n.Told.Needs, n.Told.Self)...) {
			if !windows[r.Window] {
				return fmt.Errorf("%s: the row's window %q is not emitted before", name, r.Window)
			}
		}
	}
	return nil
}

func (s scenario) processor(name string) *processor {
	for _, p := range s.Processors {
		if p.Name == name {
			return &p
		}
	}
	return nil
}

// folderOf is the processor in processor/file.
func folderOf(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

// one says whether exactly one field of a struct is set.
func one(v any) error {
	var set []string
	for field, value := range reflect.ValueOf(v).Fields() {
		if !value.IsZero() {
			set = append(set, field.Name)
		}
	}
	if len(set) != 1 {
		return fmt.Errorf("it says %d things (%s); want one", len(set), strings.Join(set, ", "))
	}
	return nil
}
