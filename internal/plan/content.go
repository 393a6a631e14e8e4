package plan

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// format is the version of the stored form. Plans are stored for ever, so Parse goes on reading every older one.
const format = 1

// stored is a plan as it is kept: what is needed to build it again and nothing more, since many runs share it and
// large registries make large plans. Edges follow from the definitions.
type stored struct {
	Format     int               `json:"format"`
	WindowType orca.WindowTypeID `json:"window_type"`
	// WindowTypes are the distinct definitions that the algorithms carry, in order of first need.
	WindowTypes []orca.WindowType `json:"window_types,omitempty"`
	Nodes       []storedAlgorithm `json:"nodes,omitempty"`
	// Foreign are the dependencies that are not nodes, by identity.
	Foreign []storedAlgorithm `json:"foreign,omitempty"`
}

// storedAlgorithm is a definition whose window type is replaced by its place in stored.WindowTypes.
type storedAlgorithm struct {
	orca.Algorithm
	WindowType int    `json:"window_type"`
	Blocked    string `json:"blocked,omitempty"`
}

// Content returns the plan's stored form, which is worked out once. The bytes must not be changed.
func (p *Plan) Content() *orca.PlanContent { return p.content() }

func contentOf(encoded []byte, nodes []Node) *orca.PlanContent {
	c := &orca.PlanContent{Hash: sha256.Sum256(encoded), Content: encoded, Nodes: len(nodes)}
	for i := range nodes {
		c.Algorithms = append(c.Algorithms, nodes[i].Algorithm.ID)
	}
	return c
}

// Definition identifies the content of an algorithm's definition, by a hash of its canonical form. The order of
// metadata fields does not count.
func Definition(a orca.Algorithm) orca.DefinitionHash {
	byName := func(f, g orca.MetadataField) int { return cmp.Compare(f.Name, g.Name) }
	if !slices.IsSortedFunc(a.WindowType.Fields, byName) {
		a.WindowType.Fields = slices.SortedStableFunc(slices.Values(a.WindowType.Fields), byName)
	}
	sum := sha256.Sum256(marshal(a))
	return orca.DefinitionHash(sum[:len(orca.DefinitionHash{})])
}

func encode(p *Plan) []byte {
	s := stored{Format: format, WindowType: p.WindowType}
	types := map[string]int{}
	pack := func(a orca.Algorithm, blocked string) storedAlgorithm {
		key := string(marshal(a.WindowType))
		i, known := types[key]
		if !known {
			i = len(s.WindowTypes)
			types[key] = i
			s.WindowTypes = append(s.WindowTypes, a.WindowType)
		}
		return storedAlgorithm{Algorithm: a, WindowType: i, Blocked: blocked}
	}
	foreign := map[orca.AlgorithmID]*orca.Algorithm{}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		s.Nodes = append(s.Nodes, pack(n.Algorithm, n.Blocked))
		for _, in := range n.Inputs {
			if in.Node < 0 {
				foreign[in.Algorithm.ID] = in.Algorithm
			}
		}
	}
	byID := func(a, b *orca.Algorithm) int { return a.ID.Compare(b.ID) }
	for _, a := range slices.SortedFunc(maps.Values(foreign), byID) {
		s.Foreign = append(s.Foreign, pack(*a, ""))
	}
	return marshal(s)
}

// Parse reads a plan's stored form. The plan keeps the bytes, which must not be changed any more, as its content: a
// run goes on naming the hash that it was given even where a later version would write the same plan otherwise.
func Parse(content []byte) (*Plan, error) {
	p, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("read stored plan: %w", err)
	}
	whole := contentOf(content, p.Nodes)
	p.content = func() *orca.PlanContent { return whole }
	return p, nil
}

func parse(content []byte) (*Plan, error) {
	var s stored
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields() // what is not understood cannot be left out of a plan
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	if s.Format != format {
		return nil, fmt.Errorf("format %d; this version of Orca reads format %d", s.Format, format)
	}
	nodes, err := s.unpack(s.Nodes)
	if err != nil {
		return nil, err
	}
	others, err := s.unpack(s.Foreign)
	if err != nil {
		return nil, err
	}
	foreign := make(map[orca.AlgorithmID]*orca.Algorithm, len(others))
	for i := range others {
		if foreign[others[i].ID] != nil {
			return nil, fmt.Errorf("%s is there twice", others[i].ID.Full())
		}
		foreign[others[i].ID] = &others[i]
	}
	p, err := assemble(s.WindowType, nodes, foreign)
	if err != nil {
		return nil, err
	}
	for i := range p.Nodes {
		p.Nodes[i].Blocked = s.Nodes[i].Blocked
	}
	return p, p.checkBlocked()
}

// unpack gives the algorithms their window types back.
func (s *stored) unpack(packed []storedAlgorithm) ([]orca.Algorithm, error) {
	algorithms := make([]orca.Algorithm, len(packed))
	for i, a := range packed {
		if a.WindowType < 0 || a.WindowType >= len(s.WindowTypes) {
			return nil, fmt.Errorf("%s names window type %d of %d", a.ID.Full(), a.WindowType, len(s.WindowTypes))
		}
		algorithms[i] = a.Algorithm
		algorithms[i].WindowType = s.WindowTypes[a.WindowType]
	}
	return algorithms, nil
}

// checkBlocked makes sure that no run can wait for ever for a node that never runs.
func (p *Plan) checkBlocked() error {
	for i := range p.Nodes {
		n := &p.Nodes[i]
		for _, j := range n.Needs {
			if p.Nodes[j].Blocked != "" && n.Blocked == "" {
				return fmt.Errorf("%s can run, but %s, which it needs, cannot", n.Algorithm.ID.Full(), p.Nodes[j].Algorithm.ID.Full())
			}
		}
	}
	return nil
}

// marshal encodes nouns, which always can be: they hold strings, numbers and slices.
func marshal(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("plan: encode %T: %v", v, err))
	}
	return encoded
}
