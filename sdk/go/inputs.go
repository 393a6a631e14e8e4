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

// fromDeprecated makes the newer form of a request that has only the deprecated fields: each algorithm with the
// current window's results of its needs. Results of several algorithms of one name come in the order of the needs.
func fromDeprecated(needs []need, algorithm *pb.Algorithm, results []*pb.AlgorithmResult) *pb.ExecuteAlgorithm {
	asked := &pb.ExecuteAlgorithm{Algorithm: &pb.Algorithm{Name: algorithm.GetName(), Version: algorithm.GetVersion()}}
	for i, n := range needs {
		planned := n.proto()
		asked.Algorithm.Dependencies = append(asked.Algorithm.Dependencies, planned)
		entry := &pb.AlgorithmDependencyResult{Algorithm: &pb.Algorithm{Name: n.id.Name, Version: n.id.Version}}
		if found := namesakes(results, n.id); ordinal(needs[:i+1]) < len(found) {
			row := found[ordinal(needs[:i+1])]
			entry.Result = []*pb.AlgorithmDependencyResultRow{{Result: row.GetResult(), Window: row.GetWindow()}}
		}
		asked.Dependencies = append(asked.Dependencies, entry)
	}
	return asked
}

func namesakes(results []*pb.AlgorithmResult, id AlgorithmID) []*pb.AlgorithmResult {
	var found []*pb.AlgorithmResult
	for _, result := range results {
		if result.GetAlgorithm().GetName() == id.Name && result.GetAlgorithm().GetVersion() == id.Version {
			found = append(found, result)
		}
	}
	return found
}

// ordinal counts the other processors whose algorithm of the same name was needed before the last need.
func ordinal(needs []need) int {
	last := needs[len(needs)-1].id
	var others []string
	for _, n := range needs {
		if n.id == last {
			break
		}
		if n.id.Name == last.Name && n.id.Version == last.Version && !slices.Contains(others, n.id.Processor) {
			others = append(others, n.id.Processor)
		}
	}
	return len(others)
}
