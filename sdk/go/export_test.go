package orca

import (
	"context"
	"sync"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// WithSilence sets how long the core may be silent before it is asked whether it knows the processor.
func WithSilence(d time.Duration) ProcessorOption {
	return processorOption(func(c *processorConfig) { c.silence = d })
}

// Registration is what the processor announces.
func (p *Processor) Registration(address, project string) *pb.ProcessorRegistration {
	return p.registration(address, project)
}

// SkipSleeps makes the client's pauses end at once, and returns how long they would have been.
func (c *Client) SkipSleeps() func() []time.Duration {
	var mu sync.Mutex
	var slept []time.Duration
	c.sleep = func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		slept = append(slept, d)
		return ctx.Err()
	}
	return func() []time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return slept
	}
}
