package engine

import (
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// wakeParked tells the ledger which outcomes have become durable that parked runs may wait for.
func (e *Engine) wakeParked() {
	p := &e.parking
	if p.waking || len(p.settled) == 0 {
		return
	}
	settled := p.settled
	p.waking, p.settled = true, nil
	e.cfg.Ledger.Wake(settled, func(woken []orca.WokenRun, more bool, err error) {
		e.inbox.post(func() { e.woken(settled, woken, more, err) })
	})
}

// woken takes the ledger's answer.
func (e *Engine) woken(settled []outcomeKey, woken []orca.WokenRun, more bool, err error) {
	p := &e.parking
	switch {
	case err != nil:
		e.cfg.Log.Warn("parked runs could not be woken; trying again", "error", err)
		e.mayHold(orca.Woken) // it may have been done nevertheless
		time.AfterFunc(parkingAgain, func() { e.inbox.post(func() { e.woken(settled, nil, true, nil) }) })
		return
	case e.admission.loading:
		p.late = append(p.late, func() { e.woken(settled, woken, more, nil) })
		return
	}
	p.waking = false
	if more {
		p.settled = append(settled, p.settled...)
	}
	for _, w := range woken {
		if e.active[w.Position] == nil {
			e.leaves(w.From)
			e.addTo(orca.Woken, w.Position)
		}
	}
}
