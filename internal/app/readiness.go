package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/orca-telemetry/orca/internal/orca"
)

// diskInterval is how often the free space is looked at.
const diskInterval = time.Second

// readiness says whether the core takes windows, and if not, why.
type readiness struct {
	dir     string
	reserve int64
	// failing says why the ledger cannot be written; nil when it can.
	failing  func() error
	stopping atomic.Bool
	full     atomic.Pointer[string] // why the disk is too full; nil when it is not
}

// newReadiness looks at the disk of the store's file; without one there is no disk to look at.
func newReadiness(ctx context.Context, path string, reserve int64, failing func() error) *readiness {
	if path == "" {
		return &readiness{failing: failing}
	}
	r := &readiness{dir: filepath.Dir(path), reserve: reserve, failing: failing}
	r.look(ctx)
	return r
}

// run looks at the disk until ctx is cancelled.
func (r *readiness) run(ctx context.Context) error {
	tick := time.NewTicker(diskInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.look(ctx)
		}
	}
}

func (r *readiness) look(ctx context.Context) {
	if r.reserve <= 0 {
		return
	}
	usage, err := disk.UsageWithContext(ctx, r.dir)
	if err != nil || usage.Free >= uint64(r.reserve) { // where the space cannot be read, writing tells
		r.full.Store(nil)
		return
	}
	why := fmt.Sprintf("%d MiB are free in %s, less than the reserve of %d MiB (--disk-reserve); make room, then send the window again",
		usage.Free>>20, r.dir, r.reserve>>20)
	r.full.Store(&why)
}

func (r *readiness) stop() { r.stopping.Store(true) }

// mayAccept returns why no window is accepted now.
func (r *readiness) mayAccept() error {
	if why := r.full.Load(); why != nil {
		return orca.Errorf(orca.Exhausted, "%s", *why)
	}
	return nil
}

// err returns why the core is not ready.
func (r *readiness) err() error {
	if r.stopping.Load() {
		return errors.New("the core is stopping")
	}
	if err := r.mayAccept(); err != nil {
		return err
	}
	if err := r.failing(); err != nil {
		return fmt.Errorf("the ledger cannot be written: %w", err)
	}
	return nil
}
