package torture

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Probe is an emit with the core asked right before and right after whether it is ready.
type Probe struct {
	Begun         Instant
	Before, After Readiness
	// Refused is why the emit was refused; empty when it was answered.
	Refused string
	Ended   Instant
}

// Readiness is what the core said of itself.
type Readiness struct {
	// Code is that of HTTP; 0 when nobody answered.
	Code int
	Text string
	At   Instant
}

// prober asks the core over and over whether it is ready, and whether that is true.
type prober struct {
	url     string // of /readyz
	emitter *emitter
	probes  []Probe
}

const (
	probeEvery    = 100 * time.Millisecond
	openProbes    = 20 // windows of the prober that may be unfinished
	probePatience = 5 * time.Second
)

// run probes until the time is over.
func (p *prober) run(ctx context.Context, over <-chan struct{}) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	e := p.emitter
	for n := e.number; ; n += e.stride {
		select {
		case <-tick.C:
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		probe := Probe{Begun: Now(), Before: p.ready(ctx)}
		select { // emit gives the slot back, or the window does once it is finished
		case e.slots <- struct{}{}:
		default:
			continue // too many windows are open
		}
		if err := e.emit(ctx, n, true); err != nil {
			return err
		}
		probe.Refused = e.emits[len(e.emits)-1].Err
		probe.After = p.ready(ctx)
		probe.Ended = Now()
		p.probes = append(p.probes, probe)
	}
}

// ready asks whether the core is ready.
func (p *prober) ready(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return Readiness{Text: err.Error(), At: Now()}
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return Readiness{Text: err.Error(), At: Now()}
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body) // the code alone decides
	return Readiness{Code: answer.StatusCode, Text: strings.TrimSpace(string(text)), At: Now()}
}

const (
	// readyAgain is how long the core may say that it is not ready after the last fault of its own or of its disk.
	readyAgain = Instant(10 * time.Second)
	// soon is how long after a refusal the core has to say why, when it is asked.
	soon = Instant(500 * time.Millisecond)
)

// saysWhetherItIsReady: a core that says right before and right after an emit that it is ready has not refused it, and one
// that nothing has been wrong with for a while is ready and accepts. What the kill or the pause of a core falls into is
// not looked at.
func saysWhetherItIsReady(e *evidence) (defects []string) {
	for _, p := range e.Probes {
		if e.troubled(p.Begun, p.Ended, coreName) {
			continue
		}
		both := p.Before.Code == http.StatusOK && p.After.Code == http.StatusOK
		if both && p.Refused != "" && p.Ended-p.Begun < soon {
			defects = append(defects, fmt.Sprintf("the core said at %v and at %v that it is ready, and refused a window between: %s",
				p.Before.At, p.After.At, p.Refused))
		}
		if (!both || p.Refused != "") && !e.troubled(p.Begun-readyAgain, p.Ended, coreName, "disk", "disk-errors") {
			defects = append(defects, fmt.Sprintf("nothing was wrong, and the core was ready with %d (%s) at %v and with %d (%s) at %v, and the emit between gave %q",
				p.Before.Code, p.Before.Text, p.Before.At, p.After.Code, p.After.Text, p.After.At, p.Refused))
		}
	}
	return defects
}

// troubled reports whether something was wrong with any of the targets in a span: between a fault and its end.
func (e *evidence) troubled(from, to Instant, targets ...string) bool {
	wrong := map[string]Instant{} // since when
	for _, f := range e.Faults {
		if !slices.Contains(targets, f.Target) {
			continue
		}
		if !slices.Contains([]Action{Start, Move, Resume, Mended}, f.Action) {
			wrong[f.Target] = f.At
			continue
		}
		if since, ok := wrong[f.Target]; ok && since <= to && f.Done >= from {
			return true
		}
		delete(wrong, f.Target)
	}
	for _, since := range wrong {
		if since <= to {
			return true
		}
	}
	return false
}
