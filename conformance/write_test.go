package conformance

import (
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/conformance/script"
)

// begin is when the time of every scenario begins, odd enough to lose digits as a float.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// script is what a processor is told to be.
func (s scenario) script(p processor, dir string) (script.Script, error) {
	out := script.Script{Processor: p.Name, Dir: dir}
	for _, a := range p.Algorithms {
		algorithm, err := s.algorithm(a)
		if err != nil {
			return out, fmt.Errorf("algorithm %s: %w", a.Name, err)
		}
		out.Algorithms = append(out.Algorithms, algorithm)
	}
	return out, nil
}

func (s scenario) algorithm(a algorithm) (out script.Algorithm, err error) {
	out = script.Algorithm{
		Name: a.Name, Version: version(a.Version), Description: a.Description, Result: a.Result,
		Needs: []script.Need{}, Self: a.Self.script(), Plays: map[string][]script.Step{},
	}
	if out.WindowType, err = s.windowTypeOf(a.On); err != nil {
		return out, err
	}
	for _, n := range a.Needs {
		owner, of, err := s.ownerOf(n.Of)
		if err != nil {
			return out, err
		}
		out.Needs = append(out.Needs, script.Need{
			Processor: owner.Name, Name: of.Name, Version: version(of.Version), Lookback: n.lookback.script(),
		})
	}
	if out.Do, err = s.acts(a.Do); err != nil {
		return out, err
	}
	for play, acts := range a.Plays {
		if out.Plays[play], err = s.acts(acts); err != nil {
			return out, fmt.Errorf("play %s: %w", play, err)
		}
	}
	return out, nil
}

func (l lookback) script() script.Lookback {
	return script.Lookback{Count: l.Last, Span: int64(l.Over), GapCount: l.Skip, GapSpan: int64(l.SkipTime)}
}

func (s scenario) acts(acts []act) ([]script.Step, error) {
	out := []script.Step{}
	for i, a := range acts {
		step := script.Step{
			Mark: a.Mark, Await: a.Await, Tell: a.Tell, GiveField: a.GiveField, Break: a.Break, Panic: a.Panic, Silent: a.Silent,
		}
		if a.Give != nil {
			d, err := a.Give.script()
			if err != nil {
				return nil, fmt.Errorf("step %d: %w", i+1, err)
			}
			step.Give = &d
		}
		if a.Fail != nil {
			details, err := fields(a.Fail.Details)
			if err != nil {
				return nil, fmt.Errorf("step %d: details: %w", i+1, err)
			}
			step.Fail = &script.Failure{Reason: a.Fail.Reason, Details: details}
		}
		if a.Emit != nil {
			w, err := s.window(*a.Emit)
			if err != nil {
				return nil, fmt.Errorf("step %d: %w", i+1, err)
			}
			step.Emit = &w
		}
		out = append(out, step)
	}
	return out, nil
}

// window is one with the time, the metadata and the origin that the scenario says.
func (s scenario) window(w window) (script.Window, error) {
	t, err := s.windowTypeOf(w.Type)
	if err != nil {
		return script.Window{}, err
	}
	metadata, err := fields(w.Metadata)
	if err != nil {
		return script.Window{}, fmt.Errorf("metadata of window %s: %w", w.Window, err)
	}
	from := begin.Add(time.Duration(w.At))
	return script.Window{
		Type: t.Name, Version: t.Version, Origin: w.Window, Metadata: metadata,
		From: from.UnixNano(), To: from.Add(time.Duration(w.Lasts)).UnixNano(),
	}, nil
}

func (d data) script() (script.Data, error) {
	switch {
	case d.Value != nil:
		v := script.Value(*d.Value)
		return script.Data{Value: &v}, nil
	case d.Array != nil:
		a := script.Array{}
		for _, v := range *d.Array {
			a = append(a, float32(v))
		}
		return script.Data{Array: &a}, nil
	case d.Ramp > 0:
		a := make(script.Array, d.Ramp)
		for i := range a {
			a[i] = float32(i)
		}
		return script.Data{Array: &a}, nil
	case d.Struct != nil:
		f, err := fields(*d.Struct)
		return script.Data{Struct: f}, err
	}
	return script.Data{}, nil
}

// fields are what YAML read, with all numbers as float64.
func fields(in map[string]any) (script.Fields, error) {
	out := script.Fields{}
	for name, v := range in {
		value, err := plain(v)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		out[name] = value
	}
	return out, nil
}

func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, float64:
		return v, nil
	case int:
		return float64(v), nil
	case map[string]any:
		f, err := fields(v)
		return map[string]any(f), err
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			value, err := plain(element)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			list[i] = value
		}
		return list, nil
	}
	return nil, fmt.Errorf("%v (%T) is nothing that metadata and structs can hold", v, v)
}
