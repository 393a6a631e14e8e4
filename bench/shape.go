package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

const (
	version = "1.0.0"
	// bareRuntime is what all processors announce.
	bareRuntime = "bare"
	// lookbackSuffix marks the twin of a shape whose dependencies look back, and selfSuffix that of one whose algorithms
	// look back at themselves.
	lookbackSuffix, selfSuffix = "-lookback", "-self"
)

// node is an algorithm of a shape: its number in the shape, the processor that runs it, and the numbers of those whose
// results it takes.
type node struct {
	processor string
	needs     []int
}

// Shape is a DAG that each window triggers.
type Shape struct {
	// Name is what people call it, and makes the names on the wire.
	Name string
	// lookback is how many past results each dependency hands over beside the present one.
	lookback uint32
	// self is how many of its own past results each algorithm is handed.
	self  uint32
	nodes []node // at most 32
}

// Shapes returns every shape by itself, then those that have dependencies once more with a lookback of 1 for each, and
// then two once more with a self lookback of 1: of one asset, each window waits for the one before.
func Shapes() []Shape {
	plain := []Shape{
		{Name: "single", nodes: []node{{processor: "one"}}},
		{Name: "chain", nodes: chain("one", "one")},
		{Name: "diamond", nodes: spread(3)},
		{Name: "fan", nodes: spread(20)},
		{Name: "cross", nodes: chain("one", "two")},
	}
	all := slices.Clone(plain)
	for _, s := range plain[1:] {
		all = append(all, Shape{Name: s.Name + lookbackSuffix, lookback: 1, nodes: s.nodes})
	}
	for _, s := range plain[:2] {
		all = append(all, Shape{Name: s.Name + selfSuffix, self: 1, nodes: s.nodes})
	}
	return all
}

// awayName is the shape of windows that wait for an absent processor: a single algorithm.
const awayName = "away"

// ShapeNamed returns the shape of a name.
func ShapeNamed(name string) (Shape, error) {
	var names []string
	if name == awayName || name == storedName {
		s := Shapes()[0]
		s.Name = name
		if name == storedName {
			s.self = 10
		}
		return s, nil
	}
	for _, s := range Shapes() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Shape{}, fmt.Errorf("there is no shape %q; there are %s", name, strings.Join(names, ", "))
}

// chain is five algorithms in a row, on two processors in turn.
func chain(even, odd string) []node {
	nodes := []node{{processor: even}}
	for i := 1; i < 5; i++ {
		nodes = append(nodes, node{processor: []string{even, odd}[i%2], needs: []int{i - 1}})
	}
	return nodes
}

// spread is one algorithm, then several on its result, then one on all of theirs.
func spread(width int) []node {
	nodes := []node{{processor: "one"}}
	last := node{processor: "one"}
	for i := 1; i <= width; i++ {
		nodes = append(nodes, node{processor: "one", needs: []int{0}})
		last.needs = append(last.needs, i)
	}
	return append(nodes, last)
}

// processors are the names of those that serve the shape.
func (s Shape) processors() (names []string) {
	for _, n := range s.nodes {
		if name := s.wireName(n.processor); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// wireName is a processor's name as the core is told it: several shapes may be served at once.
func (s Shape) wireName(processor string) string { return s.Name + "-" + processor }

// typeName is its window type's name, which SDKs take: PascalCase. That of ledgers which were kept stays.
func (s Shape) typeName() string {
	if s.Name == storedName {
		return storedName
	}
	var b strings.Builder
	for word := range strings.SplitSeq(s.Name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// algorithmName is the name of an algorithm, which ends with its number.
func (s Shape) algorithmName(i int) string {
	if s.Name == storedName {
		return fmt.Sprintf("%s-%d", storedName, i)
	}
	return s.typeName() + strconv.Itoa(i)
}

// registration is what a processor of the shape announces.
func (s Shape) registration(processor, address string) *pb.ProcessorRegistration {
	r := &pb.ProcessorRegistration{Name: processor, Runtime: bareRuntime, ConnectionStr: address}
	for i, n := range s.nodes {
		if s.wireName(n.processor) == processor {
			r.SupportedAlgorithms = append(r.SupportedAlgorithms, s.algorithm(i))
		}
	}
	return r
}

func (s Shape) algorithm(i int) *pb.Algorithm {
	a := &pb.Algorithm{
		Name: s.algorithmName(i), Version: version, ResultType: pb.ResultType_VALUE, Description: "One more than the sum of what it takes",
		WindowType: &pb.WindowType{
			Name: s.typeName(), Version: version, Description: "A second of one asset",
			MetadataFields: []*pb.MetadataField{{Name: "asset", Description: "The asset", Filter: true}},
		},
	}
	if s.self > 0 {
		a.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: s.self}
	}
	for _, j := range s.nodes[i].needs {
		d := &pb.AlgorithmDependency{
			Name: s.algorithmName(j), Version: version, ProcessorName: s.wireName(s.nodes[j].processor), ProcessorRuntime: bareRuntime,
		}
		if s.lookback > 0 {
			d.Lookback = &pb.AlgorithmDependency_LookbackNum{LookbackNum: s.lookback}
		}
		a.Dependencies = append(a.Dependencies, d)
	}
	return a
}

// epoch is when window 0 begins. Windows are told apart by their times.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// window is the window of a number: one second, of one of so many assets in turn.
func (s Shape) window(number int64, assets int) *pb.Window {
	from := epoch.Add(time.Duration(number) * time.Second)
	return &pb.Window{
		TimeFrom: timestamppb.New(from), TimeTo: timestamppb.New(from.Add(time.Second)),
		WindowTypeName: s.typeName(), WindowTypeVersion: version, Origin: "bench",
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"asset": structpb.NewStringValue(fmt.Sprintf("asset-%d", number%int64(assets))),
		}},
	}
}

// numberOf is the number of a window.
func numberOf(w *pb.Window) int64 {
	return int64(w.GetTimeFrom().AsTime().Sub(epoch) / time.Second)
}
