package orca

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Processor is a named set of algorithms that a core sends work to. Define the algorithms with [Value], [Array],
// [Struct] and [None], then call Run.
type Processor struct {
	name   string
	config processorConfig

	registered     chan struct{} // closed when a core has first accepted the registration
	registeredOnce sync.Once

	mu          sync.Mutex // guards what follows
	definitions []*definition
	mistakes    []error
	running     bool
}

// NewProcessor returns a processor without algorithms. The name identifies it towards the core, in every program
// that serves it: several instances of one name share its work.
func NewProcessor(name string, opts ...ProcessorOption) *Processor {
	p := &Processor{name: name, registered: make(chan struct{})}
	for _, opt := range opts {
		opt.applyToProcessor(&p.config)
	}
	return p
}

// Name returns the processor's name.
func (p *Processor) Name() string { return p.name }

// Registered is closed when a core has accepted the processor for the first time.
func (p *Processor) Registered() <-chan struct{} { return p.registered }

// add takes up an algorithm. What a processor serves is what it announced, so a late one is a mistake in the program.
func (p *Processor) add(d *definition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		panic(fmt.Sprintf("orca: the algorithm %v is defined while its processor runs; define all before Run", d.id))
	}
	p.definitions = append(p.definitions, d)
}

// check remembers a mistake for Validate.
func (p *Processor) check(where string, err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mistakes = append(p.mistakes, fmt.Errorf("%s: %w", where, err))
}

// Validate reports everything that is wrong with the definitions, as one error of kind [ErrInvalid], or nil. It needs
// no core, so that a test can call it; Run calls it first.
func (p *Processor) Validate() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := append([]error{checkText("processor name", p.name)}, p.mistakes...)
	algorithms := map[AlgorithmID]bool{}
	types := map[[2]string]WindowType{}
	for _, d := range p.definitions {
		err := d.validate()
		if algorithms[d.id] {
			err = errors.Join(err, invalid("definition: this name and version is defined twice"))
		}
		algorithms[d.id] = true
		key := [2]string{d.windowType.Name, d.windowType.Version}
		if other, ok := types[key]; ok && !other.sameFields(d.windowType) {
			err = errors.Join(err, invalid("window type %v: another algorithm declares other fields for it", d.windowType))
		}
		types[key] = d.windowType
		if err != nil {
			errs = append(errs, fmt.Errorf("algorithm %s %s: %w", d.id.Name, d.id.Version, err))
		}
	}
	return errors.Join(errs...)
}

// Run serves the processor until the context ends. It listens, registers with the core, however long that takes to
// come up, registers again when the core has lost it, and executes what the core asks for.
//
// When the context ends, Run takes no more work, lets running algorithms finish (see [WithDrain]) and returns nil.
// It returns an error for wrong definitions or settings ([ErrInvalid]), when it cannot listen, and when the core
// refuses the registration ([CallError]). It may be called again after it has returned.
func (p *Processor) Run(ctx context.Context) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer p.end()
	around, err := look(p.config.hermetic)
	if err != nil {
		return err
	}
	settings, err := p.config.resolve(around)
	if err != nil {
		return err
	}
	listener, err := p.listen(ctx, settings)
	if err != nil {
		return err
	}
	s, err := p.open(settings, listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return s.run(ctx)
}

func (p *Processor) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		return fmt.Errorf("processor %s runs already", p.name)
	}
	p.running = true
	return nil
}

func (p *Processor) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
}

func (p *Processor) listen(ctx context.Context, settings processorSettings) (net.Listener, error) {
	if p.config.listener != nil {
		return p.config.listener, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", settings.listen)
	if err != nil {
		return nil, fmt.Errorf("processor %s cannot listen: %w; choose another port with PROCESSOR_PORT or WithListen",
			p.name, err)
	}
	return listener, nil
}

// registration is what the core is told.
func (p *Processor) registration(address, project string) *pb.ProcessorRegistration {
	algorithms := make([]*pb.Algorithm, len(p.definitions))
	for i, d := range p.definitions {
		algorithms[i] = d.proto()
	}
	return &pb.ProcessorRegistration{
		Name:                p.name,
		Runtime:             runtime.Version(),
		ConnectionStr:       address,
		SupportedAlgorithms: algorithms,
		ProjectName:         project,
	}
}

func (p *Processor) concurrency() int {
	if p.config.concurrency > 0 {
		return p.config.concurrency
	}
	return max(32, 4*runtime.GOMAXPROCS(0))
}

func (p *Processor) drainLimit() time.Duration {
	if p.config.drain > 0 {
		return p.config.drain
	}
	return 30 * time.Second
}
