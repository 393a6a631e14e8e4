package sqlite

import (
	"context"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// lower notes that the nodes of a plan are in a run whose window ends at t. It costs a compare, as long as windows come
// in the order of time.
func (tx *batchTx) lower(plan int64, t orca.Time) {
	if known, ok := tx.writer.earliest[plan]; ok && known <= t {
		return
	}
	if known, ok := tx.earliest[plan]; !ok || t < known {
		tx.earliest[plan] = t
	}
}

// writeEarliest writes what the batch lowered.
func (tx *batchTx) writeEarliest(ctx context.Context) error {
	for plan, t := range tx.earliest {
		if _, err := tx.stmt.lower.exec(ctx, plan, int64(t)); err != nil {
			return fmt.Errorf("write since when the nodes of a plan run: %w", err)
		}
	}
	return nil
}
