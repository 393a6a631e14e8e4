package orca

import (
	"context"
	"fmt"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/offline"
)

func init() {
	offline.Open = func(p any) (offline.Processor, error) { return p.(*Processor).offline() }
	offline.Write = func(w any) (*pb.Window, error) {
		window := w.(Window)
		if err := window.validate(); err != nil {
			return nil, err
		}
		return window.proto()
	}
	offline.Read = func(w *pb.Window, id string) any { return windowOf(w, id) }
	offline.Outcome = func(windowID string, run *pb.RunInfo, infos []*pb.NodeInfo) (any, error) {
		nodes := make([]Node, len(infos))
		for i, info := range infos {
			var err error
			if nodes[i], err = nodeOf(info); err != nil {
				return nil, err
			}
		}
		return outcomeOf(windowID, run, nodes)
	}
}

// offline is the processor as package orcatest sees it.
func (p *Processor) offline() (offline.Processor, error) {
	if p == nil {
		return offline.Processor{}, invalid("processor: it is nil")
	}
	if err := p.Validate(); err != nil {
		return offline.Processor{}, fmt.Errorf("processor %s: %w", p.name, err)
	}
	p.mu.Lock()
	definitions := p.definitions[:len(p.definitions):len(p.definitions)]
	p.mu.Unlock()
	return offline.Processor{
		Name:       p.name,
		Algorithms: p.registration("", "").GetSupportedAlgorithms(),
		Execute: func(ctx context.Context, i int, w *pb.Window, asked *pb.ExecuteAlgorithm, emit offline.Emit) *pb.Result {
			result, _ := definitions[i].execute(ctx, execution{window: w, asked: asked, emit: emitOffline(emit)})
			return result
		},
	}, nil
}

func emitOffline(emit offline.Emit) emitFunc {
	return func(ctx context.Context, w Window, opts ...EmitOption) (Emission, error) {
		config := emitConfig{key: freshKey(time.Now())}
		for _, opt := range opts {
			opt(&config)
		}
		message, err := offline.Write(w)
		if err != nil {
			return Emission{}, fmt.Errorf("emit window %v: %w", w.Type, err)
		}
		id, answer, err := emit(ctx, message, config.key)
		if err != nil {
			return Emission{}, fmt.Errorf("emit window %v: %w", w.Type, err)
		}
		status, err := emitStatusOf(answer)
		return Emission{WindowID: id, Status: status}, err
	}
}
