package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/orca-telemetry/orca/conformance/script"
)

// scenario is a file of scenarios. README.md says what its words mean.
type scenario struct {
	name       string // of the file, without its ending
	About      string
	Core       []string // settings of the core
	Types      []windowType
	Processors []processor
	Steps      []step
}

type windowType struct {
	Name, Version, Description string
	Fields                     []field
}

type field struct {
	Name, Description string
	Filter            bool
	NoStore           bool `yaml:"no_store"`
}

type processor struct {
	Name       string
	Later      bool // it is started by a step
	Algorithms []algorithm
}

type algorithm struct {
	Name, Version, Description string
	On                         string // name of a window type, or name@version
	Result                     string
	Needs                      []need
	Self                       lookback
	Do                         []act
	Plays                      map[string][]act
}

type need struct {
	Of       string // name of an algorithm of the scenario
	lookback `yaml:",inline"`
}

type lookback struct {
	Last, Skip uint32
	Over       span
	SkipTime   span `yaml:"skip_time"`
}

// act is a step of an algorithm. One field is set.
type act struct {
	Mark, Await string
	Tell        bool
	Emit        *window
	Give        *data
	GiveField   string `yaml:"give_field"`
	Fail        *failure
	Break       string
	Panic       string
	Silent      bool
}

type failure struct {
	Reason  string
	Details map[string]any
}

// data is a result. One field is set.
type data struct {
	Value  *number
	Array  *[]number
	Ramp   int // an array of so many: 0, 1, 2…
	Struct *map[string]any
	None   bool
}

// window is one that is emitted.
type window struct {
	Window   string // what the scenario calls it; its origin, too
	Type     string
	At       span // after the beginning of the scenario's time
	Lasts    span
	Metadata map[string]any
	Answer   string // processing triggered, when empty
}

// step is one thing that the runner does. One field is set.
type step struct {
	Emit       *window
	Find       *window // waits for a window that an algorithm emitted
	Finish     *finish
	Start      string // core or a processor
	StartEmpty string `yaml:"start_empty"` // core, on a new store
	Stop, Kill string
	Release    string // processor/file
	Marked     string // processor/file
	Cancel     string
	Registered string // waits until the core knows the processor
	Instance   *instance
}

// finish waits for a window's run.
type finish struct {
	Window string
	State  string // succeeded, when empty
	Nodes  map[string]node
}

// node is what has become of an algorithm.
type node struct {
	Outcome  string // succeeded, when empty
	data     `yaml:",inline"`
	Error    map[string]any // the result's error has these fields; a text contains what is said here
	Reason   string         // what the core says contains this
	Attempts int            // 1 when zero and the outcome is the algorithm's own
	// AnyAttempts takes any number of them, and AnyResult whatever the ledger keeps of a result.
	AnyAttempts bool `yaml:"any_attempts"`
	AnyResult   bool `yaml:"any_result"`
	Told        *told
}

type told struct {
	Needs [][]row
	Self  []row
}

type row struct {
	Window string
	data   `yaml:",inline"`
}

// instance waits until the core says this of a processor's only instance.
type instance struct {
	Processor string
	State     string
	Active    *int32 // tasks that run, by the processor's own metrics
}

// span is a length of time, written as Go writes it: 1m30s, 1ns.
type span time.Duration

// UnmarshalYAML reads the text.
func (s *span) UnmarshalYAML(n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no length of time such as 1m30s", n.Line, n.Value)
	}
	*s = span(d)
	return nil
}

// number is a float32 that YAML's numbers give without another rounding.
type number float32

// UnmarshalYAML reads the number.
func (v *number) UnmarshalYAML(n *yaml.Node) error {
	var f float64
	if err := n.Decode(&f); err != nil {
		return fmt.Errorf("line %d: %q is no number", n.Line, n.Value)
	}
	*v = number(f)
	if exact := float64(float32(f)); exact != f && !math.IsNaN(f) && len(n.Value) < 9 && math.IsInf(exact, 0) {
		return fmt.Errorf("line %d: %s is too large for a float32", n.Line, n.Value)
	}
	return nil
}

// load reads all scenarios of a folder, by name.
func load(dir string) ([]scenario, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, errors.Join(err, fmt.Errorf("there are %d scenarios in %s", len(paths), dir))
	}
	slices.Sort(paths)
	var all []scenario
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s, err := parse(strings.TrimSuffix(filepath.Base(path), ".yaml"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// parse reads a scenario, strictly: every word has to be known and every name to stand for something.
func parse(name string, text []byte) (scenario, error) {
	s := scenario{name: name}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return s, err
	}
	if err := decoder.Decode(&scenario{}); !errors.Is(err, io.EOF) {
		return s, errors.New("there is more than one scenario in the file")
	}
	return s, s.check()
}

// windowTypeOf returns the type that a name, or name@version, stands for.
func (s scenario) windowTypeOf(name string) (script.WindowType, error) {
	for _, t := range s.Types {
		out := script.WindowType{Name: t.Name, Version: version(t.Version), Description: t.Description, Fields: []script.Field{}}
		if name != t.Name && name != t.Name+"@"+out.Version {
			continue
		}
		for _, f := range t.Fields {
			out.Fields = append(out.Fields, script.Field(f))
		}
		return out, nil
	}
	return script.WindowType{}, fmt.Errorf("the window type %q is none of the scenario's types", name)
}

func version(v string) string {
	if v == "" {
		return "1.0.0"
	}
	return v
}

// ownerOf returns the processor of an algorithm.
func (s scenario) ownerOf(name string) (processor, algorithm, error) {
	for _, p := range s.Processors {
		for _, a := range p.Algorithms {
			if a.Name == name {
				return p, a, nil
			}
		}
	}
	return processor{}, algorithm{}, fmt.Errorf("the algorithm %q is none of the scenario's", name)
}
