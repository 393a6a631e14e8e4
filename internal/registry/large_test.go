package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

// large returns 10,000 algorithms in 1,000 layers, each of which needs three of the layer before.
func large(processor string) orca.Registration {
	const layers, width = 1_000, 10
	r := registration(processor, "host-of-"+processor+":1")
	name := func(layer, i int) orca.AlgorithmID { return id(processor, fmt.Sprintf("A%d", layer*width+i)) }
	for layer := range layers {
		for i := range width {
			a := algorithm(name(layer, i))
			for k := range 3 {
				if layer > 0 {
					a.Dependencies = append(a.Dependencies, orca.Dependency{On: name(layer-1, (i+k)%width), Runtime: "go1.26"})
				}
			}
			r.Algorithms = append(r.Algorithms, a)
		}
	}
	return r
}

func TestLargeRegistrations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(large("p"))
	w.register(large("q"))
	if n := len(w.Snapshot().Plan(lap.ID).Nodes); n != 20_000 {
		t.Errorf("%d nodes", n)
	}
	closed := large("p")
	closed.Algorithms[0].Dependencies = []orca.Dependency{{On: closed.Algorithms[len(closed.Algorithms)-1].ID}}
	if _, err := w.Register(context.Background(), closed); !errors.Is(err, orca.Precondition) || len(err.Error()) > 10_000 {
		t.Errorf("error %.200v", err)
	}
}

func BenchmarkRegister(b *testing.B) {
	for name, r := range map[string]func(i int) orca.Registration{
		"new": func(i int) orca.Registration { return large(fmt.Sprint("p", i)) },
		"changed": func(i int) orca.Registration {
			r := large("q")
			for j := range r.Algorithms {
				r.Algorithms[j].Description = fmt.Sprint(i)
			}
			return r
		},
		"same": func(int) orca.Registration { return large("q") },
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				w := newWorld(b)
				w.register(large("q"))
				next := r(i)
				b.StartTimer()
				w.register(next)
			}
		})
	}
}

func BenchmarkPlanOfAnUnchangedRegistry(b *testing.B) {
	w := newWorld(b)
	w.register(large("q"))
	for b.Loop() {
		if _, err := w.Plan(context.Background(), lap.ID); err != nil {
			b.Fatal(err)
		}
	}
}
