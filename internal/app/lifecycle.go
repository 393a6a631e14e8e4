package app

import (
	"context"
	"errors"
	"fmt"
)

// part is a long-lived part in a goroutine of its own.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{} // closed when it has returned
	err    error         // readable once done is closed
}

// start runs a part until its end is asked for.
func start(ctx context.Context, name string, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(ctx)
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := run(ctx); err != nil {
			p.err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	return p
}

// end asks the part to end, waits for it and returns its error.
func (p *part) end() error {
	p.cancel()
	<-p.done
	return p.err
}

// failed reports whether the part has ended with a kind of error.
func (p *part) failed(kind error) bool {
	select {
	case <-p.done:
		return errors.Is(p.err, kind)
	default:
		return false
	}
}

// firstFailure waits until ctx ends, which is no failure, or a part returns early, which is.
func firstFailure(ctx context.Context, parts []*part) error {
	early := make(chan *part, len(parts))
	stop := make(chan struct{})
	defer close(stop)
	for _, p := range parts {
		go func() {
			select {
			case <-p.done:
				early <- p
			case <-stop:
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case p := <-early:
		if p.err != nil {
			return nil // its end returns the error
		}
		return fmt.Errorf("%s ended early", p.name)
	}
}
