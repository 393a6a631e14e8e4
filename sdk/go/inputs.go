package orca

import (
	"fmt"
	"slices"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// arrange gives to each need the entry of the request that answers it.
//
// An entry does not name its processor, so two algorithms of one name are told apart by position: entries have the
// order of the dependencies in the definition that the request carries. That one can differ from this program's, since
// a run keeps the definition it was planned with, so needs are looked up in it rather than counted: the same
// algorithm with the same lookback first, then the same algorithm, then the same name from a core that sent no
// dependencies along. A need that the plan did not have fails: guessing that it has no results would give wrong ones.
func arrange(needs []need, asked *pb.ExecuteAlgorithm) ([]*pb.AlgorithmDependencyResult, error) {
	offers := offersOf(asked)
	matches := []func(need, offer) bool{
		func(n need, o offer) bool { return n.id == o.id && n.back == o.back },
		func(n need, o offer) bool { return n.id == o.id },
		func(n need, o offer) bool {
			return o.id.Processor == "" && n.id.Name == o.id.Name && n.id.Version == o.id.Version
		},
	}
	chosen := make([]*pb.AlgorithmDependencyResult, len(needs))
	for _, match := range matches {
		for i, need := range needs {
			if chosen[i] != nil {
				continue
			}
			found := slices.IndexFunc(offers, func(o offer) bool { return !o.taken && match(need, o) })
			if found >= 0 {
				offers[found].taken = true
				chosen[i] = offers[found].result
			}
		}
	}
	if missing := slices.Index(chosen, nil); missing >= 0 {
		return nil, fmt.Errorf("this run was planned without the dependency %v, which the processor's definition has;"+
			" give the algorithm a new version when its dependencies change", needs[missing])
	}
	return chosen, nil
}

// offer is one entry of a request's dependencies.
type offer struct {
	id     AlgorithmID // the processor is empty when the request does not tell
	back   Lookback
	result *pb.AlgorithmDependencyResult
	taken  bool
}

func offersOf(asked *pb.ExecuteAlgorithm) []offer {
	planned := asked.GetAlgorithm().GetDependencies()
	offers := make([]offer, len(asked.GetDependencies()))
	for i, result := range asked.GetDependencies() {
		offers[i] = offer{result: result}
		if len(planned) == len(offers) {
			d := planned[i]
			offers[i].id = AlgorithmID{Processor: d.GetProcessorName(), Name: d.GetName(), Version: d.GetVersion()}
			offers[i].back = lookbackOf(d)
			continue
		}
		offers[i].id = AlgorithmID{Name: result.GetAlgorithm().GetName(), Version: result.GetAlgorithm().GetVersion()}
	}
	return offers
}

// deprecatedResults is what a request has in its deprecated fields: the current window's results of what its algorithms
// need, each once, in the order in which they are first needed. They name no processor.
type deprecatedResults struct {
	order   []AlgorithmID // what the request's algorithms need, each once, in the order in which it is first needed
	results []*pb.AlgorithmResult
}

// add takes up what one more algorithm of the request needs: as it was planned, or as it is defined here where the request
// does not say.
func (r *deprecatedResults) add(algorithm *pb.Algorithm, needs []need) {
	planned := algorithm.GetDependencies()
	if len(planned) == 0 {
		planned = make([]*pb.AlgorithmDependency, len(needs))
		for i, n := range needs {
			planned[i] = n.proto()
		}
	}
	for _, d := range planned {
		id := AlgorithmID{Processor: d.GetProcessorName(), Name: d.GetName(), Version: d.GetVersion()}
		if !slices.Contains(r.order, id) {
			r.order = append(r.order, id)
		}
	}
}

// execution makes the newer form of one of the request's algorithms: each need with the current window's result.
func (r *deprecatedResults) execution(algorithm *pb.Algorithm, needs []need) *pb.ExecuteAlgorithm {
	asked := &pb.ExecuteAlgorithm{Algorithm: &pb.Algorithm{Name: algorithm.GetName(), Version: algorithm.GetVersion()}}
	for _, n := range needs {
		asked.Algorithm.Dependencies = append(asked.Algorithm.Dependencies, n.proto())
		entry := &pb.AlgorithmDependencyResult{Algorithm: &pb.Algorithm{Name: n.id.Name, Version: n.id.Version}}
		if row := r.find(n.id); row != nil {
			entry.Result = []*pb.AlgorithmDependencyResultRow{{Result: row.GetResult(), Window: row.GetWindow()}}
		}
		asked.Dependencies = append(asked.Dependencies, entry)
	}
	return asked
}

// find returns the result of an algorithm, or nil. Of several algorithms of one name each has its place, if all of them
// have a result; if some have none, such as those of another window type, it cannot be told whose the others are, and a
// missing result is better than a wrong one.
func (r *deprecatedResults) find(id AlgorithmID) *pb.AlgorithmResult {
	var found []*pb.AlgorithmResult
	for _, result := range r.results {
		if result.GetAlgorithm().GetName() == id.Name && result.GetAlgorithm().GetVersion() == id.Version {
			found = append(found, result)
		}
	}
	place, namesakes := 0, 0
	for _, other := range r.order {
		if other == id {
			place = namesakes
		}
		if other.Name == id.Name && other.Version == id.Version {
			namesakes++
		}
	}
	if len(found) == 0 || namesakes > 1 && namesakes != len(found) {
		return nil
	}
	return found[place]
}
