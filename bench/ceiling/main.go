// Command ceiling is the physical limit for a core: it keeps everything in memory, checks nothing, stores nothing, and
// makes only the calls that the contract demands (one EmitWindow, one ExecuteDagPart per frontier and processor).
package main

import (
	"context"
	"flag"
	"io"
	"net"
	"strings"
	"sync"

	pb "github.com/orca-telemetry/orca/contract/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type node struct {
	algo *pb.Algorithm
	proc string
	deps []int
	kids []int
}
type plan struct{ nodes []*node }
type core struct {
	pb.UnimplementedOrcaCoreServer
	mu    sync.RWMutex
	regs  map[string]*pb.ProcessorRegistration
	plans map[string]*plan
	conns map[string]pb.OrcaProcessorClient
}

func (c *core) RegisterProcessor(_ context.Context, r *pb.ProcessorRegistration) (*pb.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := r.Name + "|" + r.Runtime
	c.regs[key] = r
	cc, err := grpc.NewClient(strings.TrimPrefix(r.ConnectionStr, "grpc://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	c.conns[key] = pb.NewOrcaProcessorClient(cc)
	c.plans = map[string]*plan{}
	idx := map[string][2]any{}
	for k, reg := range c.regs {
		for _, a := range reg.SupportedAlgorithms {
			wt := a.WindowType.Name + "@" + a.WindowType.Version
			p := c.plans[wt]
			if p == nil {
				p = &plan{}
				c.plans[wt] = p
			}
			idx[k+"|"+a.Name+"@"+a.Version] = [2]any{wt, len(p.nodes)}
			p.nodes = append(p.nodes, &node{algo: a, proc: k})
		}
	}
	for _, p := range c.plans {
		for i, n := range p.nodes {
			for _, d := range n.algo.Dependencies {
				if v, ok := idx[d.ProcessorName+"|"+d.ProcessorRuntime+"|"+d.Name+"@"+d.Version]; ok {
					j := v[1].(int)
					n.deps = append(n.deps, j)
					p.nodes[j].kids = append(p.nodes[j].kids, i)
				}
			}
		}
	}
	return &pb.Status{Received: true}, nil
}

func (c *core) EmitWindow(_ context.Context, w *pb.Window) (*pb.WindowEmitStatus, error) {
	c.mu.RLock()
	p := c.plans[w.WindowTypeName+"@"+w.WindowTypeVersion]
	c.mu.RUnlock()
	if p == nil {
		return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_NO_TRIGGERED_ALGORITHMS}, nil
	}
	go c.run(p, w)
	return &pb.WindowEmitStatus{Status: pb.WindowEmitStatus_PROCESSING_TRIGGERED}, nil
}

func (c *core) run(p *plan, w *pb.Window) {
	left := make([]int, len(p.nodes))
	res := make([]*pb.AlgorithmResult, len(p.nodes))
	by := map[string]int{}
	var mu sync.Mutex
	var fire func(ready []int)
	fire = func(ready []int) {
		groups := map[string][]int{}
		for _, i := range ready {
			groups[p.nodes[i].proc] = append(groups[p.nodes[i].proc], i)
		}
		for proc, is := range groups {
			req := &pb.ExecutionRequest{ExecId: "x", Window: w}
			for _, i := range is {
				ex := &pb.ExecuteAlgorithm{Algorithm: p.nodes[i].algo}
				for _, d := range p.nodes[i].deps {
					ex.Dependencies = append(ex.Dependencies, &pb.AlgorithmDependencyResult{Algorithm: p.nodes[d].algo, Result: []*pb.AlgorithmDependencyResultRow{{Result: res[d].Result, Window: w}}})
				}
				req.AlgorithmExecutions = append(req.AlgorithmExecutions, ex)
			}
			go func() {
				st, err := c.conns[proc].ExecuteDagPart(context.Background(), req)
				if err != nil {
					return
				}
				for {
					r, err := st.Recv()
					if err == io.EOF || err != nil {
						return
					}
					mu.Lock()
					i := by[r.AlgorithmResult.Algorithm.Name]
					res[i] = r.AlgorithmResult
					var next []int
					for _, k := range p.nodes[i].kids {
						left[k]--
						if left[k] == 0 {
							next = append(next, k)
						}
					}
					if len(next) > 0 {
						fire(next)
					}
					mu.Unlock()
				}
			}()
		}
	}
	var first []int
	for i, n := range p.nodes {
		by[n.algo.Name] = i
		left[i] = len(n.deps)
		if left[i] == 0 {
			first = append(first, i)
		}
	}
	mu.Lock()
	fire(first)
	mu.Unlock()
}

func main() {
	addr := flag.String("addr", "127.0.0.1:44999", "")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	pb.RegisterOrcaCoreServer(s, &core{regs: map[string]*pb.ProcessorRegistration{}, plans: map[string]*plan{}, conns: map[string]pb.OrcaProcessorClient{}})
	if err := s.Serve(l); err != nil {
		panic(err)
	}
}
