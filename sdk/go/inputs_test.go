package orca

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// entry is one dependency of a request: what the plan says, and the value by which the test recognises its row.
type entry struct {
	planned need
	value   float32
}

func needOf(processor, name string, back Lookback) need {
	return need{id: AlgorithmID{Processor: processor, Name: name, Version: "1.0.0"}, back: back, runtime: "go"}
}

func asking(withPlan bool, entries ...entry) *pb.ExecuteAlgorithm {
	asked := &pb.ExecuteAlgorithm{Algorithm: &pb.Algorithm{}}
	for _, e := range entries {
		if withPlan {
			asked.Algorithm.Dependencies = append(asked.Algorithm.Dependencies, e.planned.proto())
		}
		asked.Dependencies = append(asked.Dependencies, &pb.AlgorithmDependencyResult{
			Algorithm: &pb.Algorithm{Name: e.planned.id.Name, Version: e.planned.id.Version},
			Result: []*pb.AlgorithmDependencyResultRow{
				{Result: &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: e.value}}},
			},
		})
	}
	return asked
}

func TestArrangeTellsDependenciesApart(t *testing.T) {
	t.Parallel()
	here, there := needOf("racing", "Speed", Lookback{}), needOf("chassis", "Speed", Lookback{})
	grip := needOf("chassis", "Grip", Lookback{})
	last := func(n int) need { return needOf("racing", "Speed", Last(n)) }
	for name, tc := range map[string]struct {
		needs   []need
		asked   *pb.ExecuteAlgorithm
		want    []float32
		wantErr string
	}{
		"as defined":                  {[]need{here, grip}, asking(true, entry{here, 1}, entry{grip, 2}), []float32{1, 2}, ""},
		"same name":                   {[]need{here, there}, asking(true, entry{here, 1}, entry{there, 2}), []float32{1, 2}, ""},
		"same name, other order":      {[]need{here, there}, asking(true, entry{there, 2}, entry{here, 1}), []float32{1, 2}, ""},
		"same name, no plan":          {[]need{here, there}, asking(false, entry{here, 1}, entry{there, 2}), []float32{1, 2}, ""},
		"two lookbacks":               {[]need{last(2), last(3)}, asking(true, entry{last(3), 3}, entry{last(2), 2}), []float32{2, 3}, ""},
		"two lookbacks, no plan":      {[]need{last(2), last(3)}, asking(false, entry{last(2), 2}, entry{last(3), 3}), []float32{2, 3}, ""},
		"planned with another":        {[]need{last(5)}, asking(true, entry{last(3), 3}), []float32{3}, ""},
		"exact before another":        {[]need{last(5), last(3)}, asking(true, entry{last(3), 3}, entry{last(4), 4}), []float32{4, 3}, ""},
		"planned with more":           {[]need{grip}, asking(true, entry{here, 1}, entry{grip, 2}), []float32{2}, ""},
		"planned with less":           {[]need{here, grip}, asking(true, entry{here, 1}), nil, "planned without the dependency Grip 1.0.0 of chassis"},
		"planned with the namesake":   {[]need{here}, asking(true, entry{there, 1}), nil, "planned without the dependency Speed 1.0.0 of racing"},
		"one entry for two lookbacks": {[]need{last(2), last(3)}, asking(true, entry{last(2), 1}), nil, "planned without the dependency Speed 1.0.0 of racing (last 3)"},
		"none":                        {nil, asking(true), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := arrange(tc.needs, tc.asked)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("got %v, want an error with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []float32
			for _, entry := range chosen {
				got = append(got, entry.GetResult()[0].GetResult().GetSingleValue())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFromDeprecatedFindsTheCurrentResults(t *testing.T) {
	t.Parallel()
	results := func(entries ...entry) []*pb.AlgorithmResult {
		var out []*pb.AlgorithmResult
		for _, e := range entries {
			out = append(out, &pb.AlgorithmResult{
				Algorithm: &pb.Algorithm{Name: e.planned.id.Name, Version: e.planned.id.Version},
				Result:    &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: e.value}},
			})
		}
		return out
	}
	here, there := needOf("racing", "Speed", Lookback{}), needOf("chassis", "Speed", Lookback{})
	again, grip := needOf("racing", "Speed", Last(3)), needOf("chassis", "Grip", Lookback{})
	score := func(needs ...need) *pb.Algorithm {
		a := &pb.Algorithm{Name: "Score", Version: "1.0.0"}
		for _, n := range needs {
			a.Dependencies = append(a.Dependencies, n.proto())
		}
		return a
	}
	other, one, two := entry{needOf("x", "Other", Lookback{}), 9}, entry{here, 1}, entry{there, 2}
	for name, tc := range map[string]struct {
		algorithms [][]need // what the algorithms of the request need; the last is looked at
		planned    bool     // whether the request says so
		results    []entry
		want       [][]float32
	}{
		// Grip has no result of the current window; both lookbacks of the own Speed have its.
		"namesakes":          {[][]need{{here, again, grip, there}}, false, []entry{other, one, two}, [][]float32{{1}, {1}, {}, {2}}},
		"planned":            {[][]need{{here, again, grip, there}}, true, []entry{one, two}, [][]float32{{1}, {1}, {}, {2}}},
		"needed by another":  {[][]need{{here}, {there, here}}, true, []entry{one, two}, [][]float32{{2}, {1}}},
		"defined by another": {[][]need{{here}, {there, here}}, false, []entry{one, two}, [][]float32{{2}, {1}}},
		"one of two":         {[][]need{{here, there, grip}}, true, []entry{one, {grip, 3}}, [][]float32{{}, {}, {3}}},
		"one alone":          {[][]need{{there}}, true, []entry{two}, [][]float32{{2}}},
		"none":               {[][]need{{here, there}}, true, nil, [][]float32{{}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := deprecatedResults{results: results(tc.results...)}
			var algorithm *pb.Algorithm
			for _, needs := range tc.algorithms {
				algorithm = score()
				if tc.planned {
					algorithm = score(needs...)
				}
				given.add(algorithm, needs)
			}
			needs := tc.algorithms[len(tc.algorithms)-1]
			arranged, err := arrange(needs, given.execution(algorithm, needs))
			if err != nil {
				t.Fatal(err)
			}
			var values [][]float32
			for _, dependency := range arranged {
				rows := []float32{}
				for _, row := range dependency.GetResult() {
					rows = append(rows, row.GetResult().GetSingleValue())
				}
				values = append(values, rows)
			}
			if diff := cmp.Diff(tc.want, values); diff != "" {
				t.Error(diff)
			}
		})
	}
}
